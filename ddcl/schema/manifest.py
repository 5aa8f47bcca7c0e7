"""manifest.json of a prepared data set: what lies beside it, and what images are normalised with."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from ddcl.base import sealed
from ddcl.base.sealed import Sealed
from ddcl.base.yaml_files import Model
from ddcl.schema.recipes import DataRecipe
from ddcl.schema.suites import NormalisationConfig

WHAT, MAKER = "manifest", "ddcl prepare"


class SplitEntry(Model):
    """A split: its images, and the sha256 of what is kept of them.

    n_per_class: of the images whose class is known. classes: names of class folders. images_sha256: of images in an
    array; files_sha256: of the list of the files that they are in, or come from, with the digest of each. ignored:
    files beside them that are no images, by kind. n_in_train: of test images, how many have the content of a training
    image. factors: names of the true factors, where they are known. n_groups: groups of images that are not independent
    of each other; None: all are.
    """

    n: int = Field(ge=0)
    n_per_class: tuple[int, ...]
    classes: tuple[str, ...] = ()
    labels_sha256: str
    images_sha256: str | None = None
    files_sha256: str | None = None
    ignored: dict[str, int] = Field(default_factory=dict)
    n_in_train: int = Field(default=0, ge=0)
    factors: tuple[str, ...] = ()
    factors_sha256: str | None = None
    n_groups: int | None = Field(default=None, ge=1, exclude_if=lambda value: value is None)
    groups_sha256: str | None = Field(default=None, exclude_if=lambda value: value is None)


class Manifest(Sealed):
    """A prepared data set. data: the recipe that it was prepared by. normalisation: of pixels in [0, 1]."""

    SCHEMA: ClassVar[int] = 5
    dataset: str
    data: DataRecipe
    kind: Literal["arrays", "files"]
    splits: dict[str, SplitEntry]
    normalisation: NormalisationConfig

    def n(self, split: str) -> int:
        """Return the number of images of a split; `pretrain` is `train` where the data set has no other."""
        return self.splits[split if split in self.splits else "train"].n


def load(path: Path) -> Manifest:
    """Read a manifest; `UserError` if it cannot be used."""
    return sealed.read(path, Manifest, WHAT, MAKER)
