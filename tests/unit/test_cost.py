"""What a suite costs: counted as Snakemake counts, and computed by hand."""

from __future__ import annotations

import platform
import re
from pathlib import Path
from typing import Any

import pytest

from ddcl.base import sealed
from ddcl.base.errors import UserError
from ddcl.base.files import write_json
from ddcl.plan.addresses import cost_path, data_folder
from ddcl.plan.cost import Cost, costs, describe, encoded_images, jobs, task_size, work_of
from ddcl.plan.counted import counted
from ddcl.plan.datasets import data_root, is_there, missing_message
from ddcl.plan.needs import evaluate_needs, extract_needs, is_short, prepare_needs, pretrain_needs
from ddcl.plan.networks import Network, Throughput, speed_name
from ddcl.plan.speeds import local_device
from ddcl.plan.suite import Suite
from ddcl.schema import manifest
from ddcl.schema.evaluations import DISTORTED, EvaluationSettings, TaskSize
from ddcl.schema.places import CONFIG_DIR, VARIABLE
from ddcl.schema.recipes import Recipe, build_recipe, data_recipe, read_evaluation
from ddcl.schema.registry import EVALUATIONS
from tests.unit import written

NAMES = sorted(path.stem for path in (CONFIG_DIR / "suites").glob("*.yaml"))


def suite(**values: Any) -> Suite:
    block = {"datasets": ["cifar10"], "variants": ["simsiam"], "augmentations": ["baug"], "seeds": [0, 1]}
    usual: dict[str, Any] = {"suite": "t", "title": "t", "description": "t", "runs": [block]}
    usual |= {"evaluations": ["knn"], "perturbations": ["none", "color"], "draws": 3}
    return Suite(usual | values, "t.yaml")


