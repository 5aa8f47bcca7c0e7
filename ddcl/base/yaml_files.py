"""Typed configuration: YAML becomes frozen models; anything unknown is an error that says where it is.

Does not import torch: Snakemake reads the configuration at every start.
"""

from __future__ import annotations

import pickle
from functools import cache
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from ddcl.base.errors import UserError, did_you_mean, shown
from ddcl.base.plain_yaml import load


class Model(BaseModel):
    """Base of all configuration: no unknown key, no silent conversion, no change after reading."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


class NoSettings(Model):
    """Settings of something that has no settings of its own."""


STREAM = ' in "<unicode string>",'  # PyYAML's name of what it reads, in its messages
MOST = 10**9  # limit for counts: a larger number is a typing error, and would not fit in memory
M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")
Count = Annotated[int, Field(ge=1, le=MOST)]
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]


def each_once(items: list[T]) -> list[T]:
    """Return the list; `ValueError` if an item occurs twice."""
    for place, item in enumerate(items):
        if item in items[:place]:
            raise ValueError(f"{shown(item)} is given twice")
    return items


Seeds = Annotated[list[Seed], AfterValidator(each_once)]


def rising(bounds: list[float]) -> list[float]:
    """Return [low, high]; `ValueError` if low is above high."""
    if bounds[0] > bounds[1]:
        raise ValueError(f"the lower bound {bounds[0]} is above the upper bound {bounds[1]}")
    return bounds


def parse(model: type[M], values: Any, where: str) -> M:
    """Return `values` as a `model`; else a `UserError` naming each wrong key with its path and what is allowed.

    where: the file the values come from, for the message.
    """
    if not isinstance(values, dict):
        raise UserError(f"{where}: expected a mapping of keys to values, found {type(values).__name__}")
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise UserError(f"{where}: {explain(model, error)}") from None


def explain(model: type[BaseModel], error: ValidationError) -> str:
    """Return one line that names each wrong key of a model's values with its path, and says what is allowed."""
    return "; ".join(_explain(model, item) for item in error.errors(include_url=False))


def _explain(model: type[BaseModel], item: ErrorDetails) -> str:
    path = ".".join(str(key) for key in item["loc"]) or "(top level)"
    if item["type"] == "extra_forbidden":
        return f"unknown key {shown(path)}{did_you_mean(str(item['loc'][-1]), _fields_at(model, item['loc'][:-1]))}"
    if item["type"] == "missing":
        return f"missing key {path!r}"
    hint = ""
    if isinstance(item["input"], str) and item["type"].startswith("float"):
        hint = " (YAML reads 1e-5 as text: write 1.0e-5)"
    said = item["msg"].removeprefix("Value error, ")
    if said != item["msg"] and isinstance(item["input"], dict):  # keys that contradict each other are in the message
        return f"{path}: {said}"
    return f"{path}: {said}, found {shown(item['input'])}{hint}"


def _fields_at(model: type[BaseModel], path: tuple[Any, ...]) -> list[str]:
    """Return the allowed keys at `path` inside `model`, walking through lists and mappings."""
    current: Any = model
    for key in path:
        if isinstance(current, type) and issubclass(current, BaseModel) and key in current.model_fields:
            current = current.model_fields[key].annotation
        else:  # an index of a list, or a key of a mapping: the element type is the last argument
            current = ([item for item in get_args(current) if item is not type(None)] or [None])[-1]
    if isinstance(current, type) and issubclass(current, BaseModel):
        return list(current.model_fields)
    return []


def read_yaml(path: Path) -> dict[str, Any]:
    """Read the mapping in the YAML file `path`; `UserError` if it is missing, unreadable or not a mapping."""
    try:
        changed = path.stat().st_mtime_ns
    except OSError:
        changed = 0
    values: dict[str, Any] = pickle.loads(_read_yaml(path, changed))  # a copy, much faster than deepcopy
    return values


@cache
def _read_yaml(path: Path, changed: int) -> bytes:
    try:
        values = load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        names = [entry.stem for entry in path.parent.glob("*.yaml")] if path.parent.is_dir() else []
        raise UserError(f"{path}: no such file{did_you_mean(path.stem, names)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: cannot be read ({getattr(error, 'strerror', error)})") from None
    except yaml.YAMLError as error:
        raise UserError(f"{path}: not valid YAML ({' '.join(str(error).split()).replace(STREAM, ',')})") from None
    if not isinstance(values, dict):
        raise UserError(f"{path}: expected a mapping of keys to values, found {type(values).__name__}")
    return pickle.dumps(values)


def merge(base: dict[str, Any], change: dict[str, Any], where: str) -> dict[str, Any]:
    """Return `base` with `change` on top; mappings are merged key by key, anything else is replaced.

    A mapping must not replace a text or a number: that would hide a mistake. where: file and key path of `base`, which
    begin the message, such as ``NAME.yaml: training.``.
    """
    result = dict(base)
    for key, value in change.items():
        old = result.get(key)
        if isinstance(value, dict) and isinstance(old, dict):
            value = merge(old, value, f"{where}{key}.")
        elif isinstance(value, dict) and old is not None:
            raise UserError(f"{where}{key}: expected a mapping of keys to values, found {shown(old)}")
        result[key] = value
    return result
