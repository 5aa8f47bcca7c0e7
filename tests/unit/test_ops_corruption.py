"""The common corruptions: range, growth with the severity, one result per image and seed, and known answers."""

from __future__ import annotations

import io
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from ddcl.base.errors import UserError
from ddcl.core.seeds import Draws
from ddcl.data.ops import corruption
from ddcl.data.ops.corruption import KINDS, SEVERITIES
from ddcl.data.ops.parameters import Params
from ddcl.schema.ops import CorruptionSettings, build_settings

ALL = [*KINDS]
WITHOUT_DRAWS = {"defocus_blur", "zoom_blur", "brightness", "contrast", "pixelate", "jpeg_compression"}
# These add light of their own and fade the image: their severity is in what they hide.
HIDING = {"frost", "fog"}
# The published numbers move the image most at severity 2 (elastic), and are as good as tied at 2 and 3 (snow).
CHAINS = {"elastic_transform": [(1, 2), (3, 4, 5)], "snow": [(1, 2, 4, 5), (1, 3, 4, 5)]}


def natural_images(n: int, height: int, width: int) -> Tensor:
    """Images [n, 3, H, W] in [0, 1] of 8 bits with the 1/f spectrum of photographs."""
    random = torch.Generator().manual_seed(0)
    frequency = torch.hypot(torch.fft.fftfreq(height)[:, None], torch.fft.fftfreq(width)[None])
    noise = torch.randn(n, 3, height, width, generator=random) * 0.4 + torch.randn(
        n, 1, height, width, generator=random
    )
    x = torch.fft.ifft2(torch.fft.fft2(noise) / frequency.clamp(min=1 / width)).real
    x = (x - x.mean((1, 2, 3), keepdim=True)) / x.std((1, 2, 3), keepdim=True)
    return (0.45 + 0.22 * x).clamp(0, 1).mul(255).round() / 255


def seeds(n: int, size_px: tuple[int, int] = (32, 32)) -> Params:
    return corruption.sample(Draws(7, torch.arange(n)), "0:corruption", size_px, settings("fog", 1))


def settings(kind: Any, severity: int) -> CorruptionSettings:
    return CorruptionSettings(kind=kind, severity=severity)


def corrupt(x: Tensor, kind: str, severity: int, params: Params | None = None) -> Tensor:
    return corruption.apply(x.clone(), params or seeds(len(x)), settings(kind, severity))


def similarity(x: Tensor, y: Tensor) -> float:
    """Return the mean correlation of each image of x with its own of y."""
    x, y = (v.flatten(1) - v.mean((1, 2, 3))[:, None] for v in (x, y))
    return torch.nn.functional.cosine_similarity(x, y).mean().item()


def test_every_kind_of_the_settings_is_there() -> None:
    kinds = CorruptionSettings.model_json_schema()["properties"]["kind"]["enum"]
    assert list(KINDS) == list(SEVERITIES) == kinds
    assert len(kinds) == 15
    assert {len(numbers) for numbers in SEVERITIES.values()} == {5}


@pytest.mark.parametrize(("height", "width"), [(32, 32), (64, 64), (28, 40), (1, 1)])
@pytest.mark.parametrize("kind", ALL)
def test_finite_in_range_and_of_the_same_shape(kind: str, height: int, width: int) -> None:
    black_and_white = torch.stack([torch.zeros(3, height, width), torch.ones(3, height, width)])
    x = torch.cat([natural_images(2, height, width).nan_to_num(0.5), black_and_white])
    for severity in range(1, 6):
        y = corrupt(x, kind, severity)
        assert (y.shape, y.dtype) == (x.shape, torch.float32)
        assert y.isfinite().all()
        assert y.min() >= 0
        assert y.max() <= 1


@pytest.mark.parametrize("side_px", [32, 64])
@pytest.mark.parametrize("kind", ALL)
def test_grows_with_the_severity(kind: str, side_px: int) -> None:
    x = natural_images(24, side_px, side_px)
    corrupted = {severity: corrupt(x, kind, severity) for severity in range(1, 6)}
    if kind in HIDING:
        harm = {severity: 1 - similarity(x, y) for severity, y in corrupted.items()}
    else:
        harm = {severity: (y - x).square().mean().sqrt().item() for severity, y in corrupted.items()}
    assert min(harm.values()) > 0.02
    for chain in CHAINS.get(kind, [(1, 2, 3, 4, 5)]):
        assert all(harm[low] < harm[high] for low, high in pairwise(chain)), harm


@pytest.mark.parametrize("kind", ALL)
def test_depends_on_the_image_and_its_seed_only(kind: str) -> None:
    x = natural_images(6, 32, 32)
    params = seeds(6)
    np.random.seed(0)
    before = np.random.get_state()[1].copy()  # type: ignore[union-attr,index]
    whole = corrupt(x, kind, 3, params)
    np.random.seed(0)
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index]
    order = torch.tensor([4, 1, 3])
    assert torch.equal(corrupt(x[order], kind, 3, {"seed": params["seed"][order]}), whole[order])
    other = corrupt(x, kind, 3, {"seed": params["seed"] + 1})
    assert torch.equal(other, whole) is (kind in WITHOUT_DRAWS)


