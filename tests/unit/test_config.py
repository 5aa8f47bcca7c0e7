"""Configuration: errors that say what, where and what is meant; names that exist; digests of numbers, not of words."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import Field

from ddcl.base import sealed
from ddcl.base.errors import UserError
from ddcl.base.yaml_files import Model, merge, parse, read_yaml
from ddcl.plan.addresses import features_digest
from ddcl.plan.plan import Plan
from ddcl.plan.suite import Suite
from ddcl.schema import places
from ddcl.schema.op_recipes import read_ops, read_perturbations
from ddcl.schema.recipes import (
    Recipe,
    build_recipe,
    data_recipe,
    load_recipe,
    perturbation_on,
    read_dataset,
    read_evaluation,
)
from ddcl.schema.registry import METHODS
from ddcl.schema.tables import read_table
from ddcl.schema.variants import read_variant, variant_names

ROOT = Path(__file__).resolve().parents[2]
CONFIG = ROOT / "config"


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of config/ that a test may change."""
    folder = tmp_path / "config"
    shutil.copytree(CONFIG, folder)
    monkeypatch.setattr(places, "CONFIG_DIR", folder)
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, f"{path}: no {old!r} to edit"
    path.write_text(text.replace(old, new), encoding="utf-8")


# --- parse


class Inner(Model):
    width_px: int
    rate: float = 0.5


class Outer(Model):
    label: str
    inner: Inner
    several: list[Inner] = Field(default_factory=list)
    named: dict[str, Inner] = Field(default_factory=dict)
    grouped: list[dict[str, Inner]] = Field(default_factory=list)


DIGITS = read_dataset("digits")
GOOD = {"label": "x", "inner": {"width_px": 3}}


def complaint(**changes: Any) -> str:
    """Return the message of the error that these values give."""
    with pytest.raises(UserError) as caught:
        parse(Outer, GOOD | changes, "some/file.yaml")
    assert str(caught.value).startswith("some/file.yaml: ")
    assert "\n" not in str(caught.value)
    return str(caught.value).removeprefix("some/file.yaml: ")


def test_good_values_become_a_frozen_model() -> None:
    model = parse(Outer, GOOD | {"named": {"a": {"width_px": 1, "rate": 1}}}, "x")
    assert model.inner == Inner(width_px=3, rate=0.5)
    assert model.named["a"].rate == 1.0  # a whole number is a number
    with pytest.raises(ValueError, match="frozen"):
        model.label = "y"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": 1}, "unknown key 'labels'; did you mean 'label'?"),
        ({"inner": {"width_px": 3, "rat": 1.0}}, "unknown key 'inner.rat'; did you mean 'rate'?"),
        (
            {"several": [{"width_px": 1}, {"width_px": 1, "wdth_px": 2}]},
            "unknown key 'several.1.wdth_px'; did you mean 'width_px'?",
        ),
        ({"named": {"a": {"width_px": 1, "rates": 2.0}}}, "unknown key 'named.a.rates'; did you mean 'rate'?"),
        ({"grouped": [{"b": {"width_px": 1, "rates": 2.0}}]}, "unknown key 'grouped.0.b.rates'; did you mean 'rate'?"),
    ],
    ids=["top", "nested", "list", "mapping", "list of mappings"],
)
def test_unknown_key_has_its_path_and_a_suggestion(changes: dict[str, Any], message: str) -> None:
    assert complaint(**changes) == message


def test_unknown_key_that_resembles_nothing_lists_what_is_allowed() -> None:
    assert complaint(inner={"width_px": 3, "zzz": 1}) == "unknown key 'inner.zzz'; allowed: rate, width_px"


def test_missing_key_has_its_path() -> None:
    assert complaint(inner={}) == "missing key 'inner.width_px'"
    assert complaint(several=[{"rate": 1.0}]) == "missing key 'several.0.width_px'"


@pytest.mark.parametrize("value", ["3", 3.0, True, None, [3]])
def test_wrong_type_is_not_converted(value: Any) -> None:
    message = complaint(inner={"width_px": value})
    assert message.startswith("inner.width_px: ")
    assert message.endswith(f"found {value!r}")


