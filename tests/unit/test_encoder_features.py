"""Encoders of which only features are here: from files to an arm of a suite, and what is wrong with files."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from ddcl.__main__ import main
from ddcl.base.errors import UserError
from ddcl.core.seeds import Draws
from ddcl.encoders.images import AS_THEY_ARE
from ddcl.evaluate.features import extraction_jobs
from ddcl.plan.suite import Suite
from ddcl.schema.encoders import read_encoder
from ddcl.schema.feature_index import Draw
from ddcl.schema.op_recipes import PerturbationRecipe, read_perturbation, read_perturbations
from ddcl.schema.recipes import build_recipe, encoder_recipe, recipe_of
from ddcl.schema.registry import SHAPES_FACTORS

pytestmark = pytest.mark.usefixtures("own_config")
Arrays = dict[str, Any]
SUITE: dict[str, Any] = {
    "suite": "own",
    "title": "Own",
    "description": "Own.",
    "runs": [
        {"datasets": ["digits"], "encoders": ["mine"], "seeds": [0]},
        {"datasets": ["digits"], "variants": ["random_init"], "augmentations": ["none"], "seeds": [0]},
    ],
    "evaluations": ["linear", "knn", "drift", "diagnostics", "finetune_b32"],
    "perturbations": ["none", "color", "color_rotate"],
    "random_subsets": {"draws": 20, "dir_frac": 0.8},
    "draws": 1,
    "tables": ["linear", "knn", "robustness", "drift", "invariance", "readout"],
    "figures": ["robustness", "invariance"],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with the prepared digits."""
    folder = tmp_path_factory.mktemp("results")
    assert main(["prepare", "digits", "--results", str(folder)]) == 0
    return folder


def labels_of(results: Path, split: str) -> Any:
    (path,) = results.glob(f"data/digits-*/splits/{split}_labels.npy")
    return np.load(path)


def arrays(results: Path, split: str, noise: float = 0.1) -> Arrays:
    """Features that know the class in DIR, and a number of their own in DVR."""
    rng = np.random.default_rng(0 if split == "train" else 1)
    labels = labels_of(results, split)
    h = np.concatenate([np.eye(10)[labels], rng.normal(size=(len(labels), 2))], axis=1)
    h += noise * rng.normal(size=h.shape)
    parts = {"part_dir": np.array([0, 10]), "part_dvr": np.array([10, 12])}
    return {"features": h.astype(np.float32), "labels": labels} | parts


def write(path: Path, content: Arrays) -> str:
    np.savez(path, **{name: own for name, own in content.items() if own is not None})
    return str(path)


def files(results: Path, folder: Path, **changes: Arrays) -> list[str]:
    """Write both files and one draw of `color`, with changed arrays; return the command's arguments."""
    test = arrays(results, "test")
    rng = np.random.default_rng(2)
    views = np.stack([test["features"] + 0.1 * rng.normal(size=test["features"].shape) for _ in range(2)])
    content = {
        "train": arrays(results, "train"),
        "test": test | {"views": views},
        "color": {"features": arrays(results, "test", noise=1.0)["features"]},
    }
    paths = {name: write(folder / f"{name}.npz", own | changes.get(name, {})) for name, own in content.items()}
    command = ["--dataset", "digits", "--features", paths["train"], paths["test"]]
    return [*command, "--perturbed", f"color={paths['color']}"]


def add(results: Path, folder: Path, *more: str, **changes: Arrays) -> int:
    root = ["--encoder-root", str(folder / "encoders"), "--results", str(results)]
    return main(["encoder", "add", "mine", *files(results, folder, **changes), *root, *more])


def test_the_recipe_knows_the_features_and_is_read_back(results: Path, tmp_path: Path) -> None:
    assert add(results, tmp_path, "--label", "Mine", "--trained-on", "digits", "--source", "a service") == 0
    config, recipe = read_encoder("mine"), encoder_recipe("digits", "mine", 0)
    assert config.full_label == "Mine (from elsewhere, trained on images of digits)"
    assert config.features
    assert (config.features.draws, config.features.n_views, config.dir_width) == ({"color": 1}, 2, 10)
    assert recipe.method == "elsewhere_views_split"
    assert recipe_of(recipe.model_dump(), "config.json") == recipe
    assert recipe.network.name == "not here, only its features"


