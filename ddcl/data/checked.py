"""Checks every image of a split once: whether it is intact, its digest, and the statistics of its pixels."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from ddcl.base.errors import UserError
from ddcl.data.readers.decode import central_square, content_digest, draft, open_image, upright_rgb
from ddcl.data.readers.source import ArraySplit, FileSplit
from ddcl.schema.recipes import DataRecipe
from ddcl.schema.suites import NormalisationConfig

CHUNK_BYTES = 2**26
SHOWN = 5  # damaged files that are named
COARSE_PX = 32


@dataclass(frozen=True)
class Sums:
    """Exact sums over pixels: their number, and per channel [3] of levels 0 … 255 and of their squares."""

    n: int
    levels: NDArray[np.int64]
    squares: NDArray[np.int64]

    @classmethod
    def of(cls, images: NDArray[np.uint8]) -> Sums:
        """Return the sums of uint8 [N, 3, H, W]."""
        levels = images.astype(np.int64)
        return cls(images.size // 3, levels.sum(axis=(0, 2, 3)), (levels**2).sum(axis=(0, 2, 3)))

    @classmethod
    def all(cls, parts: Sequence[Sums]) -> Sums:
        """Return the sum of the parts."""
        levels, squares = np.zeros(3, np.int64), np.zeros(3, np.int64)
        for part in parts:
            levels += part.levels
            squares += part.squares
        return cls(sum(part.n for part in parts), levels, squares)

    def normalisation(self, dataset: str) -> NormalisationConfig:
        """Return mean and standard deviation per channel, in [0, 1]; `UserError` if all pixels are one colour."""
        mean = self.levels / self.n
        std = np.sqrt(self.squares / self.n - mean**2)
        if not std.all():
            raise UserError(f"data set {dataset}: in one channel, all pixels of all training images are equal")
        return NormalisationConfig(mean=(mean / 255).tolist(), std=(std / 255).tolist())


@dataclass(frozen=True)
class Checked:
    """What the check of a split's images found.

    digests: of each image's content. sums: over all images, if requested. squares: uint8 [N, 3, S, S], of files that
    will be stored as one array.
    """

    digests: list[str]
    sums: Sums
    squares: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class _Look:
    """What one file shows: its digest and, if asked for, square and sums; or what is wrong with it as an image."""

    digest: str = ""
    square: NDArray[np.uint8] | None = None
    sums: Sums | None = None
    problem: str = ""


def check_arrays(content: ArraySplit, measured: bool) -> Checked:
    """Check images in an array. measured: also compute their sums."""
    chunks = np.array_split(content.images, max(1, content.images.nbytes // CHUNK_BYTES)) if measured else []
    digests = [content_digest(image.tobytes()) for image in content.images]
    return Checked(digests, Sums.all([Sums.of(chunk) for chunk in chunks]))


def check_files(root: Path, content: FileSplit, split: str, recipe: DataRecipe, measured: bool) -> Checked:
    """Check images in files by decoding each one; one `UserError` reports all damaged ones.

    measured: also compute the sums of the central squares, as seen in evaluation. Otherwise JPEG files are decoded
    coarsely.
    """
    look = partial(_look, recipe=recipe, measured=measured)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        looks = pool.map(look, (root / name for name in content.names))
        found = list(tqdm(looks, total=len(content.names), unit="file", desc=f"check {split}", disable=None))
    if bad := [each.problem for each in found if each.problem]:
        more = f" and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        what = f"{len(bad)} image{'s' * (len(bad) > 1)} of split {split} cannot be used"
        raise UserError(f"{what}: {'; '.join(bad[:SHOWN])}{more}; get them again, or move them out of the folder")
    squares = [each.square for each in found if each.square is not None]
    sums = Sums.all([each.sums for each in found if each.sums])
    return Checked([each.digest for each in found], sums, np.stack(squares) if squares else None)


def _look(path: Path, recipe: DataRecipe, measured: bool) -> _Look:
    try:
        data = path.read_bytes()
        with open_image(data) as image:
            if not measured and not recipe.one_array:
                draft(image, (COARSE_PX, COARSE_PX))  # every byte is read all the same
                upright_rgb(image, recipe.background)
                return _Look(content_digest(data))
            rgb, side_px = upright_rgb(image, recipe.background), recipe.image_side_px
            square = central_square(rgb, recipe.resize_px or side_px, side_px)
        sums = Sums.of(square[None]) if measured else None
        return _Look(content_digest(data), square if recipe.one_array else None, sums)
    except Exception as error:  # PIL raises OSError, SyntaxError, ValueError, struct.error …
        return _Look(problem=f"{path} ({' '.join(str(error).split())})")
