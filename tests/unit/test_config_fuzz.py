"""Any file of config/, with any value at any key, or damaged in any way: read, or refused in one line; nothing else."""

from __future__ import annotations

import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ddcl.base.errors import UserError
from ddcl.base.yaml_files import merge, read_yaml
from ddcl.plan.cost import describe
from ddcl.plan.suite import Suite
from ddcl.schema import places, recipes
from ddcl.schema.bases import on_its_base
from ddcl.schema.figures import WORDS
from ddcl.schema.places import config_names
from ddcl.schema.recipes import read_dataset
from ddcl.schema.variants import _find
from tests.unit.mutations import cases, damaged

VARIANTS = ("ddcl", "ddcl_sym", "simsiam", "barlow_twins", "random_init")
EVALUATIONS = ("linear", "knn", "linear_online", "semi_10pct", "diagnostics", "drift")
DATASETS = ("digits", "shapes")
FOLDERS = ("datasets", "augmentations", "perturbations", "evaluations", "tables", "claims", "pictures")


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of config/ with a suite of much of it, in which no file's value is hidden by another's."""
    folder = tmp_path_factory.mktemp("config") / "config"
    shutil.copytree(places.CONFIG_DIR, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(places, "CONFIG_DIR", folder)
        overrides = read_dataset("digits").training_overrides
        for name in VARIANTS:
            values = on_its_base(name, lambda own: _find("small", own)).values
            dump(
                folder / f"variants/small/{name}.yaml", values | {"training": merge(values["training"], overrides, "")}
            )
        for name in EVALUATIONS:
            dump(
                folder / f"evaluations/{name}.yaml",
                on_its_base(name, lambda own: recipes._find("evaluations", own)).values,
            )
        for name in DATASETS:
            values = read_yaml(folder / f"datasets/{name}.yaml")
            shown = {k: v for k, v in values.items() if k != "tuned" and not k.endswith("_overrides")}
            dump(folder / f"datasets/{name}.yaml", shown)
        dump(folder / "suites/fuzz.yaml", suite())
        yield folder


def suite() -> dict[str, Any]:
    arms = {"datasets": ["digits"], "variants": list(VARIANTS[:-1]), "augmentations": ["baug", "caug", "caug_plus"]}
    floor = {"datasets": ["digits"], "variants": ["random_init"], "augmentations": ["none"], "seeds": [0]}
    shapes = {
        "datasets": ["shapes"],
        "variants": ["ddcl"],
        "augmentations": ["baug"],
        "evaluations": ["factors", "knn"],
    }
    return {
        "suite": "fuzz",
        "title": "All kinds",
        "description": "One of each.",
        "data_root": "data",
        "runs": [
            arms | {"seeds": [0, 1], "overrides": {"epochs": 9}},
            floor,
            shapes | {"seeds": [0]},
        ],
        "evaluations": list(EVALUATIONS),
        "perturbations": ["none", *(name for name in config_names("perturbations") if name != "none")],
        "draws": 2,
        "random_subsets": {"draws": 20, "dir_frac": 0.8},
        "tables": config_names("tables"),
        "figures": list(WORDS),
        "claims": config_names("claims"),
        "pictures": config_names("pictures"),
        "figure_variants": ["ddcl"],
        "figure_augmentations": ["baug"],
    }


def dump(path: Path, values: Any) -> None:
    path.write_text(yaml.safe_dump(values, sort_keys=False, allow_unicode=True), encoding="utf-8")


def answer(config: Path) -> str:
    """Return what `ddcl resolve --check` and `ddcl plan` say of the suite; empty: it is accepted."""
    try:
        found = Suite.load(config / "suites/fuzz.yaml")
        found.n_cells()
        assert found.plan.text
        describe(found, Path("data"), Path("none"))
    except UserError as error:
        text = str(error)
        assert "\n" not in text, text
        assert len(text) < 3000, text
        return text
    return ""


def files(config: Path) -> list[tuple[str, Path]]:
    """The files that the suite reads, and of what kind they are."""
    found = [(kind, path) for kind in FOLDERS for path in sorted((config / kind).glob("*.yaml"))]
    used = {"datasets": DATASETS, "augmentations": ("baug", "caug", "caug_plus"), "evaluations": EVALUATIONS}
    found = [(kind, path) for kind, path in found if kind not in used or path.stem in used[kind]]
    found += [("variants", config / f"variants/small/{name}.yaml") for name in VARIANTS]
    return [*found, ("", config / "statistics.yaml"), ("suites", config / "suites/fuzz.yaml")]


def test_the_suite_itself_is_accepted(config: Path) -> None:
    assert answer(config) == ""


@pytest.mark.slow
def test_values_at_every_key(config: Path) -> None:
    """What the models forbid is refused, and names the file; what they allow is accepted, or refused in a line."""
    rng, counts, wrong = random.Random(0), Counter[str](), list[str]()
    for kind, path in files(config):
        before = path.read_bytes()
        found = list(cases(kind, read_yaml(path), rng, per_key=3))
        for case in rng.sample(found, min(len(found), 14)):
            dump(path, case.values)
            said = tried(config, f"{path.name}: {case.key}", wrong)
            counts["refused" if said else "accepted"] += 1
            if not said and case.allowed is False:
                wrong.append(f"{path.name}: {case.key}: accepted, though it is {case.value!r}")
            if said and path.stem not in said and "fuzz.yaml" not in said:
                wrong.append(f"{path.name}: {case.key}: {said}")
        path.write_bytes(before)
    print(dict(counts))
    assert not wrong, "\n".join(wrong)
    assert counts.total() >= 500
    assert min(counts["refused"], counts["accepted"]) >= 20


def tried(config: Path, what: str, wrong: list[str]) -> str:
    """Return the answer to a change; add to `wrong` if it is neither accepted nor refused in a line."""
    try:
        return answer(config)
    except Exception as error:
        wrong.append(f"{what}: {error!r}")
        return "broken"


@pytest.mark.slow
def test_damaged_files(config: Path) -> None:
    rng, counts, wrong = random.Random(0), Counter[str](), list[str]()
    for _, path in files(config) * 6:
        before = path.read_bytes()
        path.write_bytes(changed := damaged(before, rng))
        said = tried(config, f"{path.name}: {changed!r}", wrong)
        counts["refused" if said else "accepted"] += 1
        path.write_bytes(before)
    print(dict(counts))
    assert not wrong, "\n".join(wrong)
    assert counts.total() >= 300
