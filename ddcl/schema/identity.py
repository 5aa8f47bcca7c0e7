"""What digests of settings are made of, so that a setting added later moves no address that exists already."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

ABSENT = "absent"  # key of a field's `json_schema_extra`: the value that means the same as having no such field


def identity(model: BaseModel) -> dict[str, object]:
    """Return the values of a model that its digest is made of.

    Every field counts, but for those that are excluded from dumps, and for a later field that holds the value that it
    declares as absent: ``Field(default=0.5, json_schema_extra={"absent": 0.0})`` says that what was made before the
    field existed behaves as if it had been 0.0. Its default may be another, and may change: then digests change.
    """
    return {
        name: _plain(getattr(model, name))
        for name, field in type(model).model_fields.items()
        if not field.exclude and not _is_absent(field.json_schema_extra, getattr(model, name))
    }


def completed(model: type[BaseModel], values: dict[str, object]) -> dict[str, object]:
    """Return stored `values` of a model with the later fields that they lack, at the value declared as absent."""
    filled = dict(values)
    for name, field in model.model_fields.items():
        extra, inner = field.json_schema_extra, field.annotation
        if name not in filled and isinstance(extra, dict) and ABSENT in extra:
            filled[name] = extra[ABSENT]
        elif isinstance(inner, type) and issubclass(inner, BaseModel) and isinstance(stored := filled.get(name), dict):
            filled[name] = completed(inner, stored)
    return filled


def _is_absent(extra: Any, value: Any) -> bool:
    return isinstance(extra, dict) and ABSENT in extra and bool(extra[ABSENT] == value)


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return identity(value)
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return value
