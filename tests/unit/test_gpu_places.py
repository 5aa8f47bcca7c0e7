"""Which runs share a GPU, and what Snakemake counts then."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ddcl.base.errors import UserError
from ddcl.plan.gpu_places import VARIABLE, places_for, places_taken, runs_per_gpu, share_gpus
from ddcl.plan.rules import Rules
from ddcl.plan.suite import Suite
from ddcl.schema.places import CONFIG_DIR
from ddcl.schema.recipes import build_recipe

CIFAR = build_recipe(("cifar10", "ddcl", "caug"), 0, {})
IMAGENET = build_recipe(("imagenet100", "ddcl", "caug"), 0, {})


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "1")  # put back, whatever a test sets


def given(**values: Any) -> dict[str, Any]:
    """Resources as Snakemake has them."""
    return {name: SimpleNamespace(value=values.get(name)) for name in ("gpu", "runs_per_gpu")}


def test_where_nothing_is_said_every_run_has_its_own_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "7")  # what Snakemake was told counts, not what its shell says
    resources = given(gpu=4)
    share_gpus(resources)
    assert resources["gpu"].value == 4
    assert runs_per_gpu() == places_for(CIFAR) == places_taken(CIFAR) == places_taken(IMAGENET) == 1


def test_gpus_are_counted_in_places_and_a_large_run_takes_all_of_one() -> None:
    resources = given(gpu=4, runs_per_gpu=3)
    share_gpus(resources)
    assert resources["gpu"] == 12
    assert (places_for(CIFAR), places_taken(CIFAR)) == (3, 1)
    assert (places_for(IMAGENET), places_taken(IMAGENET)) == (1, 3)
    share_gpus(without := given(runs_per_gpu=2))
    assert without["gpu"].value is None


@pytest.mark.parametrize("value", [0, -1, "two", 1.5])
def test_what_is_no_number_of_runs_is_refused(value: object) -> None:
    with pytest.raises(UserError, match=rf"resources: runs_per_gpu: expected a number of runs.*found '{value}'"):
        share_gpus(given(gpu=4, runs_per_gpu=value))


@pytest.mark.parametrize("training", [{"batch_size": 4096}, {"backbone": {"widths": [128, 256, 512, 1024]}}])
def test_large_batches_and_large_networks_do_not_share(
    training: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "2")
    assert places_for(build_recipe(("cifar10", "ddcl", "caug"), 0, training)) == 1
    assert places_for(build_recipe(("cifar10", "ddcl", "caug"), 0, {"processes": 2})) == 1


def test_jobs_ask_for_places(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "2")
    rules = Rules(Suite.load(CONFIG_DIR / "suites/paper.yaml"))

    def asked(stage: str, name: str, **more: str) -> int:
        run = rules.plan.run(name)
        arm = run.folder.split("/")[-2]
        wildcards = {"dataset": run.dataset, "variant": run.variant, "arm": arm, "seed": str(run.seed), **more}
        return rules.resources(stage)["gpu"](wildcards, 1)

    for name, places in (("cifar10/ddcl/caug/seed0", 1), ("imagenet100/ddcl/caug/seed0", 2)):
        assert asked("pretrain", name) == places
        assert asked("extract", name, eval_dataset=name.split("/")[0]) == places
    (prepared, *_) = rules.data
    assert rules.resources("prepare")["gpu"]({"prepared": prepared}, 1) == 0
