"""JSON files that are written from a model and read back into it; any change in between is detected.

A file holds the fields of its model, its schema number, and a seal: the sha256 of both. The seal protects against
accidents, not against forgery.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import ClassVar, NoReturn, TypeVar

from pydantic import ValidationError

from ddcl.base.errors import UserError
from ddcl.base.files import canonical_json, json_text, no_number, write_text
from ddcl.base.yaml_files import Model, explain

SCHEMA_KEY, SEAL_KEY = "schema", "sha256"  # beside the model's fields, in the file only


class Sealed(Model):
    """Base of everything stored as JSON. A subclass sets its number `SCHEMA` and increases it with each change."""

    SCHEMA: ClassVar[int]

    @staticmethod
    def layout(content: dict[str, object]) -> str:
        """Return the text of a file with this content. A subclass with much content may omit the line breaks."""
        return json_text(content)

    def content(self) -> dict[str, object]:
        """Return the content of its file, without the seal."""
        return {SCHEMA_KEY: self.SCHEMA, **self.model_dump(mode="json")}

    @property
    def seal(self) -> str:
        """The sha256 of its content: two files of one class are equal if their seals are."""
        return _sha256(self.content())


S = TypeVar("S", bound=Sealed)


def _sha256(content: dict[str, object]) -> str:
    return hashlib.sha256(canonical_json(content).encode()).hexdigest()


def write(path: Path, model: Sealed) -> None:
    """Write `model` with its seal, atomically."""
    write_text(path, text_of(model))


def text_of(model: Sealed) -> str:
    """Return what `write` writes; equal models have equal texts."""
    content = model.content()
    return model.layout(content | {SEAL_KEY: _sha256(content)})


def read(path: Path, model: type[S], what: str, maker: str) -> S:
    """Read what `write` wrote; otherwise raise a one-line `UserError` that says what was found and what to do.

    what: names the file in the message ("record", "manifest", …). maker: the command that creates it.
    """
    return parse(_read_text(path, what, maker), model, path, (what, maker))


def parse(text: str, model: type[S], path: Path, told: tuple[str, str]) -> S:
    """Return the model in the text of a file; `UserError` as in `read`. told: its `what` and `maker`."""
    what, maker = told
    try:
        values = json.loads(text, parse_constant=no_number)
    except (ValueError, RecursionError) as error:
        _refuse(path, f"{what} is not valid JSON ({error})", maker)
    if not isinstance(values, dict):
        _refuse(path, f"{what}: expected an object, found {type(values).__name__}", maker)
    schema = values.pop(SCHEMA_KEY, None)
    if schema != model.SCHEMA or isinstance(schema, bool | float):
        newer = isinstance(schema, int) and schema > model.SCHEMA
        found = "no schema" if schema is None else f"schema {schema!r}{', of a newer version' if newer else ''}"
        _refuse(path, f"{what} of {found}, this version reads {model.SCHEMA}", maker)
    seal = values.pop(SEAL_KEY, None)
    if not _is_sealed(model, text, {SCHEMA_KEY: schema, **values}, seal):
        _refuse(path, f"{what} is damaged or edited (its sha256 does not match its content)", maker)
    try:  # from text: strict models take lists for tuples there
        return model.model_validate_json(json.dumps(values))
    except ValidationError as error:
        _refuse(path, f"{what}: {explain(model, error)}", maker)


def _read_text(path: Path, what: str, maker: str) -> str:
    try:
        return path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: missing {what}; `{maker}` makes it") from None
    except IsADirectoryError:
        raise UserError(f"{path}: expected the {what}, found a folder; remove it and run `{maker}` again") from None
    except OSError as error:
        raise UserError(f"{path}: {what} cannot be read ({error.strerror}); allow it, or run `{maker}` again") from None
    except UnicodeDecodeError as error:
        _refuse(path, f"{what} is not valid JSON ({error})", maker)


def _is_sealed(model: type[Sealed], text: str, content: dict[str, object], seal: object) -> bool:
    """Return whether `seal` is that of the content, and the text the one that `write` makes of both."""
    try:
        return seal == _sha256(content) and text == model.layout(content | {SEAL_KEY: seal})
    except ValueError:  # a number beyond the range of floats
        return False


def _refuse(path: Path, problem: str, maker: str) -> NoReturn:
    raise UserError(f"{path}: {' '.join(problem.split())}; run `{maker}` again") from None
