"""Groups: images that are not independent are held out together, and count once where intervals count images."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from ddcl.base import sealed
from ddcl.base.errors import UserError
from ddcl.core.seeds import generator
from ddcl.data import prepare
from ddcl.data.checked import Checked, Sums
from ddcl.data.groups import held_groups, leading_groups
from ddcl.data.holdout import held_out
from ddcl.data.images import ArrayImages
from ddcl.data.readers.source import ArraySplit
from ddcl.evaluate.features import Target, extract
from ddcl.evaluate.linear import hold_out
from ddcl.evaluate.monitor import Monitor
from ddcl.evaluate.protocols import Job
from ddcl.evaluate.record import evaluate_run
from ddcl.evaluate.store import read_train
from ddcl.plan.plan import Cell
from ddcl.report.claims.inference import by_group, pooled_estimate
from ddcl.report.claims.judge import judge_claims
from ddcl.schema import feature_index
from ddcl.schema.manifest import Manifest
from ddcl.schema.op_recipes import read_perturbation
from ddcl.schema.recipes import build_recipe, read_evaluation
from ddcl.schema.record import predictions_path
from ddcl.schema.suites import HoldoutConfig, NormalisationConfig
from ddcl.schema.training import MonitorConfig
from ddcl.training import Options, pretrain
from tests.unit import planted, simulated

LABELS = np.repeat([0, 1, 2], 40)
GROUPS = np.arange(120) // 5  # eight of five images in each class


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def split_groups(groups: NDArray[Any], held: NDArray[Any]) -> set[int]:
    """The groups that lie on both sides."""
    return set(groups[held].tolist()) & set(groups[~held].tolist())


def test_whole_groups_of_each_class_are_held_out() -> None:
    held = held_groups(LABELS, GROUPS, 0.25, rng())
    assert np.bincount(LABELS[held]).tolist() == [10, 10, 10]
    assert not split_groups(GROUPS, held)
    assert split_groups(GROUPS, held_groups(LABELS, None, 0.25, rng()))  # what groups are for


def test_images_that_are_all_groups_of_their_own_are_held_out_as_those_without_groups() -> None:
    alone = np.arange(120)
    assert (held_groups(LABELS, alone, 0.2, rng(3)) == held_groups(LABELS, None, 0.2, rng(3))).all()
    order = torch.randperm(120)
    for groups in (torch.arange(120), None):
        found, n = leading_groups(groups, order, 17)
        assert (found == order).all()
        assert n == 17


def test_groups_beyond_the_share_and_of_several_classes() -> None:
    """One of two groups goes, though it is half of the class; one of two classes counts for both."""
    halves = np.array([0, 0, 1, 1, 2, 2, 3, 3])
    assert held_groups(np.repeat([0, 1], 4), halves, 0.1, rng()).sum() == 4
    crossing = np.tile([0, 1, 2, 3], 6)
    labels = np.repeat([0, 1], 12)
    held = held_groups(labels, crossing, 0.25, rng())
    assert np.bincount(labels[held]).tolist() == [3, 3]
    assert not split_groups(crossing, held)


def test_a_class_that_cannot_be_split_is_named() -> None:
    with pytest.raises(UserError, match=r"class 1 has 1 group of images; 2 are needed"):
        held_groups(np.array([0, 0, 1, 1]), np.array([0, 1, 2, 2]), 0.5, rng())
    with pytest.raises(UserError, match=r"linear: cannot hold out 0.5 .*class 1"):
        hold_out(np.array([0, 0, 1, 1]), 0.5, 0, np.array([0, 1, 2, 2]))
    with pytest.raises(UserError, match="all are in one group"):
        leading_groups(torch.zeros(4, dtype=torch.int64), torch.arange(4), 1)


def test_the_leading_groups_are_whole_and_never_all() -> None:
    groups = torch.from_numpy(GROUPS)
    order = torch.randperm(120, generator=generator("t", 0))[:90]
    found, n = leading_groups(groups, order, 12)
    assert sorted(found.tolist()) == sorted(order.tolist())
    assert 12 <= n < 17
    assert not set(groups[found[:n]].tolist()) & set(groups[found[n:]].tolist())
    assert leading_groups(groups, order, 90)[1] < 90


def test_the_monitor_asks_for_no_image_whose_group_is_in_its_bank() -> None:
    images = ArrayImages(torch.zeros(120, 3, 8, 8, dtype=torch.uint8), torch.from_numpy(LABELS), 8)
    config = MonitorConfig(every_epochs=1, holdout_frac=0.2, max_images=100, k=5, temperature=0.1)
    plain = Monitor(images, None, config, ("t", 0))  # type: ignore[arg-type]
    assert plain.n_queries == 20
    images.groups = torch.from_numpy(GROUPS)
    grouped = Monitor(images, None, config, ("t", 0))  # type: ignore[arg-type]
    own = grouped.images.groups
    assert own is not None
    assert not set(own[: grouped.n_queries].tolist()) & set(own[grouped.n_queries :].tolist())


def test_tuning_holds_out_whole_groups() -> None:
    images = np.zeros((120, 3, 8, 8), np.uint8)
    images[:, 0, 0, 0] = np.arange(120)
    train = ArraySplit(images, LABELS, groups=GROUPS)
    found = held_out("t", {"train": train, "test": train}, HoldoutConfig(frac=0.25, seed=0))
    own = [found[split].groups for split in ("train", "test")]
    assert own[0] is not None
    assert own[1] is not None
    assert [len(each) for each in own] == [90, 30]
    assert not set(own[0].tolist()) & set(own[1].tolist())


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        (np.zeros(3, np.int64), r"groups of split train: expected 12 integers, found int64 \[3\]"),
        (np.zeros(12), r"expected 12 integers, found float64 \[12\]"),
        (np.array([0, 1] * 3 + [2] * 6), "class 1 of split train is in one group of images; at least 2"),
        (np.arange(12), r"split train has 12 groups of images; config/datasets says 3"),
    ],
)
def test_bad_groups_are_refused_when_a_data_set_is_prepared(groups: NDArray[Any], message: str) -> None:
    labels = np.repeat([0, 1], 6)
    wanted = 3 if len(np.unique(groups)) == 12 else None
    split = ArraySplit(np.zeros((12, 3, 8, 8), np.uint8), labels, groups=groups)
    with pytest.raises(UserError, match=message):
        prepare._check_groups("t", "train", split, wanted)


# --- intervals


def test_a_group_has_the_mean_of_its_images_where_all_are_of_one_size() -> None:
    found = by_group(np.array([[1.0, 0.0, 0.0, -1.0], [1.0, 1.0, 0.0, 0.0]]), np.array([7, 7, 3, 3]))
    assert found.tolist() == [[-0.5, 0.5], [0.0, 1.0]]


def test_the_variance_over_groups_is_that_of_clusters() -> None:
    """By hand, for one seed's mean: G / (G − 1) · Σ (sums of residuals)² / N², with groups of unequal size."""
    values, groups = rng(1).normal(size=60), np.sort(rng(2).integers(0, 12, 60))
    block = by_group(np.stack([values, values]), groups)
    assert block.mean(axis=1) == pytest.approx([values.mean()] * 2)
    sums = np.array([(values - values.mean())[groups == each].sum() for each in np.unique(groups)])
    n_groups = len(sums)
    expected = n_groups / (n_groups - 1) * (sums**2).sum() / 60**2
    found = pooled_estimate({("", ""): block}, 0.95, grouped=True).images[0]
    assert found == pytest.approx((expected, n_groups - 1))


