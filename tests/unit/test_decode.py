"""Pixels of image files: the same picture in every mode, and refused where no picture is meant."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps, TiffImagePlugin

from ddcl.base.errors import UserError
from ddcl.core.seeds import Draws
from ddcl.data.files import FileImages
from ddcl.data.images import BatchRequest
from ddcl.data.readers.decode import ORIENTATION, content_digest, open_image, upright_rgb, upright_size
from ddcl.schema.ops import ResizedCropSettings
from ddcl.schema.suites import WHITE

Y, X = np.mgrid[:32, :64]
RAMP = (X * 4).astype(np.uint8)  # 0 … 252 from left to right
GREY = Image.fromarray(RAMP)
RGB = GREY.convert("RGB")
HIDDEN = (250, 0, 0)  # the colour under transparent pixels


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def levels(data: bytes, background: list[int] = WHITE) -> np.ndarray:
    """Return int [H, W, 3]."""
    with open_image(data) as image:
        return np.asarray(upright_rgb(image, background)).astype(int)


SIXTEEN = Image.fromarray(RAMP.astype(np.uint16) * 257)
MODES = {
    "8-bit grey PNG": (saved(GREY, "PNG"), 0),
    "RGB PNG": (saved(RGB, "PNG"), 0),
    "16-bit grey PNG": (saved(SIXTEEN, "PNG"), 0),
    "16-bit grey TIFF": (saved(SIXTEEN, "TIFF"), 0),
    "16-bit PGM": (saved(SIXTEEN, "PPM"), 0),
    "opaque grey and alpha": (saved(GREY.convert("LA"), "PNG"), 0),
    "opaque RGBA": (saved(RGB.convert("RGBA"), "PNG"), 0),
    "palette": (saved(GREY.convert("P"), "PNG"), 0),
    "GIF": (saved(GREY.convert("P"), "GIF"), 0),
    "BMP": (saved(RGB, "BMP"), 0),
    "PPM": (saved(RGB, "PPM"), 0),
    "TIFF": (saved(RGB, "TIFF"), 0),
    "lossless WebP": (saved(RGB, "WEBP", lossless=True), 0),
    "CMYK JPEG": (saved(RGB.convert("CMYK"), "JPEG", quality=100), 4),
    "grey JPEG": (saved(GREY, "JPEG", quality=100), 4),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_ramp_is_a_ramp_in_every_mode(mode: str) -> None:
    data, tolerance = MODES[mode]
    assert np.abs(levels(data) - RAMP[..., None]).max() <= tolerance


def test_twelve_bits_in_a_tiff_are_scaled_by_twelve() -> None:
    packed = (RAMP[:, ::2].astype(int) * 4095 // 255).reshape(-1, 2)
    data = bytearray()
    for high, low in packed.tolist():
        data += bytes([high >> 4, (high & 15) << 4 | low >> 8, low & 255])
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags.update({256: 32, 257: 32, 258: 12, 259: 1, 262: 1, 273: 0, 277: 1, 278: 32, 279: len(data)})
    # Pillow adds to tag 273 where the pixels begin
    found = levels(b"II*\0\x08\0\0\0" + tags.tobytes(8) + bytes(data))
    assert np.abs(found[..., 0] - RAMP[:, ::2]).max() <= 1


@pytest.mark.parametrize("data", [saved(Image.fromarray(X.astype(kind)), "TIFF") for kind in (np.float32, np.int32)])
def test_pixels_without_a_known_range_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"pixels of mode [FI] have no known range; save them with 8 or 16 bits"):
        levels(data)


def transparent() -> dict[str, bytes]:
    """Return pictures whose right half is transparent, and hides HIDDEN."""
    alpha = np.where(X < 32, 255, 0).astype(np.uint8)
    rgba = Image.fromarray(np.dstack([*(np.full_like(RAMP, level) for level in HIDDEN), alpha]))
    grey = Image.fromarray(np.dstack([np.zeros_like(RAMP), alpha]))
    palette = Image.fromarray((X >= 32).astype(np.uint8), mode="P")
    palette.putpalette([*HIDDEN, 0, 0, 0])
    keyed = Image.fromarray(np.where((X < 32)[..., None], HIDDEN, (0, 0, 0)).astype(np.uint8))
    return {
        "RGBA": saved(rgba, "PNG"),
        "grey": saved(grey, "PNG"),
        "WebP": saved(rgba, "WEBP", lossless=True, exact=True),
        "palette": saved(palette, "PNG", transparency=1),
        "GIF": saved(palette, "GIF", transparency=1),
        "one colour": saved(keyed, "PNG", transparency=(0, 0, 0)),
    }


@pytest.mark.parametrize("kind", transparent())
@pytest.mark.parametrize("background", [WHITE, [10, 20, 30]])
def test_transparent_pixels_show_the_background(kind: str, background: list[int]) -> None:
    found = levels(transparent()[kind], background)
    assert (found[:, 32:] == background).all()
    assert (found[:, :32] == ((0, 0, 0) if kind == "grey" else HIDDEN)).all()


def test_half_transparent_pixels_are_mixed() -> None:
    rgba = Image.new("RGBA", (8, 8), (0, 0, 0, 128))
    assert np.abs(levels(saved(rgba, "PNG"), [200, 100, 0]) - np.array([100, 50, 0])).max() <= 1


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_their_exif_data_say(kind: str, orientation: int, tmp_path: Path) -> None:
    picture = Image.fromarray(np.stack([RAMP, Y * 8, 255 - RAMP], axis=2).astype(np.uint8))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    options = {"quality": 100} if kind == "JPEG" else {"lossless": True} if kind == "WEBP" else {}
    data = saved(picture, kind, exif=exif, **options)
    with Image.open(io.BytesIO(data)) as image:
        expected = ImageOps.exif_transpose(image).convert("RGB")
    with open_image(data) as image:
        assert upright_size(image) == expected.size
    assert np.array_equal(levels(data), np.asarray(expected))
    (tmp_path / "turned").write_bytes(data)
    expected.save(tmp_path / "upright", "PNG")
    for crop in (None, ResizedCropSettings()):
        turned, upright = (of_one(tmp_path / name, crop) for name in ("turned", "upright"))
        assert torch.equal(turned, upright)


def of_one(path: Path, crop: ResizedCropSettings | None) -> torch.Tensor:
    """Return the squares of 16 px that evaluation, or the random crops of eight views, cut out of one image."""
    index, known = torch.tensor([0]), [content_digest(path.read_bytes())]
    images = FileImages(path.parent, [path.name], known, torch.zeros(1), 16, 20, WHITE, exact=True)
    draws = tuple(Draws(3, index, 0, view) for view in range(8 if crop else 0))
    return torch.stack(next(images.load([BatchRequest(index, draws)], crop)))


def test_damaged_exif_data_do_not_spoil_an_image() -> None:
    data = saved(RGB, "JPEG", quality=100, exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.abs(levels(data) - RAMP[..., None]).max() <= 4


def test_of_an_animation_the_first_image_is_taken() -> None:
    frames = [GREY.convert("P"), Image.new("P", GREY.size, 0)]
    assert np.array_equal(levels(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))[..., 0], RAMP)


@pytest.mark.parametrize(
    ("data", "words"), [(b"", "empty file"), (b"<html>404</html>", "not an image in a known format")]
)
def test_what_is_no_image_says_so(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(data)
    images = FileImages(tmp_path, ["a.png"], [content_digest(data)], torch.zeros(1), 8, 8, WHITE)
    with pytest.raises(UserError, match=rf"a\.png: cannot be read as an image \({words}\)"):
        next(images.load([BatchRequest(torch.tensor([0]))], None))
