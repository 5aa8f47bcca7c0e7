"""The CPU backend of a pipeline: its parameters as arrays, and compiled views of them, one thread per part of a batch.

Its results equal those of the operations on tensors except for rounding (tests/unit/test_fused.py), for recipes that it
`supports`. They do not depend on the number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel
from torch import Tensor

from ddcl.data import fused_kernels as kernels
from ddcl.data.ops.parameters import Params, blur_radius_px, elastic_strength
from ddcl.schema.ops import ElasticSettings, GaussianBlurSettings, RotationSettings

Recipe = Sequence[tuple[str, BaseModel]]
CODES = {
    "resized_crop": kernels.CROP,
    "color_jitter": kernels.JITTER,
    "grayscale": kernels.GREY,
    "gaussian_blur": kernels.BLUR,
    "horizontal_flip": kernels.FLIP,
    "rotation": kernels.ROTATION,
    "elastic": kernels.ELASTIC,
}
# The keys of an operation's parameters, in the order of its row of `values`; the order of a jitter comes after them.
VALUES = {
    "resized_crop": ("top_px", "left_px", "height_px", "width_px"),
    "color_jitter": ("applied", "brightness_factor", "contrast_factor", "saturation_factor", "hue_turns"),
    "grayscale": ("applied",),
    "gaussian_blur": ("applied", "sigma_px"),
    "horizontal_flip": ("applied",),
    "rotation": ("applied", "angle_deg"),
    "elastic": ("applied",),
}


def supports(recipe: Recipe) -> bool:
    """Return whether all operations are compiled and only the first one resizes."""
    return all(name in CODES and (place == 0 or name != "resized_crop") for place, (name, _) in enumerate(recipe))


def make_views(
    images: Tensor,
    params: Sequence[Params],
    recipe: Recipe,
    normalisation: tuple[Sequence[float], Sequence[float]],
    side: int,
) -> Tensor:
    """Return the views, float32 [B, 3, S, S] normalised, of images uint8 [B, 3, H, W], on the CPU.

    params: of each operation of the recipe. normalisation: mean and std of each channel, in [0, 1].
    """
    batch = len(images)
    out = np.empty((batch, 3, side, side), np.float32)
    mean, std = (np.array(values, np.float32) for values in normalisation)
    values, keys = _values(params, recipe, batch)
    codes = np.array([CODES[name] for name, _ in recipe], np.int64)
    fixed = (codes, values, keys, _constants(recipe, side), mean, std, out)
    threads = min(torch.get_num_threads(), batch)
    edges = [batch * part // threads for part in range(threads + 1)] if threads else []
    source = images.contiguous().numpy()
    waiting = [
        _pool(threads).submit(kernels.make_views, source, start, stop, *fixed) for start, stop in pairwise(edges[1:])
    ]
    if batch:
        kernels.make_views(source, 0, edges[1], *fixed)
    for part in waiting:
        part.result()
    return torch.from_numpy(out)


@lru_cache(maxsize=1)
def _pool(threads: int) -> ThreadPoolExecutor:
    """Return the threads that help; a forked worker has one thread, as torch has there, and asks for none."""
    return ThreadPoolExecutor(threads)


def _values(params: Sequence[Params], recipe: Recipe, batch: int) -> tuple[NDArray[np.float32], NDArray[np.uint64]]:
    """Return values [B, K, 8], as in VALUES, and keys [B, K]: where the noise of an elastic deformation comes from."""
    values, keys = np.zeros((batch, len(recipe), 8), np.float32), np.zeros((batch, len(recipe)), np.uint64)
    for place, ((name, _), own) in enumerate(zip(recipe, params, strict=True)):
        for column, key in enumerate(VALUES[name]):
            values[:, place, column] = own[key].numpy()
        if name == "color_jitter":
            values[:, place, 5] = own["order"].numpy() @ np.array([1000, 100, 10, 1])
        elif name == "elastic":
            keys[:, place] = own["noise_key"].numpy().view(np.uint64)
    return values, keys


def _constants(recipe: Recipe, side: int) -> NDArray[np.float32]:
    """Return constants [K, 3]: of a blur its largest radius; of a rotation, 1 if it is nearest.

    Of an elastic deformation the radius and sigma of the smoothing, and how many pixels noise of 1 moves.
    """
    constants = np.zeros((len(recipe), 3), np.float32)
    for place, (_, settings) in enumerate(recipe):
        if isinstance(settings, GaussianBlurSettings):
            constants[place, 0] = blur_radius_px(settings, side)
        elif isinstance(settings, RotationSettings):
            constants[place, 0] = settings.interpolation == "nearest"
        elif isinstance(settings, ElasticSettings):
            alpha_px, sigma_px, radius_px = elastic_strength(settings, side)
            constants[place] = radius_px, sigma_px, alpha_px / 2
    return constants