def test_exponent_without_a_point_has_a_hint() -> None:
    values = yaml.safe_load("width_px: 3\nrate: 1e-5")
    assert complaint(inner=values) == (
        "inner.rate: Input should be a valid number, found '1e-5' (YAML reads 1e-5 as text: write 1.0e-5)"
    )
    assert "YAML" not in complaint(inner={"width_px": "x"})


def test_all_errors_are_named_at_once() -> None:
    message = complaint(labels=1, inner={"rat": 1.0})
    assert "'labels'" in message
    assert "'inner.rat'" in message
    assert "missing key 'inner.width_px'" in message


@pytest.mark.parametrize("values", [None, [1], "text", 3])
def test_something_else_than_a_mapping(values: Any) -> None:
    with pytest.raises(UserError, match="x: expected a mapping of keys to values, found"):
        parse(Outer, values, "x")


# --- YAML


def test_duplicate_keys_are_refused_at_any_depth(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    for text in ("a: 1\nb: 2\na: 3\n", "outer:\n  a: 1\n  a: 1\n", "list:\n  - {a: 1, a: 2}\n"):
        path.write_text(text)
        with pytest.raises(UserError, match=r"x\.yaml: not valid YAML \(key 'a' is given twice, line \d"):
            read_yaml(path)


@pytest.mark.parametrize("text", ["a: [1\n", "\t- x", "a: b: c", "a: !!python/object/apply:os.getcwd []"])
def test_invalid_yaml_is_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=r"x\.yaml: not valid YAML") as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "- 1\n", "text\n"])
def test_yaml_that_is_no_mapping(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UserError, match="expected a mapping"):
        read_yaml(tmp_path / "x.yaml")


