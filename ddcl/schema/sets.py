"""Sets of names: `{set: NAME}` in a suite's list stands for the names that config/sets.yaml gives the set."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, WithJsonSchema

from ddcl.base.errors import UserError, check_name, shown
from ddcl.base.yaml_files import Model, parse, read_yaml
from ddcl.schema.names import LONGEST_NAME, Names
from ddcl.schema.names import NAME as PATTERN
from ddcl.schema.places import existing_files, shown_path

FILE = "sets.yaml"
NAME = {"type": "string", "pattern": f"^{PATTERN}$", "maxLength": LONGEST_NAME}
SET = {"type": "object", "properties": {"set": NAME}, "required": ["set"], "additionalProperties": False}
# names, in whose place in a suite's file sets may stand
SettableNames = Annotated[Names, WithJsonSchema({"type": "array", "items": {"anyOf": [NAME, SET]}})]
Sets = dict[str, Names]


class SetsConfig(Model):
    """config/sets.yaml: lists of names by the key of a suite that they may stand at, and the set's name."""

    tables: Sets = Field(default_factory=dict, description="names in config/tables")
    figures: Sets = Field(default_factory=dict, description="names in ddcl.report.figures")
    claims: Sets = Field(default_factory=dict, description="names in config/claims")
    pictures: Sets = Field(default_factory=dict, description="names in config/pictures")


def read_sets() -> dict[str, Sets]:
    """Return the sets of each key; of equal names, that of the folder searched first."""
    found: dict[str, Sets] = {key: {} for key in SetsConfig.model_fields}
    for path in existing_files(FILE):
        for key, sets in parse(SetsConfig, read_yaml(path), str(path)):
            found[key] = sets | found[key]
    return found


def with_sets(values: dict[str, Any], where: str) -> dict[str, Any]:
    """Return a suite's values with names in place of sets, in order, each once.

    where: the suite's file. `UserError` for a set that there is not; what is no set is left to the suite's model.
    """
    found = dict(values)
    for key in SetsConfig.model_fields:
        if isinstance(items := values.get(key), list) and any(isinstance(item, dict) for item in items):
            names = [name for place, item in enumerate(items) for name in _names(key, item, f"{where}: {key}.{place}")]
            found[key] = list(dict.fromkeys(names))
    return found


def _names(key: str, item: Any, where: str) -> list[Any]:
    """Return the names that an item of a suite's list stands for."""
    if not isinstance(item, dict):
        return [item]
    if set(item) != {"set"} or not isinstance(item["set"], str):
        raise UserError(f"{where}: expected a name, or {{set: NAME}}, found {shown(item)}")
    sets = read_sets()[key]
    check_name(f"set of {key}", item["set"], sets, f"{where}: {' or '.join(map(shown_path, existing_files(FILE)))}")
    return sets[item["set"]]