def load(name: str) -> Suite:
    return Suite.load(CONFIG_DIR / "suites" / f"{name}.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_every_suite_has_cells_and_jobs(name: str) -> None:
    found = load(name)
    assert found.n_cells() > 0
    assert sum(jobs(found).values()) > len(found.runs)


def test_hours_and_bytes_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    speeds = {"forward_gflops": 1.11, "train_images_per_s": 1000, "encode_images_per_s": 5000}
    network = Network.model_validate({**speeds, "checkpoint_mb": 80, "source": "by hand"})
    known = Throughput(
        device="a card", small_gflops=0.2, shared_gflops=2, shared_mb=8000, networks={"ResNet-18 @ 32": network}
    )
    monkeypatch.setattr("ddcl.plan.networks.throughput", lambda: known)
    cost = costs(suite(), tmp_path)["cifar10"]
    assert cost.pretraining_hours == pytest.approx(2 * 50_000 * 200 * 2 / 1000 / 3600)  # runs, images, epochs, views
    encoded = 50_000 + (1 + 3) * 10_000  # training images; clean ones and three draws of a perturbation
    assert cost.evaluation_hours == pytest.approx(2 * encoded / 5000 / 3600)
    assert cost.disk_bytes == pytest.approx(2 * (80e6 + encoded * 512 * 2))
    assert cost.source == "pretrain, extract: config/throughput.yaml (by hand); knn: not counted"


def test_the_plan_says_what_the_pilot_costs_and_what_waits_for_it(tmp_path: Path) -> None:
    found = load("cifar10")
    assert found.pilot
    text = describe(found, tmp_path, tmp_path)
    own, rest = (
        sum(cost.pretraining_hours + cost.evaluation_hours for cost in costs(found, tmp_path, names).values())
        for names in (found.pilot.runs, [name for name in found.runs if name not in found.pilot.runs])
    )
    assert f"pilot: 2 runs of {own:.1f} hours come first; 319 runs of {rest:.1f} hours wait for them" in text
    assert own == pytest.approx(5.2, abs=0.1)
    assert "pilot_simsiam        cifar10/simsiam_reza/baug_no_blur/seed0: at least 89.94 %" in text
    assert "config/throughput.yaml (guess)" in text
    assert "pilot" not in describe(suite(), tmp_path, tmp_path)


@pytest.fixture(autouse=True)
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")


def finished(results: Path, recipe: Recipe, where: tuple[str, str, str] = ("pretrain", "", ""), **values: Any) -> Path:
    """Write what a job of a run cost, by default its training here; return the file."""
    cost = {"stage": where[0], "eval_dataset": where[1], "digest": where[2], "network": speed_name(recipe)}
    cost |= {"seconds": 10.0, "start_seconds": 4.0, "cpu_seconds": 10.0, "peak_mb": 900.0, "processes": 1}
    cost |= {"images": None, "images_seconds": None, "device": "cpu", "device_name": "a CPU", "host": platform.node()}
    path = results / cost_path(recipe, *where)
    write_json(path, cost | values)
    return path


def hours(results: Path, **values: Any) -> tuple[float, float, str]:
    """Return the hours of training and evaluating two runs, and the line that says how they are known."""
    cost = costs(suite(**values), results)["cifar10"]
    return cost.pretraining_hours, cost.evaluation_hours, cost.source


GUESS = "config/throughput.yaml (guess)"
CIFAR = suite().recipes["cifar10/simsiam/baug/seed0"]


def test_finished_jobs_replace_the_guess(tmp_path: Path) -> None:
    """Those that can be read: a file of another version says nothing."""
    guessed = hours(tmp_path)
    assert guessed[2] == f"pretrain, extract: {GUESS}; knn: not counted"
    of_training = {"images": 50_000 * 200, "images_seconds": 1000.0}
    path = finished(tmp_path, CIFAR, seconds=1060.0, **of_training)
    trained = hours(tmp_path)
    assert trained[0] == pytest.approx(2 * 1060 / 3600)  # two runs as long as this one
    assert trained[2] == f"pretrain: measured on this machine (1 job); extract: {GUESS}; knn: not counted"
    finished(tmp_path, CIFAR, ("features", "cifar10", "1f" * 8), images=1000, images_seconds=2.0, seconds=7.0)
    (target,) = suite().plan.run(CIFAR.name).targets
    finished(tmp_path, CIFAR, ("knn", "cifar10", target.digest), seconds=36.0)
    encoded = 50_000 + (1 + 3) * 10_000
    assert hours(tmp_path)[1] == pytest.approx(2 * (encoded / 500 + 5 + 36) / 3600)
    assert hours(tmp_path)[2] == "measured on this machine (3 jobs)"
    path.write_text("{}")
    assert hours(tmp_path)[0] == guessed[0]


def test_speeds_are_medians_of_the_jobs_here_and_of_those_elsewhere_only_without(tmp_path: Path) -> None:
    def trained(seed: int, rate: float, **values: Any) -> None:
        recipe = CIFAR.model_copy(update={"seed": seed})
        finished(tmp_path, recipe, seconds=100.0, images=int(100 * rate), images_seconds=100.0, **values)

    def rate() -> float:
        return 2 * 50_000 * 200 / hours(tmp_path)[0] / 3600

    for seed, (node, card) in enumerate([("node2", "a GPU"), ("node1", "a GPU"), ("node3", "another GPU")]):
        trained(seed, 4000, host=node, device="cuda", device_name=card)
    assert rate() == pytest.approx(4000)
    assert hours(tmp_path)[2].startswith("pretrain: measured elsewhere, a GPU on node1, node2 (2 jobs); extract: ")
    trained(3, 8000, host=platform.node(), device="cuda", device_name="a GPU that jobs do not use now")
    assert "a GPU on node1, node2 (2 jobs)" in hours(tmp_path)[2]
    for seed, measured in enumerate((100, 300, 1000), 4):
        trained(seed, measured)
    assert rate() == pytest.approx(300)
    assert "pretrain: measured on this machine (3 jobs)" in hours(tmp_path)[2]


@pytest.mark.parametrize("training", [{"precision": "bf16"}, {"backbone": {"blocks": [3, 4, 6, 3]}}])
def test_another_network_or_precision_has_another_speed(training: dict[str, Any], tmp_path: Path) -> None:
    guessed = hours(tmp_path)
    other = build_recipe(("cifar10", "simsiam", "baug"), 0, training)
    finished(tmp_path, other, images=100, images_seconds=1.0)
    assert hours(tmp_path) == guessed
    finished(tmp_path, build_recipe(("cifar100", "simsiam", "caug"), 0, {}), images=100, images_seconds=1.0)
    assert hours(tmp_path)[0] > guessed[0]  # the same network, whatever it was trained on


def test_several_processes_have_the_speed_of_one_each_and_a_resumed_job_no_time_beside(tmp_path: Path) -> None:
    finished(tmp_path, CIFAR, images=4000, images_seconds=10.0, processes=4, seconds=3.0)
    assert hours(tmp_path)[0] == pytest.approx(2 * 50_000 * 200 / 100 / 3600)


def test_an_evaluation_of_other_draws_is_another(tmp_path: Path) -> None:
    (target,) = suite().plan.run(CIFAR.name).targets
    finished(tmp_path, CIFAR, ("knn", "cifar10", target.digest))
    assert "knn: measured on this machine" in hours(tmp_path)[2]
    assert "knn: not counted" in hours(tmp_path, draws=4)[2]


def test_an_evaluation_on_images_takes_the_speed_that_was_measured(tmp_path: Path) -> None:
    values = {"evaluations": ["linear_online"], "perturbations": ["none"]}
    guessed = hours(tmp_path, **values)
    assert guessed[2] == GUESS
    finished(tmp_path, CIFAR, images=100, images_seconds=1.0)
    finished(tmp_path, CIFAR, ("features", "cifar10", "1f" * 8), images=100, images_seconds=1.0)
    assert hours(tmp_path, **values)[1] > 10 * guessed[1]
    assert hours(tmp_path, **values)[2] == "measured on this machine (2 jobs)"


def test_many_stages_are_counted_and_not_named() -> None:
    cost = Cost()
    for stage in "abcdef":
        cost.add_source(stage, "guess")
    assert cost.source == "guess"
    cost.add_source("g", "not counted")
    assert cost.source == "a, b, c, d and 2 more: guess; g: not counted"


def test_a_machine_has_a_gpu_if_it_shows_one_and_the_environment_does_not_hide_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    assert local_device(tmp_path) == "cpu"
    (tmp_path / "nvidiactl").touch()
    assert local_device(tmp_path) == "cpu"
    (tmp_path / "nvidia0").touch()
    assert local_device(tmp_path) == "cuda"
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert local_device(tmp_path) == "cpu"


def test_the_paper_is_the_union_of_its_suites() -> None:
    paper = load("paper")
    parts = [load(name) for name in paper.config.include]
    assert set(paper.runs) == set().union(*(part.runs for part in parts))
    assert paper.n_cells() == sum(part.n_cells() for part in parts)
    assert set(paper.tables) == set().union(*(part.tables for part in parts))
    assert {run.recipe.dataset for run in paper.runs.values()} == {
        *("cifar10", "cifar100", "stl10", "tiny_imagenet", "imagenet100", "imagenet")
    }


def test_the_text_has_jobs_hours_and_every_missing_data_set(tmp_path: Path) -> None:
    paper = load("paper")
    text = describe(paper, tmp_path, tmp_path)
    assert f"{sum(jobs(paper).values())} jobs:" in text
    for name, config in paper.dataset_configs.items():
        assert f"  {name} ({config.label}): " in text
    assert "A100-class GPU" in text
    assert "guess" in text
    small = describe(load("fashion_mnist"), tmp_path, tmp_path)
    assert "one CPU core" in small
    assert "GPU" not in small


# --- what protocols have to do

SIZE = TaskSize(n_train=100, n_test=10, n_classes=3, width=8, column_sets=5, passes=7)


def settings_of(evaluation: str) -> EvaluationSettings:
    recipe = read_evaluation(evaluation)[1]
    return EVALUATIONS[recipe.protocol].settings.model_validate(recipe.settings)


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONFIG_DIR / "evaluations").glob("*.yaml")))
def test_every_evaluation_says_what_it_has_to_do_with_what_it_takes(name: str) -> None:
    work, inputs = settings_of(name).work(SIZE), EVALUATIONS[read_evaluation(name)[1].protocol].inputs
    assert bool(work.trained + work.encoded) == ("images" in inputs)
    assert work.flops > 0 or "images" in inputs
    larger = settings_of(name).work(SIZE.model_copy(update={"n_test": 20, "n_train": 200}))
    assert larger.trained + larger.encoded + larger.flops > work.trained + work.encoded + work.flops


