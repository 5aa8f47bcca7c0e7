"""What a suite costs: counted as Snakemake counts, and computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ddcl.base import sealed
from ddcl.plan.cost import Network, costs, describe, jobs, measured_rates, network_name, read_yaml
from ddcl.plan.datasets import data_root, is_there, missing_message
from ddcl.plan.suite import Suite
from ddcl.schema import manifest, run_summary
from ddcl.schema.recipes import CONFIG_DIR
from tests.unit.made_run import N, write_data, write_run

NAMES = sorted(path.stem for path in (CONFIG_DIR / "suites").glob("*.yaml"))


def suite(**values: Any) -> Suite:
    block = {"datasets": ["cifar10"], "variants": ["simsiam"], "augmentations": ["baug"], "seeds": [0, 1]}
    usual: dict[str, Any] = {"suite": "t", "title": "t", "description": "t", "runs": [block]}
    usual |= {"evaluations": ["knn"], "perturbations": ["none", "color"], "draws": 3}
    return Suite(usual | values, "t.yaml")


def load(name: str) -> Suite:
    return Suite.load(CONFIG_DIR / "suites" / f"{name}.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_every_network_of_every_suite_has_a_figure(name: str) -> None:
    known = read_yaml(CONFIG_DIR / "throughput.yaml")["networks"]
    found = load(name)
    assert {network_name(run.recipe) for run in found.runs.values()} <= set(known)
    assert found.n_cells() > 0
    assert sum(jobs(found).values()) > len(found.runs)


def test_hours_and_bytes_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = {"train_images_per_s": 1000, "encode_images_per_s": 5000, "checkpoint_mb": 80, "source": "by hand"}
    monkeypatch.setattr("ddcl.plan.cost._networks", lambda: {"ResNet-18 @ 32": Network.model_validate(network)})
    cost = costs(suite(), tmp_path)["cifar10"]
    assert Network.model_validate(network).checkpoint_mb == 80
    assert cost.pretraining_hours == pytest.approx(2 * 50_000 * 200 * 2 / 1000 / 3600)  # runs, images, epochs, views
    encoded = 50_000 + (1 + 3) * 10_000  # training images; clean ones and three draws of a perturbation
    assert cost.evaluation_hours == pytest.approx(2 * encoded / 5000 / 3600)
    assert cost.disk_bytes == pytest.approx(2 * (80e6 + encoded * 512 * 2))
    assert cost.source == "by hand"


def test_finished_runs_replace_the_guess(tmp_path: Path) -> None:
    """Those that can be read: an older or damaged run.json says nothing."""
    guess = measured_rates(tmp_path)
    run = write_run(tmp_path, write_data(tmp_path), seed=1)
    assert (guess, measured_rates(tmp_path)) == ({}, {"digits": (N / 2.5, "cpu")})  # images of one epoch in 2.5 s
    before = costs(suite(), tmp_path)["cifar10"]
    summary, data = run_summary.load(run / "run.json"), manifest.load(tmp_path / "data/digits/manifest.json")
    changes: dict[str, Any] = {"epochs": 200, "seconds": 1000.0}
    changes["run"] = summary.run.model_copy(update={"dataset": "cifar10"})
    changes["provenance"] = summary.provenance.model_copy(update={"device": "a card"})
    path = tmp_path / "runs/cifar10/simsiam/baug/seed0/run.json"
    sealed.write(path, summary.model_copy(update=changes))
    train = data.splits["train"].model_copy(update={"n": 50_000})
    entries = {"splits": {"train": train, "test": train}, "dataset": "cifar10"}
    sealed.write(tmp_path / "data/cifar10/manifest.json", data.model_copy(update=entries))
    after = costs(suite(), tmp_path)["cifar10"]
    assert after.pretraining_hours == pytest.approx(2 * 1000 / 3600)
    assert (before.source, after.source) == ("guess", "a card")
    path.write_text(path.read_text().replace("1000.0", "2000.0"))
    assert costs(suite(), tmp_path)["cifar10"].source == "guess"


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
    assert "one GPU" in text
    assert "guess" in text


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
