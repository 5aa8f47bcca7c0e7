"""Where results lie: each ingredient moves exactly the addresses of what is made of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ddcl.base.files import read_json, write_json, write_text
from ddcl.plan.addresses import ADDRESSED
from ddcl.plan.suite import Suite
from ddcl.schema.places import CONFIG_DIR

SUITE: dict[str, Any] = {"suite": "t", "title": "t", "description": "t"}
SUITE |= {"evaluations": ["linear", "knn", "semi_10pct"], "perturbations": ["none", "color", "color_rotate"]}
BLOCK = {"datasets": ["digits"], "variants": ["ddcl", "simsiam"], "augmentations": ["caug"], "seeds": [0, 1]}
RUNS = [f"{variant}/caug/seed{seed}" for variant in ("ddcl", "simsiam") for seed in (0, 1)]
ALL_RECORDS = ("linear", "knn", "semi_10pct")


def addresses(**changes: Any) -> dict[str, str]:
    """The address of everything in the suite: of arms and data whole, of features and records below their run."""
    plan = Suite(SUITE | {"runs": [BLOCK | changes.pop("block", {})]} | changes, "t.yaml").plan
    found = dict(zip((f"data {name}" for name in plan.data), plan.data_folders, strict=True))
    for run in plan.runs:
        name = run.name.removeprefix("digits/")
        found[f"run {name}"] = run.folder
        for target in run.targets:
            found[f"{target.evaluation} {name}"] = run.record(target).removeprefix(run.folder)
            features = run.features(target)
            if features:
                found[f"features {name}"] = features.removeprefix(run.folder)
    return found


BEFORE = addresses()


def moved(after: dict[str, str]) -> set[str]:
    assert set(after) == set(BEFORE)
    return {name for name in BEFORE if after[name] != BEFORE[name]}


def of(*kinds: str, variant: str = "") -> set[str]:
    """These of all runs, or of those of a variant."""
    return {f"{kind} {run}" for kind in kinds for run in RUNS if run.startswith(variant)}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Write a changed copy of a file of config/ to a folder that is searched first."""

    def edit(name: str, change: Callable[[dict[str, Any]], object]) -> None:
        path = CONFIG_DIR / name
        values = read_json(path, "list") if path.suffix == ".json" else yaml.safe_load(path.read_text())
        change(values)
        if path.suffix == ".json":
            write_json(tmp_path / name, values)
        else:
            write_text(tmp_path / name, yaml.safe_dump(values, sort_keys=False))
        monkeypatch.setenv("DDCL_CONFIG", str(tmp_path))

    return edit


def test_the_seed_is_in_the_path_and_in_no_digest() -> None:
    for variant in ("ddcl", "simsiam"):
        first, second = (f"{variant}/caug/seed{seed}" for seed in (0, 1))
        assert BEFORE[f"run {first}"].removesuffix("seed0") == BEFORE[f"run {second}"].removesuffix("seed1")
        assert all(BEFORE[f"{kind} {first}"] == BEFORE[f"{kind} {second}"] for kind in ("features", *ALL_RECORDS))
    assert moved(addresses(block={"seeds": [1, 0]})) == set()
    assert re.fullmatch(ADDRESSED, BEFORE["data digits"].removeprefix("data/"))


def test_words_move_nothing(own: Callable[..., None]) -> None:
    for name in ("datasets/digits.yaml", "evaluations/knn.yaml", "augmentations/caug.yaml", "perturbations/color.yaml"):
        own(name, lambda values: values.update(label="another label"))
    assert moved(addresses(suite="u", title="another title", description="another")) == set()


def test_the_number_of_neighbours_moves_the_records_of_knn(own: Callable[..., None]) -> None:
    own("evaluations/knn.yaml", lambda values: values["settings"].update(k=7))
    assert moved(addresses()) == of("knn")


def test_a_number_of_a_perturbation_moves_features_and_records_under_it(own: Callable[..., None]) -> None:
    def change(values: dict[str, Any]) -> None:
        values["ops"][0]["color_jitter"]["brightness"] = 0.123

    own("perturbations/color.yaml", change)
    assert moved(addresses()) == of("features", "linear", "knn")  # fine-tuning sees clean images only


def test_more_draws_move_features_and_what_is_made_of_them() -> None:
    assert moved(addresses(draws=3)) == of("features", "linear", "knn")


def test_the_side_of_the_images_moves_everything(own: Callable[..., None]) -> None:
    own("datasets/digits.yaml", lambda values: values.update(image_side_px=20))
    assert moved(addresses()) == set(BEFORE)


def test_the_content_of_a_list_of_images_moves_the_record_that_is_restricted_to_it(own: Callable[..., None]) -> None:
    def change(values: dict[str, Any]) -> None:
        values["positions"][0][0] += 1

    own("subsets/digits_10pct.json", change)
    assert moved(addresses()) == of("semi_10pct")


def test_a_number_of_a_variant_moves_its_arm_alone() -> None:
    # what lies below a run is addressed within it
    assert moved(addresses(block={"overrides": {"epochs": 7}})) == of("run")
    assert BEFORE["run ddcl/caug/seed0"].split("/")[3] != BEFORE["run simsiam/caug/seed0"].split("/")[3]


def test_random_columns_move_the_records_that_have_them() -> None:
    some, more = (addresses(random_subsets={"draws": draws, "dir_frac": 0.8}) for draws in (2, 3))
    differ = {name for name in some if some[name] != more[name]}
    assert differ >= of("linear", "knn")
    assert not {name for name in differ if name.startswith(("run", "data", "features"))}
    assert some["run ddcl/caug/seed0"] == BEFORE["run ddcl/caug/seed0"]
    assert some["features ddcl/caug/seed0"] == BEFORE["features ddcl/caug/seed0"]
