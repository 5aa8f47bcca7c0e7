"""Diagnostics on planted encoders: what a part knows must be found in it, and only there; and on every method."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ddcl.base.errors import UserError
from ddcl.base.yaml_files import NoSettings
from ddcl.build import build_method, build_pipeline
from ddcl.core.method import Batch, Method
from ddcl.core.seeds import Draws, derive
from ddcl.data.images import ArrayImages
from ddcl.evaluate import diagnostics, drift
from ddcl.evaluate.distortions import distortions
from ddcl.evaluate.protocols import EvaluationResult, Job, column_sets
from ddcl.evaluate.record import _cells_of
from ddcl.evaluate.sgd import ImageTask
from ddcl.evaluate.store import Features, FeatureTask, Measured
from ddcl.plan.cells import cells_of
from ddcl.plan.suite import Suite
from ddcl.schema.evaluations import DiagnosticsSettings
from ddcl.schema.feature_index import CLEAN_DRAW, Draw
from ddcl.schema.metrics import READOUTS
from ddcl.schema.op_recipes import read_perturbation
from ddcl.schema.places import CONFIG_DIR
from ddcl.schema.recipes import build_recipe, read_evaluation
from ddcl.schema.registry import GIVEN_METHODS, METHODS, RANDOM_PARTS
from ddcl.schema.suites import NormalisationConfig, RandomSubsetsConfig

SIDE, N_TRAIN, N_TEST = 16, 800, 500
NORMALISATION = NormalisationConfig(mean=[0.5] * 3, std=[0.25] * 3)
SUBSETS = RandomSubsetsConfig(draws=20, dir_frac=0.5)
SETTINGS = DiagnosticsSettings.model_validate(read_evaluation("diagnostics")[1].settings)


def spots(n: int, seed: int) -> ArrayImages:
    """A blob above the centre, of a colour of its own in each image; in which direction it lies tells a rotation."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    blob = np.exp(-(x**2 + (y + 4) ** 2) / 4)
    images = blob * rng.uniform(0.3, 1, (n, 3, 1, 1)) * 255
    labels = torch.from_numpy(rng.integers(0, 4, n))
    return ArrayImages(torch.from_numpy(images.round().astype(np.uint8)), labels, SIDE)


class Planted(Method):
    """DVR: sine and cosine of the blob's direction, thrice. DIR: the shares of the blob's colours, twice.

    knows: whether DVR is as said, or the colours too.
    """

    def __init__(self, knows: bool) -> None:
        super().__init__(nn.Linear(1, 1), 12, NoSettings())
        self.knows = knows

    def features(self, x: Tensor) -> Tensor:
        x = x * 0.25 + 0.5
        light = x.sum(dim=1)  # [B, H, W]
        place = torch.arange(SIDE) - (SIDE - 1) / 2
        centre = torch.stack(((light * place).sum(dim=(1, 2)), (light * place[:, None]).sum(dim=(1, 2))), dim=1)
        colours = x.sum(dim=(2, 3))
        colours = colours / colours.sum(dim=1, keepdim=True).clamp_min(1e-6)
        direction = nn.functional.normalize(centre, dim=1)
        known = direction.repeat(1, 3) if self.knows else colours.repeat(1, 2)
        return torch.cat((colours.repeat(1, 2), known), dim=1)

    def parts(self) -> dict[str, tuple[int, int]]:
        return {"full": (0, 12), "dir": (0, 6), "dvr": (6, 12)}


def job_of(variant: str, augmentation: str = "caug", subsets: RandomSubsetsConfig | None = SUBSETS) -> Job:
    recipe = build_recipe(("digits", variant, augmentation), 0, {"backbone": {"widths": [8, 16, 32]}})
    here, evaluation = Path(), read_evaluation("diagnostics")[1]
    groups = cells_of(recipe.method, evaluation, [read_perturbation("none")], subsets is not None)
    cells = [cell for group in groups for cell in group]
    return Job(recipe, evaluation, "digits", ["none"], here, (here, here), (here, ""), cells, None, subsets)