def test_what_is_planned_is_what_features_allow(results: Path, tmp_path: Path) -> None:
    add(results, tmp_path)
    run = Suite(SUITE, "own.yaml").plan.run("digits/mine/none/seed0")
    planned = {target.evaluation: target for target in run.targets}
    assert list(planned) == ["linear", "knn", "drift", "diagnostics"]
    assert planned["knn"].perturbations == ["none", "color"]
    assert planned["diagnostics"].features
    assert "invariance" in planned["diagnostics"].metrics
    assert not any(name.startswith("readout") for name in planned["diagnostics"].metrics)
    more = Suite(SUITE | {"draws": 2}, "own.yaml").plan.run("digits/mine/none/seed0")  # than the file has
    assert next(own for own in more.targets if own.evaluation == "knn").perturbations == ["none"]


FEW_SHAPES = """
label: Few shapes
reader: shapes
settings: {n_train: 300, n_test: 200, seed: 0}
scale: small
image_side_px: 16
n_classes: 6
n_images: {train: 300, test: 200}
"""


def test_true_factors_are_read_from_features(tmp_path: Path, own_config: Path) -> None:
    """Of planted features: DIR carries the hue, DVR the place; as the protocol reads them from a network's."""
    (own_config / "datasets").mkdir()
    (own_config / "datasets/few_shapes.yaml").write_text(FEW_SHAPES)
    option = ["--results", str(tmp_path / "results")]
    assert main(["prepare", "few_shapes", *option]) == 0
    paths, rng = [], np.random.default_rng(0)
    for split in ("train", "test"):
        (path,) = (tmp_path / "results").glob(f"data/few_shapes-*/splits/{split}_labels.npy")
        known = dict(zip(SHAPES_FACTORS, np.load(path.with_name(f"{split}_factors.npy")).T, strict=True))
        turns = math.tau * known["hue"]
        h = np.stack([np.sin(turns), np.cos(turns), rng.normal(size=len(turns)), known["x"], known["y"]], axis=1)
        parts = {"part_dir": np.array([0, 3]), "part_dvr": np.array([3, 5])}
        paths.append(write(tmp_path / f"{split}.npz", {"features": h, "labels": np.load(path)} | parts))
    root = ["--encoder-root", str(tmp_path / "encoders")]
    assert main(["encoder", "add", "mine", "--dataset", "few_shapes", "--features", *paths, *root, *option]) == 0
    block = {"datasets": ["few_shapes"], "encoders": ["mine"], "seeds": [0]}
    suite = {**SUITE, "runs": [block], "evaluations": ["factors"], "tables": ["factors"], "figures": []}
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(suite | {"perturbations": ["none"]}))
    assert main(["resolve", "--suite", str(tmp_path / "own.yaml"), *option]) == 0
    run = ["--run", "few_shapes/mine/none/seed0", *option, "--device", "cpu"]
    assert main(["pretrain", *run]) == 0
    assert main(["extract", *run, "--perturbations", "none"]) == 0
    subsets = ["--subsets", "20", "--dir-frac", "0.8"]
    assert main(["evaluate", "factors", *run, "--perturbations", "none", *subsets]) == 0
    assert main(["collect", *option]) == 0
    assert main(["table", *option]) == 0
    frame = pd.read_csv(tmp_path / "results/tables/factors.csv")
    read = frame.set_index(["part", "metric"])["mean"]
    assert set(frame["metric"]) == {f"factor_{name}" for name in SHAPES_FACTORS}
    assert min(read["dir", "factor_hue"], read["dvr", "factor_x"], read["dvr", "factor_y"]) > 0.99
    assert max(abs(read["dvr", "factor_hue"]), abs(read["dir", "factor_x"])) < 0.1


def test_features_of_another_data_set_are_no_arm(results: Path, tmp_path: Path) -> None:
    add(results, tmp_path)
    block = {"datasets": ["fashion_mnist_10k"], "encoders": ["mine"], "seeds": [0]}
    with pytest.raises(UserError, match="encoder mine: features of: unknown data set 'digits'"):
        Suite(SUITE | {"runs": [block], "evaluations": ["knn"]}, "own.yaml")


