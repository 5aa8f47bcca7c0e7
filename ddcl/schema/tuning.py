"""Suites of kind `tuning`: which settings of each method are tried, and what was chosen. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Any

import yaml
from pydantic import Field, model_validator

from ddcl.base.yaml_files import Model, Seeds, parse, read_yaml
from ddcl.schema.names import Name, Names
from ddcl.schema.places import config_path

FOLDER = "tuned"  # below config/: what was chosen, by data set
CHOICE, SCORES = "tuned.yaml", "tuning.csv"  # below results/tables
Value = bool | int | float | str
Grid = dict[str, list[Value]]  # by key of a variant's YAML, with dots


class Setting(Model):
    """One setting of a method's numbers, that a tuning suite tries: values by key, such as `settings.dvr_weight`."""

    values: dict[str, Value]

    def name(self, variant: str) -> str:
        """Return the name of its runs' variant, such as ``ddcl-base_lr0.4-dvr_weight1.0``."""
        return "-".join([variant, *(f"{key.split('.')[-1]}{value}" for key, value in self.values.items())])

    @property
    def text(self) -> str:
        """How it is printed."""
        return ", ".join(f"{key.split('.')[-1]} {value}" for key, value in self.values.items())

    @property
    def changes(self) -> dict[str, Any]:
        """The same as the sections of a variant's YAML."""
        changes: dict[str, Any] = {}
        for key, value in self.values.items():
            *folders, last = key.split(".")
            section = changes
            for folder in folders:
                section = section.setdefault(folder, {})
            section[last] = value
        return changes


class TuningConfig(Model):
    """What is tried, on what, and by which number it is chosen: the best mean over seeds and augmentations."""

    dataset: Name = Field(
        description="name in config/datasets of a data set with `holdout` or `for_tuning`, so that no test image is "
        "used to choose"
    )
    augmentations: Names = Field(min_length=1, description="names in config/augmentations")
    seeds: Seeds = Field(min_length=1, description="seeds of each setting")
    evaluation: Name = Field(description="name in config/evaluations; its accuracy on all features decides")
    grids: dict[Name, Grid] = Field(
        min_length=1,
        description="by variant: the values to try for each of its keys (`training.…` or `settings.…`), in all "
        "combinations. Every variant must get the same number of training epochs over all its runs",
    )

    @model_validator(mode="after")
    def _grids_are_grids(self) -> TuningConfig:
        for variant, grid in self.grids.items():
            for key, values in grid.items():
                if key.split(".")[0] not in ("training", "settings") or "." not in key:
                    raise ValueError(f"grids.{variant}: expected a key training.… or settings.…, found {key!r}")
                if not values or len(set(map(str, values))) < len(values):
                    raise ValueError(f"grids.{variant}.{key}: expected values that differ, found {values}")
        return self

    def settings(self, variant: str) -> list[Setting]:
        """Return the settings that are tried of a variant."""
        grid = self.grids[variant]
        return [Setting(values=dict(zip(grid, values, strict=True))) for values in product(*grid.values())]


class Budget(Model):
    """What every method was given."""

    settings: int = Field(ge=1, description="tried")
    runs: int = Field(ge=1, description="over settings, augmentations and seeds")
    epochs: int = Field(ge=1, description="of training, over all runs")


class Choice(Model):
    """What was chosen for a variant."""

    values: dict[str, Value] = Field(description="by key of the variant's YAML, with dots")
    accuracy: float = Field(description="mean over seeds and augmentations on held-out training images, percent")
    sd_seeds: float | None = Field(description="standard deviation over seeds, points; null: one seed")
    next_best: float | None = Field(description="the accuracy of the second best setting; null: there was only one")
    at_edge: list[str] = Field(description="keys whose best value is the first or last that was tried")

    @property
    def text(self) -> str:
        """How it is printed."""
        edge = f"; at the edge of what was tried: {', '.join(self.at_edge)}" if self.at_edge else ""
        return f"{Setting(values=self.values).text or 'nothing to choose'} ({self.accuracy:.1f} %{edge})"


class TunedConfig(Model):
    """config/tuned/NAME.yaml: what `ddcl tune` chose. A data set names it (`tuned: NAME`), and its variants use it."""

    suite: str = Field(description="the tuning suite")
    plan: str = Field(description="digest of the plan that it was")
    dataset: str = Field(description="the data set that was there for it")
    augmentations: list[str] = Field(description="under which each setting was trained")
    seeds: list[int] = Field(description="of each setting")
    evaluation: str = Field(description="whose accuracy chose")
    budget: Budget = Field(description="of each variant, the same for all")
    choices: dict[str, Choice] = Field(description="by variant")

    @property
    def text(self) -> str:
        """Its file."""
        head = "# Written by `ddcl tune`. As config/tuned/NAME.yaml, a data set with `tuned: NAME` uses it.\n"
        return head + yaml.safe_dump(self.model_dump(), sort_keys=False, allow_unicode=True, width=120)


def read_choices(name: str) -> dict[str, Setting]:
    """Return what config/tuned/`name`.yaml chose, by variant."""
    path = config_path(FOLDER, name)
    tuned = parse(TunedConfig, read_yaml(path), str(path))
    return {variant: Setting(values=choice.values) for variant, choice in tuned.choices.items()}


def budget_of(config: TuningConfig, variant: str, epochs: Mapping[str, int]) -> Budget:
    """Return what a variant is given. epochs: of one run of each of its settings, by the setting's name."""
    runs = len(config.augmentations) * len(config.seeds)
    own = [epochs[setting.name(variant)] for setting in config.settings(variant)]
    return Budget(settings=len(own), runs=runs * len(own), epochs=runs * sum(own))
