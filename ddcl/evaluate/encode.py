"""The frozen encoder over many images; the monitor of training and the extraction share it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

from ddcl.core.method import Method
from ddcl.core.seeds import Draws
from ddcl.data.images import Images, chunks
from ddcl.data.views import Pipeline

CHUNK_IMAGES = 512
Job: TypeAlias = tuple[Pipeline, int, int]  # pipeline, seed of its draws, number of the draw


@torch.no_grad()
def encode(method: Method, images: Images, jobs: Sequence[Job], dtype: torch.dtype = torch.float32) -> list[Tensor]:
    """Return, per job, features [N, D] of all images on the CPU, computed in evaluation mode and float32.

    The images are loaded once for all jobs.
    """
    method.eval()
    device = next(method.parameters()).device
    features: list[list[Tensor]] = [[] for _ in jobs]
    asks = chunks(len(images), CHUNK_IMAGES)
    for ask, (loaded,) in zip(asks, images.load(asks, None), strict=True):
        x = loaded.to(device, non_blocking=True)
        for found, (pipeline, stream, draw) in zip(features, jobs, strict=True):
            found.append(method.features(pipeline(x, Draws(stream, ask.index, draw))).to(dtype).cpu())
    return [torch.cat(found) for found in features]
