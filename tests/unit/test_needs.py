"""What jobs ask of a machine: little for digits, what it takes for ImageNet."""

from __future__ import annotations

from dataclasses import asdict, replace

import pytest

from ddcl.plan.counted import counted
from ddcl.plan.needs import Needs, evaluate_needs, extract_needs, is_short, prepare_needs, pretrain_needs
from ddcl.plan.networks import network_of
from ddcl.plan.suite import Suite
from ddcl.schema.places import CONFIG_DIR

DIGITS = Suite.load(CONFIG_DIR / "config.yaml")
PAPER = Suite.load(CONFIG_DIR / "suites" / "paper.yaml")


def test_digits_need_one_core_two_gigabytes_and_half_an_hour() -> None:
    needs = [prepare_needs(config) for config in DIGITS.dataset_configs.values()]
    for run in DIGITS.runs.values():
        needs += [pretrain_needs(DIGITS, run), extract_needs(DIGITS, run, "digits")]
        needs += [evaluate_needs(DIGITS, run, "digits", name) for name in run.evaluations["digits"]]
    assert {(need.cpus, need.gpu) for need in needs} == {(1, 0)}
    assert max(need.mem_mb for need in needs) <= 2200
    assert max(need.runtime for need in needs) <= 30
    assert all(is_short(need) for need in needs)


def test_imagenet_by_hand() -> None:
    run = PAPER.runs["imagenet/ddcl_e100/caug/seed0"]
    need = pretrain_needs(PAPER, run)
    network = network_of(run.recipe)
    seconds = 1_281_167 * 100 / (network.train_images_per_s / 2)
    assert (need.cpus, need.gpu) == (8, 1)
    assert need.runtime == pytest.approx(20 + 3 * seconds / 60, abs=1)
    assert need.mem_mb == 500 + 5000 + 8 * 600
    # features of 2048 columns: float16 on disk, and never in memory in one piece; all pairs of images are a GPU's work
    train_mb = 1_281_167 * 2048 * 2 / 1e6
    assert extract_needs(PAPER, run, "imagenet").disk_mb > train_mb
    knn = evaluate_needs(PAPER, run, "imagenet", "knn")
    assert knn.gpu == 1
    assert knn.mem_mb < 500 + 5000 + 1200 + 1000


def test_several_processes_need_as_many_gpus_and_share_the_time() -> None:
    run = PAPER.runs["imagenet/ddcl_e100/caug/seed0"]
    training = run.recipe.training.model_copy(update={"processes": 4})
    four = pretrain_needs(PAPER, replace(run, recipe=run.recipe.model_copy(update={"training": training})))
    one = pretrain_needs(PAPER, run)
    assert (four.cpus, four.gpu) == (4 * one.cpus, 4)
    assert four.mem_mb == 500 + 4 * (one.mem_mb - 500)
    assert four.runtime - 20 == pytest.approx((one.runtime - 20) / 4, abs=1)


@pytest.mark.parametrize("suite", [DIGITS, PAPER])
def test_every_job_of_a_suite_has_needs_that_a_machine_can_meet(suite: Suite) -> None:
    for run in suite.runs.values():
        needs = [pretrain_needs(suite, run)]
        for dataset, evaluations in run.evaluations.items():
            needs.append(extract_needs(suite, run, dataset))
            needs += [evaluate_needs(suite, run, dataset, evaluation) for evaluation in evaluations]
        for need in needs:
            assert all(type(value) is int for value in asdict(need).values()), (run.recipe.name, need)
            assert 1000 < need.mem_mb < 128_000, (run.recipe.name, need)
            assert 20 <= need.runtime <= 30 * 24 * 60, (run.recipe.name, need)


def test_larger_data_need_more() -> None:
    def of(name: str, suite: Suite = PAPER) -> Needs:
        return pretrain_needs(suite, next(run for run in suite.runs.values() if run.recipe.dataset == name))

    assert of("digits", DIGITS).mem_mb < of("cifar10").mem_mb < of("tiny_imagenet").mem_mb < of("stl10").mem_mb
    assert of("cifar10").runtime < of("imagenet100").runtime < of("imagenet").runtime


def test_a_probe_of_hours_does_not_keep_a_gpu() -> None:
    run = PAPER.runs["imagenet100/ddcl/caug/seed0"]
    assert is_short(evaluate_needs(PAPER, run, "imagenet100", "knn"))
    assert not is_short(evaluate_needs(PAPER, run, "imagenet100", "linear"))
    controls = PAPER.runs["tiny_imagenet/simsiam/caug/seed0"]  # random columns and 200 classes: hours of a CPU
    assert evaluate_needs(PAPER, controls, "tiny_imagenet", "linear").gpu == 1
    assert not is_short(evaluate_needs(PAPER, run, "imagenet100", "semi_1pct"))


def test_an_uncounted_array_asks_for_memory_and_time() -> None:
    run = PAPER.runs["stl10/ddcl/caug/seed0"]
    uncounted = replace_images(PAPER, "stl10")
    assert prepare_needs(uncounted.dataset_configs["stl10"]).runtime == 24 * 60 + 20  # twenty minutes would be a guess
    need = pretrain_needs(uncounted, run)
    assert need.runtime == 24 * 60 + 20
    assert need.mem_mb > pretrain_needs(PAPER, run).mem_mb


def replace_images(suite: Suite, dataset: str) -> Suite:
    """Return the suite as if the YAML of a data set did not say how many images it has."""
    changed = counted(suite, CONFIG_DIR)
    changed.dataset_configs[dataset] = suite.dataset_configs[dataset].model_copy(update={"n_images": {}})
    return changed
