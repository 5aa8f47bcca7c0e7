"""`ddcl plan --effect`: guesses are called guesses, measured spreads take their place."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ddcl.__main__ import main
from ddcl.base.errors import UserError
from ddcl.plan.suite import Suite
from ddcl.report.claims.planner import Spread, measured_spread, paired_correctness, plan_seeds, with_images
from ddcl.report.claims.power import power
from ddcl.schema.claims import read_statistics
from tests.unit import planted

NOTHING = (None, None, None)


def suite() -> Suite:
    block = planted.BLOCK | {"variants": ["ddcl", "simsiam"], "seeds": [0, 1, 2, 3]}
    usual: dict[str, Any] = {"suite": "t", "title": "t", "description": "t", "runs": [block]}
    return Suite(usual | {"evaluations": ["linear"], "perturbations": ["none"]}, "t.yaml")


def line(text: str) -> list[str]:
    return next(each for each in text.splitlines() if each.startswith("  digits")).split()


@pytest.mark.parametrize(("noise", "found"), [(0.0, 0.79), (0.1, 0.54), (0.2, 0.26)])
def test_the_noise_of_the_test_images_takes_power(noise: float, found: float) -> None:
    """Six seeds, sd 0.15, 0.3 points: 79 % by the seeds alone."""
    spread = Spread(0.15, 0.0, 8.0, 10_000 * noise**2, "")
    assert power(0.3, spread.of_difference(10_000, 0.95)(6), 0.95) == pytest.approx(found, abs=0.005)


def test_a_guess_is_called_one(tmp_path: Path) -> None:
    text = plan_seeds(suite(), tmp_path, 3.0, NOTHING)
    assert text.startswith("suite t: seeds per arm needed to detect a difference of 3 points with 80 % power")
    assert "guess, not measured" in text
    assert line(text)[1:7] == ["0.25", "0.00", "899", "0.47", "3", "4"]


def test_too_few_images_are_said(tmp_path: Path) -> None:
    assert line(plan_seeds(suite(), tmp_path, 0.3, NOTHING))[5] == "many"


def test_given_numbers_go_first(tmp_path: Path) -> None:
    text = plan_seeds(suite(), tmp_path, 3.0, (2.0, None, None))
    assert "sd given" in text
    more = plan_seeds(suite(), tmp_path, 3.0, (2.0, 0.9, 0.9))
    assert int(line(more)[5]) < int(line(text)[5])
    assert "90 % power" in more


def test_what_predictions_say_of_the_images_by_hand(tmp_path: Path) -> None:
    """Two seeds, ten images: both find image 0 for DDCL; seed 1 finds image 1 for SimSiam."""
    planned = suite()
    right = {"ddcl": np.zeros((2, 10), bool), "simsiam": np.zeros((2, 10), bool)}
    right["ddcl"][:, 0] = right["simsiam"][1, 1] = True
    for run in planned.plan.runs:
        if run.augmentation == "baug" and run.seed < 2:
            path = tmp_path / run.predictions(run.targets[0])
            path.parent.mkdir(parents=True)
            classes = (~right[run.variant][run.seed]).astype(np.int32)[None, None]
            np.savez(path, labels=np.zeros(10, np.int32), **{"top1/full/none": classes})
    ((found, groups),) = paired_correctness(planned, tmp_path, "digits")
    assert groups is None
    assert found.tolist() == (right["ddcl"].astype(float) - right["simsiam"]).tolist()
    spread = with_images(Spread(0.2, 0.0, 8.0, 200.0, "measured"), planned, tmp_path, "digits")
    assert spread.discordance == pytest.approx(15.0)  # 3 of 20
    means = 100 * found.mean(axis=0)
    residual = 100 * found - 100 * found.mean(axis=1, keepdims=True) - means + means.mean()
    shared = means.var(ddof=1) / 10 - (residual**2).sum() / (1 * 9 * 2 * 10)  # less what seeds hold already
    assert spread.per_image == pytest.approx(10 * shared)
    assert "15.0 % discordant in 1 pairs" in spread.source
    assert with_images(spread, planned, tmp_path / "none", "digits").source.endswith("test images: guess")
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(UserError, match=r"predictions cannot be read .*run `ddcl evaluate` again"):
        list(paired_correctness(planned, tmp_path, "digits"))


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
    assert "measured, 4 seeds" in spread.source


def test_the_command(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["plan", "--effect", "0.3", "--results", str(tmp_path)]) == 0
    assert "seeds per arm needed to detect a difference of 0.3 points" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["plan", "--effect", "-1"])
