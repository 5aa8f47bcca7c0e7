"""The protocols that train on images: the online probe and fine-tuning."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ddcl.base.errors import TemporaryError, UserError
from ddcl.base.yaml_files import NoSettings
from ddcl.build import build_method, build_pipeline
from ddcl.core.pretrain import Pretraining
from ddcl.core.resume import SavedStates
from ddcl.data.images import ArrayImages
from ddcl.data.loader import TwoViewLoader
from ddcl.data.readers.arrays import read_digits
from ddcl.data.readers.source import Request
from ddcl.evaluate import finetune, linear, online
from ddcl.evaluate.encode import encode
from ddcl.evaluate.protocols import Job, _image_task
from ddcl.evaluate.sgd import ImageTask, SgdTraining
from ddcl.evaluate.store import Features, FeatureTask
from ddcl.plan.addresses import data_folder
from ddcl.schema.evaluations import FinetuneSettings, LinearSettings, OnlineSettings
from ddcl.schema.feature_index import CLEAN_DRAW, Draw
from ddcl.schema.recipes import build_recipe, read_evaluation
from ddcl.schema.registry import EVALUATIONS, TOP1, TOP1_BEST_TEST
from ddcl.schema.suites import NormalisationConfig
from tests.contract.toy import no_monitor
from tests.unit.made_run import write_data

NORMALISATION = NormalisationConfig(mean=[0.5] * 3, std=[0.25] * 3)
STILL = {"crop_scale": [1.0, 1.0], "flip": False}  # nothing is drawn but the order


class Stored(dict[Draw, Features]):
    """Test features in memory, with the interface of those on disk."""

    @property
    def draws(self) -> list[Draw]:
        return list(self)


@pytest.fixture(scope="module")
def digits() -> dict[str, ArrayImages]:
    request = Request("digits", NoSettings(), 16, Path(), False, "")
    return {
        name: ArrayImages(torch.from_numpy(split.images), torch.from_numpy(split.labels), 16)
        for name, split in read_digits(request).items()
    }


def task_of(digits: dict[str, ArrayImages], tmp_path: Path, n_train: int | None = None) -> ImageTask:
    recipe = build_recipe(("digits", "random_init", "none"), 0, {})
    method = build_method(recipe).eval().requires_grad_(False)
    train = digits["train"] if n_train is None else digits["train"].subset(torch.arange(n_train))
    names = ("digits", 0)
    return ImageTask(recipe, method, train, digits["test"], names, 10, NORMALISATION, tmp_path / "state.pt", ["a", "b"])


def features_of(task: ImageTask) -> tuple[Features, Features]:
    pipeline = build_pipeline([], 16, NORMALISATION)
    found = [encode(task.method, images, (pipeline, 0, 0)).numpy() for images in (task.train, task.test)]
    return Features(found[0], task.train.labels.numpy()), Features(found[1], task.test.labels.numpy())


def accuracy(predicted: NDArray[np.int64], task: ImageTask) -> float:
    return float((predicted == task.test.labels.numpy()).mean())


def online_settings(**values: Any) -> OnlineSettings:
    usual = {"epochs": 30, "batch_size": 128, "weight_decay": 0.0, "lr_classifier": 30.0}
    return OnlineSettings.model_validate(usual | STILL | values)


# --- the online probe


@pytest.mark.slow
@pytest.mark.parametrize(("lr", "tolerance"), [(30.0, 0.03), (3.0, 0.02)])
def test_the_online_and_the_fast_probe_agree_on_a_small_run(
    lr: float, tolerance: float, digits: dict[str, ArrayImages], tmp_path: Path
) -> None:
    """Both minimise the cross-entropy of the same features, if nothing is augmented; SGD with 30 is still noisy.

    Two probes of one accuracy that disagree on 4 % of the 899 test images differ by 0.7 points (sd), hence 2 points.
    """
    recipe = build_recipe(("digits", "simsiam", "baug"), 0, {"precision": "fp32"})
    pipeline = build_pipeline(recipe.ops, 16, NORMALISATION)
    loader = TwoViewLoader(digits["train"], pipeline, recipe.training.batch_size, ("digits", 0), "cpu")
    run = Pretraining(build_method(recipe), loader, no_monitor, recipe.training, ("r", "c"), 0)
    run.run(tmp_path)
    task = replace(task_of(digits, tmp_path), method=run.method.eval().requires_grad_(False))
    train, test = features_of(task)
    width = train.features.shape[1]
    columns = {"full": [np.arange(width)], "random_dvr": [np.arange(0, width, 5)]}
    settings = online_settings(epochs=200, lr_classifier=lr)
    slow = online.evaluate(task, columns, Stored({CLEAN_DRAW: test}), settings)  # type: ignore[arg-type]
    fast_settings = LinearSettings(l2_weights=[1e-5, 1e-4, 1e-3], holdout_frac=0.2, max_iterations=1000)
    fast = linear.evaluate(FeatureTask(train, {CLEAN_DRAW: test}, columns, 0), fast_settings)
    for part in columns:
        both = [accuracy(found[part][0].predictions[TOP1][CLEAN_DRAW], task) for found in (slow, fast)]
        assert min(both) > 0.75, part
        assert abs(both[0] - both[1]) < tolerance, part


def test_every_head_of_the_online_probe_trains_as_if_alone(digits: dict[str, ArrayImages], tmp_path: Path) -> None:
    """Parts share the images and the encoder, and nothing else."""
    task = task_of(digits, tmp_path, n_train=256)
    test = features_of(task)[1]
    sets = {"full": [np.arange(32)], "dir": [np.arange(20)], "random_dvr": [np.arange(3, 9), np.arange(9, 15)]}
    settings = online_settings(epochs=2)
    together = online.evaluate(task, sets, Stored({CLEAN_DRAW: test}), settings)  # type: ignore[arg-type]
    for part, columns in sets.items():
        for i, own in enumerate(columns):
            (tmp_path / "state.pt").unlink(missing_ok=True)
            alone = online.evaluate(task, {part: [own]}, Stored({CLEAN_DRAW: test}), settings)  # type: ignore[arg-type]
            assert np.array_equal(
                alone[part][0].predictions[TOP1][CLEAN_DRAW], together[part][i].predictions[TOP1][CLEAN_DRAW]
            )


def test_the_online_probe_leaves_the_encoder_alone(digits: dict[str, ArrayImages], tmp_path: Path) -> None:
    task = task_of(digits, tmp_path, n_train=128)
    before = {name: tensor.clone() for name, tensor in task.method.state_dict().items()}
    sets = {"full": [np.arange(32)]}
    online.evaluate(task, sets, Stored({CLEAN_DRAW: features_of(task)[1]}), online_settings(epochs=1))  # type: ignore[arg-type]
    assert all(torch.equal(before[name], tensor) for name, tensor in task.method.state_dict().items())


def test_the_best_epoch_is_chosen_on_clean_images_in_whatever_order_they_come(
    digits: dict[str, ArrayImages], tmp_path: Path
) -> None:
    task = task_of(digits, tmp_path, n_train=256)
    clean, turned = features_of(task)[1], Draw("turned", 0)
    noise = np.random.default_rng(0).normal(size=clean.features.shape).astype(np.float32)
    tests = {CLEAN_DRAW: clean, turned: replace(clean, features=noise)}
    settings, sets, best = online_settings(epochs=6), {"full": [np.arange(32)]}, []
    for order in (tests, dict(reversed(tests.items()))):  # the second goes on with the state that the first kept
        found = online.evaluate(task, sets, Stored(order), settings)  # type: ignore[arg-type]
        best.append(found["full"][0].predictions[TOP1_BEST_TEST][CLEAN_DRAW])
    (tmp_path / "state.pt").unlink()
    alone = online.evaluate(task, sets, Stored({CLEAN_DRAW: clean}), settings)  # type: ignore[arg-type]
    for each in best:
        assert np.array_equal(each, alone["full"][0].predictions[TOP1_BEST_TEST][CLEAN_DRAW])
    with pytest.raises(
        UserError, match="clean test images for the best epoch, found turned; add none to --perturbations"
    ):
        online.evaluate(task, sets, Stored({turned: clean}), settings)  # type: ignore[arg-type]


# --- fine-tuning


def finetune_settings(**values: Any) -> FinetuneSettings:
    usual = {"epochs": 4, "batch_size": 32, "weight_decay": 1e-4, "lr_classifier": 3.0, "lr_backbone": 0.03}
    return FinetuneSettings.model_validate(usual | values)


def test_the_classifier_has_a_rate_of_its_own_unless_the_official_mistake_is_asked_for(
    digits: dict[str, ArrayImages], tmp_path: Path
) -> None:
    """Official semi-supervised rates, 0.02 and 30, at batch 64: a quarter of each; by mistake 0.02 for both."""
    network = finetune.Network(task_of(digits, tmp_path))
    n_classifier = sum(p.numel() for p in network.classifier.parameters())
    n_encoder = sum(p.numel() for p in network.method.encoder.parameters())
    for mistake, expected in ((False, [0.005, 7.5]), (True, [0.005, 0.005])):
        settings = finetune_settings(
            batch_size=64, lr_classifier=30.0, lr_backbone=0.02, classifier_at_backbone_lr=mistake
        )
        groups = finetune._optimizer(network, settings).param_groups
        assert [group["top_lr"] for group in groups] == pytest.approx(expected)
        assert [sum(p.numel() for p in group["params"]) for group in groups] == [n_encoder, n_classifier]
    authors, ours = (read_evaluation(f"semi_1pct{end}")[1].settings for end in ("_authors", ""))
    assert authors["classifier_at_backbone_lr"]
    assert not ours["classifier_at_backbone_lr"]


def test_fine_tuning_trains_a_copy_on_the_list_only(digits: dict[str, ArrayImages], tmp_path: Path) -> None:
    task = task_of(digits, tmp_path)
    before = {name: tensor.clone() for name, tensor in task.method.state_dict().items()}
    outcome = finetune.evaluate(task, finetune_settings(subset="10pct", epochs=20))
    assert outcome.chosen == {"n_train": 90.0}
    assert accuracy(outcome.predictions[TOP1][CLEAN_DRAW], task) > 0.3  # from random weights; chance is 0.1
    assert accuracy(outcome.predictions[TOP1_BEST_TEST][CLEAN_DRAW], task) >= accuracy(
        outcome.predictions[TOP1][CLEAN_DRAW], task
    )
    assert all(torch.equal(before[name], tensor) for name, tensor in task.method.state_dict().items())


def test_the_best_test_epoch_is_the_first_of_the_best(digits: dict[str, ArrayImages], tmp_path: Path) -> None:
    """Scores by epoch 0.3, 0.9, 0.9, 0.5: the state after the second epoch is kept."""
    task = task_of(digits, tmp_path, n_train=64)
    network = finetune.Network(task)
    given, states = iter([0.3, 0.9, 0.9, 0.5]), []

    def scores() -> list[float]:
        states.append({name: tensor.clone() for name, tensor in network.state_dict().items()})
        return [next(given)]

    settings = finetune_settings()
    training = SgdTraining(
        [network],
        finetune._optimizer(network, settings),
        lambda x, y: torch.nn.functional.cross_entropy(network(x), y),
        scores,
        settings,
    )
    training.run(task)
    assert training.top == [0.9]
    assert all(torch.equal(training.best[0][name], tensor) for name, tensor in states[1].items())
    assert not torch.equal(states[1]["classifier.weight"], states[2]["classifier.weight"])


def predictions(protocol: str, digits: dict[str, ArrayImages], folder: Path) -> list[NDArray[np.int64]]:
    """Predictions after the last and after the best epoch of a short training that saves every epoch."""
    folder.mkdir(exist_ok=True)
    task = task_of(digits, folder, n_train=128)
    if protocol == "finetune":
        outcome = finetune.evaluate(task, finetune_settings(save_epochs=1))
    else:
        tests = Stored({CLEAN_DRAW: features_of(task)[1]})
        settings = online_settings(epochs=4, save_epochs=1, crop_scale=[0.3, 1.0], flip=True)
        outcome = online.evaluate(task, {"full": [np.arange(32)]}, tests, settings)["full"][0]  # type: ignore[arg-type]
    return [outcome.predictions[metric][CLEAN_DRAW] for metric in (TOP1, TOP1_BEST_TEST)]


@pytest.mark.parametrize("protocol", ["online", "finetune"])
def test_killed_and_resumed_equals_uninterrupted(
    protocol: str, digits: dict[str, ArrayImages], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = predictions(protocol, digits, tmp_path / "whole")
    follow, left = SgdTraining._follow, [3]

    def killing(self: SgdTraining) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt
        follow(self)

    monkeypatch.setattr(SgdTraining, "_follow", killing)
    with pytest.raises(KeyboardInterrupt):
        predictions(protocol, digits, tmp_path / "killed")
    monkeypatch.undo()
    epochs: list[int] = []
    monkeypatch.setattr(SgdTraining, "_set_rate", _noting(SgdTraining._set_rate, epochs))
    again = predictions(protocol, digits, tmp_path / "killed")
    assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))
    assert epochs == [2, 3]


@pytest.mark.parametrize("protocol", ["online", "finetune"])
def test_a_signal_in_the_middle_of_an_epoch_costs_no_step(
    protocol: str, digits: dict[str, ArrayImages], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pause, paused = SavedStates.pause, [0]

    def signalled(self: SavedStates, state: Any, due: bool = False) -> None:
        paused[0] += 1
        if paused[0] == moment:
            signal.raise_signal(signal.SIGTERM)
        pause(self, state, due)

    monkeypatch.setattr(SavedStates, "pause", signalled)
    moment = -1
    whole = predictions(protocol, digits, tmp_path / "whole")
    n, paused[0] = paused[0], 0
    moment = n // 2
    with pytest.raises(TemporaryError, match="SIGTERM"):
        predictions(protocol, digits, tmp_path / "stopped")
    again = predictions(protocol, digits, tmp_path / "stopped")
    assert paused[0] == n
    assert all(np.array_equal(a, b) for a, b in zip(whole, again, strict=True))


def _noting(set_rate: Any, epochs: list[int]) -> Any:
    def noted(self: SgdTraining, epoch: int) -> None:
        epochs.append(epoch)
        set_rate(self, epoch)

    return noted


def test_a_state_of_another_training_is_not_resumed(
    digits: dict[str, ArrayImages], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task = task_of(digits, tmp_path, n_train=64)
    tests = Stored({CLEAN_DRAW: features_of(task)[1]})
    sets = {"full": [np.arange(32)]}
    online.evaluate(task, sets, tests, online_settings(epochs=1))  # type: ignore[arg-type]
    task.identity[0] = "another checkpoint"
    again = online.evaluate(task, sets, tests, online_settings(epochs=2))  # type: ignore[arg-type]
    (tmp_path / "state.pt").unlink()
    fresh = online.evaluate(task, sets, tests, online_settings(epochs=2))  # type: ignore[arg-type]
    assert np.array_equal(
        again["full"][0].predictions[TOP1][CLEAN_DRAW], fresh["full"][0].predictions[TOP1][CLEAN_DRAW]
    )
    assert "not resumed" in "".join(capsys.readouterr())


def test_rates_of_the_sources() -> None:
    """Rates at batch 256 as in the sources (docs/protocols.md), which the configuration gives before scaling."""
    found = {name: read_evaluation(name)[1].settings for name in ("linear_online", "linear_lars", "finetune_b256")}
    assert (found["linear_online"]["lr_classifier"], found["linear_online"]["weight_decay"]) == (30.0, 0.0)
    assert (found["linear_lars"]["lr_classifier"], found["linear_lars"]["batch_size"]) == (0.1, 4096)
    assert found["linear_lars"]["lars"]
    assert found["finetune_b256"]["lr_backbone"] < found["finetune_b256"]["lr_classifier"]
    assert {metric.name for metric in EVALUATIONS["online"].metrics} == {"top1", "top1_best_test_epoch"}


def test_a_state_belongs_to_the_data_and_to_what_images_are_normalised_with(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    path = tmp_path / data_folder("digits", data.data) / "manifest.json"
    changed = data.normalisation.model_copy(update={"std": [0.4, 0.5, 0.7]})
    other = data.model_copy(update={"normalisation": changed})
    recipe = build_recipe(("digits", "simsiam", "baug"), 0, {})
    out = (tmp_path / "linear_online.json", "d")
    job = Job(recipe, read_evaluation("linear_online")[1], "digits", ["none"], tmp_path, (path, path), out, [])
    method = build_method(recipe)
    tasks = [_image_task(job, method, "digest", both) for both in ((data, data), (other, data), (data, other))]
    assert len({tuple(task.identity) for task in tasks}) == 3
    assert [task.normalisation for task in tasks] == [data.normalisation, changed, data.normalisation]
