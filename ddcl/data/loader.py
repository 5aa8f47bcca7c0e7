"""Batches of two augmented views, in an order and with draws that depend on (dataset, seed, epoch) only."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import repeat
from typing import Any

import torch
from torch import Tensor

from ddcl.base.errors import UserError
from ddcl.core import distributed
from ddcl.core.method import Batch
from ddcl.core.seeds import Draws, derive, generator
from ddcl.data.batches import views
from ddcl.data.extras import extras_of
from ddcl.data.images import BatchRequest, Images
from ddcl.data.views import Pipeline
from ddcl.schema.extras import Extras


def epoch_requests(
    n: int,
    batch_size: int,
    names: tuple[object, ...],
    epochs: tuple[int, int],
    n_views: int,
    drop_last: bool = True,
    shared_draws: int = 1,
) -> list[BatchRequest]:
    """Return the batches of an epoch over n images.

    names: determine order and draws. epochs: the 0-based epoch of the draws, and that of the order.
    drop_last: omit the last, incomplete batch. A last batch of one image is always dropped: it has no statistics.
    shared_draws: this many consecutive images share the draws of the first of them.
    """
    order = torch.randperm(n, generator=generator(*names, "order", epochs[1]))
    stream = derive(*names, "augment")
    return [
        BatchRequest(
            index, tuple(Draws(stream, _of_the_first(index, shared_draws), epochs[0], view) for view in range(n_views))
        )
        for index in torch.split(order, batch_size)
        if len(index) == batch_size or (len(index) > 1 and not drop_last)
    ]


def _of_the_first(index: Tensor, n: int) -> Tensor:
    """Return index [B], in which every n in a row have the value of the first of them."""
    return index if n == 1 else index[torch.arange(len(index)) // n * n]


class TwoViewLoader:
    """Two views of every image of a split.

    images: the split to train on.
    pipeline: the augmentation, with normalisation.
    names: (dataset, seed), which determine order and draws; not the method: methods are compared on paired draws.
    device: where views are made. labelled: whether batches contain labels.
    extras: what the method requests besides two views.
    """

    def __init__(
        self,
        images: Images,
        pipeline: Pipeline,
        batch_size: int,
        names: tuple[str, int],
        device: str,
        labelled: bool = False,
        extras: Extras | None = None,
    ) -> None:
        self.images = images
        self.pipeline = pipeline
        self.batch_size = batch_size
        self.names = names
        self.device = device
        self.labels = images.labels if labelled else None
        self.extras = extras
        if len(images) < batch_size:
            raise UserError(f"batch_size {batch_size} is larger than the {len(images)} training images of {names[0]}")

    @property
    def steps(self) -> int:
        """Steps per epoch."""
        return len(self.images) // self.batch_size

    def epoch(self, epoch: int, order: int, start: int = 0) -> Iterator[Batch]:
        """Yield this process's share of the batches of `epoch` (0-based) from `start` on, in order of epoch `order`.

        The batches before `start` are neither read nor augmented.
        """
        shared = self.extras.shared_draws if self.extras else 1
        requests = epoch_requests(
            len(self.images), self.batch_size, self.names, (epoch, order), n_views=2, shared_draws=shared
        )[start:]
        if distributed.processes() > 1:
            requests = [request.share(distributed.rank(), distributed.processes()) for request in requests]
        further: Iterator[dict[str, Any]] = repeat({}, len(requests))
        if self.extras:
            further = extras_of(self.images, requests, self.pipeline, self.extras, self.device)
        two_views = views(self.images, requests, self.pipeline, self.device)
        for request, (x1, x2), more in zip(requests, two_views, further, strict=True):
            labels = None if self.labels is None else self.labels[request.index].to(self.device)
            yield Batch(x1, x2, labels, **more)