def test_the_interval_says_what_it_counts() -> None:
    block = rng().normal(size=(4, 10))
    assert pooled_estimate({("", ""): block}, 0.95, True).method.startswith("seeds and groups of images (two-way")
    assert pooled_estimate({("", ""): block}, 0.95).method.startswith("seeds and images (two-way")


def test_intervals_by_group_hold_the_truth_and_those_by_image_do_not() -> None:
    by_image, by_own_group = (simulated.grouped_coverage(5, (2.0, 0.05), own, 12) for own in (False, True))
    assert by_image < 85  # of 216 pairs
    assert by_own_group > 92


def test_claims_are_judged_over_groups_where_the_test_images_have_them(tmp_path: Path) -> None:
    plan = planted.suite(["C2"], ["ddcl", "simsiam"], 4)
    groups = np.sort(np.random.default_rng(0).integers(0, 50, planted.N))
    found = {}
    for name, own in (("grouped", groups), ("plain", None)):
        results = planted.results(plan, tmp_path / name, planted.plus(2.0), groups=own)
        (form, *_) = judge_claims(results)[0].forms
        found[name] = next(check for check in form.checks if check.decides)
    grouped, plain = found["grouped"], found["plain"]
    assert grouped.ci_method.startswith("seeds and groups of images")
    assert plain.ci_method.startswith("seeds and images")
    assert grouped.effect == pytest.approx(plain.effect)
    assert grouped.ci_high - grouped.ci_low != pytest.approx(plain.ci_high - plain.ci_low, rel=1e-3)
    assert grouped.n_images == plain.n_images == planted.N
    assert "Digits: 2,000 images in 50 groups" in grouped.note
    assert all("2,000 images in 50 groups" in each.note for each in grouped.comparisons)
    assert "groups" not in plain.note


def test_groups_go_from_the_data_set_to_the_predictions(tmp_path: Path) -> None:
    """Through features and the probe, which holds out whole groups, to the file that claims are judged by."""
    recipe = build_recipe(("textures", "random_init", "none"), 0, {})
    rng, labels, parts = np.random.default_rng(0), np.repeat([0, 1], 12), ("train", "test")
    groups = {"train": np.arange(24) // 3, "test": np.arange(24) // 12}
    splits = {s: ArraySplit(rng.integers(0, 256, (24, 3, 32, 32), np.uint8), labels, groups=groups[s]) for s in parts}
    looked = Checked([], Sums.all([]))
    manifest = Manifest(
        dataset="textures",
        data=recipe.data,
        kind="arrays",
        splits={s: prepare._write_split(tmp_path, s, content, looked) for s, content in splits.items()},
        normalisation=NormalisationConfig(mean=[0.5] * 3, std=[0.3] * 3),
    )
    assert manifest.splits["train"].n_groups == 8
    path, run = tmp_path / "manifest.json", tmp_path / "run"
    sealed.write(path, manifest)
    pretrain(recipe, path, run, "code", Options())
    clean = [read_perturbation("none")]
    extract(recipe, run, manifest, Target("textures", path, tmp_path / "features", "digest"), clean, ("cpu", 0))
    assert read_train(tmp_path / "features", feature_index.load(tmp_path / "features")).groups is not None
    evaluation, cell = read_evaluation("linear")[1], Cell("full", "none", "top1")
    record = tmp_path / "linear.json"
    job = Job(recipe, evaluation, "textures", ["none"], run, (path, path), (record, "d"), [cell], tmp_path / "features")
    assert evaluate_run(job).cells[0].n == 24
    with np.load(predictions_path(record)) as archive:
        assert archive["groups"].tolist() == groups["test"].tolist()
    plain = dataclasses.replace(splits["train"], groups=None)
    assert (
        prepare._write_split(tmp_path / "plain", "train", plain, looked)
        .model_dump()
        .keys()
        .isdisjoint({"n_groups", "groups_sha256"})
    )  # manifests of data sets without groups are what they were
