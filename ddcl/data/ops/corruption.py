"""The 15 common corruptions at 5 severities of Hendrycks and Dietterich 2019 (arXiv 1903.12261), for test images.

The numbers are those of ImageNet-C, meant for images of 224 px. Kinds that move or mix pixels are scaled by side / 224,
side = min(height, width), so that a small image looks like a large one made small; noise and colours are not scaled.
Written from the published definitions, because existing packages partly use generators that cannot be seeded.
Differences from the original:
- results are not saved as JPEG, and only pixelate and jpeg_compression round to 8 bits;
- frost: the original adds photographs, here it is a texture of ridged noise with their mean, spread and tint;
- glass_blur: moves are rounded at random, with the rms size of the original's, and pixels are swapped; the original's
  swap overwrites one of the two. elastic_transform: one interpolation, not two;
- defocus_blur, motion_blur: kernels are points that are read bilinearly, instead of blurred or rounded kernels.
As in the original, elastic_transform moves the whole image at severities 1 and 2 and deforms it locally from 3 on, so
the distance to the clean image falls from 2 to 3; frost and fog grow in what they hide, not always in distance.
"""

from __future__ import annotations

import io
import math
from typing import Any, Literal

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image
from scipy import fft, ndimage
from torch import Tensor

from ddcl.core.seeds import Draws
from ddcl.data.ops.parameters import AUTHORS_SIDE_PX, Params
from ddcl.schema.ops import CorruptionSettings

Array = NDArray[np.floating[Any]]
Numbers = tuple[float, ...]

# Measured on 224-px crops of the five photographs that ImageNet-C draws from: means of the channels, std of the grey
# values, and the smoothness per octave at which neighbouring pixels differ as much, by 0.05 on average.
FROST_COLOUR, FROST_STD, FROST_SMOOTHNESS = np.array([0.57, 0.66, 0.70], np.float32)[:, None, None], 0.10, 1.12
DISC = np.array([(i, j) for i in range(-24, 25) for j in range(-24, 25) if i * i + j * j <= 24**2]) / 24

