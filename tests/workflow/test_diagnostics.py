"""Diagnostics through the DAG: from drawn shapes to tables, for methods with and without parts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ddcl.base.files import read_json, write_text
from tests.workflow.commands import copy_project, replace, run_of, snakemake, target_of

TABLES = ("readout", "factors", "invariance", "health", "drift", "response")
SUITE = """\
suite: small_diagnostics
title: Diagnostics
description: A test.
runs:
  - datasets: [shapes]
    variants: [ddcl, barlow_twins]
    augmentations: [caug_plus]
    seeds: [0, 1]
    overrides: {epochs: 2}
  - datasets: [shapes]
    variants: [random_init]
    augmentations: [none]
    seeds: [0]
    evaluations: [diagnostics]
evaluations: [linear, diagnostics, factors, drift]
perturbations: [none, rotation, jitter_strength]
random_subsets: {draws: 20, dir_frac: 0.8}
tables: [readout, factors, invariance, health, drift, response]
figures: [factors]
"""


@pytest.mark.slow
def test_from_shapes_to_tables(tmp_path: Path) -> None:
    copy = copy_project(tmp_path / "project")
    write_text(copy / "config/suites/small.yaml", SUITE)
    shapes = copy / "config/datasets/shapes.yaml"
    replace(shapes, "{n_train: 6000, n_test: 1500,", "{n_train: 600, n_test: 300,")
    replace(shapes, "{train: 6000, test: 1500}", "{train: 600, test: 300}")
    done = snakemake("--configfile", "config/suites/small.yaml", copy=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    tables = {name: pd.read_csv(copy / f"results/tables/{name}.csv") for name in TABLES}
    for name, frame in tables.items():
        assert set(frame["status"]) == {"ok"}, name
        assert frame["mean"].notna().all(), name
        assert (copy / f"results/tables/{name}.tex").stat().st_size
    readout = tables["readout"].set_index(["variant", "part", "metric"])
    assert {"full", "dir", "dvr", "random_dir", "random_dvr"} == set(readout.loc["ddcl"].index.get_level_values("part"))
    assert {"full", "random_dir", "random_dvr"} == set(readout.loc["barlow_twins"].index.get_level_values("part"))
    assert readout.loc[("random_init", "full", "readout_brightness"), "mean"] > 0.3
    assert abs(readout.loc[("ddcl", "full", "readout_shuffled"), "mean"]) < 0.1
    factors = tables["factors"].set_index(["variant", "part", "metric"])["mean"]
    assert factors["ddcl", "full", "factor_grey"] > 0.3 > abs(factors["ddcl", "dvr", "factor_angle_deg"])
    random = readout.xs("random_dvr", level="part")
    assert set(random["n_draws"]) == {20}
    assert (random["sd_draws"] > 0).all()
    drift = tables["drift"].set_index(["variant", "part", "perturbation"])["mean"]
    assert drift["ddcl", "dvr", "rotation.0"] == pytest.approx(0, abs=1e-6)
    assert min(drift["ddcl", "dvr", f"rotation.{angle}"] for angle in (-180, -30, 30, 180)) > 0.001
    assert "[" in (copy / "results/tables/readout.md").read_text()
    assert "| rotation -180 |" in (copy / "results/tables/drift.md").read_text()
    run = run_of(copy, "shapes/ddcl/caug_plus/seed0")
    record = copy / "results" / run.record(target_of(run, "diagnostics"))
    with np.load(record.with_name("diagnostics_predictions.npz")) as kept:
        assert kept["readout_crop_x/dvr"].shape == (1, 300, 1)
    assert read_json(record, "record")["evaluation"]["settings"]["n_views"] == 4
    history = pd.read_csv(copy / "results" / run.folder / "history.csv")
    assert history["squared_norm_projector_dvr"].iloc[1:].gt(0).all()
    again = snakemake("--configfile", "config/suites/small.yaml", copy=copy)
    assert "Nothing to be done" in again.stdout + again.stderr
