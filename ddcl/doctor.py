"""How fast this machine is at a run's three stages, and which one the others wait for: `ddcl doctor`.

Images are those of the data set, where it is prepared. Else they are made up, as many as a few batches need; large ones
are JPEG files of ImageNet's usual size in a temporary folder.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from tqdm import tqdm

from ddcl.build import build_method, build_pipeline
from ddcl.core.devices import device_name
from ddcl.core.pretrain import Pretraining
from ddcl.core.seeds import generator
from ddcl.data.files import FileImages
from ddcl.data.images import ArrayImages, Images, on_device
from ddcl.data.loader import TwoViewLoader, epoch_requests
from ddcl.data.manifest import read_manifest
from ddcl.data.readers.decode import content_digest
from ddcl.data.stored import read_images
from ddcl.schema.recipes import Recipe, keeps_files, read_dataset
from ddcl.schema.registry import METHODS
from ddcl.schema.suites import WHITE, NormalisationConfig

SECONDS = 5.0  # that each stage is measured for, at least
BATCHES = 4  # of made-up images
CPU_BATCH_PIXELS = 2**21  # a batch for large images and a GPU needs more memory than most machines have
JPEG_SIZE = (500, 375)  # the median of ImageNet
T = TypeVar("T")
NORMALISATION = NormalisationConfig(mean=[0.45] * 3, std=[0.25] * 3)


ADVICE = {
    "loading": "More --threads decode more images at once; smaller copies of the images help too.",
    "augmentation": "More --threads make more views at once.",
    "step": "Loading and augmentation keep up: only a faster device, or a smaller network, helps.",
}


@dataclass(frozen=True)
class Rates:
    """Images per second of each stage by itself, and of training as it is (two views of each image)."""

    loading: float
    augmentation: float
    step: float
    training: float
    precision: str
    images: str
    n_images: int

    @property
    def bottleneck(self) -> str:
        """The slowest stage."""
        stages = {"loading": self.loading, "augmentation": self.augmentation, "step": self.step}
        return min(stages, key=lambda name: stages[name])


def _rate(what: str, batch_size: int, next_batch: Callable[[], object], device: str) -> float:
    """Return images/s of `next_batch` after two unmeasured calls, at least three calls and `SECONDS`."""

    print(f"ddcl doctor: measuring {what} ...", file=sys.stderr, flush=True)

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    for _ in range(2):
        next_batch()
    wait()
    started = time.perf_counter()
    for calls in tqdm(count(1), desc=what, unit="batch", leave=False, disable=None):
        next_batch()
        wait()
        seconds = time.perf_counter() - started
        if calls >= 3 and seconds >= SECONDS:
            break
    return batch_size * calls / seconds


def _endless(epochs: Callable[[int], Iterable[T]]) -> Iterator[T]:
    for number in count():
        yield from epochs(number)


def fitting(recipe: Recipe, device: str) -> Recipe:
    """Return the recipe, on a CPU with a batch size that fits into memory."""
    if device != "cpu":
        return recipe
    batch_size = min(recipe.training.batch_size, CPU_BATCH_PIXELS // recipe.data.image_side_px**2)
    return recipe.model_copy(update={"training": recipe.training.model_copy(update={"batch_size": batch_size})})


@dataclass(frozen=True)
class Material:
    """What the stages work on; what it is, in words; and how many images a run trains on, 0 if that is not known."""

    images: Images
    normalisation: NormalisationConfig
    words: str
    n_images: int


def material(recipe: Recipe, manifest_path: Path, folder: Path, workers: int) -> Material:
    """Return as many images as a few batches need: the data set's if `manifest_path` is there, else made up."""
    split = METHODS[recipe.method].split
    if not manifest_path.exists():
        words = f"made-up images (`ddcl prepare {recipe.dataset}` was not run here)"
        counts = read_dataset(recipe.dataset).n_images
        n = counts.get(split, counts.get("train", 0))
        return Material(made_up_images(recipe, folder, workers), NORMALISATION, words, n)
    manifest = read_manifest(manifest_path, recipe.dataset, recipe.data)
    own = read_images(manifest_path, manifest, split, recipe.data.image_side_px, workers, recipe.authors)
    chosen = torch.randint(len(own), (BATCHES * recipe.training.batch_size,), generator=generator("doctor"))
    return Material(own.subset(chosen), manifest.normalisation, "its own images", len(own))


