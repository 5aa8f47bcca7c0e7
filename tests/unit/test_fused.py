"""The compiled CPU backend gives what the operations on tensors give, for any batch and any number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor

from ddcl.build import build_method, build_pipeline
from ddcl.core.pretrain import Pretraining
from ddcl.core.seeds import Draws
from ddcl.data import fused
from ddcl.data.images import ArrayImages
from ddcl.data.loader import TwoViewLoader
from ddcl.data.views import Pipeline
from ddcl.evaluate.encode import encode
from ddcl.evaluate.neighbours import knn_predict
from ddcl.schema.ops import build_settings
from ddcl.schema.recipes import build_recipe
from ddcl.schema.suites import NormalisationConfig

BAUG = ["resized_crop", "color_jitter", "grayscale", "gaussian_blur", "horizontal_flip"]
RECIPES = {
    "baug": BAUG,
    "caug": [*BAUG, "rotation"],
    "caug_plus": [*BAUG, "rotation", "elastic"],
    "test images": ["rotation", "color_jitter", "elastic"],
    "blurred twice": ["gaussian_blur", "grayscale", "gaussian_blur"],
}


def pipeline(names: list[str], side: int, compiled: bool = True, **values: object) -> Pipeline:
    recipe = [(name, build_settings(name, dict(values), "test")) for name in names]
    return Pipeline(recipe, side, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4), compiled)


def pixels(n: int, side: int) -> Tensor:
    """Smooth images with some noise, every eighth grey."""
    x = torch.rand(n, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    x = torch.nn.functional.interpolate(x, (side, side), mode="bilinear")
    x[::8] = x[::8, :1]
    return (x * 240 + torch.rand(x.shape, generator=torch.Generator().manual_seed(2)) * 15).round().to(torch.uint8)


@pytest.fixture
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def assert_same(found: Tensor, wanted: Tensor) -> None:
    """Rotation is nearest: a pixel at a tie may go to either neighbour, and all that reads it later."""
    wrong = (found - wanted).abs() > 2e-4
    assert float(wrong.float().mean()) < 1e-3


@pytest.mark.parametrize("names", RECIPES.values(), ids=list(RECIPES))
@pytest.mark.parametrize(("side", "stored"), [(16, 16), (33, 45), (80, 61)])
def test_recipes(names: list[str], side: int, stored: int) -> None:
    x, draws = pixels(24, stored if "resized_crop" in names else side), Draws(9, torch.arange(24), epoch=2, view=1)
    assert_same(pipeline(names, side)(x, draws), pipeline(names, side, compiled=False)(x, draws))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("color_jitter", {"hue": 0.5, "saturation": 1.0}),
        ("grayscale", {}),
        ("gaussian_blur", {}),
        ("gaussian_blur", {"scale_with_side": False, "sigma_px": [3.0, 5.0]}),  # wider than the image
        ("horizontal_flip", {}),
        ("rotation", {"interpolation": "bilinear", "degrees_max": 180.0}),
        ("elastic", {}),
        ("elastic", {"scale_with_side": False}),
    ],
)
@pytest.mark.parametrize("side", [1, 2, 17, 32])
def test_each_operation_by_itself(name: str, values: dict[str, object], side: int) -> None:
    x, draws = pixels(32, side), Draws(4, torch.arange(32))
    found = pipeline([name], side, prob=1.0, **values)(x, draws)
    wanted = pipeline([name], side, compiled=False, prob=1.0, **values)(x, draws)
    torch.testing.assert_close(found, wanted, atol=2e-4, rtol=0)


@pytest.mark.parametrize("side", [5, 16, 40, 97])
def test_crops_of_any_shape(side: int) -> None:
    x, draws = pixels(48, 53)[:, :, :41], Draws(3, torch.arange(48))
    values = {"scale": [0.02, 1.0], "ratio": [0.3, 3.0]}
    found, wanted = (pipeline(["resized_crop"], side, compiled, **values)(x, draws) for compiled in (True, False))
    torch.testing.assert_close(found, wanted, atol=1e-4, rtol=0)


def test_a_crop_that_was_cut_while_decoding_is_left_out() -> None:
    x, draws = pixels(12, 20), Draws(3, torch.arange(12))
    found, wanted = (pipeline(BAUG, 20, compiled)(x, draws, cropped=True) for compiled in (True, False))
    assert_same(found, wanted)


@pytest.mark.usefixtures("two_threads")
def test_neither_threads_nor_batch_move_a_bit() -> None:
    x, names = pixels(37, 24), RECIPES["caug_plus"]
    whole = pipeline(names, 24)(x, Draws(9, torch.arange(37)))
    torch.set_num_threads(1)
    assert torch.equal(pipeline(names, 24)(x, Draws(9, torch.arange(37))), whole)
    order = torch.randperm(37)
    for index in (order[:1], order[1:20], order[20:], order[:0]):
        assert torch.equal(pipeline(names, 24)(x[index], Draws(9, index)), whole[index])


class InWorker(torch.utils.data.Dataset[Tensor]):
    """Makes the views of item i in the worker."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, i: int) -> Tensor:
        return pipeline(BAUG, 16)(pixels(8, 16), Draws(9, torch.arange(8)))


