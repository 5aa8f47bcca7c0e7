"""Values that a key of config/ may and may not have, derived from the models; and damage to the text of a file."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import jsonschema
from pydantic import BaseModel

from ddcl.schema.claims import ClaimSpec, StatisticsSpec
from ddcl.schema.ops import OPS
from ddcl.schema.pictures import DRAWINGS, PictureConfig
from ddcl.schema.registry import EVALUATIONS, METHODS, READERS
from ddcl.schema.sets import SetsConfig
from ddcl.schema.suites import DatasetConfig, EvaluationConfig, OpsConfig, SuiteConfig, VariantConfig
from ddcl.schema.tables import TableSpec

Path_ = tuple[str | int, ...]
BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "minItems", "maxItems")
POOL: list[Any] = [None, True, False, 0, 1, 3, -1, 0.5, -0.5, 2.5, 10**12, 2**62, 1e18, -1e18, 5e-324, 1e308]
POOL += [
    "",
    "text",
    "none",
    "../x",
    "a b",
    "a\nb",
    "x" * 101,
    "$(touch X)",
    "1e-5",
    "é",
    "{nosuch}",
    "{",
    "-",
    ".",
    "a/b",
]
POOL += [[], {}, [[]], [{}], ["text"], ["text", "text"], [1, 0], [3, 3], [None], {"a": 1}, {"text": {"a": 1}}]
NEVER = [math.nan, math.inf, -math.inf]  # no number of a configuration


ENTRIES: dict[str, tuple[str, Any]] = {"datasets": ("reader", READERS), "variants": ("method", METHODS)}
ENTRIES |= {"evaluations": ("protocol", EVALUATIONS), "pictures": ("drawing", DRAWINGS)}


class Case(NamedTuple):
    """A file's values with one of them changed. allowed: False where the models alone refuse it; else None."""

    key: str
    value: Any
    values: dict[str, Any]
    allowed: bool | None


def models_of(kind: str, values: dict[str, Any]) -> Iterator[tuple[Path_, type[BaseModel]]]:
    """Yield the models that read a file's values, and at which key."""
    whole: dict[str, type[BaseModel]] = {"datasets": DatasetConfig, "variants": VariantConfig, "suites": SuiteConfig}
    whole |= {"augmentations": OpsConfig, "perturbations": OpsConfig, "evaluations": EvaluationConfig}
    whole |= {
        "tables": TableSpec,
        "claims": ClaimSpec,
        "pictures": PictureConfig,
        "": StatisticsSpec,
        "sets": SetsConfig,
    }
    yield (), whole[kind]
    if "settings" in values and kind in ENTRIES:
        key, entries = ENTRIES[kind]
        yield ("settings",), entries[values[key]].settings
    for place, entry in enumerate(values.get("ops", []) if whole[kind] is OpsConfig else []):
        yield from ((("ops", place, name), OPS[name].settings) for name in entry)


@cache
def _validator(model: type[BaseModel]) -> Any:
    return jsonschema.Draft202012Validator(model.model_json_schema())


@cache
def _near_bounds(model: type[BaseModel]) -> tuple[float, ...]:
    """Return every bound of a model, and what lies on either side of it."""
    found: set[float] = set()

    def walk(schema: Any) -> None:
        if isinstance(schema, dict):
            for name in BOUNDS:
                if isinstance(bound := schema.get(name), int | float):
                    found.update((bound, bound - 1, bound + 1, bound - 1e-9, bound + 1e-9))
            for item in schema.values():
                walk(item)
        elif isinstance(schema, list):
            for item in schema:
                walk(item)

    walk(model.model_json_schema())
    return tuple(sorted(found))


def _at(values: Any, path: Path_) -> Any:
    for key in path:
        values = values[key]
    return values


def _with(values: dict[str, Any], path: Path_, value: Any) -> dict[str, Any]:
    changed = copy.deepcopy(values)
    _at(changed, path[:-1])[path[-1]] = value
    return changed


def _places(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Yield the path of everything in a value."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


def cases(kind: str, values: dict[str, Any], rng: random.Random, per_key: int) -> Iterator[Case]:
    """Yield a file's values with one key changed, several times for each key; and with keys that there are not."""
    for prefix, model in models_of(kind, values):
        own = _at(values, prefix) if prefix else values
        for path in _places(own):
            candidates = [*POOL, *_near_bounds(model)]
            for value in (*rng.sample(candidates, per_key), rng.choice(NEVER)):
                changed = _with(values, (*prefix, *path), value)
                known = _validator(model).is_valid(_at(changed, prefix) if prefix else changed)
                never = isinstance(value, float) and not math.isfinite(value)
                yield Case(".".join(map(str, (*prefix, *path))), value, changed, False if never or not known else None)
        for path in [(), *(path for path in _places(own) if isinstance(_at(own, path), dict))]:
            changed = _with(values, (*prefix, *path, "nosuch"), 1)
            known = _validator(model).is_valid(_at(changed, prefix) if prefix else changed)
            yield Case(".".join(map(str, (*prefix, *path, "nosuch"))), 1, changed, None if known else False)


SNIPPETS = [
    b"\xff",
    b"\xfe\xff",
    b"\0",
    b"\t",
    b"\x1b",
    b"{",
    b"]",
    b"*x",
    b"&x [*x]",
    b"!!int abc",
    b"!!set {a}",
    b"<<: 3",
]
SNIPPETS += [b"2001-99-99", b"2001-01-01", b"9" * 5000, b"0x" + b"f" * 5000, b"[" * 400, b"- " * 400, b"? [a]\n: 1\n"]
SNIPPETS += [
    b"!!python/object:os.system x",
    b"!!binary x",
    b"!!float x",
    b"%YAML 9.9\n---\n",
    b"---\na: 1\n",
    b"\r",
    b"~: 1\n",
]
SNIPPETS += [
    b'"\\ud800"',
    b"\xef\xbb\xbf",
    b"1: 2\n",
    b"on: 1\n",
    b"'",
    b'"',
    b"|",
    b">",
    b"@",
    b"`",
    b"#",
    b":",
    b"\xe2\x80\xa8",
]


def damaged(text: bytes, rng: random.Random) -> bytes:
    """Return the text of a file after one accident: bytes in it, lines twice or gone, its end gone, lines swapped."""
    lines, place = text.splitlines(keepends=True), rng.randrange(len(text) + 1)
    number = rng.randrange(len(lines))
    ways = [
        text[:place] + rng.choice(SNIPPETS) + text[place:],
        text[: text.rfind(b": ", 0, place) + 2] + rng.choice(SNIPPETS) + b"\n" + text[place:],
        text[:place],
        b"".join([*lines[:number], lines[number], *lines[number:]]),
        b"".join([*lines[:number], *lines[number + 1 :]]),
        b"".join([*lines[:number], b"  ", *lines[number:]]),
        text[:place] + bytes([rng.randrange(256)]) + text[place + 1 :],
        b"".join(rng.sample(lines, len(lines))),
        rng.choice(SNIPPETS),
        b"",
    ]
    return rng.choice(ways)