def test_a_protocol_that_does_not_say_what_it_has_to_do_is_named() -> None:
    class NewSettings(EvaluationSettings):
        pass

    with pytest.raises(NotImplementedError, match="NewSettings does not define work"):
        NewSettings().work(SIZE)


def test_work_by_hand() -> None:
    linear = settings_of("linear").work(SIZE)
    assert linear.weights == 8 * 3 * 5 * 5  # columns, classes, column sets, penalties
    assert linear.flops == 4 * 100 * linear.weights * 300  # two products with each image in each iteration
    assert settings_of("knn").work(SIZE).flops == 2 * 100 * 10 * 8 * 7
    assert settings_of("drift").work(SIZE).flops == 2 * 10 * 8 * 7
    tuned = settings_of("finetune_b32").work(SIZE)
    assert (tuned.trained, tuned.encoded) == (200 * 100, 200 * 10)
    assert settings_of("linear_online").work(SIZE).encoded == 200 * 100
    assert settings_of("factors").work(SIZE).encoded == 110
    few = settings_of("diagnostics").work(SIZE)
    many = settings_of("diagnostics").work(SIZE.model_copy(update={"n_train": 10**6, "n_test": 10**6}))
    assert few.held == 10 * 100 + (10 + 4) * 10 + 10 * 10  # the last: views under one distortion, for the map
    assert many.held == 10 * 5000 + (10 + 4) * 2000 + 10 * 200
    assert few.encoded == few.held + 4 * 10 * 10  # under five of them, one after the other
    assert many.encoded == many.held + 4 * 10 * 200


