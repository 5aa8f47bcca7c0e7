"""Images of 224 px in class folders, end to end on a CPU: every kind of protocol, from files to tables."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from ddcl.base.files import read_json, write_json, write_text
from tests.unit.test_image_folder import documented
from tests.workflow.commands import copy_project, run, run_of, snakemake, target_of

DATASET = """\
label: Stripes
reader: image_folder
settings: {folder: stripes}
scale: imagenet
image_side_px: 224
resize_px: 256
n_classes: 3
n_images: {train: 24, test: 12}
normalisation: {mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225]}
found_by: [stripes]
training_overrides:
  backbone: {block: basic, blocks: [1, 1, 1], widths: [16, 32, 64]}   # 8 crash torch 2.14 (oneDNN, channels_last)
  epochs: 1
  batch_size: 8
  monitor: {every_epochs: 1}
"""
EVALUATIONS = {
    "slow_probe": "label: probe\nprotocol: online\nselection: last-epoch\n"
    "settings: {epochs: 2, batch_size: 8, weight_decay: 0.0, lr_classifier: 30.0}\n",
    "tuned": "label: tuned\nprotocol: finetune\nselection: last-epoch\n"
    "settings: {epochs: 2, batch_size: 8, weight_decay: 0.0, lr_classifier: 3.0, lr_backbone: 0.03, subset: few}\n",
}
SUITE = """\
suite: stripes
title: Stripes
description: A test.
runs:
  - datasets: [stripes]
    variants: [ddcl]
    augmentations: [caug_plus]
    seeds: [0]
    transfer:
      - {to: [digits], evaluations: [linear]}
  - datasets: [stripes]
    variants: [random_init]
    augmentations: [none]
    seeds: [0]
evaluations: [linear, knn, slow_probe, tuned]
perturbations: [none, color_rotate_elastic]
draws: 2
random_subsets: {draws: 2, dir_frac: 0.8}
tables: [linear, robustness, transfer, convergence]
figures: [robustness]
"""


def draw_stripes(folder: Path) -> None:
    """Write JPEG files of different sizes; the direction of the stripes is the class."""
    rng = np.random.default_rng(0)
    for split, n in (("train", 8), ("val", 4)):
        for label, name in enumerate(("across", "down", "slanted")):
            for i in range(n):
                height, width = rng.integers(230, 300, 2)
                y, x = np.mgrid[:height, :width] / 12
                wave = np.sin((y, x, y + x)[label] + rng.uniform(0, 6))
                pixels = 128 + 90 * wave[..., None] * rng.uniform(0.5, 1, 3) + rng.normal(0, 8, (height, width, 3))
                place = folder / split / name
                place.mkdir(parents=True, exist_ok=True)
                Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(place / f"{i}.jpg")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the project that knows the data set, two short evaluations and a suite."""
    copy = copy_project(tmp_path / "project")
    draw_stripes(copy / "data" / "stripes")
    write_text(copy / "config/datasets/stripes.yaml", DATASET)
    for name, text in EVALUATIONS.items():
        write_text(copy / f"config/evaluations/{name}.yaml", text)
    write_text(copy / "config/suites/stripes.yaml", SUITE)
    few = {"dataset": "stripes", "seed": 0, "n_available": 8, "per_class": 2, "positions": [[0, 3], [1, 2], [5, 7]]}
    write_json(copy / "config/subsets/stripes_few.json", few)
    return copy


@pytest.mark.slow
def test_class_folders_from_files_to_tables(copy: Path) -> None:
    done = snakemake("--configfile", "config/suites/stripes.yaml", copy=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = copy.glob("results/data/stripes-*")
    manifest = read_json(folder / "manifest.json", "manifest")
    assert manifest["kind"] == "files"
    assert manifest["splits"]["train"]["n_per_class"] == [8, 8, 8]
    records = pd.read_parquet(copy / "results/records.parquet")
    assert set(records["status"]) == {"ok"}
    assert set(records["evaluation"]) == {"linear", "knn", "slow_probe", "tuned"}
    assert set(records.loc[records["variant"] == "ddcl", "part"]) == {"full", "dir", "dvr", "random_dir", "random_dvr"}
    assert set(records.loc[records["variant"] == "random_init", "part"]) == {"full", "random_dir", "random_dvr"}
    own = records[records["eval_dataset"] == "stripes"]
    assert set(own["n"]) == {12}
    drawn = (own["perturbation"] != "none") & ~own["part"].str.startswith("random")
    assert set(own.loc[drawn, "n_draws"]) == {2}
    clean = own[(own["evaluation"] == "linear") & (own["part"] == "full") & (own["perturbation"] == "none")]
    assert clean["value"].min() > 0.5  # stripes are easy, even for random filters; chance is a third
    trained = run_of(copy, "stripes/ddcl/caug_plus/seed0")
    tuned = read_json(copy / "results" / trained.record(target_of(trained, "tuned")), "record")
    assert tuned["chosen"]["full"][0]["n_train"] == 6
    transfer = pd.read_csv(copy / "results/tables/transfer.csv")
    assert set(transfer["eval_dataset"]) == {"digits"}
    assert set(transfer["n_images"]) == {899}

    changed = copy / "data/stripes/train/down/3.jpg"
    changed.write_bytes(changed.read_bytes() + b"x")
    command = (sys.executable, "-m", "ddcl", "extract", "--run", trained.name, "--perturbations", "none")
    done = run(*command, cwd=copy, code=copy)
    assert done.returncode == 2
    assert "down/3.jpg" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_the_documented_example_goes_from_a_folder_to_the_page(copy: Path) -> None:
    """One folder of classes, no split, no normalisation; with one epoch and one seed. Then an edit of its YAML."""
    documented(copy / "config")
    fewer = {"seeds: [0, 1]": "seeds: [0]", "[ddcl, simsiam]": "[ddcl]", "[baug, caug]": "[baug]"}
    for kind, changes in (("datasets", {"epochs: 20": "epochs: 1"}), ("suites", fewer)):
        path = copy / f"config/{kind}/clipart.yaml"
        text = path.read_text()
        for old, new in changes.items():
            assert old in text
            text = text.replace(old, new)
        write_text(path, text)
    rng = np.random.default_rng(0)
    for number, name in enumerate(("animals", "food", "people", "plants", "tools", "transport")):
        for i in range(16):
            place = copy / f"data/clipart/{name}/{'more/' if i % 2 else ''}{i}.png"
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(rng.integers(0, 40 * (number + 1), (48, 40, 4), dtype=np.uint8)).save(place)
    done = snakemake("--configfile", "config/suites/clipart.yaml", copy=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "clipart" in (copy / "results/report/index.html").read_text()
    write_text(path := copy / "config/datasets/clipart.yaml", path.read_text() + "background: [0, 0, 0]\n")
    again = snakemake("-n", "--configfile", "config/suites/clipart.yaml", copy=copy)
    assert re.search(r"prepare +1\b", again.stdout + again.stderr)
    write_text(path, path.read_text().replace("n_classes: 6", "n_classes: 7"))
    refused = snakemake("-n", "--configfile", "config/suites/clipart.yaml", copy=copy)
    assert refused.returncode != 0
    assert "6 class folders (animals, food, people, plants, tools, …)" in refused.stdout + refused.stderr
