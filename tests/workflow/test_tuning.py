"""A tuning suite from images to its choice, by Snakemake."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ddcl.base.yaml_files import parse, read_yaml
from ddcl.schema.tuning import CHOICE, SCORES, TunedConfig
from tests.workflow.commands import copy_project, snakemake

SUITE = """\
suite: tiny_tuning
title: Tuning, tiny
description: Two epochs; its choice means nothing.
tuning:
  dataset: digits_tuning
  augmentations: [baug]
  seeds: [0]
  evaluation: knn
  grids:
    simsiam: {training.epochs: [2], training.optimizer.base_lr: [0.2, 0.4]}
    ddcl: {training.epochs: [2], settings.dvr_weight: [0.1, 1.0]}
tables: [knn]
"""


@pytest.mark.slow
def test_a_tuning_suite_chooses_on_held_out_training_images(tmp_path: Path) -> None:
    copy = copy_project(tmp_path / "project")
    (copy / "config/suites/tiny_tuning.yaml").write_text(SUITE)
    suite = ("--configfile", "config/suites/tiny_tuning.yaml")
    done = snakemake(*suite, copy=copy)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    tables = copy / "results/tables"
    tuned = parse(TunedConfig, read_yaml(tables / CHOICE), CHOICE)
    assert tuned.budget.model_dump() == {"settings": 2, "runs": 2, "epochs": 4}
    frame = pd.read_csv(tables / SCORES)
    assert len(frame) == 4
    for variant, own in frame.groupby("variant"):
        assert tuned.choices[str(variant)].accuracy == pytest.approx(own["accuracy"].max(), abs=1e-3)
    assert (frame["accuracy"] * 223 / 100).round(3).mod(1).max() < 0.1  # of 223 held-out images
    assert (copy / "results/report/index.html").exists()
    again = snakemake("-n", *suite, copy=copy)
    assert "Nothing to be done" in again.stdout + again.stderr
