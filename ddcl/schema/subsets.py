"""Lists of training images for few labels: config/subsets/<data set>_<name>.json. Imports no torch."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from ddcl.base.files import read_json
from ddcl.base.yaml_files import Count, Model, Seed, parse
from ddcl.schema.places import config_path, new_file

FOLDER = "subsets"


class SubsetConfig(Model):
    """A list of images: for each class, positions among its training images in the data set's own order."""

    dataset: str = Field(description="name in config/datasets")
    seed: Seed = Field(description="of the draw")
    n_available: Count = Field(description="images of each class among which it was drawn, the first")
    per_class: Count = Field(description="images of each class")
    positions: list[Annotated[list[Seed], Field(min_length=1)]] = Field(description="by class, from 0")

    @model_validator(mode="after")
    def _as_it_says(self) -> SubsetConfig:
        for label, own in enumerate(self.positions):
            if len(set(own)) < len(own) or len(own) != self.per_class or max(own) >= self.n_available:
                raise ValueError(f"positions.{label}: expected {self.per_class} numbers below {self.n_available}")
        return self


def subset_path(dataset: str, name: str) -> Path:
    """Return the file of a list that there is; else a `UserError` that names the command for it."""
    return config_path(FOLDER, f"{dataset}_{name}", ".json", "; `ddcl subset` makes a list of images")


def new_subset_path(dataset: str, name: str) -> Path:
    """Return the file that a new list is written to: in the folder that is searched first."""
    return new_file(f"{FOLDER}/{dataset}_{name}.json")


def read_subset_config(dataset: str, name: str) -> SubsetConfig:
    """Read and check the list `name` of images of `dataset`."""
    path = subset_path(dataset, name)
    return parse(SubsetConfig, read_json(path, "list of images"), str(path))


@cache
def n_listed(dataset: str, name: str) -> int:
    """Return how many images the list `name` of `dataset` has; read once."""
    return sum(map(len, read_subset_config(dataset, name).positions))
