"""What pictures are made of: images of a prepared data set, distorted or not, and the encoders of their runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import torch
from pydantic import BaseModel
from torch import Tensor

from ddcl.core.method import Method
from ddcl.core.seeds import generator
from ddcl.data.images import Images, chunks
from ddcl.data.manifest import normalisation_of, read_manifest
from ddcl.data.ops.parameters import Params
from ddcl.data.stored import read_images
from ddcl.data.views import Pipeline
from ddcl.evaluate.features import load_frozen
from ddcl.plan.addresses import data_folder
from ddcl.plan.plan import Plan, PlannedPicture
from ddcl.schema.manifest import Manifest
from ddcl.schema.recipes import Recipe, load_recipe
from ddcl.schema.suites import NormalisationConfig

CHUNK_IMAGES = 64
PLAIN = NormalisationConfig(mean=[0.0] * 3, std=[1.0] * 3)  # of images that are shown, not encoded


@dataclass(frozen=True)
class Encoder:
    """A run's frozen method. status: as in its checkpoint, or `missing`; without a method there is nothing to show.

    normalise: from images in [0, 1] to what the encoder sees.
    """

    recipe: Recipe
    label: str
    status: str
    method: Method | None
    normalise: Callable[[Tensor], Tensor]

    @property
    def parts(self) -> dict[str, tuple[int, int]]:
        """The column ranges of the parts; none where there is no method."""
        return self.method.parts() if self.method else {}

    @torch.no_grad()
    def features(self, x: Tensor) -> Tensor:
        """Return the features [N, D], on the CPU, of images x [N, 3, S, S] in [0, 1]."""
        assert self.method is not None
        device = next(self.method.parameters()).device
        rows = [
            self.method.features(self.normalise(part.to(device))).float().cpu() for part in torch.split(x, CHUNK_IMAGES)
        ]
        return torch.cat(rows)


@dataclass(frozen=True)
class Material:
    """An entry of the plan's pictures, with what it is drawn from.

    results: the folder of all results. device: where encoders compute.
    """

    entry: PlannedPicture
    plan: Plan
    results: Path
    device: str = "cpu"

    @property
    def folders(self) -> list[Path]:
        """The folders of the runs."""
        return [self.results / self.plan.run(name).folder for name in self.entry.runs]

    @cached_property
    def recipes(self) -> list[Recipe]:
        """The recipes of the runs."""
        return [load_recipe(folder / "config.json") for folder in self.folders]

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest of the data set."""
        recipe = self.recipes[0]
        return read_manifest(self.manifest_path, recipe.dataset, recipe.data)

    @property
    def manifest_path(self) -> Path:
        """Where the manifest lies."""
        return self.results / data_folder(self.entry.dataset, self.recipes[0].data) / "manifest.json"

    @property
    def side_px(self) -> int:
        """The side of the images."""
        return self.recipes[0].data.image_side_px

    def split(self, name: str) -> Images:
        """Return the images of a split."""
        return read_images(self.manifest_path, self.manifest, name, self.side_px)

    def spread(self, n: int) -> tuple[Tensor, Tensor]:
        """Return at most n test images, uint8 [n, 3, S, S], and their labels: spread evenly over the split's order."""
        images = self.split("test")
        index = torch.linspace(0, len(images) - 1, min(n, len(images))).round().long()
        return load(images.subset(index)), images.labels[index]

    def rotated(self, n: int, angles_deg: Sequence[float]) -> tuple[Tensor, Tensor, Tensor]:
        """Return at most n test images [n, 3, S, S] in [0, 1], their labels, and the drawn place of each one's angle.

        The angles depend on the data set alone: all methods see the same images.
        """
        images, labels = self.spread(n)
        draws = generator(self.entry.dataset, "pictures", "angles")
        level = torch.randint(len(angles_deg), (len(images),), generator=draws)
        return rotate(images, torch.tensor(angles_deg)[level]), labels, level

    def encoders(self) -> list[Encoder]:
        """Return the encoder of each run."""
        return [self._encoder(*each) for each in zip(self.folders, self.recipes, strict=True)]

    def _encoder(self, folder: Path, recipe: Recipe) -> Encoder:
        label, path = self.plan.label("variant", recipe.variant), folder / "checkpoint.pt"
        normalise = partial(normalised, normalisation_of(recipe, self.manifest))
        if not path.exists():
            return Encoder(recipe, label, "missing", None, normalise)
        method, status, _ = load_frozen(path, recipe, self.device)
        found = Encoder(recipe, label, status, method.eval(), normalise)
        if status == "diverged" or not found.features(self.spread(1)[0].float() / 255).isfinite().all():
            return replace(found, status="diverged", method=None)
        return found


def normalised(normalisation: NormalisationConfig, x: Tensor) -> Tensor:
    """Return what an encoder sees of images [N, 3, S, S] in [0, 1]."""
    mean, std = (
        torch.tensor(values, device=x.device)[:, None, None] for values in (normalisation.mean, normalisation.std)
    )
    return (x - mean) / std


def load(images: Images) -> Tensor:
    """Return all images, uint8 [N, 3, S, S], as evaluation sees them."""
    return torch.cat([batch for (batch,) in images.load(chunks(len(images), CHUNK_IMAGES), None)])


def apply(images: Tensor, op: str, settings: BaseModel, params: Params) -> Tensor:
    """Return uint8 images [N, 3, S, S] after one operation with the given parameters, in [0, 1]."""
    return Pipeline([(op, settings)], images.shape[-1], PLAIN.mean, PLAIN.std).apply(images, [params]).clamp_(0, 1)


def rotate(images: Tensor, angle_deg: Tensor) -> Tensor:
    """Return uint8 images [N, 3, S, S] turned by an angle each [N], counter-clockwise; in [0, 1]."""
    from ddcl.schema.ops import RotationSettings

    settings = RotationSettings(degrees_max=180.0, prob=1.0, interpolation="nearest")  # all: defaults are in no digest
    params = {"applied": angle_deg != 0, "angle_deg": angle_deg.float()}
    return apply(images, "rotation", settings, params)


def missing(encoders: Sequence[Encoder]) -> str:
    """Return which runs cannot be shown, as a sentence, or nothing."""
    names = [f"{each.label} {each.status}" for each in encoders if each.method is None]
    return f"Not shown: {', '.join(names)}." if names else ""
