"""The images of a data set as evaluations show them to every encoder, for a model that cannot be loaded here."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ddcl.base.errors import UserError
from ddcl.base.files import ArrayWriter, write_array
from ddcl.build import build_pipeline
from ddcl.core.seeds import Draws, derive
from ddcl.data.images import Images, chunks
from ddcl.data.stored import read_images
from ddcl.data.views import Pipeline
from ddcl.plan.addresses import data_folder
from ddcl.schema import manifest
from ddcl.schema.manifest import Manifest
from ddcl.schema.names import CLEAN
from ddcl.schema.op_recipes import PerturbationRecipe
from ddcl.schema.recipes import data_recipe
from ddcl.schema.suites import NormalisationConfig

CHUNK_IMAGES = 512
AS_THEY_ARE = NormalisationConfig(mean=[0.0] * 3, std=[1.0] * 3)


def prepared(dataset: str, results: Path, what: str) -> tuple[Path, Manifest]:
    """Return the path and content of a data set's manifest; `UserError`, starting with `what`, if it is missing."""
    place = results / data_folder(dataset, data_recipe(dataset)) / "manifest.json"
    if not place.exists():
        raise UserError(f"{what} is not prepared in {results}; run `ddcl prepare {dataset}` first")
    return place, manifest.load(place)


def write_images(
    dataset: str, perturbations: Sequence[PerturbationRecipe], seed: int, results: Path, folder: Path
) -> list[Path]:
    """Write uint8 [N, 3, S, S] and labels [N] of both splits of a prepared data set to `folder`; return the files.

    perturbations: of the test images; one file for each draw, as in runs with this seed.
    """
    place, data = prepared(dataset, results, dataset)
    side_px, written = data.data.image_side_px, list[Path]()
    folder.mkdir(parents=True, exist_ok=True)
    for split in ("train", "test"):
        images = read_images(place, data, split, side_px)
        write_array(folder / f"{split}_labels.npy", images.labels.numpy())
        clean = build_pipeline([], side_px, AS_THEY_ARE)
        written += [folder / f"{split}_labels.npy", _written(images, (clean, 0, 0), folder / f"{split}.npy")]
        for item in perturbations if split == "test" else ():
            if item.perturbation != CLEAN:
                pipeline = build_pipeline(item.ops, side_px, AS_THEY_ARE)
                stream = derive(dataset, seed, "perturb", item.perturbation)
                for draw in range(item.draws):
                    file = folder / f"test_{item.perturbation}-{draw}.npy"
                    written.append(_written(images, (pipeline, stream, draw), file))
    return written


def _written(images: Images, job: tuple[Pipeline, int, int], path: Path) -> Path:
    """Write a split's images under a pipeline, rounded to whole values."""
    pipeline, stream, draw = job
    requests = chunks(len(images), CHUNK_IMAGES)
    with ArrayWriter(path, (len(images), 3, images.side_px, images.side_px), "uint8") as writer:
        for request, (loaded,) in zip(requests, images.load(requests, None), strict=True):
            x = pipeline(loaded, Draws(stream, request.index, draw))
            writer.write((255 * x).round().clamp(0, 255).byte().numpy())
    return path
