"""LaTeX commands: their names, numbers, intervals, and collisions."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ddcl.base.errors import UserError
from ddcl.report.claims.claim_tables import check_frame
from ddcl.report.claims.inference import share_estimate
from ddcl.report.claims.judge import judge_claims
from ddcl.report.claims.macros import accuracy_text, command_name, macros
from ddcl.report.collected import Collected
from ddcl.schema.claims import read_statistics
from tests.unit import planted, synthetic


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Collected:
    plan = planted.suite(["C2"], ["ddcl", "simsiam"], 3)
    return planted.results(plan, tmp_path_factory.mktemp("macros"), planted.plus(2.0))


def commands(found: Collected) -> dict[str, str]:
    text = macros(found, judge_claims(found))
    return dict(re.findall(r"^\\newcommand\{\\(\w+)\}\{(.*)\} % ", text, re.MULTILINE))


def test_names_have_letters_only() -> None:
    assert command_name("ddcl", "baug", "linear") == "DdclBaugLinear"
    assert command_name("ddcl_f50", "caug_plus", "knn200") == "DdclFFiveZeroCaugPlusKnnTwoZeroZero"
    assert command_name("claim", "C4", "seen") == "ClaimCFourSeen"


def test_every_headline_number_with_n_and_interval(found: Collected) -> None:
    own = commands(found)
    assert {"DdclBaugLinearOnline", "DdclCaugKnn", "SimsiamBaugKnn", "ClaimCTwoaVerdict", "ClaimCTwoaLinear"} <= set(
        own
    )
    assert all(name.isalpha() for name in own)
    records = found.records
    rows = records[(records["variant"] == "ddcl") & (records["augmentation"] == "baug") & (records["part"] == "full")]
    rows = rows[(rows["evaluation"] == "linear_online") & (rows["perturbation"] == "none")]
    rows = rows[rows["metric"] == "top1"]
    interval = share_estimate(rows["value"].to_numpy(), 0.95)
    low, high = 100 * interval.low, 100 * interval.high
    assert own["DdclBaugLinearOnline"] == rf"{100 * interval.effect:.1f} (95\,\% CI {low:.1f} to {high:.1f}, $n=3$)"
    assert own["ClaimCTwoaVerdict"] == "supported"
    assert own["ClaimCTwobVerdict"] == "not run"


def test_one_seed_and_lost_seeds_are_said(found: Collected, tmp_path: Path) -> None:
    plan = planted.suite([], ["ddcl"], 1)
    alone = commands(planted.results(plan, tmp_path, planted.base))["DdclBaugLinearOnline"]
    assert alone == "80.0 ($n=1$)"
    lost = {"variant": "ddcl", "augmentation": "baug", "seed": 1}
    own = commands(planted.changed(found, lost, value=np.nan, status="missing"))
    assert own["DdclBaugLinearOnline"].endswith("($n=2$ of 3)")  # two seeds have no interval


def test_an_accuracy_near_100_has_no_interval_beyond() -> None:
    rows = pd.DataFrame({"value": [0.9, 0.999, 1.0]})
    ends = re.findall(r"CI ([\d.]+) to ([\d.]+)", accuracy_text(rows, read_statistics()))[0]
    assert 0 < float(ends[0]) < 96.6 < float(ends[1]) <= 100


def test_each_says_where_its_number_comes_from(found: Collected) -> None:
    claims = judge_claims(found)
    sources = dict(re.findall(r"^\\newcommand\{\\(\w+)\}.* % (.*)$", macros(found, claims), re.MULTILINE))
    record = synthetic.record_of(found.plan, "digits/ddcl/caug/seed0", "knn").replace("/seed0/", "/seed{0,1,2}/")
    assert sources["DdclCaugKnn"] == f"{record}#full/none/top1"
    checks = check_frame(claims)
    for name, source in sources.items():
        table, _, row = source.partition(", row ")
        if table == "tables/claim_checks.csv":
            own = checks.iloc[int(row) - 1]
            assert name == command_name("claim", own["claim"], own["check"])
    assert sources["ClaimCTwobVerdict"] == "tables/claims.csv, row 2"


def test_two_numbers_with_one_name_are_an_error(found: Collected) -> None:
    names = {"simsiam": "dd_cl", "ddcl": "Dd_cl"}
    runs = [run.model_copy(update={"variant": names[run.variant]}) for run in found.plan.runs]
    records = found.records.replace({"variant": names})
    again = replace(found, plan=found.plan.changed(runs=runs), records=records, runs=[])
    with pytest.raises(UserError, match="DdClBaugLinearOnline"):
        macros(again, [])