def test_diagnostics_count_as_many_distortions_as_there_are() -> None:
    from ddcl.evaluate.distortions import distortions

    assert len(distortions(settings_of("diagnostics"))) + 1 == DISTORTED  # type: ignore[arg-type]


def test_the_size_of_a_task_by_hand() -> None:
    block = {"datasets": ["cifar10"], "variants": ["ddcl"], "augmentations": ["baug"], "seeds": [0]}
    controls = {"draws": 4, "dir_frac": 0.8}
    found = suite(runs=[block], random_subsets=controls, evaluations=["linear", "semi_1pct"])
    (run,) = found.runs.values()
    assert task_size(found, run, "cifar10", "linear") == TaskSize(
        n_train=50_000,
        n_test=10_000,
        n_classes=10,
        width=512,
        column_sets=3 + 2 * 4,  # full, DIR, DVR, and four pairs of random columns
        passes=(1 + 3) * 2 + 2 * 4,  # clean and three draws: full, and DIR with DVR; both perturbations, random columns
    )


def test_images_of_a_list_are_counted_in_its_file() -> None:
    found = suite(evaluations=["semi_1pct"], perturbations=["none"])
    run = next(iter(found.runs.values()))
    work = work_of(found, run, "cifar10", "semi_1pct")
    assert work
    assert work.trained == 200 * 500
    with pytest.raises(UserError, match=r"subsets/stl10_1pct\.json: no such file.*`ddcl subset` makes"):
        suite(runs=[{**found.config.runs[0].model_dump(), "datasets": ["stl10"]}], evaluations=["semi_1pct"])


# --- images that nobody has counted


@pytest.fixture
def birds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """The data set of class folders as docs/datasets.md has it, which does not say how many images it has."""
    folder = tmp_path / "config"
    (folder / "datasets").mkdir(parents=True)
    text = (CONFIG_DIR.parent / "docs" / "datasets.md").read_text(encoding="utf-8")
    example = re.search(r"```\n# config/datasets/birds\.yaml\n(.*?)```", text, re.DOTALL)
    assert example
    (folder / "datasets" / "birds.yaml").write_text(example[1])
    monkeypatch.setenv(VARIABLE, str(folder))
    block = {"datasets": ["birds"], "variants": ["ddcl"], "augmentations": ["caug"], "seeds": [0]}
    return suite(runs=[block], evaluations=["knn", "linear", "linear_online", "finetune_b32"])


def manifest_path(results: Path, dataset: str) -> Path:
    return results / data_folder(dataset, data_recipe(dataset)) / "manifest.json"


def write_manifest(results: Path, dataset: str = "birds", train: int = 120_000, test: int = 6000) -> None:
    path = manifest_path(results, dataset)
    written.write_manifest(path.parent, dataset)
    own = manifest.load(path)
    splits = {name: own.splits[name].model_copy(update={"n": n}) for name, n in (("train", train), ("test", test))}
    sealed.write(path, own.model_copy(update={"splits": splits}))


