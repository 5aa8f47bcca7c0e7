"""What was drawn, in numbers: by the compiled draws of real pipelines, and by hand."""

from __future__ import annotations

import numpy as np
import torch

from ddcl.core.drawn import NUMBERS, told, width
from ddcl.core.seeds import Draws
from ddcl.data.ops import color_jitter, elastic, gaussian_blur, grayscale, horizontal_flip, resized_crop, rotation
from ddcl.schema.ops import build_settings
from ddcl.schema.recipes import build_recipe
from tests.golden import compare

SAMPLE = {
    "resized_crop": resized_crop.sample,
    "color_jitter": color_jitter.sample,
    "gaussian_blur": gaussian_blur.sample,
    "grayscale": grayscale.sample,
    "horizontal_flip": horizontal_flip.sample,
    "rotation": rotation.sample,
    "elastic": elastic.sample,
}


def test_the_numbers_are_those_written_out() -> None:
    params = compare.drawn(3)
    found = told(params, compare.OPS).numpy()
    assert found.shape == (compare.B, width(compare.OPS)) == (8, 11)
    np.testing.assert_allclose(found, compare.all_that_is_told(params), rtol=1e-6, atol=1e-7)
    assert np.abs(found[-1, 4:]).max() == 0


def test_numbers_of_real_draws_lie_between_minus_one_and_one() -> None:
    recipe = build_recipe(("digits", "ddcl", "caug_plus"), 0, {})
    ops = [(item.op, item.settings) for item in recipe.ops]
    assert {op for op, _ in ops} == set(NUMBERS)
    draws = Draws(0, torch.arange(500))
    params = {op: SAMPLE[op](draws, op, (16, 16), build_settings(op, own, "t")) for op, own in ops}  # type: ignore[operator]
    found = told(params, ops)
    assert found.shape == (500, width(ops))
    assert found.abs().max() <= 1
    assert (found.std(dim=0) > 0.02).all()