def test_the_seed_is_a_draw_of_the_image() -> None:
    seed = seeds(1000)["seed"]
    assert (seed.dtype, seed.shape) == (torch.int64, (1000,))
    assert len(seed.unique()) == 1000
    assert seed.min() >= 0
    assert 2**47 < seed.max() < 2**48
    own = Draws(7, torch.tensor([5, 2]))
    assert torch.equal(corruption.sample(own, "0:corruption", (8, 8), settings("snow", 5))["seed"], seed[[5, 2]])
    assert not torch.equal(corruption.sample(own, "1:corruption", (8, 8), settings("snow", 5))["seed"], seed[[5, 2]])


@pytest.mark.parametrize(("severity", "added"), [*enumerate([0.1, 0.2, 0.3, 0.4, 0.5], start=1)])
def test_brightness_adds_to_the_value_and_keeps_hue_and_saturation(severity: int, added: float) -> None:
    x = torch.tensor([[0.4, 0.2, 0.1], [0.0, 0.0, 0.0], [0.5, 0.95, 0.0]]).T.reshape(1, 3, 1, 3)
    top = min(1.0, 0.95 + added)
    expected = [[(0.4 + added) * share for share in (1, 0.5, 0.25)], [added] * 3, [top * 0.5 / 0.95, top, 0.0]]
    torch.testing.assert_close(corrupt(x, "brightness", severity), torch.tensor(expected).T.reshape(1, 3, 1, 3))


@pytest.mark.parametrize(("severity", "left"), [*enumerate([0.4, 0.3, 0.2, 0.1, 0.05], start=1)])
def test_contrast_draws_each_channel_to_its_mean(severity: int, left: float) -> None:
    x = torch.tensor([[0.0, 1.0], [0.2, 0.4], [0.5, 0.5]]).reshape(1, 3, 1, 2)
    middle, half = torch.tensor([0.5, 0.3, 0.5]), torch.tensor([0.5, 0.1, 0.0])
    expected = torch.stack([middle - left * half, middle + left * half], 1).reshape(1, 3, 1, 2)
    torch.testing.assert_close(corrupt(x, "contrast", severity), expected)


def test_pixelate_by_half_and_by_a_quarter_means_blocks() -> None:
    x = torch.randint(0, 256, (2, 3, 32, 16), generator=torch.Generator().manual_seed(1)).float() / 255
    for severity, block in ((2, 2), (5, 4)):
        # Pillow rounds to 8 bits after the rows and again after the columns
        means = torch.nn.functional.avg_pool2d(x, block).repeat_interleave(block, 2).repeat_interleave(block, 3)
        torch.testing.assert_close(corrupt(x, "pixelate", severity), means, atol=1.01 / 255, rtol=0)


@pytest.mark.parametrize(("severity", "quality"), [*enumerate([25, 18, 15, 10, 7], start=1)])
def test_jpeg_is_pillows(severity: int, quality: int) -> None:
    x = natural_images(1, 24, 40)
    file = io.BytesIO()
    Image.fromarray((x[0] * 255).round().byte().permute(1, 2, 0).numpy()).save(file, "JPEG", quality=quality)
    expected = torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1).float() / 255
    assert torch.equal(corrupt(x, "jpeg_compression", severity)[0], expected)


def test_noise_has_the_published_moments() -> None:
    x = torch.full((4, 3, 64, 64), 0.5)
    assert (corrupt(x, "gaussian_noise", 1) - x).std().item() == pytest.approx(0.08, rel=0.02)
    assert corrupt(x, "shot_noise", 1).std().item() == pytest.approx((0.5 / 60) ** 0.5, rel=0.02)
    impulse = corrupt(x, "impulse_noise", 5)
    assert (impulse == 0).float().mean().item() == pytest.approx(0.135, rel=0.05)
    assert (impulse == 1).float().mean().item() == pytest.approx(0.135, rel=0.05)


@pytest.mark.parametrize("kind", ["defocus_blur", "glass_blur", "motion_blur", "zoom_blur", "elastic_transform"])
def test_moving_and_mixing_pixels_leaves_a_plain_image_alone(kind: str) -> None:
    x = torch.tensor([0.2, 0.5, 0.9])[None, :, None, None].expand(1, 3, 24, 32)
    torch.testing.assert_close(corrupt(x, kind, 5), x, atol=1e-5, rtol=0)


def test_defocus_spreads_a_point_over_a_disc() -> None:
    x = torch.zeros(1, 3, 224, 224)
    x[..., 112, 112] = 1
    y = corrupt(x, "defocus_blur", 5)[0, 0]
    row, column = torch.meshgrid(torch.arange(224) - 112, torch.arange(224) - 112, indexing="ij")
    distance = torch.hypot(row.float(), column.float())
    assert y.sum().item() == pytest.approx(1, abs=1e-3)
    assert y[distance > 11.5].max() < 1e-6
    inside = y[distance < 8.5]
    torch.testing.assert_close(inside, torch.full_like(inside, 1 / (np.pi * 10**2)), rtol=0.1, atol=0)


@pytest.mark.parametrize(
    "values",
    [{"kind": "fogg", "severity": 1}, {"kind": "fog", "severity": 0}, {"kind": "fog", "severity": 6}, {"kind": "fog"}],
)
def test_kinds_and_severities_that_do_not_exist_are_errors(values: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="corruption"):
        build_settings("corruption", values, "test")
