"""Plugins: what a package outside the project may be named for, what digests cover of it, and how mistakes are told."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from matplotlib.figure import Figure

from ddcl.base import fingerprint
from ddcl.base.errors import UserError
from ddcl.build import build_method, build_pipeline
from ddcl.core.method import Batch
from ddcl.plan import digests
from ddcl.plan.suite import Suite
from ddcl.report.figures.svg import svg_of
from ddcl.report.page.bars import colours, glyph, symbols
from ddcl.report.page.bars import mark_of as page_mark
from ddcl.schema.marks import mark_of
from ddcl.schema.ops import OPS
from ddcl.schema.places import VARIABLE
from ddcl.schema.recipes import Recipe, load_recipe
from ddcl.schema.registry import EVALUATIONS, METHODS, READERS
from ddcl.schema.suites import NormalisationConfig, suite_path
from tests.contract.checks import check_frozen, check_resumed, check_step
from tests.contract.toy import OVERRIDES, batch_for, train

PLUGIN = Path(__file__).resolve().parents[1] / "plugin"
MINE, MEANS = "outside.mine:Mine", "outside.means:evaluate"
STRIPES, NEGATIVE = "outside.stripes:read_stripes", "outside.negative:apply"


def forget() -> None:
    """Forget the package, as a new process does."""
    for name in [name for name in sys.modules if name.partition(".")[0] in ("outside", "broken")]:
        del sys.modules[name]
    for registry in (METHODS, EVALUATIONS, READERS, OPS):
        registry._plugins.clear()
    for function in (fingerprint._plugin_path, fingerprint._read, fingerprint.code_digest):
        function.cache_clear()
    importlib.invalidate_caches()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder on Python's path with the package in it."""
    folder = tmp_path / "site"
    shutil.copytree(PLUGIN / "outside", folder / "outside", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.syspath_prepend(folder)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    forget()
    yield folder
    forget()


@pytest.fixture
def suite(site: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Suite:
    """The suite that uses all of it, in a folder of configuration of its own."""
    shutil.copytree(PLUGIN / "config", tmp_path / "mine")
    monkeypatch.setenv(VARIABLE, "")
    return Suite.load(suite_path(str(tmp_path / "mine/suites/strange.yaml")))


def recipe_of(suite: Suite) -> Recipe:
    return suite.recipes["stripes/mine/strange/seed0"]


def test_a_plan_has_what_plugins_give(suite: Suite) -> None:
    plan = suite.plan
    run = plan.run("stripes/mine/strange/seed0")
    assert (run.method, recipe_of(suite).data.reader, plan.evaluations["means"].protocol) == (MINE, STRIPES, MEANS)
    assert [item.op for item in recipe_of(suite).ops][-1] == NEGATIVE
    (target,) = (target for target in run.targets if target.evaluation == "means")
    assert {(cell.part, cell.metric) for cell in target.expected()} == {
        (part, "nearest_mean") for part in ("full", "dir", "dvr")
    }
    assert plan.metrics["nearest_mean"].label == "nearest mean"
    assert not {MINE, MEANS, STRIPES, NEGATIVE} & {*METHODS, *EVALUATIONS, *READERS, *OPS}  # not listed


def test_its_recipe_is_read_again_and_is_as_strict_as_others(suite: Suite, tmp_path: Path) -> None:
    recipe, path = recipe_of(suite), tmp_path / "config.json"
    path.write_text(recipe.model_dump_json())
    assert load_recipe(path) == recipe
    assert recipe.settings == {"dim": 32, "weight": 1.0}
    path.write_text(recipe.model_dump_json().replace('"dim":32', '"dims":32'))
    with pytest.raises(UserError, match=r"unknown key 'dims'.* did you mean 'dim'"):
        load_recipe(path)


def test_the_method_passes_the_contract(suite: Suite, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = recipe_of(suite)
    changed = recipe.training.model_dump() | {key: OVERRIDES[key] for key in ("epochs", "batch_size")}
    recipe = recipe.model_copy(update={"training": type(recipe.training).model_validate(changed)})
    method = build_method(recipe)
    check_step(method, batch_for(method, recipe))
    check_frozen(build_method(recipe))
    check_resumed(lambda: train(build_method(recipe), recipe), "a signal", tmp_path, monkeypatch)


def test_views_with_an_operation_from_outside(suite: Suite) -> None:
    recipe = recipe_of(suite).model_copy(update={"seed": 1})
    method = build_method(recipe)
    batch: Batch = batch_for(method, recipe)
    changed = batch.drawn[0][NEGATIVE]["applied"]
    assert 0 < int(changed.sum()) < len(changed)
    grey = NormalisationConfig(mean=[0.0] * 3, std=[1.0] * 3)
    pipeline = build_pipeline(recipe.ops[-1:], 4, grey)
    x = torch.full((2, 3, 4, 4), 51, dtype=torch.uint8)
    found = pipeline.apply(x, [{"applied": torch.tensor([True, False])}])
    assert torch.allclose(found[:, 0, 0, 0], torch.tensor([0.8, 0.2]))


# --- tables and figures


def test_its_method_stands_in_the_main_table_and_an_ablation_of_it_beside_it(suite: Suite) -> None:
    found = {run.variant: (run.group, run.baseline) for run in suite.plan.runs}
    assert found == {"mine": ("main", "simsiam"), "mine_w0": ("ablation", "mine"), "simsiam": ("main", "")}


def test_it_has_the_mark_that_its_own_file_says_and_other_methods_keep_theirs(suite: Suite) -> None:
    assert (suite.plan.marks[MINE].marker, suite.plan.marks[MINE].baseline) == ("X", "simsiam")
    assert suite.plan.marks["simsiam"] == mark_of("simsiam")
    assert list(suite.plan.marks) == ["simsiam", MINE]  # the order of legends


def test_its_colour_on_the_page_has_a_name_that_css_allows(suite: Suite) -> None:
    marks = {MINE: suite.plan.marks[MINE]}
    assert colours(marks)["light"] == "--m-outside-mine-Mine: #7a1fa2;"
    figure = Figure()
    figure.text(0.5, 0.5, "mine", color="#7a1fa2")
    assert "var(--m-outside-mine-Mine, #7a1fa2)" in svg_of(figure, "mine", suite.plan)
    assert 'id="g-outside-mine-Mine"' in symbols(marks)
    assert all("outside.mine" not in text for text in (symbols(marks), page_mark(MINE), glyph(MINE)))


# --- digests


def digest_after(site: Path, name: str, old: str, new: str) -> str:
    path = site / "outside" / name
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    forget()
    return digests.pretrain_digest(MINE, [NEGATIVE])


@pytest.mark.parametrize(
    ("name", "old", "new", "moves"),
    [
        ("mine.py", "distance(z1, z2)", "2 * distance(z1, z2)", True),
        ("losses.py", ".mean()", ".sum()", True),  # by a relative import
        ("__init__.py", '"""\n', '"""\n\nX = 1\n', True),  # runs when the package is imported
        ("mine.py", "default=1.0", "default=2.0", True),  # settings are beside the class
        ("negative.py", ".abs()", ".abs().sqrt()", True),  # an operation of its augmentation
        ("means.py", "float64", "float32", False),  # another plugin of the same package
        ("losses.py", "Return the mean", "Return  the mean", False),
    ],
)
def test_digests_cover_the_modules_that_a_plugin_reaches(
    site: Path, name: str, old: str, new: str, moves: bool
) -> None:
    before = digests.pretrain_digest(MINE, [NEGATIVE])
    assert (digest_after(site, name, old, new) != before) == moves


def test_digests_of_each_stage_cover_their_plugin(site: Path) -> None:
    own = fingerprint.closure(["ddcl.training", "outside.mine"])
    assert {"outside", "outside.mine", "outside.losses", "ddcl.training", "ddcl.core.method"} <= set(own)
    assert not {"outside.means", "outside.stripes", "outside.negative"} & set(own)

    def made() -> tuple[str, ...]:
        evaluated, extracted = digests.evaluate_digest("ddcl", MEANS), digests.extract_digest("ddcl", [NEGATIVE])
        return evaluated, digests.prepare_digest(STRIPES), extracted

    before = made()
    for name in ("means", "stripes", "negative"):
        digest_after(
            site, f"{name}.py", "from __future__ import annotations\n", "from __future__ import annotations\nX = 1\n"
        )
    assert all(a != b for a, b in zip(before, made(), strict=True))


def test_the_projects_own_digests_know_nothing_of_plugins(site: Path) -> None:
    before = digests.pretrain_digest("ddcl", ["rotation"])
    digest_after(site, "mine.py", "distance(z1, z2)", "2 * distance(z1, z2)")
    assert digests.pretrain_digest("ddcl", ["rotation"]) == before


# --- mistakes


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "nowhere.mine:Mine",
            r"nowhere\.mine cannot be imported \(No module named 'nowhere'\); is its package installed",
        ),
        ("outside.mine:Yours", r"no Yours in outside\.mine; decorate it with @plugin\(MethodEntry, …\)"),
        ("outside.mine:MineSettings", r"expected its entry, found none; decorate it"),
        ("outside.means:evaluate", r"expected its entry, found that of EvaluationEntry; decorate it"),
        ("outside.mine:", r"expected the form package\.module:Name"),
        ("../outside:Mine", r"expected the form package\.module:Name"),
        ("a:b:c", r"expected the form package\.module:Name"),
        ("broken:Mine", r"broken cannot be imported \(division by zero\)$"),
        ("mine", r"unknown method 'mine'"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line_with_its_place(site: Path, name: str, message: str) -> None:
    (site / "broken.py").write_text("1 / 0\n", encoding="utf-8")
    with pytest.raises(UserError, match=message) as error:
        METHODS.check(name, "mine.yaml")
    assert str(error.value).startswith("mine.yaml: ")
    assert "\n" not in str(error.value)


def test_parts_that_are_not_those_of_the_entry_are_told(suite: Suite) -> None:
    object.__setattr__(METHODS[MINE], "parts", ("full",))
    with pytest.raises(UserError, match=r"its entry has the parts full, its class full, dir, dvr"):
        build_method(recipe_of(suite))