def task_of(job: Job, method: Method, sizes: tuple[int, int] = (N_TRAIN, N_TEST)) -> ImageTask:
    train, test = (spots(n, seed) for seed, n in enumerate(sizes))
    return ImageTask(job.recipe, method, train, test, ("digits", 0), 10, NORMALISATION, Path("none"), [])


def measured(knows: bool) -> dict[tuple[str, str], NDArray[np.floating]]:
    """Return the values [column sets] of a planted encoder by part and metric, with a rotation as augmentation."""
    method, job = Planted(knows), job_of("ddcl")
    rotation = [op for op in job.recipe.ops if op.op == "rotation"]
    task = task_of(job, method)
    task = ImageTask(**vars(task) | {"recipe": job.recipe.model_copy(update={"ops": rotation})})
    found = diagnostics.evaluate(task, column_sets(method.parts(), job), SETTINGS)
    assert found.n == N_TEST
    return {(part, metric): own[:, 0] for (_, part, metric), own in found.values.items()}


@pytest.fixture(scope="module")
def knowing() -> dict[tuple[str, str], NDArray[np.floating]]:
    return measured(knows=True)


@pytest.fixture(scope="module")
def ignorant() -> dict[tuple[str, str], NDArray[np.floating]]:
    return measured(knows=False)


Values = dict[tuple[str, str], NDArray[np.floating]]


def test_a_planted_angle_is_read_from_dvr_and_not_from_dir(knowing: Values) -> None:
    assert knowing["dvr", "readout_angle"] > 0.9
    assert knowing["full", "readout_angle"] > 0.9
    assert abs(knowing["dir", "readout_angle"]) < 0.05
    for part in ("full", "dir", "dvr"):
        assert abs(knowing[part, "readout_shuffled"]) < 0.05


def test_how_a_planted_angle_moves_dvr_is_predicted_and_dir_is_at_chance(knowing: Values, ignorant: Values) -> None:
    """Of ten views by chance 0.29; DIR's colours do not turn, but for the pixels that a rotation rounds."""
    assert knowing["dvr", "mrr_rotation"] > 0.9
    assert knowing["dvr", "map_error_rotation"] < 0.1
    assert knowing["dir", "mrr_rotation"] < 0.45
    assert ignorant["dvr", "mrr_rotation"] < 0.45
    assert knowing["random_dvr", "mrr_rotation"].shape == (20,)
    assert knowing["dir", "mrr_rotation"] < knowing["random_dvr", "mrr_rotation"].min()


def test_random_columns_are_several_draws_with_their_spread(knowing: Values) -> None:
    for part in RANDOM_PARTS:
        own = knowing[part, "readout_angle"]
        assert own.shape == (20,)
        assert own.std() > 0
        assert knowing["dir", "readout_angle"] < own.mean() <= knowing["dvr", "readout_angle"]
        assert np.abs(knowing[part, "readout_shuffled"]).max() < 0.05


def test_an_encoder_that_knows_no_angle_is_read_so_in_every_part(ignorant: Values) -> None:
    for (part, metric), own in ignorant.items():
        if metric in ("readout_angle", "readout_shuffled"):
            assert np.abs(own).max() < 0.05, part


def test_what_moves_with_the_rotation_varies_within_an_image(knowing: Values) -> None:
    assert knowing["dir", "invariance"] < 0.05  # but for the pixels that a rotation rounds
    assert knowing["dvr", "invariance"] > 0.9
    assert knowing["dir", "alignment"] < 0.01 < knowing["dvr", "alignment"]
    assert knowing["dvr", "cka_dir_dvr"] < 0.05
    assert ("dir", "cka_dir_dvr") not in knowing
    assert len(knowing["random_dvr", "cka_dir_dvr"]) == 20


def test_a_mirrored_blob_is_read_as_a_flip_only_by_who_sees_where_it_lies() -> None:
    """A blob to the left: mirrored, it lies to the right."""
    method, job = Planted(True), job_of("ddcl", subsets=None)
    task = task_of(job, method)
    for images in (task.train, task.test):
        assert isinstance(images, ArrayImages)
        images.images = images.images.transpose(2, 3)
    found = diagnostics.evaluate(task, column_sets(method.parts(), job), SETTINGS).values
    assert found["none", "dvr", "readout_flip"] == 1.0
    assert found["none", "dir", "readout_flip"] == pytest.approx(0.5, abs=0.1)


