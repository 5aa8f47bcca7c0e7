"""Is a published number found again? One seed of two arms of the digits snapshot, trained anew on this machine."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ddcl.report.exchange.compare import compare, describe, read_side
from tests.workflow.commands import ROOT, run

SNAPSHOT = ROOT / "results/snapshots/digits"
SUITE = """\
suite: again
title: Two arms again
description: A test.
runs:
  - {datasets: [digits], variants: [ddcl_sym], augmentations: [caug], seeds: [0]}
  - {datasets: [digits], variants: [simsiam], augmentations: [baug], seeds: [0]}
evaluations: [linear, knn]
perturbations: [none, color, color_flip, color_rotate]
tables: [linear]
"""


@pytest.mark.slow
def test_a_published_snapshot_is_found_again(tmp_path: Path) -> None:
    (tmp_path / "again.yaml").write_text(SUITE)
    command = [sys.executable, "-m", "snakemake", "--cores", "2", "--snakefile", str(ROOT / "workflow/Snakefile")]
    done = run(*command, "--configfile", "again.yaml", "--", "results/tables/linear.csv", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    again, published = read_side(tmp_path / "results"), read_side(SNAPSHOT)
    cells = compare(again, published)
    print(describe(again, published, cells))
    assert len(cells) == again.cells.groupby(["variant", "part", "evaluation", "perturbation", "metric"]).ngroups
    assert set(cells["recipe"]) == {"same"}
    # One value of each cell, against the interval of all published seeds, in which 95 in 100 repetitions lie. The cells
    # of a run depend on each other, so the bound is lower.
    assert set(cells["tested"]) == {1}
    assert cells["inside"].mean() > 0.8
    decisive = cells[(cells["part"] == "full") & (cells["perturbation"] == "none") & (cells["metric"] == "top1")]
    assert set(decisive["evaluation"]) == {"linear", "knn"}
    assert set(decisive["inside"]) == {1}