def made_up_images(recipe: Recipe, folder: Path, workers: int) -> Images:
    """Return images of the kind and size of the run's data set: arrays, or JPEG files in `folder`."""
    n, side_px = BATCHES * recipe.training.batch_size, recipe.data.image_side_px
    labels = torch.zeros(n, dtype=torch.int64)
    if not keeps_files(read_dataset(recipe.dataset)):
        pixels = torch.rand(n, 3, side_px, side_px, generator=torch.Generator().manual_seed(0))
        return ArrayImages(pixels.mul_(255).byte(), labels, side_px)
    from PIL import Image

    rng = np.random.default_rng(0)
    names = [f"{number}.jpg" for number in range(32)]
    for name in names:
        coarse = Image.fromarray(rng.integers(0, 256, (24, 32, 3), dtype=np.uint8))
        coarse.resize(JPEG_SIZE, Image.Resampling.BICUBIC).save(folder / name, quality=90)
    names = [names[i % len(names)] for i in range(n)]
    digests = [content_digest((folder / name).read_bytes()) for name in names]
    resize_px = recipe.data.resize_px or side_px
    return FileImages(folder, names, digests, labels, side_px, resize_px, WHITE, workers, recipe.authors)


def measure(recipe: Recipe, device: str, workers: int, manifest_path: Path) -> Rates:
    """Return the rates of a run with this recipe on `device`. manifest_path: of its data set, if it is prepared."""
    batch_size, side_px = recipe.training.batch_size, recipe.data.image_side_px
    with tempfile.TemporaryDirectory() as folder:
        found = material(recipe, manifest_path, Path(folder), workers)
        pipeline, images = build_pipeline(recipe.ops, side_px, found.normalisation), on_device(found.images, device)
        method, names = build_method(recipe).to(device).train(), (recipe.dataset, recipe.seed)
        loader = TwoViewLoader(images, pipeline, batch_size, names, device, method.supervised, recipe.extras)
        training = Pretraining(method, loader, lambda method: {}, recipe.training, ("", ""), recipe.seed)
        requests = epoch_requests(len(images), batch_size, loader.names, (0, 0), n_views=2)
        crop = pipeline.leading_crop if images.crops else None
        loaded = _endless(lambda number: images.load(requests, crop))
        pixels = torch.randint(0, 256, (batch_size, 3, side_px, side_px), dtype=torch.uint8).to(device)
        resident = next(loader.epoch(0, 0))
        batches = _endless(lambda number: loader.epoch(number, number))

        def augment() -> None:
            for draws in requests[0].draws:
                pipeline(pixels, draws, images.crops)

        rates = {
            "loading": _rate("loading", batch_size, lambda: next(loaded), device),
            "augmentation": _rate("augmentation", batch_size, augment, device),
            "step": _rate("step", batch_size, lambda: training.train_step(resident), device),
            "training": _rate("training", batch_size, lambda: training.train_step(next(batches)), device),
        }
        return Rates(**rates, precision=training.precision, images=found.words, n_images=found.n_images)


def as_json(recipe: Recipe, device: str, threads: int, rates: Rates) -> dict[str, Any]:
    """Return what `ddcl doctor --json` prints: images/s of each stage, and what was measured."""
    training = recipe.training
    machine = {"device": device, "device_name": device_name(device), "threads": threads}
    asked = {"run": recipe.name, "backbone": training.backbone.name, "batch_size": training.batch_size}
    hours = rates.n_images * training.epochs / rates.training / 3600 if rates.n_images else None
    return machine | asked | asdict(rates) | {"bottleneck": rates.bottleneck, "hours_of_a_run": hours}


def describe(recipe: Recipe, device: str, threads: int, rates: Rates) -> str:
    """Return the text of `ddcl doctor`."""
    batch_size = recipe.training.batch_size
    lines = [
        f"{recipe.name}: {recipe.training.backbone.name}, {recipe.data.image_side_px} px, batch {batch_size}, "
        f"{rates.precision}, {rates.images}, on {device_name(device)} ({device}) with {threads} CPU threads",
        "",
        f"  {'stage':14} {'images/s':>10} {'ms per batch':>12}",
    ]
    for name in ("loading", "augmentation", "step", "training"):
        rate = getattr(rates, name)
        lines.append(f"  {name:14} {rate:10.0f} {1000 * batch_size / rate:12.1f}")
    lines += ["", f"bottleneck: {rates.bottleneck}. {ADVICE[rates.bottleneck]}"]
    if n := rates.n_images:
        hours = n * recipe.training.epochs / rates.training / 3600
        time = f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} minutes"
        lines.append(f"a run of {recipe.training.epochs} epochs over {n} images takes {time} here")
    return "\n".join(lines)
