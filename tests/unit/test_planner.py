"""`ddcl plan --effect`: guesses are called guesses, measured spreads take their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ddcl.__main__ import main
from ddcl.plan.suite import Suite
from ddcl.report.claims.planner import image_noise, measured_spread, plan_seeds
from ddcl.schema.claims import read_statistics
from tests.unit import planted

NOTHING = (None, None, None)


def suite() -> Suite:
    block = planted.BLOCK | {"variants": ["ddcl", "simsiam"], "seeds": [0, 1, 2, 3]}
    usual: dict[str, Any] = {"suite": "t", "title": "t", "description": "t", "runs": [block]}
    return Suite(usual | {"evaluations": ["linear"], "perturbations": ["none"]}, "t.yaml")


def line(text: str) -> list[str]:
    return next(each for each in text.splitlines() if each.startswith("  digits")).split()


@pytest.mark.parametrize(("accuracy", "n", "noise"), [(92, 10_000, 0.75), (90, 8_000, 0.93), (70, 50_000, 0.57)])
def test_noise_of_the_test_images(accuracy: float, n: int, noise: float) -> None:
    assert image_noise(accuracy, n, 0.95) == pytest.approx(noise, abs=0.005)


def test_a_guess_is_called_one(tmp_path: Path) -> None:
    text = plan_seeds(suite(), tmp_path, 0.3, NOTHING)
    assert "guess, not measured" in text
    assert line(text)[1:6] == [
        "0.25",
        "0.00",
        "12",
        "13",
        "450",
    ]  # paired: half the df


def test_given_numbers_go_first(tmp_path: Path) -> None:
    text = plan_seeds(suite(), tmp_path, 0.3, (0.15, None, None))
    assert line(text)[3] == "6"
    assert "given" in text
    more = plan_seeds(suite(), tmp_path, 0.3, (0.15, 0.9, 0.9))
    assert int(line(more)[4]) < int(line(more)[3])
    assert "90 % power" in more


def test_measured_spread_by_hand(tmp_path: Path) -> None:
    rows = []
    for seed in range(4):
        for variant in ("ddcl", "simsiam"):
            luck = {0: -0.01, 1: 0.0, 2: 0.01, 3: 0.0}[seed]  # the same for both: pairs differ by nothing
            keys = {"dataset": "digits", "variant": variant, "augmentation": "baug", "seed": seed, "part": "full"}
            keys |= {"evaluation": "linear", "eval_dataset": "digits", "perturbation": "none", "metric": "top1"}
            rows.append(keys | {"value": 0.9 + luck})
    pd.DataFrame(rows).to_parquet(tmp_path / "records.parquet")
    spread = measured_spread(suite(), tmp_path, "digits", read_statistics().planner)
    assert spread.sd == pytest.approx(np.std([-1, 0, 1, 0], ddof=1))
    assert spread.correlation == pytest.approx(0.99)  # the most that is believed
    assert spread.accuracy == pytest.approx(90.0)
    assert "measured, 4 seeds" in spread.source


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["plan", "--effect", "0.3", "--results", str(tmp_path)]) == 0
    assert "seeds per arm to find a difference of 0.3 points" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["plan", "--effect", "-1"])
