"""From the bytes of an image file to RGB pixels: upright, on a background, whatever its mode.

Pixels without a known range are rejected, as they would become black or white.
"""

from __future__ import annotations

import hashlib
import io
import math
import warnings
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

# PIL warns above 89 million pixels; at twice as many it refuses the image, and so does `prepare`.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)

DIGITS = 16  # of the sha256 of a file
DRAFTED = ("JPEG", "MPO")  # formats that can be decoded at a part of their resolution
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}  # by EXIF's orientation; 1 is upright
ORIENTATION = 0x0112  # EXIF's tag
LYING = 5  # the first orientation at which width and height change places
BITS_PER_SAMPLE = 258  # TIFF's tag
NO_RANGE = "pixels of mode {} have no known range; save them with 8 or 16 bits"


def content_digest(data: bytes) -> str:
    """Return the digest of a file's content."""
    return hashlib.sha256(data).hexdigest()[:DIGITS]


def open_image(data: bytes) -> Image.Image:
    """Return the image in the bytes of a file, not yet decoded; of an animation, the first frame. `OSError` if none."""
    try:
        return Image.open(io.BytesIO(data))
    except UnidentifiedImageError:
        raise OSError("empty file" if not data else "not an image in a known format") from None
    except Image.DecompressionBombError as error:
        raise OSError(f"image too large: {error}; save it at a smaller size") from None


def upright_size(image: Image.Image) -> tuple[int, int]:
    """Return (width, height) as `upright_rgb` gives them; a JPEG file is not decoded for it."""
    if image.format not in DRAFTED:
        image.load()  # a TIFF file is turned by this
    width, height = image.size
    return (height, width) if _orientation(image) >= LYING else (width, height)


def draft(image: Image.Image, side_px: tuple[float, float]) -> None:
    """Let a JPEG file be decoded at 1/2, 1/4 or 1/8 of its resolution, with (width, height) `side_px` at least.

    Does nothing to other files.
    """
    width, height = side_px[::-1] if _orientation(image) >= LYING else side_px
    image.draft("RGB", (math.ceil(width), math.ceil(height)))


def upright_rgb(image: Image.Image, background: Sequence[int]) -> Image.Image:
    """Return the decoded image in mode RGB, turned as its EXIF orientation says.

    background: RGB, 0 … 255, under transparent pixels. `ValueError` for pixels whose range is not known.
    """
    rgb = _rgb(image, background)
    orientation = _orientation(image)  # after decoding, which turns a TIFF file
    return rgb.transpose(TURNS[orientation]) if orientation in TURNS else rgb


def central_square(rgb: Image.Image, resize_px: int, side_px: int) -> NDArray[np.uint8]:
    """Return uint8 [3, S, S], the central square after resizing the shorter side.

    Resize(256) and CenterCrop(224) of the sources.
    """
    from torchvision.transforms.v2 import functional as tv

    resized = tv.resize(rgb, [resize_px], antialias=True)
    return pixels(tv.center_crop(resized, [side_px, side_px]))


def pixels(rgb: Image.Image) -> NDArray[np.uint8]:
    """Return the image as uint8 [3, H, W]."""
    return np.asarray(rgb).transpose(2, 0, 1)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ORIENTATION, 1))
    except Exception:  # for damaged EXIF data, PIL raises almost anything; the pixels are intact
        return 1


def _rgb(image: Image.Image, background: Sequence[int]) -> Image.Image:
    if image.mode == "F" or (image.mode == "I" and image.format != "PPM"):  # PPM: 16 bits, as PIL reads them
        raise ValueError(NO_RANGE.format(image.mode))
    if image.mode.startswith("I"):
        levels = 2 ** _bits(image) - 1
        grey = np.asarray(image).astype(np.float64) * (255 / levels)
        return Image.fromarray(grey.round().clip(0, 255).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    below = Image.new("RGBA", image.size, (*background, 255))
    below.alpha_composite(image.convert("RGBA"))
    return below.convert("RGB")


def _bits(image: Image.Image) -> int:
    """Return how many bits the levels of a grey image of more than 8 have: 12 in some TIFF files."""
    return int(image.tag_v2[BITS_PER_SAMPLE][0]) if isinstance(image, TiffImagePlugin.TiffImageFile) else 16
