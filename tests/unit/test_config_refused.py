"""What used to be accepted and failed late, or never: each is refused by name, with file and key, before a job."""

from __future__ import annotations

import re
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

from ddcl.base.errors import UserError
from ddcl.base.yaml_files import merge, read_yaml
from ddcl.plan.suite import Suite
from ddcl.schema import places

RUNS = {"datasets": ["digits"], "variants": ["ddcl"], "augmentations": ["baug"], "seeds": [0]}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pristine") / "config"
    shutil.copytree(places.CONFIG_DIR, folder)
    return folder


@pytest.fixture
def config(pristine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of config/ that a test may change; files are linked until they are."""
    folder = tmp_path / "config"
    shutil.copytree(pristine, folder, copy_function=lambda source, target: Path(target).hardlink_to(source))
    monkeypatch.setattr(places, "CONFIG_DIR", folder)
    return folder


def put(path: Path, values: Any) -> None:
    path.unlink(missing_ok=True)
    path.write_text(values if isinstance(values, str) else yaml.safe_dump(values), encoding="utf-8")


def edit(config: Path, name: str, changes: dict[str, Any]) -> None:
    put(config / name, merge(read_yaml(config / name), changes, name))


def complaint(blocks: Any = None, **values: Any) -> str:
    usual: dict[str, Any] = {"suite": "test", "title": "t", "description": "d", "runs": blocks or [RUNS]}
    usual |= {"evaluations": ["knn"], "perturbations": ["none"]}
    with pytest.raises(UserError) as caught:
        Suite(usual | values, "suite.yaml").plan  # noqa: B018 # it is made when it is asked for
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"seeds": [0, 0]}, "runs.0.seeds: .*0 is given twice"),
        ({"seeds": [2**63]}, "runs.0.seeds.0: .*less than or equal to 9223372036854775807"),
        ({"datasets": ["../x"]}, r"runs.0.datasets.0: .*match pattern .*, found '../x'"),
        ({"variants": ["my variant"]}, r"runs.0.variants.0: .*match pattern"),
        ({"variants": ["x\n"]}, r"runs.0.variants.0: .*match pattern"),
        ({"variants": ["a" * 101]}, r"runs.0.variants.0: .*at most 100 characters"),
        ({"augmentations": ["$(touch X)"]}, r"runs.0.augmentations.0: .*match pattern"),
        (
            {"augmentations": ["bauk"]},
            r"suite.yaml: runs.0.augmentations: unknown augmentation 'bauk'; did you mean 'ba",
        ),
        ({"evaluations": ["knnn"]}, r"suite.yaml: runs.0.evaluations: unknown evaluation 'knnn'; did you mean 'knn'"),
        ({"overrides": {"epochs": 0}}, "block's overrides: training.epochs: ddcl is trained, so expected 1 or more"),
        ({"overrides": {"epochs": 4}}, "block's overrides: training: schedule.warmup_epochs 5 of 4 epochs never ends$"),
        ({"overrides": {"grad_clip_norm": -1.0}}, "training.grad_clip_norm: .*greater than 0, found -1.0"),
        ({"overrides": {"batch_size": 100_000}}, "ddcl/baug/seed0: batch_size 100000 is larger than the 898 training"),
        ({"overrides": {"backbone": {"widths": [3, 32, 64]}}}, "training.backbone: .*the first must be even, found 3"),
        (
            {"overrides": {"collapse": {"min_effective_rank": 129}}},
            "min_effective_rank 129 is more than the 128 features",
        ),
        ({"overrides": {"processes": 2, "batch_size": 2}}, "batch_size 2 cannot be shared equally by 2 proc"),
    ],
)
def test_a_block(block: dict[str, Any], message: str) -> None:
    said = complaint([RUNS | block])
    assert re.search(message, said), said


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"suite": "../../x"}, r"suite.yaml: suite: .*match pattern"),
        ({"title": "two\nlines"}, r"suite.yaml: title: "),
        ({"perturbations": ["none", "none"]}, r"perturbations: .*'none' is given twice"),
        ({"figures": ["parts", "parts"]}, r"figures: .*'parts' is given twice"),
        ({"figure_variants": ["ddlc"]}, r"suite.yaml: figure_variants: unknown variant 'ddlc'; did you mean 'ddcl'"),
        ({"figure_variants": ["simsiam"]}, r"figure_variants: unknown variant 'simsiam'; allowed: ddcl"),
        ({"figure_augmentations": ["caug"]}, r"figure_augmentations: unknown augmentation 'caug'; did you mean 'baug'"),
        ({"claims": ["C99"]}, r"suite.yaml: claims: unknown claim 'C99'"),
        ({"data_root": ""}, r"suite.yaml: data_root: "),
        ({"draws": 10**12}, r"suite.yaml: draws: .*less than or equal to 1000000000"),
    ],
)
def test_a_suite(values: dict[str, Any], message: str) -> None:
    said = complaint(**values)
    assert re.search(message, said), said


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        (
            "variants/small/ddcl.yaml",
            {"settings": {"dir_frac": 0.001}},
            "settings.dir_frac: 0.001 of 128 features leaves",
        ),
        (
            "variants/small/ddcl.yaml",
            {"settings": {"dvr_groups": 3}},
            "settings.dvr_groups: a batch of 64 has no 3 equal",
        ),
        ("variants/small/ddcl.yaml", {"training": "text"}, "training: expected a mapping"),
        ("variants/small/ddcl.yaml", {"label": ""}, "label: "),
        (
            "datasets/digits.yaml",
            {"training_overrides": {"epoch": 3}},
            "with training_overrides of data set Digits: unknown key",
        ),
        ("datasets/digits.yaml", {"image_side_px": 10**6}, "image_side_px: .*less than or equal to"),
        ("evaluations/knn.yaml", {"settings": {"also_k": [5, 5]}}, "settings: also_k: .*5 is given twice"),
        ("evaluations/knn.yaml", {"settings": {"temperature": 1e-300}}, "settings: temperature: "),
        (
            "evaluations/linear_online.yaml",
            {"settings": {"crop_scale": [1.0, 0.1]}},
            "lower bound 1.0 is above the upper",
        ),
        ("evaluations/diagnostics.yaml", {"settings": {"blur_sigma_px": [2.0, 1.0]}}, "lower bound 2.0 is above"),
        ("perturbations/none.yaml", {"ops": [{"rotation": {}}]}, r"none.yaml: ops: expected no operation.*'rotation'"),
        ("perturbations/color.yaml", {"ops": []}, r"color.yaml: ops: expected at least one operation, found \[\]"),
        (
            "perturbations/rotation.yaml",
            {"family": {"turn": {"angle_deg": []}}},
            "family.turn.angle_deg: .*at least 1 item",
        ),
        ("perturbations/rotation.yaml", {"family": {"turn": {"angle_deg": [30, 30]}}}, "30 is given twice"),
        (
            "tables/knn.yaml",
            {"select": {"evaluation": ["knnn"]}},
            "select: unknown evaluation 'knnn'; did you mean 'knn'",
        ),
        ("tables/knn.yaml", {"select": {"variant": ["dcdl"]}}, "select: unknown variant 'dcdl'; did you mean 'ddcl'"),
        (
            "tables/knn.yaml",
            {"select": {"metric": ["top9"]}, "print": ["top9"]},
            "select: unknown metric 'top9'; did you",
        ),
        ("tables/knn.yaml", {"select": {"part": ["dri"]}}, "select: unknown part 'dri'; did you mean 'dvr'"),
        ("tables/knn.yaml", {"print": ["top9"]}, "print: the table has no top9, only top1"),
        ("tables/knn.yaml", {"rows": ["variant", "variant"]}, "rows: .*'variant' is given twice"),
        (
            "tables/knn.yaml",
            {"rows": ["variant", "perturbation"]},
            "columns: perturbation is a key of the rows already",
        ),
        (
            "tables/knn.yaml",
            {"rows": ["dataset"]},
            "rows, columns: need part, which is both full and dir in this suite",
        ),
        ("tables/knn.yaml", {"reference_augmentation": "baug"}, "change and reference_augmentation need each other"),
        (
            "tables/augmentation.yaml",
            {"reference_augmentation": "bauk"},
            "reference_augmentation: unknown augmentation",
        ),
        (
            "tables/convergence.yaml",
            {"reference_variant": {"ddcl": "simsaim"}},
            "reference_variant: unknown variant 'sims",
        ),
        ("tables/convergence.yaml", {"select": {"part": ["full"]}}, "select: a table of kind convergence has none"),
        ("pictures/neighbours.yaml", {"caption": "of {nosuch}"}, r"caption: \{nosuch\} is no setting"),
        ("pictures/neighbours.yaml", {"caption": "of {k.__class__}"}, "caption: .* is no setting"),
        ("pictures/neighbours.yaml", {"caption": "of {"}, "caption: 'of {' cannot be filled in"),
        (
            "pictures/neighbours.yaml",
            {"settings": {"n_images": 5}},
            "n_images: expected more than k and what is shown, 10",
        ),
    ],
)
def test_a_file(file: str, changes: dict[str, Any], message: str, config: Path) -> None:
    edit(config, file, changes)
    shown = {"tables": ["knn", "augmentation", "convergence"], "pictures": ["neighbours"]}
    evaluations = {
        "evaluations": ["knn", "linear_online", "diagnostics"],
        "random_subsets": {"draws": 20, "dir_frac": 0.8},
    }
    said = complaint(perturbations=["none", "color", "rotation"], **evaluations, **shown)
    assert file in said or "training_overrides" in changes
    assert re.search(message, said), said


def test_a_claim_names_parts_and_metrics_that_there_are(config: Path) -> None:
    text = (config / "claims/C1.yaml").read_text(encoding="utf-8")
    put(config / "claims/C1.yaml", text.replace("over:", "over:\n      - {augmentation: [baug], metric: [top9]}", 1))
    assert re.search(r"C1\.yaml: .*unknown metric 'top9'", complaint(claims=["C1"]))


def test_a_list_of_images_that_is_not_there_or_of_another_data_set(config: Path) -> None:
    assert "digits_1pct.json: no such file" in complaint(evaluations=["semi_1pct"])
    (config / "subsets/cifar10_1pct.json").rename(config / "subsets/digits_1pct.json")
    assert "a list of 10 classes of cifar10; evaluation semi_1pct" in complaint(evaluations=["semi_1pct"])


def test_macros_files_and_rules_of_one_name(config: Path) -> None:
    shutil.copy(config / "variants/small/ddcl.yaml", config / "variants/small/Ddcl.yaml")
    blocks = [RUNS | {"variants": ["ddcl", "Ddcl"]}]
    assert re.search(
        r"macros.tex: .*ddcl baug knn and Ddcl baug knn would both be \\DdclBaugKnn", complaint(blocks, claims=["C1"])
    )
    Suite(
        {
            "suite": "t",
            "title": "t",
            "description": "d",
            "runs": blocks,
            "evaluations": ["knn"],
            "perturbations": ["none"],
        },
        "s",
    )
    shutil.copy(config / "evaluations/knn.yaml", config / "evaluations/pretrain.yaml")
    assert "evaluations: pretrain is the name of a rule or file of the workflow" in complaint(evaluations=["pretrain"])
    shutil.copy(config / "tables/knn.yaml", config / "tables/claims.yaml")
    assert "tables: claims is the name of a rule or file of the workflow" in complaint(tables=["claims"])


def test_a_width_of_random_columns_that_leaves_none(config: Path) -> None:
    said = complaint([RUNS | {"variants": ["simsiam"]}], random_subsets={"draws": 2, "dir_frac": 0.999})
    assert "random_subsets.dir_frac: 0.999 of the 128 features of simsiam leaves one part empty" in said


@pytest.mark.parametrize(
    "text",
    [
        *("a: 2001-99-99", "a: 2001-01-01", "a: !!int abc", f"a: {'9' * 5000}", f"a: 0x{'f' * 5000}", "a: !!set {b}"),
        *("a: &x [*x]", "a: " + "[" * 400 + "]" * 400, "1: 2", "~: 2", "? [a]\n: 1", "a: 1\na: 2", 'a: "\\e"', "a: \0"),
        *("!!map x", "a: !!bool maybe", "a: !!python/object:os.system x", "[1]", "text", "", "---\na: 1\n---\nb: 1"),
    ],
)
def test_yaml_that_is_none_of_ours(text: str, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"x\.yaml: ") as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_yaml_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"\xff\xfe")
    (tmp_path / "folder.yaml").mkdir()
    for name in ("x", "folder", "nosuch"):
        with pytest.raises(UserError, match=rf"{name}\.yaml: (cannot be read|no such file)"):
            read_yaml(tmp_path / f"{name}.yaml")


def test_ten_to_the_ninth_values_are_not_read(tmp_path: Path) -> None:
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]" for old, new in pairwise("abcdefghi")]
    (tmp_path / "x.yaml").write_text("\n".join(lines))
    with pytest.raises(UserError, match="more than 100000 values"):
        read_yaml(tmp_path / "x.yaml")
