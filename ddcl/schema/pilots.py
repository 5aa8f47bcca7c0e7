"""Pilots: a few runs of a suite that must reach published accuracies before its other runs are trained."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ddcl.base.sealed import Sealed
from ddcl.base.yaml_files import Model, Seeds
from ddcl.schema.gates import GateSpec
from ddcl.schema.names import Label, Name, Names

WHAT, MAKER = "verdict", "ddcl gate"


class PilotConfig(Model):
    """Gates that a suite must pass, and the seeds that are trained for it. All other runs wait."""

    gates: Names = Field(min_length=1, description="names in config/gates, of gates with a `reference`")
    seeds: Seeds = Field(min_length=1, description="of the gates' arms: these runs of the suite are trained first")
    run_anyway: Label | None = Field(
        default=None,
        description="why the suite runs although a gate is failed; the verdict keeps it. null: a failed gate stops it",
    )


class PilotGate(Model):
    """A gate of a pilot.

    source: of the published number, as config/published.csv names it. records: of each of its runs, by name, the file
    below the results folder. part, perturbation, metric: of the cell in each.
    """

    name: Name
    spec: GateSpec
    source: str
    evaluation: Name
    part: str
    perturbation: str
    metric: str
    records: dict[str, str]
    run_anyway: str | None

    @property
    def least(self) -> float:
        """The accuracy that must be reached, in percent."""
        return (self.spec.reference or 0.0) + self.spec.least


class Pilot(Model):
    """All gates of a suite's pilot."""

    gates: list[PilotGate]

    @property
    def runs(self) -> list[str]:
        """The names of its runs."""
        return list(dict.fromkeys(name for gate in self.gates for name in gate.records))


class JudgedGate(Model):
    """What was found of a gate. percent: the accuracy of each run; None where it diverged."""

    gate: PilotGate
    percent: dict[str, float | None]
    passed: bool


class Verdict(Sealed):
    """The verdict on a pilot, in results/pilots."""

    SCHEMA: ClassVar[int] = 1
    gates: list[JudgedGate]
