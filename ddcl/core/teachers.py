"""Teachers: frozen copies of networks, updated as an exponential moving average of their originals."""

from __future__ import annotations

import copy
import math
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


def frozen_copy(module: M) -> M:
    """Return a copy of a module that receives no gradients; for `Method.frozen`."""
    return copy.deepcopy(module).requires_grad_(False)


def rising(momentum: float, progress: float) -> float:
    """Return 1 − (1 − momentum) · (cos(π · progress) + 1) / 2: from momentum to 1 along a cosine (ibid., sec. 3.3)."""
    return 1 - (1 - momentum) * (math.cos(math.pi * progress) + 1) / 2


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """Move every weight of `teacher` to momentum · its own + (1 − momentum) · the student's, momentum in [0, 1].

    As in BYOL (Grill et al., NeurIPS 2020, arXiv 2006.07733, eq. 1). BatchNorm statistics are not weights: the teacher
    computes its own from the images that pass through it.
    """
    for own, other in zip(teacher.parameters(), student.parameters(), strict=True):
        own.lerp_(other, 1.0 - momentum)
