"""run.json: how a training ended, what it wrote, and what it was made from."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from ddcl.base import sealed
from ddcl.base.provenance import Provenance
from ddcl.base.sealed import Sealed
from ddcl.schema.run_key import RunKey
from ddcl.schema.training import Status

FILE = "run.json"
WHAT, MAKER = "summary of a training", "ddcl pretrain"


class RunSummary(Sealed):
    """A finished run.

    message: why it did not end well. epochs: that were done. seconds: that they took.
    history_sha256, checkpoint_sha256: of the files. checkpoint_digest: of the checkpoint's content, which is the same
    for equal trainings. manifest_seal: of the data that it was trained on.
    """

    SCHEMA: ClassVar[int] = 2
    run: RunKey
    status: Status
    message: str
    epochs: int = Field(ge=0)
    precision: Literal["bf16", "fp32"]
    n_parameters: int = Field(ge=0)
    seconds: float = Field(ge=0)
    history_sha256: str
    checkpoint_sha256: str
    checkpoint_digest: str
    manifest_seal: str
    provenance: Provenance


def load(path: Path) -> RunSummary:
    """Read a run.json; `UserError` if it cannot be used."""
    return sealed.read(path, RunSummary, WHAT, MAKER)
