"""Equal tuning: what a tuning suite runs, what it chooses and on which images, and how the choice is used."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from ddcl.base.errors import UserError
from ddcl.base.yaml_files import parse, read_yaml
from ddcl.data.holdout import held_out
from ddcl.data.readers.source import ArraySplit
from ddcl.plan.rules import Rules
from ddcl.plan.suite import Suite
from ddcl.report.collect import ABSENT
from ddcl.report.tables.tuning import choose, scores, write_choice
from ddcl.schema.places import VARIABLE
from ddcl.schema.recipes import DataRecipe, build_recipe, data_recipe
from ddcl.schema.suites import HoldoutConfig, suite_path
from ddcl.schema.tuning import CHOICE, SCORES, Setting, TunedConfig
from tests.unit import planted

RATE, WEIGHT = "training.optimizer.base_lr", "settings.dvr_weight"
GRIDS = {"simsiam": {RATE: [0.1, 0.2, 0.4, 0.8]}, "ddcl": {RATE: [0.2, 0.4], WEIGHT: [0.1, 1.0]}}
TUNING: dict[str, Any] = {"dataset": "digits_tuning", "augmentations": ["baug"], "seeds": [0, 1], "grids": GRIDS}
TUNING |= {"evaluation": "linear"}


def suite(**changes: Any) -> Suite:
    return Suite({"suite": "t", "title": "t", "description": "t", "tuning": TUNING | changes}, "t.yaml")


def test_each_setting_is_a_variant_of_its_own() -> None:
    found = suite()
    assert len(found.runs) == 16
    run = found.runs["digits_tuning/ddcl-base_lr0.4-dvr_weight0.1/baug/seed1"]
    assert run.recipe.training.optimizer.base_lr == 0.4
    assert run.recipe.settings["dvr_weight"] == 0.1
    assert run.label == "DDCL, base_lr 0.4, dvr_weight 0.1"
    assert run.evaluations == {"digits_tuning": {"linear": ["none"]}}
    same = build_recipe(("digits_tuning", "ddcl", "baug"), 1, {})  # the variant's own numbers but these two
    changed = same.model_dump() | {"variant": run.recipe.variant}
    changed["settings"]["dvr_weight"] = 0.1
    assert run.recipe.model_dump() == changed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seeds": [0, 0]}, "tuning.seeds: .*0 is given twice"),
        ({"augmentations": ["baug", "baug"]}, "tuning.augmentations: .*'baug' is given twice"),
        ({"dataset": "../digits"}, "tuning.dataset: .*match pattern"),
        ({"dataset": "digits"}, "dataset digits has no `holdout`, so settings would be chosen on its test images"),
        (
            {"grids": GRIDS | {"ddcl": {RATE: [0.2]}}},
            "equal budgets; settings and epochs are simsiam 4 and 288, ddcl 1",
        ),
        ({"grids": {"ddcl": {"training.epochs": [1, 3]}, "simsiam": {"training.epochs": [1, 2]}}}, "equal budgets"),
        ({"grids": {"ddcl": {"dvr_weight": [0.1]}}}, "expected a key training.… or settings.…, found 'dvr_weight'"),
        ({"grids": {"ddcl": {WEIGHT: [1.0, 1.0]}}}, "expected values that differ"),
        ({"grids": {"ddcl": {"settings.dvr_wight": [1.0]}}}, r"and dvr_wight 1.0: settings: .*mean 'dvr_weight'"),
        ({"grids": {"dcdl": {WEIGHT: [1.0]}}}, "did you mean 'ddcl'"),
        ({"evaluation": "drift"}, "evaluation drift gives no top1 to choose by"),
    ],
)
def test_a_mistake_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        suite(**changes)


def test_its_files_may_be_typed_and_are_no_tables_names() -> None:
    found = suite()
    rules = Rules(found)
    rules.check_targets([f"results/tables/{name}" for name in (SCORES, CHOICE)])
    with pytest.raises(UserError, match="unknown table 'tunin'"):
        rules.check_targets(["results/tables/tunin.csv"])


def test_a_tuning_suite_has_no_claims() -> None:
    with pytest.raises(UserError, match="no runs, include or claims beside it"):
        Suite({"suite": "t", "title": "t", "description": "t", "tuning": TUNING, "claims": ["C1"]}, "t.yaml")


def test_the_shipped_suite_gives_equal_budgets() -> None:
    found = Suite.load(suite_path("digits_tuning"))
    assert len(found.runs) == 96
    assert f"tables/{CHOICE}" in found.plan.made()


# --- the choice


def accuracy(cell: dict[str, Any]) -> float:
    """SimSiam is best at 0.4, DDCL at 0.2 and λ = 1, at the edge of both; a seed moves all alike."""
    best = {"simsiam-base_lr0.4": 0.05, "ddcl-base_lr0.2-dvr_weight1.0": 0.03}
    return 0.8 + best.get(cell["variant"], 0.0) + 0.01 * cell["seed"]


def test_the_best_mean_is_chosen(tmp_path: Path) -> None:
    found = planted.results(suite().plan, tmp_path, accuracy, predictions=False)
    frame = scores(found)
    assert list(frame["accuracy"].round(6)) == [80.5, 80.5, 85.5, 80.5, 80.5, 83.5, 80.5, 80.5]
    tuned = choose(found, frame)
    write_choice(tuned, frame, tmp_path)
    assert parse(TunedConfig, read_yaml(tmp_path / CHOICE), CHOICE) == tuned
    assert (tmp_path / SCORES).read_text().splitlines()[3] == "simsiam,simsiam-base_lr0.4,base_lr 0.4,85.5000,0.7071,0"
    assert tuned.budget.model_dump() == {"settings": 4, "runs": 8, "epochs": 288}
    assert tuned.choices["simsiam"].values == {RATE: 0.4}
    assert tuned.choices["simsiam"].at_edge == []
    assert tuned.choices["ddcl"].values == {RATE: 0.2, WEIGHT: 1.0}
    assert tuned.choices["ddcl"].at_edge == [RATE, WEIGHT]
    assert (tuned.choices["ddcl"].accuracy, tuned.choices["ddcl"].next_best) == (83.5, 80.5)


@pytest.mark.parametrize("status", ABSENT)
def test_a_setting_that_diverged_is_not_chosen_and_a_missing_run_is_an_error(status: str, tmp_path: Path) -> None:
    found = planted.results(suite().plan, tmp_path, accuracy, predictions=False)
    best = found.records["variant"] == "simsiam-base_lr0.4"
    found.records.loc[best & (found.records["seed"] == 1), "value"] = np.nan
    frame = scores(found)
    assert choose(found, frame).choices["simsiam"].values == {RATE: 0.1}  # the first of equals
    gone = (found.records["variant"] == "ddcl-base_lr0.4-dvr_weight0.1") & (found.records["seed"] == 0)
    lost = found.records.assign(
        value=found.records["value"].mask(gone), status=found.records["status"].mask(gone, status)
    )
    with pytest.raises(UserError, match=r"ddcl-base_lr0.4-dvr_weight0.1: 1 of 2 runs have an accuracy"):
        scores(replace(found, records=lost))


def test_only_a_tuning_suite_chooses(tmp_path: Path) -> None:
    found = planted.results(planted.suite([], ["simsiam"], 1), tmp_path, planted.base, predictions=False)
    with pytest.raises(UserError, match="suite planted has no section tuning"):
        scores(found)


# --- the choice in use


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own folder of configuration with a choice for `digits`."""
    for name in ("datasets", "tuned"):
        (tmp_path / name).mkdir()
    (tmp_path / "datasets/ours.yaml").write_text("base: digits\nlabel: Ours\ntuned: ours\n")
    choice = {"accuracy": 85.0, "sd_seeds": 0.1, "next_best": 84.0, "at_edge": []}
    values = {"suite": "t", "plan": "0" * 16, "dataset": "ours", "augmentations": ["baug"], "seeds": [0]}
    values |= {"evaluation": "linear", "budget": {"settings": 2, "runs": 2, "epochs": 48}}
    choices = {"simsiam": choice | {"values": {RATE: 0.8}}, "ddcl": choice | {"values": {RATE: 0.2, WEIGHT: 0.5}}}
    (tmp_path / "tuned/ours.yaml").write_text(yaml.safe_dump(values | {"choices": choices}))
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    return tmp_path


