"""From the images of batches to their normalised views: what training and evaluation iterate over."""

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

    requests: of one epoch, that is with the same streams, epochs and views.
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
        index = torch.cat([request.index for request in block]).to(device)
        lengths = [len(request.index) for request in block]
        yield from zip(
            *(
                _split(pipeline.sample(replace(draws, images=index), side_px, side_px, start), lengths)
                for draws in block[0].draws
            ),
            strict=True,
        )


def _split(params: list[Params], lengths: list[int]) -> list[list[Params]]:
    """Return the parameters of consecutive batches of these lengths."""
    parts = [{key: torch.split(value, lengths) for key, value in op.items()} for op in params]
    return [[{key: value[i] for key, value in op.items()} for op in parts] for i in range(len(lengths))]