def test_images_that_were_not_counted_make_hours_unknown_and_not_zero(birds: Suite, tmp_path: Path) -> None:
    text = describe(birds, tmp_path, tmp_path)
    (line,) = (line for line in text.splitlines() if line.startswith("  birds  "))
    assert line.split()[1:4] == ["unknown"] * 3
    assert line.endswith("birds has no n_images and is not prepared")
    *_, line = (line for line in text.splitlines() if line.startswith("  all  "))
    assert line.split()[1:3] == ["unknown"] * 2


def test_beside_unknown_hours_known_ones_are_a_lower_bound(birds: Suite, tmp_path: Path) -> None:
    both = suite(runs=[run.model_dump() for run in (*birds.config.runs, *suite().config.runs)])
    known = costs(suite(), tmp_path)["cifar10"]
    *_, line = (line for line in describe(both, tmp_path, tmp_path).splitlines() if line.startswith("  all  "))
    assert f"> {known.pretraining_hours + known.evaluation_hours:.1f} " in line


def test_a_prepared_data_set_is_counted_by_its_manifest(birds: Suite, tmp_path: Path) -> None:
    write_manifest(tmp_path)
    cost = costs(birds, tmp_path)["birds"]
    (run,) = birds.runs.values()
    epochs, speed = run.recipe.training.epochs, 1200 / 2
    assert cost.pretraining_hours == pytest.approx(120_000 * epochs / speed / 3600)
    assert cost.evaluation_hours > 0
    assert GUESS in cost.source
    assert encoded_images(counted(birds, tmp_path), run, "birds") == 120_000 + (1 + 3) * 6000
    manifest_path(tmp_path, "birds").write_text("{")
    assert not counted(birds, tmp_path).dataset_configs["birds"].counted


def test_numbers_of_images_that_contradict_each_other_are_named(tmp_path: Path) -> None:
    write_manifest(tmp_path, "cifar10", 1, 10_000)
    with pytest.raises(UserError, match=r"cifar10.yaml: n_images.train: 50000, found 1; correct it, or, .*prepare cif"):
        counted(suite(), tmp_path)


def test_a_batch_larger_than_the_data_set_is_refused_before_anything_runs(birds: Suite, tmp_path: Path) -> None:
    few = {"birds": {"train": 100, "test": 50}}
    message = "birds/ddcl/caug/seed0: batch_size 256 is larger than the 100 training images .*; .*training_overrides"
    with pytest.raises(UserError, match=message):
        counted(birds, tmp_path, lambda configs: few)
    enough = counted(birds, tmp_path, lambda configs: {"birds": {"train": 256, "test": 50}})
    assert enough.dataset_configs["birds"].n_images["train"] == 256


def test_jobs_on_images_that_were_not_counted_ask_for_a_day(birds: Suite, tmp_path: Path) -> None:
    (run,) = birds.runs.values()
    evaluations = [evaluate_needs(birds, run, "birds", name) for name in birds.evaluations]
    needs = [pretrain_needs(birds, run), extract_needs(birds, run, "birds"), *evaluations]
    assert all((need.runtime, need.gpu) == (24 * 60 + 20, 1) for need in needs)
    assert all(need.mem_mb >= 5000 + 4800 for need in needs)
    assert not any(map(is_short, needs))
    assert prepare_needs(birds.dataset_configs["birds"]).runtime == 24 * 60 + 20
    write_manifest(tmp_path)
    known = counted(birds, tmp_path)
    assert is_short(evaluate_needs(known, run, "birds", "knn"))
    assert pretrain_needs(known, run).runtime > 24 * 60 + 20


# --- where data sets lie


def test_the_environment_goes_before_the_suite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DDCL_DATA", raising=False)
    assert data_root("elsewhere") == Path("elsewhere")
    monkeypatch.setenv("DDCL_DATA", "mine")
    assert data_root("elsewhere") == Path("mine")


def test_what_is_missing_is_named_in_one_message(tmp_path: Path) -> None:
    configs = load("paper").dataset_configs
    (tmp_path / "cifar-10-python.tar.gz").touch()
    assert is_there(configs["cifar10"], tmp_path)
    message = missing_message(configs, tmp_path)
    assert message.startswith(f"9 of 10 data sets are not in {tmp_path} (data_root in the suite, or DDCL_DATA):")
    assert "cifar10 (" not in message
    assert "ILSVRC2012_img_train.tar" in message
    assert missing_message({"cifar10": configs["cifar10"]}, tmp_path) == ""
