"""Shapes: synthetic images drawn from a seed, so that every factor of every image is known.

Each image shows one shape (the class) with a texture, a colour, a position, an angle and a scale, all independent, on
grey. Shapes are roughly upright, like objects in photographs, so that a rotation is visible. No shape is symmetric, so
that any angle can be recognised, and a mirrored shape differs from the original.
"""

from __future__ import annotations

import colorsys
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ddcl.core.streams import derive
from ddcl.data.readers.source import ArraySplit, Request

Array = NDArray[np.float64]
SUBPIXELS = 4  # per side of a pixel: an edge has 16 levels
CHUNK_IMAGES = 250  # drawn at once
RADIUS_FRAC = (0.28, 0.42)  # scale: the shape's half size, in sides
OFFSET_FRAC = 0.08  # the centre's distance from the image's, at most, per axis, in sides
ANGLE_DEG_MAX = 30.0  # a third of CAug's range, so that rotated images differ from those drawn at an angle
GREY = (0.05, 0.25)  # of the background
SATURATION, VALUE, DARK = 0.75, 0.95, 0.45  # of the colour; and the factor for dark parts of textures
PERIOD = 0.5  # of textures, in half sizes of the shape


def _half_disc(u: Array, v: Array) -> NDArray[np.bool_]:
    return (u**2 + v**2 < 1) & (v < 0.1) & ~((u > 0.2) & (v < -0.35))


def _hook(u: Array, v: Array) -> NDArray[np.bool_]:
    inside = (np.abs(u) < 0.65) & (np.abs(v) < 0.95)
    return inside & ((u < -0.15) | (v > 0.4))


def _flag(u: Array, v: Array) -> NDArray[np.bool_]:
    pole = (np.abs(u + 0.6) < 0.18) & (np.abs(v) < 0.95)
    return pole | ((u > -0.6) & (v < 0.15) & (u < 0.9 + v) & (v > -0.95))


def _comma(u: Array, v: Array) -> NDArray[np.bool_]:
    crescent = (u**2 + v**2 < 0.9) & ((u - 0.45) ** 2 + v**2 > 0.4)
    return crescent | ((np.abs(u - 0.55) < 0.3) & (np.abs(v + 0.6) < 0.22))


def _wedge(u: Array, v: Array) -> NDArray[np.bool_]:
    return (u > -0.7) & (v > -0.8) & (u + 0.55 * v < 0.5) & (v < 0.9)


def _key(u: Array, v: Array) -> NDArray[np.bool_]:
    ring = (u**2 + (v + 0.45) ** 2 < 0.28) & (u**2 + (v + 0.45) ** 2 > 0.05)
    shaft = (np.abs(u) < 0.16) & (v > -0.05) & (v < 0.95)
    return ring | shaft | ((u > 0) & (u < 0.55) & (np.abs(v - 0.7) < 0.17))


SHAPES: tuple[Callable[[Array, Array], NDArray[np.bool_]], ...] = (_half_disc, _hook, _flag, _comma, _wedge, _key)
TEXTURES: tuple[Callable[[Array, Array], NDArray[np.bool_]], ...] = (  # where it is dark
    lambda u, v: np.zeros(np.broadcast(u, v).shape, bool),
    lambda u, v: np.floor(u / PERIOD) % 2 == 1,
    lambda u, v: (np.floor(u / PERIOD) + np.floor(v / PERIOD)) % 2 == 1,
    lambda u, v: ((u / PERIOD) % 1 - 0.5) ** 2 + ((v / PERIOD) % 1 - 0.5) ** 2 < 0.09,
)


def read_shapes(request: Request) -> dict[str, ArraySplit]:
    """Return both splits; their bytes depend only on side and settings."""
    sizes = {"train": request.settings.n_train, "test": request.settings.n_test}
    return {split: draw_split(n, request.side_px, request.settings.seed, split) for split, n in sizes.items()}


def draw_split(n: int, side_px: int, seed: int, split: str) -> ArraySplit:
    """Return n images with their factors."""
    factors = draw_factors(n, seed, split)
    images = np.empty((n, 3, side_px, side_px), np.uint8)
    for start in range(0, n, CHUNK_IMAGES):
        part = slice(start, start + CHUNK_IMAGES)
        images[part] = draw_images({name: own[part] for name, own in factors.items()}, side_px)
    return ArraySplit(images, factors["shape"].astype(np.int64), factors)


def draw_factors(n: int, seed: int, split: str) -> dict[str, Array]:
    """Return the factors of n images, each [n] and independent of the others.

    shape: 0 … 5, as often as each other. texture: 0 plain, 1 stripes, 2 checks, 3 dots. hue: turns, [0, 1).
    x, y: the centre, in sides from the image's, to the right and down. angle_deg: [-30, 30), counter-clockwise.
    scale: half size, in sides. grey: of the background, in [0, 1].
    """
    rng = np.random.Generator(np.random.PCG64(derive("shapes", seed, split)))
    u = rng.random((7, n))
    order = np.argsort(rng.random(n), kind="stable")
    return {
        "shape": (order % len(SHAPES)).astype(np.float64),
        "texture": np.floor(u[0] * len(TEXTURES)),
        "hue": u[1],
        "x": (2 * u[2] - 1) * OFFSET_FRAC,
        "y": (2 * u[3] - 1) * OFFSET_FRAC,
        "angle_deg": (2 * u[4] - 1) * ANGLE_DEG_MAX,
        "scale": RADIUS_FRAC[0] + (RADIUS_FRAC[1] - RADIUS_FRAC[0]) * u[5],
        "grey": GREY[0] + (GREY[1] - GREY[0]) * u[6],
    }


def draw_images(factors: dict[str, Array], side_px: int) -> NDArray[np.uint8]:
    """Return the images [n, 3, S, S] with these factors: the mean colour of SUBPIXELS² points in each pixel."""
    points = side_px * SUBPIXELS
    centres = (np.arange(points) + 0.5) / points - 0.5  # in sides, from the image's centre
    x = centres - factors["x"][:, None]
    y = centres - factors["y"][:, None]
    angle = np.deg2rad(factors["angle_deg"])[:, None, None]
    cos, sin, scale = np.cos(angle), np.sin(angle), factors["scale"][:, None, None]
    u = (x[:, None, :] * cos - y[:, :, None] * sin) / scale  # [n, points, points]; y points down
    v = (x[:, None, :] * sin + y[:, :, None] * cos) / scale
    inside, dark = _chosen(SHAPES, factors["shape"], u, v), _chosen(TEXTURES, factors["texture"], u, v)
    light, shade = (
        mask.reshape(len(u), side_px, SUBPIXELS, side_px, SUBPIXELS).mean(axis=(2, 4))[:, None]
        for mask in (inside & ~dark, inside & dark)
    )
    colours = np.array([colorsys.hsv_to_rgb(hue, SATURATION, VALUE) for hue in factors["hue"]])[:, :, None, None]
    grey = factors["grey"][:, None, None, None]
    values = light * colours + shade * DARK * colours + (1 - light - shade) * grey
    images: NDArray[np.uint8] = np.floor(values * 255 + 0.5).astype(np.uint8)
    return images


def _chosen(
    kinds: tuple[Callable[[Array, Array], NDArray[np.bool_]], ...], numbers: Array, u: Array, v: Array
) -> NDArray[np.bool_]:
    """Return, for each image, the mask of the kind with its number."""
    mask = np.empty(u.shape, bool)
    for number, kind in enumerate(kinds):
        own = numbers == number
        mask[own] = kind(u[own], v[own])
    return mask