def test_from_files_to_tables_figures_and_the_page(results: Path, tmp_path: Path) -> None:
    """Every command, one after the other in this process; what cannot be measured is a dash."""
    assert add(results, tmp_path, "--label", "Mine") == 0
    (tmp_path / "own.yaml").write_text(
        yaml.safe_dump(SUITE | {"evaluations": ["linear", "knn", "drift", "diagnostics"]})
    )
    option = ["--results", str(results)]
    assert main(["resolve", "--suite", str(tmp_path / "own.yaml"), *option]) == 0
    subsets = ["--subsets", "20", "--dir-frac", "0.8"]
    for name, own in (("mine", ["none", "color"]), ("random_init", ["none", "color", "color_rotate"])):
        run, under = ["--run", f"digits/{name}/none/seed0", *option, "--device", "cpu"], ["--perturbations", *own]
        assert main(["pretrain", *run]) == 0
        assert main(["extract", *run, *under, "--draws", "1"]) == 0
        for evaluation in ("linear", "knn", "drift") if name == "mine" else ("knn",):
            assert main(["evaluate", evaluation, *run, *under, *subsets]) == 0
    run = ["--run", "digits/mine/none/seed0", *option, "--device", "cpu"]
    assert main(["evaluate", "diagnostics", *run, "--perturbations", "none", *subsets]) == 0
    assert main(["collect", *option, "--partial"]) == 0  # not all of the floor, which takes long
    for verb in ("table", "figure", "report"):
        assert main([verb, *option]) == 0
    frames = {name: pd.read_csv(results / f"tables/{name}.csv") for name in SUITE["tables"]}
    knn = frames["knn"][frames["knn"]["variant"] == "mine"]
    assert set(knn["part"]) >= {"full", "dir", "dvr"}
    known = knn.set_index(["perturbation", "part"])["mean"]
    assert known["none", "dir"] > 90 > known["color", "dir"] > known["none", "dvr"]
    markdown = (results / "tables/robustness.md").read_text(encoding="utf-8")
    (row,) = [line for line in markdown.splitlines() if "Mine (from elsewhere)" in line and "whole" in line][:1]
    assert "–" in row
    invariance = frames["invariance"]
    own = invariance[(invariance["variant"] == "mine") & (invariance["metric"] == "invariance")]
    assert own["mean"].between(0, 1).all()
    assert "Mine (from elsewhere)" in (results / "report/index.html").read_text(encoding="utf-8")
    assert main(["trace", str(results / "tables/knn.csv"), "--all"]) == 0


SWAPPED = np.arange(899)[::-1]


def wrong(results: Path) -> dict[str, tuple[dict[str, Arrays], str]]:
    test, train = arrays(results, "test"), arrays(results, "train")
    return {
        "rows": (
            {"train": {"features": train["features"][:-1], "labels": train["labels"][:-1]}},
            r"train\.npz: 897 rows, but split train of digits has 898 images",
        ),
        "order": (
            {"test": {"labels": test["labels"][SWAPPED]}},
            r"test\.npz: labels: \d+ of 899 differ from split",
        ),
        "no labels": (
            {"train": {"labels": None}},
            r"train\.npz: no array `labels` \[898\]; it is needed to check that the rows",
        ),
        "labels in words": (
            {"test": {"labels": test["labels"].astype(str)}},
            "labels: expected 899 integers, found <U",
        ),
        "nan": ({"train": {"features": np.full((898, 12), np.nan)}}, "features: 10776 values are not finite"),
        "width": (
            {"train": {"features": train["features"][:, :11], "part_dir": None, "part_dvr": None}},
            r"test\.npz: 12 feature columns, but .*train\.npz has 11",
        ),
        "large": ({"train": {"features": train["features"] * 1e6}}, "at most 65504 can be stored; divide all"),
        "parts": (
            {"test": {"part_dir": np.array([0, 9])}},
            r"test\.npz: parts dir \[0, 9\], dvr \[10, 12\], but .*train\.npz has dir \[0, 10\]",
        ),
        "a gap": (
            {name: {"part_dir": np.array([0, 9])} for name in ("train", "test")},
            r"expected part_dir \[0, n\] and part_dvr \[n, 12\], or none",
        ),
        "a factor": (
            {"train": {"factor_x": np.ones(898)}},
            "unknown arrays factor_x; allowed are features, labels or p",
        ),
        "objects": ({"train": {"features": np.array([{}])}}, "npz file cannot be read"),
        "perturbed shape": ({"color": {"features": np.zeros((2, 12))}}, r"color\.npz: features: expected \[899, 12\]"),
    }


