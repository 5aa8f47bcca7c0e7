"""What a gate's YAML may say: what must hold in a comparison's own arms before the comparison says anything."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ddcl.base.yaml_files import Model, parse, read_yaml
from ddcl.schema.names import CLEAN
from ddcl.schema.places import config_path
from ddcl.schema.registry import TOP1

Key = Literal["variant", "augmentation", "part", "perturbation", "metric"]
Cell = dict[Key, str]
Place = Literal["dataset", "variant", "augmentation", "part", "perturbation", "metric"]
BASE: Cell = {"part": "full", "perturbation": CLEAN, "metric": TOP1}  # of the cells of a gate, beside the arm's names


class GateSpec(Model):
    """A difference of two accuracies that must be large enough: otherwise the assay is blind to what is claimed."""

    label: str = Field(max_length=24, description="name on the page")
    statement: str = Field(description="what holds if it is passed")
    follows: str = Field(description="what follows if it is failed, as a sentence")
    arms: Literal["control", "both"] = Field(
        description="whose accuracies: those of a comparison's control, or also of its treatment"
    )
    when: dict[Place, list[str]] = Field(
        default={},
        description="the comparisons that it applies to: those whose control has one of these names at each key",
    )
    treatment: Cell = Field(description="the accuracy that must be higher: the keys that replace those of the arm")
    control: Cell = Field(default={}, description="the accuracy that it is compared with, given in the same way")
    reference: float | None = Field(
        default=None,
        description="percent; in place of a control, a published accuracy that must be reached. Neither: no such "
        "number is known yet, and the gate is undecided",
    )
    unit: str | None = Field(
        default=None,
        description="in place of both: the unit of `least`, where the value itself must reach that; it is no accuracy",
    )
    evaluation: list[str] = Field(min_length=1, description="protocols; the first that has values is taken")
    least: float = Field(
        description="points that the mean must reach; the interval must lie above 0 as well, if there is a control"
    )
    reported_value: float | None = Field(default=None, description="points of the same difference in the paper")

    @model_validator(mode="after")
    def _one_control(self) -> GateSpec:
        if (self.reference is not None) + bool(self.control) + bool(self.unit) > 1:
            raise ValueError("control, reference, unit: only one of the three can say what is compared with")
        return self

    @property
    def scale(self) -> float:
        """By what values are multiplied: accuracies to be in percent."""
        return 1.0 if self.unit else 100.0


def read_gate(name: str) -> GateSpec:
    """Read and check config/gates/`name`.yaml."""
    path = config_path("gates", name)
    return parse(GateSpec, read_yaml(path), str(path))
