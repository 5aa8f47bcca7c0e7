"""Toy data, and small recipes of the registered methods."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from ddcl.build import build_method
from ddcl.core.method import Batch, Method
from ddcl.core.pretrain import Pretraining, Row
from ddcl.core.seeds import generator
from ddcl.schema.recipes import Recipe, build_recipe
from ddcl.schema.registry import METHODS

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


def batch_for(method: Method) -> Batch:
    """The first batch."""
    return next(ToyLoader(method.supervised).epoch(0, 0))


def no_monitor(method: Method) -> Row:
    return {"knn_top1": 0.5, "effective_rank": 10.0}


def train(method: Method, recipe: Recipe) -> Pretraining:
    """The training of `method` by the numbers of `recipe`, at its beginning."""
    loader = ToyLoader(method.supervised)
    return Pretraining(method, loader, no_monitor, recipe.training, (recipe.digest, "code"), recipe.seed)


def training(method: str) -> Pretraining:
    """The training of a registered method, at its beginning."""
    recipe = recipe_of(method)
    return train(build_method(recipe), recipe)
