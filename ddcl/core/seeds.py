"""Named sub-streams of randomness, and counter-based draws that depend on names and counters only.

A run has one seed. Everything random in it draws from a named sub-stream, so that adding a draw in one place does
not change any other: ``derive(seed, "weights", "encoder")``, ``derive(dataset, seed, "order")``, …
Draws for an image depend on (stream, epoch, image, view, op) only: not on its batch, the number of workers, or where
a run was resumed.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ddcl.core.streams import derive

__all__ = ["Draws", "derive", "generator", "uniform"]

# splitmix64 (Steele, Lea, Flood 2014, "Fast splittable pseudorandom number generators"), as signed 64-bit integers:
# torch's int64 arithmetic wraps, so the bits are those of the unsigned algorithm.
_GAMMA = 0x9E3779B97F4A7C15 - (1 << 64)
_MIX1 = 0xBF58476D1CE4E5B9 - (1 << 64)
_MIX2 = 0x94D049BB133111EB - (1 << 64)


def generator(*names: object) -> torch.Generator:
    """Return a CPU generator seeded with `derive` of `names`."""
    return torch.Generator().manual_seed(derive(*names))


def _shift(x: Tensor, bits: int) -> Tensor:
    """Logical (zero-filling) right shift of int64; torch's ``>>`` copies the sign."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)


def _mix(x: Tensor) -> Tensor:
    x = (x ^ _shift(x, 30)) * _MIX1
    x = (x ^ _shift(x, 27)) * _MIX2
    return x ^ _shift(x, 31)


def uniform(key: Tensor, n: int) -> Tensor:
    """Return [B, n] float32 uniforms in [0, 1) for the B int64 keys: draw j of key i is a hash of (key_i, j)."""
    counter = torch.arange(1, n + 1, device=key.device, dtype=torch.int64) * _GAMMA
    bits = _mix(key[:, None] + counter[None])  # [B, n]
    return _shift(bits, 40).to(torch.float32) * 2.0**-24


@dataclass(frozen=True)
class Draws:
    """The uniform draws of one view of a batch of images.

    stream: seed of the sub-stream, from `derive`.
    images: [B] int64, index of each image in its data set.
    epoch, view: counters; for test perturbations the number of the draw, and 0.
    """

    stream: int
    images: Tensor
    epoch: int = 0
    view: int = 0

    def key(self, op: str) -> Tensor:
        """Return [B] int64 keys for the op named `op` (its place and name in the recipe)."""
        base = derive(self.stream, self.epoch, self.view, op)
        return _mix(self.images.to(torch.int64) * _GAMMA + base)

    def uniform(self, op: str, n: int) -> Tensor:
        """Return [B, n] uniforms in [0, 1) for the op named `op`."""
        return uniform(self.key(op), n)
