"""Encoding many images with a frozen encoder; shared by the training monitor and the extraction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from ddcl.core.method import Method
from ddcl.core.seeds import Draws
from ddcl.data.images import Images, chunks
from ddcl.data.views import Pipeline

CHUNK_IMAGES = 512
Job: TypeAlias = tuple[Pipeline, int, int]  # pipeline, seed of its draws, number of the draw


class NotFiniteError(Exception):
    """Features are not finite, so the run cannot be evaluated although it has weights."""


def finite(features: Tensor) -> Tensor:
    """Return the features; `NotFiniteError` if any is infinite or NaN."""
    if not features.isfinite().all():
        raise NotFiniteError
    return features


@torch.no_grad()
def encode_chunks(method: Method, images: Images, jobs: Sequence[Job]) -> Iterator[list[Tensor]]:
    """Yield, for consecutive images, their features [n, D] under each job, computed in evaluation mode and float32.

    The images are loaded once for all jobs.
    """
    method.eval()
    device = next(method.parameters()).device
    requests = chunks(len(images), CHUNK_IMAGES)
    for request, (loaded,) in zip(requests, images.load(requests, None), strict=True):
        x = loaded.to(device, non_blocking=True)
        yield [
            method.features(pipeline(x, Draws(stream, request.index, draw))).float() for pipeline, stream, draw in jobs
        ]


def encode(method: Method, images: Images, job: Job) -> Tensor:
    """Return the features [N, D] of all images under a job, float32, on the method's device."""
    return torch.cat([features for (features,) in encode_chunks(method, images, [job])])