def test_the_parameters_that_are_read_are_those_that_the_image_was_distorted_with() -> None:
    """Each distortion is applied by hand, with the true value, to an image."""
    images, draws = spots(6, 3).images, Draws(5, torch.arange(6))
    known = distortions(SETTINGS)
    assert [metric for own in known.values() for metric in own.targets] == [
        metric.name for metric in READOUTS if metric.name != "readout_shuffled"
    ]
    for name, value in (("brightness", "brightness_factor"), ("blur", "sigma_px"), ("elastic", "strength")):
        pipeline = build_pipeline([known[name].op], SIDE, NORMALISATION)
        params = pipeline.sample(draws, SIDE, SIDE)[0]
        true = next(iter(known[name].targets.values()))(params, SIDE)
        assert true.shape == (6, 1)
        assert torch.equal(true[:, 0], params[value].double())
        assert len(set(true[:, 0].tolist())) == 6
    pipeline = build_pipeline([known["brightness"].op], SIDE, NORMALISATION)
    factor = pipeline.sample(draws, SIDE, SIDE)[0]["brightness_factor"][:, None, None, None]
    view = pipeline(images, draws) * 0.25 + 0.5
    assert torch.allclose(view, (images / 255 * factor).clamp(0, 1), atol=1e-5)
    crop = known["crop"].targets
    params = {"left_px": torch.tensor([0, 8]), "top_px": torch.tensor([4, 0])}
    params |= {"width_px": torch.tensor([8, 8]), "height_px": torch.tensor([8, 2])}
    assert crop["readout_crop_x"](params, 16)[:, 0].tolist() == [-0.25, 0.25]
    assert crop["readout_crop_y"](params, 16)[:, 0].tolist() == [0.0, -0.4375]
    assert crop["readout_crop_size"](params, 16)[:, 0].tolist() == [0.5, 0.25]


# --- every method, every record


@pytest.mark.parametrize("name", [name for name in METHODS if name not in GIVEN_METHODS])
def test_every_method_has_every_cell(name: str) -> None:
    job = job_of(name, "caug_plus" if METHODS[name].trains else "none")
    method = build_method(job.recipe).eval().requires_grad_(False)
    few = SETTINGS.model_copy(update={"max_train_images": 60, "max_test_images": 40})
    task = task_of(job, method, (70, 50))
    found = diagnostics.evaluate(task, column_sets(method.parts(), job), few)
    result = EvaluationResult("ok", "d", None, None, "t", "e", found, task.test.labels.numpy())
    cells, arrays = _cells_of(job, result)
    wanted = {(cell.perturbation, cell.part, cell.metric) for cell in job.cells}
    assert {(cell.perturbation, cell.part, cell.metric) for cell in cells} == wanted
    assert all(np.isfinite(cell.value) and cell.n == 40 for cell in cells)
    assert {cell.n_draws for cell in cells if cell.part in RANDOM_PARTS} == {20}
    assert all(cell.sd_draws is not None for cell in cells if cell.part in RANDOM_PARTS)
    assert arrays["true/readout_angle"].shape == (40, 2)
    assert arrays["readout_angle/random_dvr"].shape == (20, 40, 2)
    assert arrays["readout_flip/full"].shape == (1, 40, 1)
    assert arrays["cosine/full"].shape == arrays["images"].shape == (40,)
    assert len(_cells_of(job, replace(result, status="diverged", outcomes={}, labels=None))[0]) == len(wanted)


@pytest.mark.parametrize(("name", "part"), [("ddcl", "dvr"), ("ddcl_sym", "dvr"), ("simsiam", "full")])
def test_cosines_are_those_of_the_loss(name: str, part: str) -> None:
    """By the method's own step, in evaluation mode, on the same two views."""
    job = job_of(name, "caug")
    method = build_method(job.recipe).eval().requires_grad_(False)
    task = task_of(job, method, (50, 40))
    found = diagnostics.evaluate(task, {part: column_sets(method.parts(), job)[part]}, SETTINGS)
    pipeline = build_pipeline(job.recipe.ops, SIDE, NORMALISATION)
    assert isinstance(task.test, ArrayImages)
    stream = derive("digits", 0, "diagnostics", "test", "view")
    views = [pipeline(task.test.images, Draws(stream, torch.arange(40), view)) for view in (0, 1)]
    step = method.step(Batch(views[0], views[1]))
    loss = step.terms["dvr_cosine"].abs() if part == "dvr" else step.loss.abs()
    assert found.values["none", part, "abs_mean_cosine"].item() == pytest.approx(float(loss), abs=1e-4)