def test_a_data_set_uses_what_was_chosen_for_it(own: Path) -> None:
    def numbers(variant: str, dataset: str = "ours") -> tuple[float, float]:
        recipe = build_recipe((dataset, variant, "baug"), 0, {})
        return recipe.training.optimizer.base_lr, recipe.settings.get("dvr_weight", np.nan)

    assert numbers("simsiam")[0] == 0.8
    assert numbers("ddcl") == (0.2, 0.5)
    assert numbers("ddcl_w10") == (0.2, 10.0)  # what it says itself goes before what was chosen for its base
    assert numbers("ddcl_preg") == (0.2, 0.5)
    assert numbers("ddcl_sym") == (0.002, 1.0)  # nothing was chosen for it
    assert numbers("ddcl", "fashion_mnist") == (0.4, 1.0)  # nor for this data set


def test_a_choice_that_cannot_be_names_its_file(own: Path) -> None:
    path = own / "tuned/ours.yaml"
    path.write_text(path.read_text().replace(f"{RATE}: 0.2", f"{RATE}: fast"))
    with pytest.raises(UserError, match=r"ddcl.yaml and config/tuned/ours.yaml with .*base_lr: .*found 'fast'"):
        build_recipe(("ours", "ddcl", "baug"), 0, {})


def test_a_choice_for_an_unknown_variant_is_refused(own: Path) -> None:
    path = own / "tuned/ours.yaml"
    path.write_text(path.read_text().replace("simsiam:", "simsaim:"))
    with pytest.raises(UserError, match=r"ours.yaml.*simsaim.*did you mean 'simsiam'"):
        build_recipe(("ours", "ddcl", "baug"), 0, {})


