"""The frozen encoder over many images; the monitor of training and the extraction share it."""

from __future__ import annotations

import torch
from torch import Tensor

from ddcl.core.method import Method
from ddcl.core.seeds import Draws
from ddcl.data.views import Pipeline

CHUNK_IMAGES = 512


@torch.no_grad()
def encode(method: Method, images: Tensor, pipeline: Pipeline, stream: int) -> Tensor:
    """Return features [N, D] float32 on the CPU of uint8 images [N, 3, S, S], in evaluation mode, float32.

    stream: seed of the perturbation's draws.
    """
    method.eval()
    device = next(method.parameters()).device
    features = []
    for start in range(0, len(images), CHUNK_IMAGES):
        chunk = images[start : start + CHUNK_IMAGES].to(device)
        index = torch.arange(start, start + len(chunk), device=device)
        features.append(method.features(pipeline(chunk, Draws(stream, index))).float().cpu())
    return torch.cat(features)
