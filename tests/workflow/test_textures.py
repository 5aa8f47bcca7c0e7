"""The pipeline of the study on textures, on a small made-up archive: run twice, it gives the same bit for bit."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.unit.test_textures import archive, write
from tests.workflow.commands import ROOT, ddcl, run

DATASET = """\
base: textures
label: Made-up textures
settings: {n_textures: 3, patch_px: 16, train_patches: 24, test_patches: 8, other_patches: 64}
image_side_px: 16
n_classes: 3
n_images: {train: 72, test: 24, pretrain: 136}
n_groups: {train: 12, test: 3}
training_overrides: {batch_size: 16, epochs: 2, monitor: {every_epochs: 1}}
"""
SUITE = """\
suite: made_up
title: Made-up textures
description: A test.
runs:
  - datasets: [made_up]
    variants: [ddcl, barlow_twins]
    augmentations: [caug]
    seeds: [0]
    overrides: {precision: fp32, schedule: {warmup_epochs: 0}}
evaluations: [linear, knn]
perturbations: [none, color]
tables: [linear]
"""


def study(folder: Path) -> dict[str, bytes]:
    """Run the suite in a folder of its own, from the archive on; return its records, which hold the sums of files."""
    for name, text in {"datasets/made_up.yaml": DATASET, "suites/made_up.yaml": SUITE}.items():
        (folder / "mine" / name).parent.mkdir(parents=True)
        (folder / "mine" / name).write_text(text)
    (folder / "data").mkdir()
    write(folder / "data", archive())
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile", str(ROOT / "workflow/Snakefile")]
    done = run(*command, "--configfile", "mine/suites/made_up.yaml", "--", "results/tables/linear.csv", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    runs = folder / "results/runs"
    records = (path for path in runs.rglob("*.json") if path.name in ("linear.json", "knn.json"))
    return {str(path.relative_to(runs)): path.read_bytes() for path in records}


@pytest.mark.slow
def test_two_studies_are_equal_bit_for_bit(tmp_path: Path) -> None:
    first, second = (study(tmp_path / name) for name in ("first", "second"))
    assert len(first) == 2 * 2
    assert [name for name in sorted({*first, *second}) if first.get(name) != second.get(name)] == []
    done = ddcl("compare", "first/results", "second/results", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