# --- held-out images


def splits(n: int, extra: int = 0) -> dict[str, ArraySplit]:
    """Images that tell their number, of three classes; pretraining has `extra` unlabelled ones, too."""
    labels = np.arange(n) % 3
    images = np.arange(n + extra, dtype=np.uint8)[:, None, None, None] * np.ones((1, 3, 1, 1), np.uint8)
    found = {"train": ArraySplit(images[:n], labels), "test": ArraySplit(images[:1], labels[:1])}
    if extra:
        found["pretrain"] = ArraySplit(images, np.concatenate([labels, np.full(extra, -1)]))
    return found


def test_every_class_gives_its_share_and_nothing_is_in_both() -> None:
    found = held_out("t", splits(60), HoldoutConfig(frac=0.25, seed=0))
    train, test = (found[split].images[:, 0, 0, 0] for split in ("train", "test"))
    assert sorted([*train, *test]) == list(range(60))
    assert np.bincount(found["test"].labels).tolist() == [5, 5, 5]
    assert np.array_equal(found["train"].labels, train % 3)
    again = held_out("t", splits(60), HoldoutConfig(frac=0.25, seed=0))
    other = held_out("t", splits(60), HoldoutConfig(frac=0.25, seed=1))
    assert np.array_equal(again["test"].images, found["test"].images)
    assert not np.array_equal(other["test"].images, found["test"].images)


def test_pretraining_does_not_see_them() -> None:
    found = held_out("t", splits(30, extra=10), HoldoutConfig(frac=0.2, seed=0))
    held, seen = (set(found[split].images[:, 0, 0, 0].tolist()) for split in ("test", "pretrain"))
    assert seen == set(range(40)) - held
    mixed = splits(30, extra=10)
    mixed["pretrain"] = ArraySplit(mixed["pretrain"].images[::-1], mixed["pretrain"].labels[::-1])
    with pytest.raises(UserError, match="not the 30 training images in order"):
        held_out("t", mixed, HoldoutConfig(frac=0.2, seed=0))


def test_data_sets_without_it_are_the_same_as_before() -> None:
    recipe, held = data_recipe("digits"), data_recipe("digits_tuning")
    assert "holdout" not in recipe.model_dump()  # so seals of manifests that exist stay what they are
    assert DataRecipe.model_validate(recipe.model_dump()) == recipe
    assert recipe.digest == "50caeb5c7f9aefb2"
    assert held.model_dump() == recipe.model_dump() | {"holdout": {"frac": 0.25, "seed": 0}}
    assert held.digest != recipe.digest


def test_a_name_has_all_values_of_a_setting() -> None:
    setting = Setting(values={RATE: 0.4, "settings.dvr_form": "softmax"})
    assert setting.name("ddcl") == "ddcl-base_lr0.4-dvr_formsoftmax"
    assert setting.changes == {"training": {"optimizer": {"base_lr": 0.4}}, "settings": {"dvr_form": "softmax"}}