def test_missing_and_unreadable_files(tmp_path: Path) -> None:
    (tmp_path / "baug.yaml").write_text("a: 1")
    with pytest.raises(UserError, match=r"bauk\.yaml: no such file; did you mean 'baug'\?"):
        read_yaml(tmp_path / "bauk.yaml")
    with pytest.raises(UserError, match=r"x\.yaml: no such file$"):
        read_yaml(tmp_path / "nowhere" / "x.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"label: \xe9")
    with pytest.raises(UserError, match="cannot be read"):
        read_yaml(tmp_path / "latin.yaml")


def test_merge_goes_into_mappings_and_replaces_the_rest() -> None:
    base = {"a": {"x": 1, "y": {"z": 2}}, "l": [1, 2], "n": {"q": 1}}
    merged = merge(base, {"a": {"y": {"z": 3}}, "l": [3], "n": None, "new": 4}, "base: ")
    assert merged == {"a": {"x": 1, "y": {"z": 3}}, "l": [3], "n": None, "new": 4}
    assert base == {"a": {"x": 1, "y": {"z": 2}}, "l": [1, 2], "n": {"q": 1}}


# --- the files in config/

SUITES = [CONFIG / "config.yaml", *sorted((CONFIG / "suites").glob("*.yaml"))]


def names(folder: str) -> list[str]:
    return [path.stem for path in sorted((CONFIG / folder).glob("*.yaml"))]


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_every_suite_is_valid(path: Path) -> None:
    suite = Suite.load(path)
    assert suite.recipes
    plan = suite.plan
    cells = [
        (*run.names, target.eval_dataset, target.evaluation, *cell)
        for run in plan.runs
        for target in run.targets
        for cell in target.expected()
    ]
    assert len(cells) == len(set(cells)) == suite.n_cells()
    assert len({cell[:4] for cell in cells}) == len(suite.recipes)
    again = sealed.parse(plan.text, Plan, path, ("plan", "ddcl resolve"))
    assert again.text == plan.text  # the planner's guesses that no plan holds are read with their defaults
    for name in ("evaluations", "tables", "figures", "claims", "labels"):  # in the order of the suite
        assert list(getattr(again, name)) == list(getattr(plan, name))
    for kind in ("dataset", "variant", "augmentation"):
        assert {getattr(run, kind) for run in plan.runs} <= set(plan.labels[kind])
    assert set(plan.evaluations) <= set(plan.labels["evaluation"])
    assert set(plan.perturbations) <= set(plan.labels["perturbation"])


def test_every_file_is_valid_whether_a_suite_names_it_or_not() -> None:
    for name in names("datasets"):
        read_dataset(name)
    for scale in ("small", "cifar", "imagenet"):
        dataset = DIGITS.model_copy(update={"scale": scale, "training_overrides": {}})  # they are of its own scale
        for name in set(variant_names(scale)) - {"common"}:  # what the others start from
            read_variant(dataset, name, {})
    for name in names("augmentations"):
        assert read_ops("augmentations", name, {})[1]
    for name in names("perturbations"):
        assert read_perturbations(name)
    for name in names("evaluations"):
        read_evaluation(name)
    for name in names("tables"):
        read_table(name)


def test_labels_are_unique_within_a_kind() -> None:
    """Two rows of a table with one name could not be told apart."""
    for folder in ("datasets", "augmentations", "perturbations", "variants/small", "variants/cifar"):
        labels = [
            read_yaml(CONFIG / folder / f"{name}.yaml").get("label") for name in names(folder) if name != "common"
        ]
        assert None not in labels
        assert len(labels) == len(set(labels)), folder
    labels = [entry["label"] for entry in read_yaml(CONFIG / "variants/any.yaml").values()]
    assert len(labels) == len(set(labels)) > 0


# --- suites: names and blocks

BLOCK = {"datasets": ["digits"], "variants": ["ddcl"], "augmentations": ["baug"], "seeds": [0]}


def suite(blocks: list[dict[str, Any]] | None = None, **changes: Any) -> Suite:
    values = {
        "suite": "test",
        "title": "Test",
        "description": "Test.",
        "runs": blocks or [BLOCK],
        "evaluations": ["knn"],
        "perturbations": ["none"],
        "tables": [],
        "figures": [],
    }
    return Suite(values | changes, "suite.yaml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"variants": ["dcl"]}, "did you mean 'ddcl'"),
        ({"datasets": ["digit"]}, "did you mean 'digits'"),
        ({"augmentations": ["caug_pls"]}, "did you mean 'caug_plus'"),
        ({"overrides": {"epoch": 2}}, "unknown key 'training.epoch'; did you mean 'epochs'"),
        (
            {"overrides": {"backbone": {"blok": "basic"}}},
            r"unknown key 'training\.backbone\.blok'; did you mean 'block",
        ),
        ({"overrides": {"epochs": -1}}, r"training\.epochs: .*greater than or equal to 0, found -1"),
        ({"seed": [0]}, r"unknown key 'runs\.0\.seed'; did you mean 'seeds'"),
        ({"seeds": []}, r"runs\.0\.seeds: "),
        ({"variants": ["random_init"]}, "variant 'random_init' with augmentation 'baug': it needs 'none'"),
        (
            {"augmentations": ["none"]},
            "variant 'ddcl' with augmentation 'none': it needs a name in config/augmentations",
        ),
    ],
)
def test_a_block_with_a_mistake(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        suite([BLOCK | changes])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"perturbations": ["none", "colour"]}, "did you mean 'color'"),
        ({"evaluations": ["lineal"]}, "did you mean 'linear'"),
        ({"figures": ["robustnes"]}, "unknown figure 'robustnes'; did you mean 'robustness'"),
        ({"tables": ["lineal"]}, "tables: unknown table 'lineal'; did you mean 'linear'"),
        ({"perturbations": ["color"]}, "a block needs 'none' in perturbations"),
        ({"evaluations": []}, "a block needs evaluations"),
        ({"evaluation": ["knn"]}, "unknown key 'evaluation'; did you mean 'evaluations'"),
        ({"runs": []}, "a suite needs runs, other suites in include, or tuning"),
    ],
)
def test_a_suite_with_a_mistake(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        suite(**changes)


@pytest.mark.parametrize("seeds", [[-1], [0, -1]])
def test_negative_seeds_are_refused(seeds: list[int]) -> None:
    with pytest.raises(UserError, match=r"seeds\.\d.*greater than or equal to 0"):
        suite([BLOCK | {"seeds": seeds}])


def test_blocks_are_united() -> None:
    built = suite([BLOCK, BLOCK | {"seeds": [0, 1]}, BLOCK | {"variants": ["simsiam"], "overrides": {"epochs": 9}}])
    assert list(built.recipes) == ["digits/ddcl/baug/seed0", "digits/ddcl/baug/seed1", "digits/simsiam/baug/seed0"]
    assert built.recipes["digits/simsiam/baug/seed0"].training.epochs == 9
    assert built.recipes["digits/ddcl/baug/seed1"].seed == 1


def test_number_of_runs_and_cells_by_hand() -> None:
    """(3 variants · 2 augmentations + the floor) · 2 seeds; 5 metrics, 2 perturbations, 3 parts for a split."""
    trained = {"variants": ["ddcl", "ddcl_sym", "simsiam"], "augmentations": ["baug", "caug"], "seeds": [0, 1]}
    floor = {"variants": ["random_init"], "augmentations": ["none"], "seeds": [0, 1]}
    built = suite(
        [BLOCK | trained, BLOCK | floor], evaluations=["knn", "linear"], perturbations=["none", "color_rotate"]
    )
    assert len(built.recipes) == (3 * 2 + 1) * 2
    assert built.n_cells() == 2 * (1 + 4) * 2 * (2 * 2 * 3 + 2 * 1 + 1)
    assert {part for run in built.plan.runs if run.variant == "simsiam" for part in run.parts} == {"full"}


def test_blocks_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(UserError, match="runs: digits/ddcl/baug/seed0 is in two blocks with different numbers"):
        suite([BLOCK, BLOCK | {"overrides": {"epochs": 9}}])


def test_recipes_of_all_seeds_differ_in_the_seed_only() -> None:
    built = suite([BLOCK | {"seeds": [0, 5]}])
    first, second = built.recipes.values()
    assert second == build_recipe(("digits", "ddcl", "baug"), 5, {})
    assert first.model_copy(update={"seed": 5}) == second


# --- variants, augmentations, evaluations


def test_unknown_scale_method_reader_and_protocol(config: Path) -> None:
    with pytest.raises(UserError, match="unknown scale 'smal'; did you mean 'small'"):
        read_variant(DIGITS.model_copy(update={"scale": "smal"}), "ddcl", {})
    edit(config / "variants/small/ddcl.yaml", "method: ddcl", "method: dccl")
    with pytest.raises(UserError, match=r"ddcl\.yaml: unknown method 'dccl'; did you mean 'ddcl'"):
        read_variant(DIGITS, "ddcl", {})
    edit(config / "datasets/digits.yaml", "reader: digits", "reader: digit")
    with pytest.raises(UserError, match=r"digits\.yaml: unknown reader 'digit'; did you mean 'digits'"):
        read_dataset("digits")
    edit(config / "evaluations/knn.yaml", "protocol: knn", "protocol: kn")
    with pytest.raises(UserError, match=r"knn\.yaml: unknown protocol 'kn'; did you mean 'knn'"):
        read_evaluation("knn")


def test_settings_of_a_method_and_of_a_protocol_are_checked(config: Path) -> None:
    edit(config / "variants/small/ddcl.yaml", "dvr_weight: 1.0", "dvr_weigth: 1.0")
    with pytest.raises(UserError, match=r"settings: .*unknown key 'dvr_weigth'; did you mean 'dvr_weight'"):
        read_variant(DIGITS, "ddcl", {})
    edit(config / "evaluations/knn.yaml", "temperature: 0.1", "temperature: 0.0")
    with pytest.raises(UserError, match=r"settings: temperature: .*greater than or equal to 0\.001, found 0\.0"):
        read_evaluation("knn")


def test_a_variant_stands_on_its_base(config: Path) -> None:
    (config / "variants/small/ddcl_f50.yaml").write_text("base: ddcl\nlabel: half\nsettings: {dir_frac: 0.5}\n")
    half, whole = read_variant(DIGITS, "ddcl_f50", {}), read_variant(DIGITS, "ddcl", {})
    assert half.settings == whole.settings | {"dir_frac": 0.5}
    assert half.training == whole.training
    assert half.label == "half"


def test_circular_bases_are_refused(config: Path) -> None:
    for name, base in (("one", "two"), ("two", "one")):
        (config / f"variants/small/{name}.yaml").write_text(f"base: {base}\n")
        (config / f"augmentations/{name}.yaml").write_text(f"label: {name}\nbase: {base}\n")
    with pytest.raises(UserError, match="circular base: one -> two -> one"):
        read_variant(DIGITS, "one", {})
    with pytest.raises(UserError, match="circular base: one -> two -> one"):
        read_ops("augmentations", "one", {})


def test_a_variant_without_numbers_is_an_error_that_says_so(config: Path) -> None:
    (config / "variants/small/empty.yaml").write_text("label: x\nmethod: ddcl\ntraining:\n")
    with pytest.raises(UserError, match=r"empty\.yaml.*training"):
        read_variant(DIGITS, "empty", {})


@pytest.mark.parametrize(
    ("overrides", "path"),
    [
        ({"optimizer": {"base_lr": float("inf")}}, "training.optimizer.base_lr"),
        ({"optimizer": {"weight_decay": float("nan")}}, "training.optimizer.weight_decay"),
        ({"backbone": {"widths": [16, 0, 64]}}, "training.backbone.widths.1"),
        ({"backbone": {"blocks": [1, -1, 1]}}, "training.backbone.blocks.1"),
        ({"backbone": {"blocks": [1, 1]}}, "training.backbone"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(overrides: dict[str, Any], path: str) -> None:
    with pytest.raises(UserError, match=re.escape(path)):
        read_variant(DIGITS, "ddcl", overrides)


@pytest.mark.parametrize("l2_weight", ["0.0", "-1.0", ".inf"])
def test_penalties_of_the_probe_are_positive_and_finite(config: Path, l2_weight: str) -> None:
    edit(config / "evaluations/linear.yaml", "1.0e-5", l2_weight)
    with pytest.raises(UserError, match=r"settings: l2_weights\.0"):
        read_evaluation("linear")


def ops_of(name: str, overrides: dict[str, dict[str, Any]] | None = None) -> list[str]:
    return [item.op for item in read_ops("augmentations", name, overrides or {})[1]]


def test_complex_augmentations_add_to_the_basic_one() -> None:
    basic = ["resized_crop", "color_jitter", "grayscale", "gaussian_blur", "horizontal_flip"]
    assert ops_of("baug") == basic
    assert ops_of("caug") == [*basic, "rotation"]
    assert ops_of("caug_plus") == [*basic, "rotation", "elastic"]


def test_operations_can_be_removed_from_a_base(config: Path) -> None:
    path = config / "augmentations/grey.yaml"
    path.write_text("label: x\nbase: caug\nremove: [color_jitter, rotation]\n")
    assert ops_of("grey") == ["resized_crop", "grayscale", "gaussian_blur", "horizontal_flip"]
    path.write_text("label: x\nbase: caug\nremove: [colour_jitter]\n")
    with pytest.raises(
        UserError, match=r"grey\.yaml: remove: unknown operation to remove .*did you mean 'color_jitter'"
    ):
        ops_of("grey")
    path.write_text("label: x\nremove: [color_jitter]\nops: [{grayscale: {}}]\n")
    with pytest.raises(UserError, match="remove"):  # nothing to remove it from
        ops_of("grey")


@pytest.mark.parametrize(
    ("op", "message"),
    [
        ("- rotate: {}", "unknown operation 'rotate'"),
        ("- rotation: {degree_max: 3.0}", "rotation: unknown key 'degree_max'; did you mean 'degrees_max'"),
        ("- rotation: {degrees_max: ninety}", "degrees_max: "),
        ("- {rotation: {}, elastic: {}}", r"ops\.0: expected one operation per item, found \['elastic', 'rotation'\]"),
        ("- rotation", r"ops\.0: "),
        ("- rotation:", r"ops\.0\.rotation: "),
    ],
)
def test_an_operation_with_a_mistake(config: Path, op: str, message: str) -> None:
    (config / "augmentations/x.yaml").write_text(f"label: x\nops:\n  {op}\n")
    with pytest.raises(UserError, match=rf"x\.yaml.*{message}"):
        ops_of("x")


def test_planned_half_widths_name_checks_of_the_suites_claims() -> None:
    planned = {"C2a": {"linear": 1.5}}
    assert suite(claims=["C2"], planned_half_widths=planned).plan.planned_half_widths == planned
    with pytest.raises(UserError, match=r"unknown claim and form 'C5a'; did you mean 'C2a'"):
        suite(claims=["C2"], planned_half_widths={"C5a": {"ladder": 2.0}})
    with pytest.raises(UserError, match=r"unknown check 'liner'; did you mean 'linear'"):
        suite(claims=["C2"], planned_half_widths={"C2a": {"liner": 2.0}})


def test_data_set_overrides_reach_the_operation() -> None:
    crop = build_recipe(("digits", "ddcl", "caug_plus"), 0, {}).ops[0]
    assert crop.op == "resized_crop"
    assert crop.settings["scale"] == [0.5, 1.0]
    assert crop.settings["ratio"] == pytest.approx([3 / 4, 4 / 3])  # the default is written out in the recipe


def test_data_set_overrides_reach_perturbations_in_the_plan_as_in_the_job(config: Path) -> None:
    name = "color_rotate_elastic"
    before = suite(perturbations=["none", name]).features_digest(("none", name), "digits")
    own = "elastic: {matched: [{side_px: 16, times: 2.0}]}"
    edit(config / "datasets/digits.yaml", "resized_crop: {scale", f"{own}\n  resized_crop: {{scale")
    trained = build_recipe(("digits", "ddcl", "caug_plus"), 0, {}).ops[-1].settings
    assert perturbation_on("digits", name).ops[-1].settings["matched"] == trained["matched"]
    assert perturbation_on("digits", name).ops[:-1] == perturbation_on("shapes", name).ops[:-1]
    planned = suite(perturbations=["none", name]).features_digest(("none", name), "digits")
    in_job = [perturbation_on("digits", each) for each in ("none", name)]
    assert planned == features_digest(in_job, data_recipe("digits")) != before


@pytest.mark.parametrize(
    ("family", "own", "kept"),
    [
        ("rotation", "turn: {angle_deg: 0, interpolation: bilinear}", {"interpolation": "bilinear"}),
        ("common_corruptions", "corruption: {severity: 3, kind: fog}", {}),
    ],
)
def test_members_of_a_family_keep_what_they_differ_in(
    family: str, own: str, kept: dict[str, str], config: Path
) -> None:
    edit(config / "datasets/digits.yaml", "resized_crop: {scale", f"{own}\n  resized_crop: {{scale")
    members = [perturbation_on("digits", name).ops[-1].settings for name in read_perturbations(family)]
    assert len({json.dumps(settings) for settings in members}) == len(members) > 1
    assert all(settings.items() >= kept.items() for settings in members)


@pytest.mark.parametrize("new", ["resized_crops: {scale: [0.5, 1.0]}", "resized_crop: {scales: [0.5, 1.0]}"])
def test_data_set_overrides_are_checked(config: Path, new: str) -> None:
    edit(config / "datasets/digits.yaml", "resized_crop: {scale: [0.5, 1.0]}", new)
    with pytest.raises(UserError, match=r"did you mean '(resized_crop|scale)'"):
        build_recipe(("digits", "ddcl", "baug"), 0, {})


# --- recipes and their digests

NAMES = ("digits", "ddcl", "caug_plus")


def test_digest_ignores_labels_and_other_words(config: Path) -> None:
    before = build_recipe(NAMES, 0, {}).digest
    for folder, name in (("datasets", "digits"), ("variants/small", "ddcl"), ("augmentations", "caug_plus")):
        path = config / folder / f"{name}.yaml"
        path.write_text(re.sub(r"(?m)^label: .*$", "label: Another label", path.read_text()) + "# a remark\n")
    assert build_recipe(NAMES, 0, {}).digest == before


def other(value: Any, name: Any) -> Any:
    """Return another valid value in place of the number `name` of a recipe."""
    if isinstance(value, bool):
        return not value
    if name == "projector_layers":
        return 5 - value  # two or three
    if name == "stem_stride":
        return 3 - value  # one or two
    if value == 255:
        return 254  # the most that a level of a colour can be
    if name == 0 and isinstance(value, int):
        return value + 2  # the first width is even
    return value + 1 if isinstance(value, int) else value * 0.9 + 0.001


def changed(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """Yield (path, copy of `value` with the number at this path changed) for every number in it."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            for where, new in changed(value[key], (*path, key)):
                copy: Any = dict(value) if isinstance(value, dict) else list(value)
                copy[key] = new
                yield where, copy
    elif isinstance(value, int | float):
        yield path, other(value, path[-1])


def test_digest_changes_with_each_number() -> None:
    recipe = build_recipe(NAMES, 0, {})
    digests = {(): recipe.digest}
    for path, values in changed(recipe.model_dump()):
        digests[path] = parse(Recipe, values, ".".join(map(str, path))).digest
    assert len(digests) > 50
    assert len(set(digests.values())) == len(digests)


@pytest.mark.parametrize("field", ["method", "dataset", "variant", "augmentation"])
def test_digest_changes_with_each_name(field: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = build_recipe(NAMES, 0, {})
    monkeypatch.setitem(METHODS, "another", METHODS[recipe.method])
    assert recipe.model_copy(update={field: "another"}).digest != recipe.digest


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("datasets/digits.yaml", "image_side_px: 16", "image_side_px: 20"),
        ("datasets/digits.yaml", "scale: [0.5, 1.0]", "scale: [0.6, 1.0]"),
        ("variants/small/common.yaml", "temperature: 0.1", "temperature: 0.2"),
        ("variants/small/simsiam.yaml", "momentum: 0.9", "momentum: 0.8"),
        ("variants/small/ddcl.yaml", "dir_frac: 0.8", "dir_frac: 0.7"),
        ("augmentations/baug.yaml", "hue: 0.1", "hue: 0.2"),
        ("augmentations/caug.yaml", "interpolation: nearest", "interpolation: bilinear"),
        ("augmentations/caug_plus.yaml", "scale_with_side: true", "scale_with_side: false"),
    ],
)
def test_every_file_reaches_the_recipe(config: Path, file: str, old: str, new: str) -> None:
    before = build_recipe(NAMES, 0, {})
    edit(config / file, old, new)
    after = build_recipe(NAMES, 0, {})
    assert after.digest != before.digest
    assert after.name == before.name == "digits/ddcl/caug_plus/seed0"


def test_digest_changes_with_the_order_of_operations() -> None:
    recipe = build_recipe(NAMES, 0, {})
    assert recipe.model_copy(update={"ops": recipe.ops[::-1]}).digest != recipe.digest


def test_recipe_survives_json(tmp_path: Path) -> None:
    recipe = build_recipe(NAMES, 3, {"grad_clip_norm": 1})
    from ddcl.base.files import write_json

    write_json(tmp_path / "config.json", recipe.model_dump())
    again = load_recipe(tmp_path / "config.json")
    assert again == recipe
    assert again.digest == recipe.digest


# --- dependencies: one list, three files


def requirement(text: str) -> tuple[str, str]:
    match = re.fullmatch(r"([A-Za-z0-9_.-]+)\s*([>=]=[0-9.]+)?", text)
    assert match, text
    return match[1].lower().replace("_", "-"), match[2] or ""


PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DEPENDENCIES = dict(requirement(text) for text in PROJECT["dependencies"])
CONDA_NAMES = {"torch": "pytorch", "snakemake": "snakemake-minimal"}


def test_conda_environment_equals_the_project() -> None:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text(encoding="utf-8"))
    found = [requirement(text) for text in environment["dependencies"]]
    assert len(found) == len(dict(found))
    expected = {CONDA_NAMES.get(name, name): bound for name, bound in DEPENDENCIES.items()}
    assert dict(found) == expected | {"python": PROJECT["requires-python"], "pip": ""}


def test_every_dependency_has_its_reason() -> None:
    text = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")]
    reasons = {row[0]: row[1:] for row in rows[2:]}
    assert set(reasons) == set(DEPENDENCIES)
    assert all(all(cells) for cells in reasons.values())
    for tool in PROJECT["optional-dependencies"]["dev"]:
        name = requirement(tool)[0]
        assert name in text or "stub" in name or name.startswith("types-"), name


def test_lock_file_holds_every_dependency_within_its_bound() -> None:
    lock = dict(
        re.findall(
            r"(?m)^([A-Za-z0-9_.-]+)==([0-9.]+)", (ROOT / "requirements.lock").read_text(encoding="utf-8").lower()
        )
    )

    def numbers(version: str) -> list[int]:
        return [int(part) for part in version.strip(".").split(".")]

    for name, bound in DEPENDENCIES.items():
        assert name in lock, name
        assert numbers(lock[name]) >= numbers(bound.removeprefix(">=")), name
