"""Two results side by side: which cells both have, how far they are apart, and what is a repetition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ddcl.__main__ import main
from ddcl.base.errors import UserError
from ddcl.report.exchange.compare import CELL, compare, describe, insides, read_side

KEYS = {"dataset": "digits", "variant": "ddcl", "augmentation": "baug", "eval_dataset": "digits"}
KEYS |= {"evaluation": "linear", "perturbation": "none", "part": "full", "metric": "top1"}


def folder(path: Path, values: list[float], recipe: str = "r", **changes: str) -> Path:
    """A folder with the collected values of one cell, by seed."""
    path.mkdir(exist_ok=True)
    rows: list[dict[str, Any]] = [
        KEYS | changes | {"seed": seed, "value": value, "recipe_digest": f"{recipe}{seed}"}
        for seed, value in enumerate(values)
    ]
    file = path / "records.parquet"
    known = [pd.read_parquet(file)] if file.exists() else []
    pd.concat([*known, pd.DataFrame(rows)]).to_parquet(file)
    return path


def test_a_cell_side_by_side(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a", [0.90, 0.92, 0.94]), folder(tmp_path / "b", [0.91, 0.91, 0.97, np.nan])
    row = compare(read_side(a), read_side(b)).iloc[0]
    assert list(row[CELL]) == list(KEYS.values())
    assert (row["n_a"], row["n_b"], row["seeds"], row["recipe"]) == (3, 3, 3, "same")
    assert (row["mean_a"], row["mean_b"]) == pytest.approx((92.0, 93.0))
    assert row["difference"] == pytest.approx(-1.0)
    assert row["largest"] == pytest.approx(3.0)
    assert row["rms"] == pytest.approx(np.sqrt((1 + 1 + 9) / 3))
    assert row["tested"] == row["inside"] == 6


def test_a_repetition_lies_where_one_more_run_would() -> None:
    others = np.array([90.0, 91.0, 92.0])
    half = stats.t.isf(0.025, 2) * 1.0 * np.sqrt(4 / 3)
    assert insides([91 + half - 0.01, 91 + half + 0.01, 91 - half - 0.01], others) == [True, False, False]
    assert insides([90.0], np.array([90.0])) == []
    assert insides([90.0, 90.1], np.array([90.0, 90.0])) == [True, False]


def test_as_many_repetitions_as_there_should_be() -> None:
    rng = np.random.default_rng(0)
    found = [insides(rng.normal(size=1), rng.normal(size=4))[0] for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.95, abs=0.015)


def test_what_one_side_lacks_is_counted_and_other_recipes_are_named(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a", [0.9, 0.8]), folder(tmp_path / "b", [0.9, 0.8], recipe="other")
    folder(a, [0.7], part="dvr")
    folder(b, [3.0], metric="effective_rank")
    folder(a, [1.0], metric="effective_rank")
    sides = read_side(a), read_side(b)
    text = describe(*sides, compare(*sides))
    assert "2 cells in both, 1 in A only, 0 in B only" in text
    assert "cells of runs with different recipes, or of another version of the suite: 1" in text
    assert "linear, effective_rank, none" in text
    assert "2.00" in text  # not a share, so not a hundredfold
    assert "4 of 4" in text


def test_without_a_common_run_no_recipe_is_compared(tmp_path: Path) -> None:
    a, b = folder(tmp_path / "a", [0.9, 0.8]), folder(tmp_path / "b", [np.nan, np.nan, 0.9, 0.8])
    sides = read_side(a), read_side(b)
    assert "no run is in both, so no recipe was compared" in describe(*sides, compare(*sides))


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    a, b = folder(tmp_path / "a", [0.9, 0.8]), folder(tmp_path / "b", [0.9, 0.8])
    assert main(["compare", str(a), str(b), "--output", str(tmp_path / "c.csv")]) == 0
    assert "all common runs have the same recipe" in capsys.readouterr().out
    assert (tmp_path / "c.csv").read_text().count("\n") == 2
    assert main(["compare", str(a), str(tmp_path)]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_what_is_no_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none: there is no such folder or archive"):
        read_side(tmp_path / "none")
    (tmp_path / "x.zip").write_text("no archive")
    with pytest.raises(UserError, match="cannot be read as an archive"):
        read_side(tmp_path / "x.zip")
    twice = folder(folder(tmp_path / "twice", [0.9, 0.8]), [0.7])
    with pytest.raises(UserError, match=r"has more than one value of 1 cells, such as digits, ddcl, baug, .*, 0$"):
        read_side(twice)
    pd.DataFrame({"value": [1.0]}).to_parquet(tmp_path / "records.parquet")
    with pytest.raises(UserError, match="has no columns dataset, variant"):
        read_side(tmp_path)
