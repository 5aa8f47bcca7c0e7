"""Where configuration lies: own folders go before the project's; sets of names; bases; who reads config/ at all."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from ddcl.__main__ import main
from ddcl.base.errors import UserError
from ddcl.plan.suite import Suite
from ddcl.schema.figures import WORDS
from ddcl.schema.op_recipes import read_perturbation, read_perturbations
from ddcl.schema.places import CONFIG_DIR, VARIABLE, config_folders, config_names, config_path
from ddcl.schema.recipes import read_dataset, read_evaluation
from ddcl.schema.sets import read_sets, with_sets
from ddcl.schema.subsets import new_subset_path
from ddcl.schema.suites import suite_file, suite_path
from ddcl.schema.variants import read_variant, scales

DIGITS = read_dataset("digits")
BLOCK: dict[str, Any] = {"datasets": ["digits"], "variants": ["ddcl"], "augmentations": ["baug"], "seeds": [0]}
SUITE = {"suite": "t", "title": "t", "description": "t", "runs": [BLOCK], "evaluations": ["knn"]}
SUITE |= {"perturbations": ["none"]}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An own folder of configuration, which is searched first."""
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.setenv(VARIABLE, str(folder))
    return folder


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")


OWN = {
    "datasets/mine.yaml": (CONFIG_DIR / "datasets/digits.yaml").read_text().replace("label: ", "label: My "),
    "variants/any.yaml": "my_ddcl:\n  base: ddcl\n  label: Mine\n  settings: {dir_frac: 0.3}\n",
    "evaluations/my_knn.yaml": "base: knn\nlabel: my kNN\nsettings: {k: 3}\n",
    "tables/my_table.yaml": (CONFIG_DIR / "tables/knn.yaml").read_text().replace("[knn, knn200]", "[my_knn]"),
    "sets.yaml": "tables: {mine: [my_table, knn]}\n",
    "suites/my_suite.yaml": (
        "suite: my_suite\ntitle: t\ndescription: t\nevaluations: [my_knn]\nperturbations: [none]\n"
        "runs: [{datasets: [mine], variants: [my_ddcl], augmentations: [baug], seeds: [0]}]\n"
        "tables: [{set: mine}]\n"
    ),
}


def test_an_own_folder_gives_data_sets_variants_evaluations_tables_sets_and_suites(own: Path, capsys: Any) -> None:
    write(own, OWN)
    assert main(["resolve", "--check", "--suite", "my_suite"]) == 0
    assert "my_suite" in capsys.readouterr().out
    built = Suite.load(config_path("suites", "my_suite"))
    assert list(built.runs) == ["mine/my_ddcl/baug/seed0"]
    assert built.runs["mine/my_ddcl/baug/seed0"].recipe.settings["dir_frac"] == 0.3
    assert built.evaluations["my_knn"].settings["k"] == 3
    assert list(built.tables) == ["my_table", "knn"]
    assert suite_file("my_suite") == str(own / "suites/my_suite.yaml")
    assert suite_file("cifar10") == "config/suites/cifar10.yaml"


def test_the_first_folder_with_a_file_gives_it(own: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    second = tmp_path / "second"
    monkeypatch.setenv(VARIABLE, os.pathsep.join([str(own), str(second)]))
    write(second, {"evaluations/knn.yaml": "base: linear\nlabel: second\n", "evaluations/x.yaml": "base: knn\n"})
    assert read_evaluation("knn")[0] == "second"
    write(own, {"evaluations/knn.yaml": "base: linear\nlabel: first\n"})
    assert read_evaluation("knn")[0] == "first"
    assert read_evaluation("x")[0] == "first"
    assert config_folders() == [own, second, CONFIG_DIR]
    assert {"x", "knn", "linear"} <= set(config_names("evaluations"))
    assert new_subset_path("toys", "1pct") == own / "subsets/toys_1pct.json"


def test_nothing_is_written_into_an_installed_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    assert new_subset_path("toys", "1pct") == CONFIG_DIR / "subsets/toys_1pct.json"  # of a checkout
    monkeypatch.setattr("ddcl.schema.places.is_installed", lambda: True)
    subset = ["subset", "digits", "--name", "few", "--per-class", "1", "--available", "9"]
    for command in (["encoder", "add", "mine", "a.pth"], subset):
        assert main(command) == 2
        assert (
            "there is no folder of your own for it; type this in a project that `ddcl init" in capsys.readouterr().err
        )
    write(tmp_path, {"config/config.yaml": "suite: t\n"})
    assert new_subset_path("toys", "1pct") == tmp_path / "config/subsets/toys_1pct.json"


def test_a_folder_with_nothing_but_encoders_is_searched_beside_its_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "")
    (tmp_path / "encoders").mkdir()
    suite_path(str(tmp_path / "own.yaml"))
    assert config_folders() == [tmp_path, CONFIG_DIR]