SEVERITIES: dict[str, tuple[Numbers, ...]] = {
    "gaussian_noise": ((0.08,), (0.12,), (0.18,), (0.26,), (0.38,)),  # standard deviation
    "shot_noise": ((60,), (25,), (12,), (5,), (3,)),  # photons of a white value
    "impulse_noise": ((0.03,), (0.06,), (0.09,), (0.17,), (0.27,)),  # share of the values that turn 0 or 1
    "defocus_blur": ((3,), (4,), (6,), (8,), (10,)),  # radius, px
    "glass_blur": ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),  # sigma, px; move, px; rounds
    "motion_blur": ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),  # half length, px; sigma of the weights, px
    "zoom_blur": ((12, 0.01), (16, 0.01), (11, 0.02), (13, 0.02), (11, 0.03)),  # number of zooms, from 1; step
    # mean and std of the noise; flake, px; threshold; half length and sigma of the motion, px; weight of the image
    "snow": (
        (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
        (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
        (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
        (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
        (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
    ),
    "frost": ((1, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)),  # weights of the image and of the frost
    "fog": ((1.5, 2), (2, 2), (2.5, 1.7), (2.5, 1.5), (3, 1.4)),  # weight of the fog; its smoothness
    "brightness": ((0.1,), (0.2,), (0.3,), (0.4,), (0.5,)),  # added to the HSV value
    "contrast": ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,)),  # what is left of the deviation from the mean
    # factor of the smoothed noise, px; sigma of the smoothing, px; largest move of the affine map's three points, px
    "elastic_transform": ((488, 170.8, 24.4), (488, 19.52, 48.8), *((a, 2.44, 4.88) for a in (12.2, 17.08, 29.28))),
    "pixelate": ((0.6,), (0.5,), (0.4,), (0.3,), (0.25,)),  # share of the side that is left
    "jpeg_compression": ((25,), (18,), (15,), (10,), (7,)),  # quality of libjpeg
}


def sample(draws: Draws, name: str, size_px: tuple[int, int], settings: CorruptionSettings) -> Params:
    """Draw the noise of B images: seed [B] int64 in [0, 2^48), the same for every kind and severity."""
    high, low = (draws.uniform(name, 2) * 2**24).to(torch.int64).unbind(1)
    return {"seed": (high << 24) | low}


def apply(x: Tensor, params: Params, settings: CorruptionSettings) -> Tensor:
    """Return x, float32 [B, 3, H, W] in [0, 1], corrupted; an image's result depends on itself and its seed only."""
    kind, numbers = KINDS[settings.kind], SEVERITIES[settings.kind][settings.severity - 1]
    scale = min(x.shape[-2:]) / AUTHORS_SIDE_PX
    images = x.detach().cpu().numpy()
    for image, seed in zip(images, params["seed"].tolist(), strict=True):
        image[...] = kind(image, np.random.default_rng(seed), numbers, scale).clip(0, 1)  # x is ours to write into
    return torch.from_numpy(images).to(x.device)


def gaussian_noise(x: Array, rng: Generator, c: Numbers, scale: float) -> Array:
    """Add normal noise to every value of x [3, H, W]. All kinds: rng is the image's own; the caller clips to [0, 1]."""
    return x + c[0] * rng.standard_normal(x.shape, np.float32)


def shot_noise(x: Array, rng: Generator, c: Numbers, scale: float) -> Array:
    """Count photons: Poisson with mean c · x."""
    return (rng.poisson(x * c[0]) / c[0]).astype(np.float32)


def impulse_noise(x: Array, rng: Generator, c: Numbers, scale: float) -> Array:
    """Set a share of the values to 0 or 1, with equal chances."""
    u = rng.random(x.shape, np.float32)
    return np.where(u < c[0] / 2, np.float32(0), np.where(u >= 1 - c[0] / 2, np.float32(1), x))


def defocus_blur(x: Array, rng: Generator, c: Numbers, scale: float) -> Array:
    """Average over a disc; edges are reflected."""
    return _correlate(x, _kernel(c[0] * scale * DISC, np.ones(len(DISC))), "reflect")


def glass_blur(x: Array, rng: Generator, c: Numbers, scale: float) -> Array:
    """Blur, swap pixels with near ones, blur again."""
    (_, height, width), sigma, reach = x.shape, c[0] * scale, c[1] * scale
    row, column = np.divmod(np.arange(height * width), width)
    order = list(range(height * width))
    for _ in range(int(c[2])):
        asked = rng.uniform(-reach, reach, (2, height * width))
        whole = np.floor(np.abs(asked))
        # one pixel more at random, so that the mean square is right where moves are less than a pixel
        more = rng.random(asked.shape) * (2 * whole + 1) < np.square(asked) - np.square(whole)
        move = (np.sign(asked) * (whole + more)).astype(int)
        near = np.clip(row + move[0], 0, height - 1) * width + np.clip(column + move[1], 0, width - 1)
        for i, j in enumerate(near.tolist()):
            order[i], order[j] = order[j], order[i]
    return _smooth(_smooth(x, sigma).reshape(3, -1)[:, order].reshape(x.shape), sigma)


def motion_blur(x: Array, rng: Generator, c: Numbers, scale: float) -> Array:
    """Average along a line from each pixel, at an angle of at most 45° to the horizontal; edges are repeated."""
    return _correlate(x, _line(c[0], c[1], rng.uniform(-45, 45), scale), "edge")


def zoom_blur(x: Array, rng: Generator, c: Numbers, scale: float) -> Array:
    """Average the image and its zooms about the centre."""
    factors = 1 + c[1] * np.arange(c[0])
    zooms = [_zoom(x.shape[1], factor) @ x @ _zoom(x.shape[2], factor).T for factor in factors.tolist()]
    return np.asarray(np.mean([x, *zooms], axis=0))


def snow(x: Array, rng: Generator, c: Numbers, scale: float) -> Array:
    """Whiten the image and add flakes that fall at up to 45° to the vertical, and the same turned by 180°."""
    mean, std, flake, threshold, half_length, sigma, weight = c
    rows, columns = (_zoom(side, flake * scale) for side in x.shape[1:])
    noise = rng.standard_normal((rows.shape[1], columns.shape[1]), np.float32)
    layer: Array = rows @ (mean + std * noise) @ columns.T
    layer = np.where(layer < threshold, np.float32(0), np.clip(layer, 0, 1))
    layer = _correlate(layer[None], _line(half_length, sigma, rng.uniform(-135, -45), scale), "edge")
    white: Array = np.maximum(x, 0.5 + 1.5 * (0.299 * x[:1] + 0.587 * x[1:2] + 0.114 * x[2:]))  # luma of ITU-R BT.601
    return weight * x + (1 - weight) * white + layer + layer[:, ::-1, ::-1]


def frost(x: Array, rng: Generator, c: Numbers, scale: float) -> Array:
    """Add a pale blue texture of ridges, like crystals of ice."""
    ridges = 1 - np.abs(2 * _plasma(x.shape[1:], FROST_SMOOTHNESS, rng) - 1)
    grey = (ridges - float(ridges.mean())) / max(float(ridges.std()), 1e-6) * FROST_STD
    return c[0] * x + c[1] * np.clip(FROST_COLOUR + grey, 0, 1)


def fog(x: Array, rng: Generator, c: Numbers, scale: float) -> Array:
    """Add clouds, and scale back to the image's largest value."""
    high = float(x.max())
    return (x + c[0] * _plasma(x.shape[1:], c[1], rng)) * (high / (high + c[0]))


def brightness(x: Array, rng: Generator, c: Numbers, scale: float) -> Array:
    """Raise the HSV value, the largest channel; hue and saturation stay, so the channels keep their proportions."""
    value: Array = x.max(0, keepdims=True)
    raised: Array = np.minimum(value + np.float32(c[0]), 1)
    return np.where(value > 0, x * (raised / np.maximum(value, 1e-30)), raised)


def contrast(x: Array, rng: Generator, c: Numbers, scale: float) -> Array:
    """Draw each channel towards its mean."""
    mean: Array = x.mean((1, 2), keepdims=True)
    return (x - mean) * np.float32(c[0]) + mean


def elastic_transform(x: Array, rng: Generator, c: Numbers, scale: float) -> Array:
    """Read the image at places moved by an affine map of three random points and by smoothed noise; reflected edges."""
    _, height, width = x.shape
    points = np.array([height // 2, width // 2]) + min(height, width) // 3 * np.array([[1, 1], [1, -1], [-1, -1]])
    moved = points + c[2] * scale * rng.uniform(-1, 1, (3, 2))
    affine = np.linalg.solve(np.column_stack([moved, np.ones(3)]), points)  # [3, 2]: back from the moved points
    # smoothed noise shrinks as 1 / sigma, hence the square for displacements in proportion to the side
    shift = c[0] * scale**2 * _smooth(rng.uniform(-1, 1, (2, height, width)), c[1] * scale)
    where = np.tensordot(affine[:2].T, np.indices((height, width)) + shift, 1) + affine[2][:, None, None]
    return np.stack([ndimage.map_coordinates(channel, where, order=1, mode="mirror") for channel in x])


def pixelate(x: Array, rng: Generator, c: Numbers, scale: float) -> Array:
    """Shrink and enlarge again, with boxes both times."""
    image = Image.fromarray(np.rint(255 * x).astype(np.uint8).transpose(1, 2, 0))
    small = image.resize((max(1, int(image.width * c[0])), max(1, int(image.height * c[0]))), Image.Resampling.BOX)
    return np.asarray(small.resize(image.size, Image.Resampling.BOX), np.float32).transpose(2, 0, 1) / 255


def jpeg_compression(x: Array, rng: Generator, c: Numbers, scale: float) -> Array:
    """Save as JPEG of low quality and read again."""
    file = io.BytesIO()
    Image.fromarray(np.rint(255 * x).astype(np.uint8).transpose(1, 2, 0)).save(file, "JPEG", quality=int(c[0]))
    return np.asarray(Image.open(file), np.float32).transpose(2, 0, 1) / 255


def _correlate(x: Array, kernel: Array, edges: Literal["reflect", "edge"]) -> Array:
    """Return the sums of x [C, H, W] under a square kernel of odd side."""
    reach = len(kernel) - 1
    pad, size = (reach // 2, reach // 2), [side + reach for side in x.shape[1:]]
    spectrum = fft.rfft2(np.pad(x, ((0, 0), pad, pad), edges)) * fft.rfft2(kernel[::-1, ::-1], size)
    return np.asarray(fft.irfft2(spectrum, size)[:, reach:, reach:])


def _kernel(points: Array, weights: Array) -> Array:
    """Return the kernel that reads bilinearly at points [N, 2], (row, column) in px from the pixel."""
    radius = int(np.ceil(np.abs(points).max()))
    tents = np.maximum(0, 1 - np.abs(points[..., None] - np.arange(-radius, radius + 1)))  # [N, 2, taps]
    return np.asarray((weights / weights.sum() * tents[:, 0].T) @ tents[:, 1], np.float32)


def _line(half_length: float, sigma: float, angle_deg: float, scale: float) -> Array:
    """Return the kernel of a line of 2 · half_length + 1 points from the pixel on, with half a Gaussian's weights."""
    steps, angle = np.arange(2 * half_length + 1), np.deg2rad(angle_deg)
    points = scale * steps[:, None] * np.array([np.sin(angle), np.cos(angle)])
    return _kernel(points, np.exp(-0.5 * np.square(steps / sigma)))


def _zoom(side: int, factor: float) -> Array:
    """Return [side, N]: N values enlarged about their centre, bilinearly; N, at least side, is what that takes."""
    n = max(side, math.ceil((side - 1) / factor) + 1)
    places = (np.arange(side) - (side - 1) / 2) / factor + (n - 1) / 2
    return np.asarray(np.maximum(0, 1 - np.abs(places[:, None] - np.arange(n))), np.float32)


def _smooth(x: Array, sigma_px: float) -> Array:
    """Return x [C, H, W] blurred by a Gaussian with reflected edges: a product in the cosine transform."""
    rows, columns = (np.exp(-0.5 * np.square(np.pi * sigma_px / side * np.arange(side))) for side in x.shape[1:])
    return np.asarray(fft.idctn(fft.dctn(x, axes=(1, 2)) * rows[:, None] * columns, axes=(1, 2)), np.float32)


def _plasma(size_px: tuple[int, ...], smoothness: float, rng: Generator) -> Array:
    """Return clouds [H, W] from 0 to 1, by midpoint displacement on a torus of 2^n px (diamond-square)."""
    grid, amplitude = np.zeros((1, 1)), 1.0
    while (n := len(grid)) < max(size_px):
        noise = amplitude * rng.uniform(-1, 1, (3, n, n))
        pairs = grid + np.roll(grid, -1, 0)
        centre = (pairs + np.roll(pairs, -1, 1)) / 4 + noise[0]
        right = (grid + np.roll(grid, -1, 1) + centre + np.roll(centre, 1, 0)) / 4 + noise[1]
        below = (pairs + centre + np.roll(centre, 1, 1)) / 4 + noise[2]
        grid = np.array([[grid, right], [below, centre]]).transpose(2, 0, 3, 1).reshape(2 * n, 2 * n)
        amplitude /= smoothness**2
    low, high = float(grid.min()), float(grid.max())
    return ((grid - low) / max(high - low, 1e-12))[: size_px[0], : size_px[1]].astype(np.float32)


NOISE_AND_BLUR = (gaussian_noise, shot_noise, impulse_noise, defocus_blur, glass_blur, motion_blur, zoom_blur)
WEATHER_AND_DIGITAL = (snow, frost, fog, brightness, contrast, elastic_transform, pixelate, jpeg_compression)
KINDS = {kind.__name__: kind for kind in (*NOISE_AND_BLUR, *WEATHER_AND_DIGITAL)}
