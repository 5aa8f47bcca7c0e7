"""Batches of two augmented views, in an order and with draws that depend on (dataset, seed, epoch) only."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ddcl.core.errors import UserError
from ddcl.core.method import Batch
from ddcl.core.seeds import Draws, derive, generator
from ddcl.data.views import Pipeline


class TwoViewLoader:
    """Two views of every image of an array in memory.

    images: uint8 [N, 3, H, W] on the device where views are made.
    labels: int64 [N].
    pipeline: the augmentation, with normalisation.
    names: (dataset, seed), from which order and draws derive; not the method: methods are compared on paired draws.
    """

    def __init__(
        self, arrays: tuple[Tensor, Tensor], pipeline: Pipeline, batch_size: int, names: tuple[str, int]
    ) -> None:
        self.images, self.labels = arrays
        self.pipeline = pipeline
        self.batch_size = batch_size
        self.names = names
        if len(self.images) < batch_size:
            raise UserError(
                f"batch_size {batch_size} is larger than the {len(self.images)} training images of {names[0]}"
            )

    @property
    def steps(self) -> int:
        """Steps per epoch; the last, incomplete batch is dropped, as in the official code."""
        return len(self.images) // self.batch_size

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of `epoch` (0-based)."""
        order = torch.randperm(len(self.images), generator=generator(*self.names, "order", epoch))
        order = order.to(self.images.device)
        stream = derive(*self.names, "augment")
        for step in range(self.steps):
            index = order[step * self.batch_size : (step + 1) * self.batch_size]
            images = self.images[index]
            x1, x2 = (self.pipeline(images, Draws(stream, index, epoch, view)) for view in (0, 1))
            yield Batch(x1, x2, self.labels[index])