WRONG = ["rows", "order", "no labels", "labels in words", "nan", "width", "large", "parts", "a gap", "a factor"]
WRONG += ["objects", "perturbed shape"]


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_with_a_file_is_said_in_a_line_and_nothing_is_written(
    what: str, results: Path, tmp_path: Path, own_config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changes, message = wrong(results)[what]
    assert set(wrong(results)) == set(WRONG)
    assert add(results, tmp_path, **changes) == 2
    error = capsys.readouterr().err.strip()
    assert "\n" not in error
    assert re.search(message, error), error
    assert not list(own_config.iterdir())
    assert not (tmp_path / "encoders").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected FILE, or --features TRAIN TEST; found neither"),
        (["a.pth", "--dataset", "digits"], "--dataset: means nothing for a file of weights"),
        (["--features", "a.npz", "b.npz"], "name their data set with --dataset"),
        (["a.pth", "--features", "a.npz", "b.npz"], "found both"),
        (
            ["--features", "a.npz", "b.npz", "--dataset", "digits", "--side", "16"],
            "--side: means nothing for --features",
        ),
        (["--features", "a.npz", "b.npz", "--dataset", "digit"], "unknown data set 'digit'; did you mean 'digits'"),
        (["--features", "a.npz", "b.npz", "--dataset", "digits"], "a.npz: missing npz file"),
        (
            ["--features", "a.npz", "b.npz", "--dataset", "digits", "--perturbed", "colour=c.npz"],
            "unknown perturbation 'colour'; did you mean 'color'",
        ),
    ],
)
def test_what_is_wrong_with_a_command_is_said(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["encoder", "add", "mine", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_data_set_that_is_not_prepared_is_asked_for(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = files(results, tmp_path)
    assert main(["encoder", "add", "mine", *command, "--results", str(tmp_path / "none")]) == 2
    assert "run `ddcl prepare digits` first" in capsys.readouterr().err


def test_a_file_that_is_gone_is_made_again_and_must_be_the_same(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add(results, tmp_path)
    assert add(results, tmp_path) == 2
    assert "there is such an encoder" in capsys.readouterr().err
    file = Path(read_encoder("mine").file)
    whole = file.read_bytes()
    file.unlink()
    assert add(results, tmp_path, train={"features": arrays(results, "train", 0.2)["features"]}) == 2
    assert "gives another encoder" in capsys.readouterr().err
    assert not file.exists()
    assert add(results, tmp_path) == 0
    assert file.read_bytes() == whole


def test_a_family_stands_for_its_members_where_images_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def write_images(dataset: str, perturbations: list[PerturbationRecipe], *_: object) -> list[Path]:
        seen.extend(each.perturbation for each in perturbations)
        return []

    monkeypatch.setattr("ddcl.encoders.images.write_images", write_images)
    assert main(["encoder", "images", "digits", "out", "--perturbations", "none", "common_corruptions"]) == 0
    assert seen == ["none", *read_perturbations("common_corruptions")]


def test_images_are_those_that_every_encoder_sees(results: Path, tmp_path: Path) -> None:
    """So features of the clean ones, and of the perturbed ones, are compared image by image, draw by draw."""
    command = ["encoder", "images", "digits", str(tmp_path / "images"), "--results", str(results)]
    assert main([*command, "--perturbations", "none", "color_rotate", "--draws", "2", "--seed", "1"]) == 0
    found = {path.stem: np.load(path) for path in (tmp_path / "images").glob("*.npy")}
    perturbed = {"test_color_rotate-0", "test_color_rotate-1"}
    assert set(found) == {"train", "train_labels", "test", "test_labels"} | perturbed
    (manifest,) = results.glob("data/digits-*/manifest.json")
    assert np.array_equal(found["test"], np.load(manifest.parent / "splits/test_images.npy"))
    assert np.array_equal(found["train_labels"], labels_of(results, "train"))
    recipe = build_recipe(("digits", "random_init", "none"), 1, {})
    jobs = extraction_jobs(recipe, AS_THEY_ARE, "digits", [read_perturbation("color_rotate", 2)])
    pipeline, stream, draw = jobs[Draw("color_rotate", 1)]
    x = pipeline(torch.from_numpy(found["test"]), Draws(stream, torch.arange(len(found["test"])), draw))
    assert np.abs(found["test_color_rotate-1"] / 255 - x.numpy()).max() < 0.003
    assert np.abs(found["test_color_rotate-1"].astype(int) - found["test_color_rotate-0"]).mean() > 1
