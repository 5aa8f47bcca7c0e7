"""A record: the cells of one run, evaluation and data set, and what they were computed from."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from pydantic import Field

from ddcl.base import sealed
from ddcl.base.provenance import Provenance
from ddcl.base.sealed import Sealed
from ddcl.base.yaml_files import Model
from ddcl.schema.recipes import EvaluationRecipe
from ddcl.schema.run_key import RunKey
from ddcl.schema.suites import RandomSubsetsConfig
from ddcl.schema.training import Status

WHAT, MAKER = "record", "ddcl evaluate"


class Cell(Model):
    """One number. value: the mean over the draws; None where the run, its features or the evaluation diverged.

    sd_draws: None for a single draw.

    n: images that it is of.
    """

    perturbation: str
    part: str
    metric: str
    value: float | None
    n: int = Field(ge=0)
    n_draws: int = Field(ge=0)
    sd_draws: float | None


class Record(Sealed):
    """All cells of a run by one evaluation on one data set.

    digest: of all that decides it beside run and code (`ddcl.plan.addresses`). perturbations: that it covers.
    subsets: random columns as the control of width. chosen: hyperparameters that were chosen, of each column set of
    each part. checkpoint_digest: of the content of the run's checkpoint.
    status: of the run's training; `diverged` also where no cell has a value.
    features_seal: of the index of the stored features, features_code: of the code that extracted them; None where the
    evaluation took none.
    trained_on_seal, evaluated_on_seal: of the manifests of both data sets.
    predictions_sha256: of the file beside it.
    """

    SCHEMA: ClassVar[int] = 3
    run: RunKey
    evaluation: EvaluationRecipe
    eval_dataset: str
    digest: str
    perturbations: tuple[str, ...]
    subsets: RandomSubsetsConfig | None
    status: Status
    chosen: dict[str, tuple[dict[str, float], ...]]
    cells: tuple[Cell, ...]
    checkpoint_digest: str
    features_seal: str | None
    features_code: str | None
    trained_on_seal: str
    evaluated_on_seal: str
    predictions_sha256: str
    provenance: Provenance


def load(path: Path) -> Record:
    """Read a record; `UserError` if it cannot be used."""
    return sealed.read(path, Record, WHAT, MAKER)


def predictions_path(record: Path) -> Path:
    """Return where the per-image predictions of a record lie."""
    return record.with_name(f"{record.stem}_predictions.npz")
