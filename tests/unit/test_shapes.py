"""The drawn data set: the same bytes everywhere, factors that are what they say, stored and checked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from ddcl.base.errors import UserError
from ddcl.data.manifest import array_sha256, split_path
from ddcl.data.prepare import prepare
from ddcl.data.readers.shapes import SHAPES, draw_factors, draw_images, draw_split
from ddcl.data.stored import read_factors
from ddcl.schema.recipes import read_dataset
from ddcl.schema.registry import READERS

SIDE = 32
CENTRED = {"shape": 4, "texture": 0, "hue": 0.0, "x": 0.0, "y": 0.0, "angle_deg": 0.0, "scale": 0.3, "grey": 0.2}


def drawn(side: int = SIDE, **changes: list[float]) -> np.ndarray:
    n = max(map(len, changes.values()))
    factors = {name: np.full(n, value, float) for name, value in CENTRED.items()}
    return draw_images(factors | {name: np.array(own, float) for name, own in changes.items()}, side)


def test_bytes_depend_on_the_seed_only() -> None:
    split = draw_split(300, SIDE, 0, "train")
    assert array_sha256(split.images) == IMAGES_SHA256
    assert split.images.shape == (300, 3, SIDE, SIDE)
    assert np.bincount(split.labels).tolist() == [50] * len(SHAPES)
    assert np.array_equal(split.labels, split.factors["shape"])
    for other in (draw_split(300, SIDE, 1, "train"), draw_split(300, SIDE, 0, "test")):
        assert not np.array_equal(other.images, split.images)


def test_factors_are_independent_and_cover_their_ranges() -> None:
    factors = draw_factors(6000, 0, "train")
    correlation = np.corrcoef(np.stack(list(factors.values())))
    assert np.abs(correlation - np.eye(len(factors))).max() < 0.05
    assert -30 <= factors["angle_deg"].min() < -29.8
    assert 29.8 < factors["angle_deg"].max() < 30
    assert sorted(set(factors["texture"])) == [0, 1, 2, 3]


def test_the_angle_is_that_of_the_rotation_of_an_image() -> None:
    upright, turned = torch.from_numpy(drawn(side=64, angle_deg=[0, 40]))
    expected = tv.rotate(upright, 40, InterpolationMode.BILINEAR, fill=[int(v) for v in upright[:, 0, 0]])
    assert float((turned.float() - expected.float()).abs().mean()) < 2
    assert float((turned.float() - upright.float()).abs().mean()) > 6


@pytest.mark.parametrize("shape", range(len(SHAPES)))
def test_no_shape_is_its_own_turned_or_mirrored_image(shape: int) -> None:
    angles = list(range(0, 360, 10))
    turned = drawn(shape=[shape] * 36, angle_deg=angles).astype(int)
    assert np.abs(turned[1:] - turned[0]).mean(axis=(1, 2, 3)).min() > 1.5
    mirrored = turned[0, :, :, ::-1]
    assert np.abs(turned - mirrored).mean(axis=(1, 2, 3)).min() > 1.5


def test_position_scale_and_colour_are_as_said() -> None:
    still, right, down = drawn(x=[0, 4 / SIDE, 0], y=[0, 0, 4 / SIDE])
    assert np.array_equal(right[:, :, 4:], still[:, :, :-4])
    assert np.array_equal(down[:, 4:], still[:, :-4])
    small, large = drawn(scale=[0.2, 0.4]).astype(int)
    areas = [(np.abs(image - image[:, :1, :1]).sum(axis=0) > 60).sum() for image in (small, large)]
    assert areas[1] / areas[0] == pytest.approx(4, rel=0.2)
    red, green = drawn(hue=[0, 1 / 3])
    assert red[0].max() > red[1].max()
    assert np.array_equal(red[0], green[1])
    levels = np.unique(drawn(angle_deg=[17])[0, 0])
    assert 5 < len(levels) <= 17  # edges are smooth: shares of 16 points
    plain, striped = drawn(texture=[0, 1])
    assert not np.array_equal(plain, striped)


def test_prepared_with_factors_that_are_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = read_dataset("shapes").model_copy(
        update={"settings": {"n_train": 60, "n_test": 30, "seed": 0}, "n_images": {"train": 60, "test": 30}}
    )
    monkeypatch.setattr("ddcl.schema.recipes.read_dataset", lambda name: small)
    monkeypatch.setattr("ddcl.data.prepare.read_dataset", lambda name: small)
    manifest = prepare("shapes", tmp_path, tmp_path)
    path = tmp_path / "manifest.json"
    assert "shapes" in READERS
    factors = read_factors(path, manifest, "test")
    assert list(factors) == ["shape", "texture", "hue", "x", "y", "angle_deg", "scale", "grey"]
    assert np.array_equal(factors["hue"], draw_factors(30, 0, "test")["hue"])
    changed = np.load(split_path(tmp_path, "test", "factors"))
    changed[0, 0] += 1
    np.save(split_path(tmp_path, "test", "factors"), changed)
    with pytest.raises(UserError, match=r"test_factors\.npy: does not match manifest\.json"):
        read_factors(path, manifest, "test")
    unknown = manifest.splits["test"].model_copy(update={"factors": ()})
    assert read_factors(path, manifest.model_copy(update={"splits": {"test": unknown}}), "test") == {}


IMAGES_SHA256 = "3d0b978368595683474147fd7bd3f6249339938602afb4b67a1e41cce69234e3"