def test_the_same_distortions_for_every_method_and_others_for_another_seed() -> None:
    def true(variant: str, seed: int) -> NDArray[Any]:
        job = job_of(variant)
        method = build_method(job.recipe).eval().requires_grad_(False)
        task = ImageTask(**vars(task_of(job, method, (20, 20))) | {"names": ("digits", seed)})
        return diagnostics.evaluate(task, {"full": [np.arange(32)]}, SETTINGS).arrays["true/readout_angle"]

    first = true("ddcl", 0)
    assert np.array_equal(first, true("barlow_twins", 0))
    assert not np.array_equal(first, true("ddcl", 1))


def test_a_suite_with_diagnostics_needs_ten_random_subsets() -> None:
    block = {"datasets": ["digits"], "variants": ["ddcl"], "augmentations": ["baug"], "seeds": [0]}
    suite = {"suite": "t", "title": "t", "description": "t", "runs": [block], "evaluations": ["diagnostics"]}
    suite |= {"perturbations": ["none", "rotation"]}
    with pytest.raises(UserError, match="evaluation diagnostics needs 10 draws, found none"):
        Suite(suite, "t.yaml")
    with pytest.raises(UserError, match="found 9 draws"):
        Suite(suite | {"random_subsets": {"draws": 9, "dir_frac": 0.8}}, "t.yaml")
    found = Suite(suite | {"random_subsets": {"draws": 10, "dir_frac": 0.8}}, "t.yaml")
    (target,) = found.plan.runs[0].targets
    assert target.perturbations == ["none"]
    assert found.n_cells() == 5 * (len(target.metrics) - 1) + 2  # CKA of dvr and random_dvr


def test_the_suite_is_whole() -> None:
    suite = Suite.load(CONFIG_DIR / "suites/digits_full.yaml")
    assert {"readout", "invariance", "health", "drift", "response"} <= set(suite.tables)
    assert len([member for member in suite.perturbations if member.startswith("rotation.")]) == 13


# --- drift


def test_drift_by_hand() -> None:
    clean = np.array([[1, 0, 1], [0, 2, 1], [0, 0, 1]], np.float16)
    moved = np.array([[0, 1, 1], [0, 1, 1], [0, 0, 0]], np.float16)
    labels = np.zeros(3, np.int64)
    tests = {
        draw: Features(own, labels)
        for draw, own in ((CLEAN_DRAW, clean), (Draw("a.1", 0), clean), (Draw("a.2", 0), moved))
    }
    sets = {"full": [np.arange(3)], "random_dvr": [np.array([2]), np.array([0, 1])]}
    found = drift.evaluate(FeatureTask(tests[CLEAN_DRAW], tests, sets, 0), NoSettings())
    assert isinstance(found, Measured)
    assert found.values["none", "full", "drift"].tolist() == [[0.0]]
    assert found.values["a.1", "random_dvr", "drift"].tolist() == [[0.0], [0.0]]
    angles = [1 - 0.5, 1 - 3 / np.sqrt(10), 1.0]  # [1 0 1]·[0 1 1] = 1 of √2·√2; a row that became zero
    assert found.values["a.2", "full", "drift"] == pytest.approx(np.mean(angles), abs=1e-6)
    assert found.values["a.2", "random_dvr", "drift"][0] == pytest.approx(1 / 3)
    assert found.values["a.2", "random_dvr", "drift"][1] == pytest.approx(1 / 3)  # turned by 90°, the same, both zero
    with pytest.raises(UserError, match=r"drift: needs the clean test images, found a\.1; add none"):
        drift.evaluate(FeatureTask(tests[CLEAN_DRAW], {Draw("a.1", 0): tests[Draw("a.1", 0)]}, sets, 0), NoSettings())
