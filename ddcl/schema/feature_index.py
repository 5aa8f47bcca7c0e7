"""features.json: which features of a run are stored beside it, and what they were computed from."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, NamedTuple

from pydantic import Field

from ddcl.base import sealed
from ddcl.base.sealed import Sealed
from ddcl.base.yaml_files import Model
from ddcl.schema.names import CLEAN
from ddcl.schema.run_key import RunKey
from ddcl.schema.training import Status

FILE = "features.json"
WHAT, MAKER = "index of features", "ddcl extract"


class Draw(NamedTuple):
    """One seeded set of a perturbation's random parameters for all test images."""

    perturbation: str
    draw: int


CLEAN_DRAW = Draw(CLEAN, 0)  # the clean test images, as their only draw


class StoredFile(Model):
    """A file beside the index."""

    file: str
    sha256: str


class DrawFile(StoredFile):
    """The features of the test images under one draw of a perturbation."""

    perturbation: str
    draw: int = Field(ge=0)


class SplitFiles(Model):
    """The clean training images: features, labels, and groups where some images are not independent of others."""

    features: StoredFile
    labels: StoredFile
    groups: StoredFile | None = Field(default=None, exclude_if=lambda value: value is None)


class DrawnFiles(Model):
    """The test images: features under each draw, labels, and groups as above."""

    features: tuple[DrawFile, ...]
    labels: StoredFile
    groups: StoredFile | None = Field(default=None, exclude_if=lambda value: value is None)


class FeatureIndex(Sealed):
    """The stored features of a run on a data set. A diverged run has none: train and test are None.

    So has one whose features are not finite: then `status`, else that of the training, is `diverged`.

    digest: of perturbations, draws and data (`ddcl.plan.addresses`). parts: the columns [start, stop) of each part.
    checkpoint_digest: of the content of the run's checkpoint. code_digest: of the extraction.
    encoder_digest: of the weights. trained_on_seal, evaluated_on_seal: of the manifests of both data sets.
    """

    SCHEMA: ClassVar[int] = 2
    run: RunKey
    digest: str
    eval_dataset: str
    status: Status
    parts: dict[str, tuple[int, int]]
    recipe_digest: str
    checkpoint_digest: str
    code_digest: str
    encoder_digest: str | None
    trained_on_seal: str
    evaluated_on_seal: str
    train: SplitFiles | None
    test: DrawnFiles | None

    def draws(self) -> dict[Draw, DrawFile]:
        """Return the files of the test images by draw."""
        return {Draw(own.perturbation, own.draw): own for own in self.test.features} if self.test else {}

    def n_draws(self, perturbation: str) -> int:
        """Return how many draws of a perturbation are stored; 1 where the run diverged."""
        return sum(draw.perturbation == perturbation for draw in self.draws()) or 1

    def files(self) -> list[StoredFile]:
        """Return all files."""
        train = [self.train.features, self.train.labels, self.train.groups] if self.train else []
        test = [*self.test.features, self.test.labels, self.test.groups] if self.test else []
        return [stored for stored in (*train, *test) if stored]


def load(folder: Path) -> FeatureIndex:
    """Read the index of a folder of features; `UserError` if it cannot be used."""
    return sealed.read(folder / FILE, FeatureIndex, WHAT, MAKER)
