"""Toy data, and small recipes of the registered methods."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ddcl.build import build_method, build_pipeline
from ddcl.core.method import Batch, Method
from ddcl.core.pretrain import Loader, Pretraining, Row
from ddcl.core.seeds import generator
from ddcl.data.images import ArrayImages
from ddcl.data.loader import TwoViewLoader
from ddcl.schema.recipes import Recipe, build_recipe
from ddcl.schema.registry import GIVEN_METHODS, METHODS
from ddcl.schema.suites import NormalisationConfig

NAMED = [name for name in METHODS if name not in GIVEN_METHODS]  # by variants
TRAINED = [name for name, entry in METHODS.items() if entry.trains]
OVERRIDES = {
    "epochs": 6,
    "batch_size": 32,
    "checkpoint_epochs": 1,
    "monitor": {"every_epochs": 2},
    "backbone": {"widths": [8, 16, 32]},
}


def recipe_of(method: str, seed: int = 0) -> Recipe:
    """The digits recipe of the variant that has the method's name, made small."""
    augmentation = "baug" if METHODS[method].trains else "none"
    return build_recipe(("digits", method, augmentation), seed, OVERRIDES)


class ToyLoader:
    """Two noisy views of images of four kinds; with the kind as label for methods that are given labels."""

    steps = 4

    def __init__(self, labelled: bool = False) -> None:
        self.labelled = labelled

    def epoch(self, epoch: int, order: int, start: int = 0) -> Iterator[Batch]:
        rng = generator("toy", epoch)
        kinds = torch.randn(4, 3, 16, 16, generator=generator("kinds"))
        for step in range(self.steps):
            label = torch.randint(4, (32,), generator=rng)
            noise = 0.5 * torch.randn(2, 32, 3, 16, 16, generator=rng)
            if step >= start:
                yield Batch(kinds[label] + noise[0], kinds[label] + noise[1], label if self.labelled else None)


def toy_images() -> ArrayImages:
    """128 images of the four kinds, of 16 px, as data sets have them."""
    rng = generator("toy images")
    kinds = 128 + 32 * torch.randn(4, 3, 16, 16, generator=rng)
    label = torch.randint(4, (128,), generator=rng)
    x = kinds[label] + 16 * torch.randn(128, 3, 16, 16, generator=rng)
    return ArrayImages(x.round().clamp(0, 255).to(torch.uint8), label, 16)


def loader_for(method: Method, recipe: Recipe) -> Loader:
    """Toy views; for a method that asks for more than two, those of the augmentation of its recipe, with all of it."""
    if recipe.extras is None:
        return ToyLoader(method.supervised)
    pipeline = build_pipeline(recipe.ops, 16, NormalisationConfig(mean=[0.5] * 3, std=[0.25] * 3))
    return TwoViewLoader(toy_images(), pipeline, 32, ("toy", 0), "cpu", method.supervised, recipe.extras)


def batch_for(method: Method, recipe: Recipe) -> Batch:
    """The first batch."""
    return next(iter(loader_for(method, recipe).epoch(0, 0)))


def no_monitor(method: Method) -> Row:
    return {"knn_top1": 0.5, "effective_rank": 10.0}


def train(method: Method, recipe: Recipe) -> Pretraining:
    """The training of `method` by the numbers of `recipe`, at its beginning."""
    loader = loader_for(method, recipe)
    return Pretraining(method, loader, no_monitor, recipe.training, (recipe.digest, "code"), recipe.seed)


def training(method: str) -> Pretraining:
    """The training of a registered method, at its beginning."""
    recipe = recipe_of(method)
    return train(build_method(recipe), recipe)