@pytest.mark.usefixtures("two_threads")
def test_a_forked_worker_does_not_wait_for_threads_of_its_parent() -> None:
    here = InWorker()[0]
    for found in torch.utils.data.DataLoader(InWorker(), batch_size=None, num_workers=1, timeout=60):
        assert torch.equal(found, here)


def test_what_is_not_compiled_runs_on_tensors() -> None:
    recipe = [("corruption", build_settings("corruption", {"kind": "fog", "severity": 3}, "test"))]
    assert not fused.supports(recipe)
    crop = [(name, build_settings(name, {}, "test")) for name in ("horizontal_flip", "resized_crop")]
    assert not fused.supports(crop)
    x, draws = pixels(4, 20), Draws(3, torch.arange(4))
    assert pipeline(["horizontal_flip", "resized_crop"], 12)(x.repeat(1, 1, 1, 1), draws).shape == (4, 3, 12, 12)


@pytest.mark.slow
def test_training_ends_equally_well_with_either_backend(tmp_path: Path) -> None:
    """kNN accuracy on digits after 4 epochs: the means over three seeds differ by less than the seeds do."""
    loaded = load_digits()
    images = torch.from_numpy(loaded.images * (255 / 16)).round().to(torch.uint8)[:, None].repeat(1, 3, 1, 1)  # 8 px
    labels = torch.from_numpy(loaded.target)
    data, test = ArrayImages(images[:1347], labels[:1347], 16), ArrayImages(images[1347:], labels[1347:], 16)
    accuracy: dict[bool, list[float]] = {True: [], False: []}
    normalisation = NormalisationConfig(mean=[0.3] * 3, std=[0.35] * 3)
    for seed, compiled in product(range(3), (True, False)):
        recipe = build_recipe(("digits", "simsiam", "caug"), seed, {"epochs": 4, "schedule": {"warmup_epochs": 0}})
        views = build_pipeline(recipe.ops, 16, normalisation)
        views.compiled = compiled
        loader = TwoViewLoader(data, views, recipe.training.batch_size, ("digits", seed), "cpu")
        run = Pretraining(
            build_method(recipe), loader, lambda method: {"effective_rank": 9.0}, recipe.training, ("r", "c"), seed
        )
        run.run(tmp_path / f"{seed}{compiled}")
        clean = (build_pipeline([], 16, normalisation), 0, 0)
        bank, queries = (encode(run.method, split, clean) for split in (data, test))
        (predicted,) = knn_predict((bank, data.labels), queries, [20], 0.1)
        accuracy[compiled].append(float((predicted == test.labels).float().mean()))
    spread = max(max(values) - min(values) for values in accuracy.values())
    difference = abs(sum(accuracy[True]) - sum(accuracy[False])) / 3
    assert difference < max(spread, 0.01), accuracy