def test_errors_say_where_it_was_sought(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(own, {"evaluations/mine.yaml": "base: knn\n"})
    with pytest.raises(UserError) as error:
        read_evaluation("min")
    assert str(error.value) == (f"evaluations/min.yaml: no such file in {own} or {CONFIG_DIR}; did you mean 'mine'?")
    monkeypatch.setenv(VARIABLE, str(own / "absent"))
    with pytest.raises(UserError, match=rf"{VARIABLE}: no such folder: .*absent"):
        read_evaluation("knn")


# --- variants of any scale, bases


def test_a_variant_of_any_scale_yields_to_the_scales_own(own: Path) -> None:
    write(own, {"variants/small/ddcl_f50.yaml": "base: ddcl\nlabel: own\n"})
    assert read_variant(DIGITS, "ddcl_f50", {}).label == "own"
    assert read_variant(DIGITS, "ddcl_f60", {}).label == "DDCL, 60 % DIR"


def test_an_own_entry_goes_before_the_projects(own: Path) -> None:
    write(own, {"variants/any.yaml": "ddcl_f60:\n  base: ddcl\n  label: own\n"})
    assert read_variant(DIGITS, "ddcl_f60", {}).label == "own"
    assert read_variant(DIGITS, "ddcl_f70", {}).label == "DDCL, 70 % DIR"


def test_the_file_of_any_scale_is_no_scale() -> None:
    assert scales() == ["cifar", "imagenet", "small"]
    with pytest.raises(UserError, match="unknown scale 'any'"):
        read_variant(DIGITS.model_copy(update={"scale": "any"}), "ddcl", {})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "x:\n  base: ddcl\n  label: x\n  setings: {}\n",
            r"any\.yaml: x: unknown key 'setings'; did you mean 'settings'",
        ),
        ("x:\n  label: x\n", r"any\.yaml: x: missing key 'base'"),
        ("x: ddcl\n", r"any\.yaml: x: expected a mapping"),
        ("x:\n  base: x\n  label: x\n", r"any\.yaml: x: circular base: x -> x"),
        (
            "x:\n  base: ddcl\n  label: x\n  settings: {dir_farc: 1}\n",
            r"any\.yaml: x: settings: .*'dir_farc'.*'dir_frac'",
        ),
        (
            "y:\n  base: ddcl\n  label: x\n",
            r"variants/small/x\.yaml: no such file in .*, and no 'x' in variants/any\.yaml",
        ),
    ],
)
def test_an_entry_with_a_mistake(text: str, message: str, own: Path) -> None:
    write(own, {"variants/any.yaml": text})
    with pytest.raises(UserError, match=message):
        read_variant(DIGITS, "x", {})


def test_published_as_is_said_of_one_variant_alone(own: Path) -> None:
    write(own, {"variants/any.yaml": "x:\n  base: ddcl_e100\n  label: x\n"})
    assert read_variant(DIGITS, "ddcl_e100", {}).published_as == "ddcl"
    assert read_variant(DIGITS, "x", {}).published_as is None


def test_circular_and_wrong_bases_of_evaluations_are_refused(own: Path) -> None:
    write(own, {"evaluations/one.yaml": "base: two\n", "evaluations/two.yaml": "base: one\n"})
    with pytest.raises(UserError, match=r"evaluations/one\.yaml: circular base: one -> two -> one"):
        read_evaluation("one")
    write(own, {"evaluations/one.yaml": "base: [knn]\n"})
    with pytest.raises(UserError, match=r"one\.yaml: base: expected a name, found \['knn'\]"):
        read_evaluation("one")


# --- sets


