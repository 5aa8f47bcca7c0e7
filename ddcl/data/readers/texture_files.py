"""The textures of the game UFO: Alien Invasion without duplicates, and which of them are near-duplicates.

The thresholds were set by looking at the pictures, before anything was trained on their patches.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddcl.data.readers.decode import content_digest, open_image, pixels, upright_rgb
from ddcl.data.readers.fetch import damaged_is_named, missing
from ddcl.data.readers.source import Request

ARCHIVE = "0textures.pk3"  # a ZIP file
DEBIAN = Path("/usr/share/games/ufoai/base")  # of Debian's package ufoai-textures
MAP = re.compile(r"_(nm|sm|gm|rm)$")  # normal, specular, glow and roughness maps: not pictures
TRANSPARENT_FRAC = 0.01  # of the pixels, at most: fences and leaves would show the background
PLAIN = 5.0  # grey levels of standard deviation, at 1/2 of the smallest side allowed: less is a plain colour
NEAR = 0.8  # correlation of two grey thumbnails, one shifted around, from which they are near-duplicates
THUMB_PX = 32
GREY = (0.299, 0.587, 0.114)
Grey = NDArray[np.float32]


@dataclass(frozen=True)
class Texture:
    """A picture: its path in the archive without the ending, in small letters, and uint8 [3, H, W]."""

    name: str
    image: NDArray[np.uint8]

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), pixels."""
        return self.image.shape[1], self.image.shape[2]

    def grey(self, side_px: int) -> Grey:
        """Return grey levels [h, w], the shorter side reduced to `side_px` up to 2 · `side_px` by whole numbers."""
        step = max(1, min(self.size) // side_px)
        height, width = (length // step for length in self.size)
        levels = np.tensordot(np.array(GREY, np.float32), self.image[:, : height * step, : width * step], axes=1)
        means: Grey = levels.reshape(height, step, width, step).mean(axis=(1, 3), dtype=np.float32)
        return means


def read_textures(request: Request, least_px: int) -> list[Texture]:
    """Return the pictures in the archive whose shorter side has `least_px` or more, sorted by name.

    Maps, partly transparent and plain pictures are left out, and duplicates except the first. The archive is searched
    below data_root and in the folder of Debian's package ufoai-textures.
    """
    path = next((place for place in (request.root / ARCHIVE, DEBIAN / ARCHIVE) if place.exists()), None)
    if path is None:
        missing(request, request.root / ARCHIVE, [str(DEBIAN / ARCHIVE)])
    with damaged_is_named(path), zipfile.ZipFile(path) as archive:
        return list(_textures(archive, request.background, least_px))


def _textures(archive: zipfile.ZipFile, background: Sequence[int], least_px: int) -> Iterator[Texture]:
    seen = set()
    for name in sorted(archive.namelist()):
        stem, _, ending = name.lower().rpartition(".")
        if ending not in ("png", "jpg", "jpeg", "tga") or MAP.search(stem):
            continue
        with open_image(archive.read(name)) as image:
            if min(image.size) < least_px or _is_transparent(image):
                continue
            texture = Texture(stem, pixels(upright_rgb(image, background)))
        digest = content_digest(str(texture.size).encode() + texture.image.tobytes())
        if digest not in seen and texture.grey(least_px // 2).std() > PLAIN:
            seen.add(digest)
            yield texture


def _is_transparent(image: Image.Image) -> bool:
    if not image.has_transparency_data:
        return False
    alpha = np.asarray(image.convert("RGBA"))[..., 3]
    return bool((alpha < 128).mean() > TRANSPARENT_FRAC)


def near_duplicates(textures: Sequence[Texture]) -> NDArray[np.int64]:
    """Return the group [N] of each texture: recoloured, shifted, dirtied and numbered versions have the same.

    Two are in one group where their thumbnails correlate, wherever one is shifted around to; where the name of one is
    the other's with something added (wall023, wall023b); and where a third joins them.
    """
    from scipy.sparse.csgraph import connected_components

    joined = _correlations(textures) > NEAR
    order = sorted(range(len(textures)), key=lambda i: textures[i].name)
    for place, first in enumerate(order):
        for other in order[place + 1 :]:
            name, longer = textures[first].name, textures[other].name
            if not longer.startswith(name):
                break
            joined[first, other] |= not (name[-1].isdigit() and longer[len(name)].isdigit())  # 1 and 10 are two
    groups: NDArray[np.int64] = connected_components(joined, directed=False)[1].astype(np.int64)
    return groups


def _correlations(textures: Sequence[Texture]) -> Grey:
    """Return the largest correlation [N, N] of grey thumbnails over all shifts of one of them."""
    thumbs = np.stack([_thumb(texture) for texture in textures])
    waves = np.fft.rfft2(thumbs)
    found = np.empty((len(thumbs), len(thumbs)), np.float32)
    for i, wave in enumerate(waves):
        found[i] = np.fft.irfft2(waves * wave.conj(), s=thumbs.shape[1:]).max(axis=(1, 2))
    return found


def _thumb(texture: Texture) -> Grey:
    levels = texture.grey(min(texture.size)).round().clip(0, 255).astype(np.uint8)
    small = Image.fromarray(levels).resize((THUMB_PX, THUMB_PX), Image.Resampling.BOX)
    return _standardised(np.asarray(small, np.float32))


def _standardised(levels: Grey) -> Grey:
    centred = levels - levels.mean()
    return np.asarray(centred / max(float(np.linalg.norm(centred)), 1e-6), np.float32)


REPEATS = 0.7  # correlation of two halves, one shifted around or mirrored, from which one is a copy of the other
SHADE = 16.0  # levels by which the mean colours of a texture's quarters may differ
CONTRAST = 1.5  # ratio of the quarters' standard deviations
COMPARED_PX = 128  # shorter side at which halves are compared
PICTURES = "/tex_pics/"  # paintings and photographs


def is_even(texture: Texture) -> bool:
    """Return whether a texture is of one kind all over, and no half of it is a copy of the other.

    So patches of its two halves show the same stuff, and never the same pixels, mirrored ones included.
    """
    if PICTURES in texture.name:
        return False
    grey, (height, width) = texture.grey(COMPARED_PX), texture.size
    rows, columns = (slice(0, height // 2), slice(height // 2, None)), (slice(0, width // 2), slice(width // 2, None))
    quarters = [texture.image[:, own, other] for own in rows for other in columns]
    means = np.array([quarter.mean(axis=(1, 2)) for quarter in quarters])
    spreads = [float(np.tensordot(np.array(GREY), quarter, axes=1).std()) for quarter in quarters]
    if np.ptp(means, axis=0).max() >= SHADE or max(spreads) >= CONTRAST * min(spreads):
        return False
    return all(_repeat(levels) < REPEATS for levels in (grey, grey.T))


def _repeat(levels: Grey) -> float:
    """Return the largest correlation of the left half with the right one, shifted around, as it is or mirrored."""
    half = levels.shape[1] // 2
    left, right = _standardised(levels[:, :half]), _standardised(levels[:, -half:])
    wave = np.fft.rfft2(left)
    shifted = [np.fft.irfft2(wave * np.fft.rfft2(own).conj(), s=left.shape) for own in (right, right[:, ::-1])]
    return float(max(each.max() for each in shifted))
