"""Normalised views of batches of images, for training and evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ddcl.data.files import FileImages
from ddcl.data.images import BatchRequest, Images
from ddcl.data.ops.parameters import Params
from ddcl.data.views import Pipeline

SAMPLED_IMAGES = 4096  # whose parameters are drawn at once


def views(images: Images, requests: Sequence[BatchRequest], pipeline: Pipeline, device: str) -> Iterator[list[Tensor]]:
    """Yield, per batch, the normalised views [B, 3, S, S] of its draws, made on `device`.

    requests: of one epoch, so with the same streams, epochs and views.
    """
    if device == "cpu" and isinstance(images, FileImages) and images.workers:
        yield from images.views(requests, pipeline)
        return
    crop = pipeline.leading_crop if images.crops else None
    start = 0 if crop is None else 1
    for loaded, params in zip(
        images.load(requests, crop), _sampled(requests, pipeline, images.side_px, start, device), strict=True
    ):
        yield [
            pipeline.apply(x.to(device, non_blocking=True), own, start) for x, own in zip(loaded, params, strict=True)
        ]


def parameters(
    images: Images, requests: Sequence[BatchRequest], pipeline: Pipeline, device: str
) -> Iterator[list[list[Params]]]:
    """Yield, per batch and view, the parameters of each operation that `views` makes the views with, on `device`.

    They are drawn again, with the same result, because draws are hashes. A method that does not request them therefore
    has no cost, and they are available whichever process makes the views.
    """
    crop = pipeline.leading_crop if images.crops else None
    if crop is None:
        yield from map(list, _sampled(requests, pipeline, images.side_px, 0, device))
        return
    sampled = _sampled(requests, pipeline, images.side_px, 1, device)
    for boxes, later in zip(images.boxes(requests, crop), sampled, strict=True):
        yield [
            [{key: value.to(device) for key, value in box.items()}, *own] for box, own in zip(boxes, later, strict=True)
        ]


def _sampled(
    requests: Sequence[BatchRequest], pipeline: Pipeline, side_px: int, start: int, device: str
) -> Iterator[tuple[list[Params], ...]]:
    """Yield, per batch, the parameters of its views, sampled for many batches at once.

    An image's parameters depend on its draws only; for a single small batch torch takes longer to start its operations
    than to compute.
    """
    at_once = max(1, SAMPLED_IMAGES // len(requests[0].index)) if requests else 1
    for first in range(0, len(requests), at_once):
        block = requests[first : first + at_once]
        lengths = [len(request.index) for request in block]
        of_views = []
        for view, draws in enumerate(block[0].draws):
            keys = torch.cat([request.draws[view].images for request in block]).to(device)
            params = pipeline.sample(replace(draws, images=keys), side_px, side_px, start)
            of_views.append(_split(params, lengths))
        yield from zip(*of_views, strict=True)


def _split(params: list[Params], lengths: list[int]) -> list[list[Params]]:
    """Return the parameters of consecutive batches of these lengths."""
    parts = [{key: torch.split(value, lengths) for key, value in op.items()} for op in params]
    return [[{key: value[i] for key, value in op.items()} for op in parts] for i in range(len(lengths))]