def test_sets_keep_the_order_and_give_a_name_once(own: Path) -> None:
    write(own, {"sets.yaml": "tables: {few: [knn, linear]}\n"})
    values = with_sets({"tables": ["transfer", {"set": "few"}, "linear", {"set": "basic"}]}, "t.yaml")
    assert values["tables"][:4] == ["transfer", "knn", "linear", "knn_neighbours"]
    assert len(values["tables"]) == len(set(values["tables"]))
    everything = with_sets({"claims": [{"set": "rivals"}, {"set": "all"}]}, "t.yaml")["claims"]
    assert everything == config_names("claims")  # B before C


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"tables": ["knn", {"set": "bsic"}]},
            r"t\.yaml: tables\.1: config/sets\.yaml: unknown set of tables 'bsic'; did you mean 'basic'",
        ),
        (
            {"tables": [{"sets": "basic"}]},
            r"t\.yaml: tables\.0: expected a name, or {set: NAME}, found {'sets': 'basic'}",
        ),
        ({"claims": [{"set": ["all"]}]}, r"t\.yaml: claims\.0: expected a name, or {set: NAME}"),
        ({"claims": "all"}, r"t\.yaml: claims: .*valid list, found 'all'"),
        ({"evaluations": [{"set": "all"}]}, r"t\.yaml: evaluations\.0: .*valid string"),
    ],
)
def test_a_set_with_a_mistake(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Suite(SUITE | changes, "t.yaml")


def test_every_set_names_what_there_is() -> None:
    known = {key: config_names(key) for key in ("tables", "claims", "pictures")} | {"figures": list(WORDS)}
    for key, sets in read_sets().items():
        assert sets, key
        for name, members in sets.items():
            assert set(members) <= set(known[key]), (key, name)


# --- names without meaning


def test_members_know_their_family_and_strength() -> None:
    members = {name: recipe for name, (_, recipe) in read_perturbations("jitter_strength").items()}
    assert {recipe.family for recipe in members.values()} == {"jitter_strength"}
    assert [recipe.strength for recipe in members.values()] == [0.5, 1, 1.5, 2]
    assert not {"family", "strength"} & set(read_perturbation("jitter_strength.0.5").model_dump())
    assert read_perturbation("common_corruptions.fog_4").strength is None
    assert read_perturbation("color").family is None
    with pytest.raises(UserError, match=r"unknown perturbation 'common_corruptions.fog_6'; did you mean"):
        read_perturbation("common_corruptions.fog_6")
    with pytest.raises(UserError, match=r"common_corruptions is a family of \d+; name its members, such as common_"):
        read_perturbation("common_corruptions")


def test_the_plan_says_families_and_strengths() -> None:
    plan = Suite(SUITE | {"perturbations": ["none", "color", "elastic_strength"]}, "t.yaml").plan
    names = [f"elastic_strength.{strength}" for strength in (1, 2, 4, 7, 10)]
    assert plan.families == dict.fromkeys(names, "elastic_strength")
    assert plan.strengths == dict(zip(names, (1, 2, 4, 7, 10), strict=True))


def test_what_stands_beside_published_numbers_is_said_of_each_run() -> None:
    blocks = [BLOCK | {"datasets": ["imagenet"], "variants": ["ddcl", "ddcl_e100"], "augmentations": ["caug"]}]
    runs = Suite(SUITE | {"runs": [*blocks, blocks[0] | {"authors": True}]}, "t.yaml").plan.runs
    assert [(run.variant, run.published_as, run.authors) for run in runs] == [
        ("ddcl", "ddcl", False),
        ("ddcl_e100", "ddcl", False),
        ("ddcl_authors", "ddcl", True),
        ("ddcl_e100_authors", "ddcl", True),
    ]


def test_the_project_alone_is_searched_without_the_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    shutil.copytree(CONFIG_DIR / "evaluations", tmp_path / "config/evaluations")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(VARIABLE, raising=False)
    assert config_folders() == [CONFIG_DIR]


def test_the_folder_beside_a_suite_is_searched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "study"
    write(own, {"suites/my_suite.yaml": "suite: my_suite\n", "config.yaml": "suite: default\n"})
    for file in ("suites/my_suite.yaml", "config.yaml"):
        assert suite_path(f"study/{file}") == Path(f"study/{file}")
        assert config_folders() == [own, CONFIG_DIR]
        assert suite_file(file.split("/")[-1][:-5].replace("config", "default")) == f"study/{file}"
    alone = tmp_path / "alone.yaml"  # in a folder that holds nothing of the kind
    alone.write_text("suite: alone\n")
    suite_path(str(alone))
    assert config_folders() == [own, CONFIG_DIR]


def test_config_of_the_folder_at_hand_is_searched_if_it_has_a_suite(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "config", {"config.yaml": "suite: mine\n", "evaluations/mine.yaml": "base: knn\nlabel: Mine\n"})
    assert config_folders() == [tmp_path / "config", CONFIG_DIR]
    assert read_evaluation("mine")[0] == "Mine"
    assert suite_file("mine") == "config/config.yaml"
