"""The doctor: every stage of every kind of data set is measured, and the slowest is named."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ddcl import doctor
from ddcl.data.files import FileImages
from ddcl.data.images import ArrayImages
from ddcl.data.prepare import prepare
from ddcl.schema.recipes import Recipe, build_recipe


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "SECONDS", 0.0)


def small(dataset: str, side_px: int) -> Recipe:
    backbone = {"block": "basic", "blocks": [1, 1], "widths": [16, 16]}
    recipe = build_recipe((dataset, "ddcl", "caug"), 0, {"batch_size": 8, "backbone": backbone})
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"image_side_px": side_px})})


@pytest.mark.parametrize(("dataset", "side_px", "kind"), [("cifar10", 32, ArrayImages), ("imagenette", 64, FileImages)])
def test_all_stages_are_measured(dataset: str, side_px: int, kind: type, tmp_path: Path) -> None:
    recipe = small(dataset, side_px)
    assert isinstance(doctor.made_up_images(recipe, tmp_path, 0), kind)
    rates = doctor.measure(recipe, "cpu", 0, tmp_path / "manifest.json")
    assert min(rates.loading, rates.augmentation, rates.step, rates.training) > 0
    text = doctor.describe(recipe, "cpu", 1, rates)
    assert f"bottleneck: {rates.bottleneck}." in text
    assert all(stage in text for stage in ("loading", "augmentation", "step", "training", f"{side_px} px, batch 8"))
    assert f"made-up images (`ddcl prepare {dataset}` was not run here)" in text


def test_a_prepared_data_set_is_measured_on_its_own_images(tmp_path: Path) -> None:
    recipe = small("digits", 16)
    manifest = prepare("digits", tmp_path, tmp_path)
    found = doctor.material(recipe, tmp_path / "manifest.json", tmp_path, 0)
    assert isinstance(found.images, ArrayImages)
    assert (found.words, found.n_images) == ("its own images", 898)
    assert found.normalisation == manifest.normalisation
    own = {image.tobytes() for image in np.load(tmp_path / "splits/train_images.npy")}
    assert len(found.images) == doctor.BATCHES * 8
    assert all(image.numpy().tobytes() in own for image in found.images.images)


def test_the_bottleneck_is_the_slowest_stage() -> None:
    assert doctor.Rates(900, 50, 70, 30, "bf16", "", 0).bottleneck == "augmentation"
    assert doctor.Rates(20, 50, 70, 15, "bf16", "", 0).bottleneck == "loading"


def test_a_batch_for_a_gpu_is_cut_on_a_cpu_only() -> None:
    recipe = build_recipe(("imagenet100", "ddcl", "caug"), 0, {})
    assert doctor.fitting(recipe, "cuda") is recipe
    fitted = doctor.fitting(recipe, "cpu").training
    assert fitted.batch_size == 2**21 // 224**2 < recipe.training.batch_size
    assert doctor.fitting(build_recipe(("cifar10", "ddcl", "caug"), 0, {}), "cpu").training.batch_size >= 128
