"""What diverged after the training has no value and says so; what is there already stays until the new is whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from ddcl.base.errors import UserError
from ddcl.build import build_method
from ddcl.core.checkpoint import save_checkpoint
from ddcl.data.images import ArrayImages
from ddcl.evaluate import features, finetune, online
from ddcl.evaluate.features import extract
from ddcl.evaluate.protocols import column_sets, evaluate_features
from ddcl.evaluate.record import _cells
from ddcl.plan.addresses import data_folder
from ddcl.schema import feature_index
from ddcl.schema.feature_index import CLEAN_DRAW
from ddcl.schema.manifest import Manifest
from ddcl.schema.op_recipes import read_perturbation
from ddcl.schema.recipes import build_recipe, data_recipe
from ddcl.schema.suites import RandomSubsetsConfig
from tests.unit.made_run import write_data
from tests.unit.test_image_protocols import Stored, digits, features_of, finetune_settings, online_settings, task_of
from tests.unit.test_records import LABELS, job, outcome

__all__ = ["digits"]  # a fixture
Images = dict[str, ArrayImages]


def test_a_probe_that_diverged_predicts_nothing_and_the_others_go_on(
    digits: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = task_of(digits, tmp_path, n_train=64)
    sets, tests = {"full": [np.arange(32)], "dir": [np.arange(20)]}, Stored({CLEAN_DRAW: features_of(task)[1]})
    plain = online.new_classifier

    def broken(width: int, n_classes: int, names: tuple[object, ...]) -> torch.nn.Linear:
        made = plain(width, n_classes, names)
        if width == 20:
            made.weight.data[0, 0] = float("inf")
        return made

    monkeypatch.setattr(online, "new_classifier", broken)
    found = online.evaluate(task, sets, tests, online_settings(epochs=1))  # type: ignore[arg-type]
    assert found["dir"][0].predictions == {}
    assert set(found["full"][0].predictions) == {"top1", "top1_best_test_epoch"}


def test_a_fine_tuning_that_diverged_ends_and_predicts_nothing(digits: Images, tmp_path: Path) -> None:
    task = task_of(digits, tmp_path, n_train=64)
    settings = finetune_settings(epochs=50, lr_backbone=1e6, lr_classifier=1e6)
    assert finetune.evaluate(task, settings).predictions == {}


def test_cells_of_what_diverged_have_no_value() -> None:
    found = {"full": [outcome(none_0=[1, 1, 1, 0])], "dir": [replace(outcome(none_0=[1, 1, 1, 1]), predictions={})]}
    cells, arrays = _cells(replace(job("ddcl"), perturbations=["none"]), found, LABELS)
    values = {(cell.part, cell.metric): (cell.value, cell.n) for cell in cells}
    assert values["full", "top1"] == (0.75, 4)
    assert values["dir", "top1"] == (None, 0)
    assert set(arrays) == {"labels", "top1/full/none"}


@pytest.mark.parametrize("dir_frac", [0.001, 0.999])
def test_a_control_without_columns_is_refused(dir_frac: float) -> None:
    with pytest.raises(
        UserError, match=f"dir_frac {dir_frac} of 64 features gives random_dir .* each needs at least one"
    ):
        column_sets({"full": (0, 64)}, job(subsets=RandomSubsetsConfig(draws=2, dir_frac=dir_frac)))


def run_with(folder: Path, scale: float) -> tuple[Manifest, features.Target]:
    """Write prepared data, and the checkpoint of a collapsed run whose features have this scale."""
    data, recipe = write_data(folder), build_recipe(("digits", "simsiam", "baug"), 0, {})
    method = build_method(recipe)
    for name, value in method.state_dict().items():
        if name.startswith("encoder") and value.is_floating_point() and "running" not in name:
            value.mul_(scale)
    content = {"recipe_digest": recipe.digest, "status": "collapsed", "method": method.state_dict()}
    save_checkpoint(folder / "checkpoint.pt", content)
    manifest_path = folder / data_folder("digits", data_recipe("digits")) / "manifest.json"
    return data, features.Target("digits", manifest_path, folder / "arrays", "d" * 16)


def test_features_that_are_not_finite_are_no_features_and_no_failure(tmp_path: Path) -> None:
    data, target = run_with(tmp_path, 1e6)
    recipe = build_recipe(("digits", "simsiam", "baug"), 0, {})
    extract(recipe, tmp_path, data, target, [read_perturbation("none")], ("cpu", 0))
    index = feature_index.load(target.folder)
    assert (index.status, index.train, index.test) == ("diverged", None, None)
    assert [path.name for path in target.folder.iterdir()] == ["features.json"]
    result = evaluate_features(replace(job(), features=target.folder, recipe=recipe))
    assert (result.status, result.labels) == ("diverged", None)


def test_a_failed_extraction_leaves_the_good_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, target = run_with(tmp_path, 1.0)
    recipe = build_recipe(("digits", "simsiam", "baug"), 0, {})

    def run() -> None:
        extract(recipe, tmp_path, data, target, [read_perturbation("none")], ("cpu", 0))

    run()
    before = {path.name: path.read_bytes() for path in target.folder.iterdir()}
    assert "train.npy" in before
    monkeypatch.setattr(features, "_write_test", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        run()
    assert {path.name: path.read_bytes() for path in target.folder.iterdir()} == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]
    monkeypatch.undo()
    (target.folder / "leftover").touch()
    run()
    assert {path.name for path in target.folder.iterdir()} == set(before)
