"""Published numbers: config/published.csv as typed rows. Imports no torch and no pandas."""

from __future__ import annotations

import csv
import re
from functools import cache
from pathlib import Path

from pydantic import Field

from ddcl.base.errors import UserError
from ddcl.base.files import damage_named
from ddcl.base.yaml_files import Count, Model, parse
from ddcl.schema.places import config_path, shown_path
from ddcl.schema.setups import Setup, published_setup

COUNTS = ("epochs", "batch_size")


class PublishedNumber(Model):
    """A row of config/published.csv: a number, of what it is, and where it stands. Empty: not known, or not of ours."""

    line: int = Field(ge=2, description="in the file, whose first line is the header")
    place: str = Field(description="file and line, as tables and the page name it")
    source: str = Field(description="paper or repository")
    locator: str = Field(description="where in the source")
    dataset: str = Field(description="of pretraining")
    method_label: str = Field(description="name in the source")
    variant: str = Field(description="the suite's; empty: a method that it does not have")
    augmentation: str = Field(description="the suite's; empty: another one")
    evaluation_kind: str = Field(description="linear, knn or finetune; empty: not said")
    eval_dataset: str = Field(description="of the test images")
    perturbation: str = Field(description="of the test images")
    part: str = Field(description="of the features")
    backbone: str = Field(description="network")
    epochs: Count | None = Field(description="of pretraining; null: not said")
    batch_size: Count | None = Field(description="of pretraining; null: not said")
    same_as: str = Field(description="evaluation of the suite with the same protocol; empty: none")
    selection: str = Field(description="how epoch and hyperparameters were chosen")
    metric: str = Field(description="top1, top5 or top1_std")
    value_percent: str = Field(pattern=r"^[0-9]+(\.[0-9]+)?$", description="percent, in the digits of the source")
    protocol: str = Field(description="in the words of the source")
    note: str = Field(description="other remarks")
    setup: Setup = Field(default=Setup(), description="with what it was trained (config/published_setups.yaml)")


def read_published() -> tuple[PublishedNumber, ...]:
    """Read and check config/published.csv, in the order of its lines."""
    return _read(config_path("", "published", ".csv"))


@cache
def _read(path: Path) -> tuple[PublishedNumber, ...]:
    told = "published numbers", "mend the file"
    with damage_named(path, *told), path.open(newline="", encoding="utf-8") as file:
        return tuple(_number(row, path, line) for line, row in enumerate(csv.DictReader(file, strict=True), start=2))


def _number(row: dict[str, str], path: Path, line: int) -> PublishedNumber:
    if None in row:
        raise UserError(f"{path}:{line}: has more fields than the header")
    values = {**row, "line": line, "place": f"{shown_path(path)}:{line}"}
    for name in COUNTS:
        text = row.get(name) or ""
        if text and not re.fullmatch("[0-9]{1,9}", text):
            raise UserError(f"{path}:{line}: {name}: expected a whole number, found {text!r}")
        values[name] = int(text) if text else None
    names = [row.get(key) or "" for key in ("source", "dataset", "variant")]
    values["setup"] = published_setup(*names).model_dump(include=set(Setup.model_fields))
    return parse(PublishedNumber, values, f"{path}:{line}")
