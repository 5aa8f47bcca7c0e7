"""What a table says a cell differs by: from its baseline, paired by seed, and marked beyond doubt only."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ddcl.plan.plan import Plan
from ddcl.report.multiplicity import holm
from ddcl.report.tables.differences import differences
from ddcl.report.tables.latex import to_latex
from ddcl.report.tables.printing import Cell, Printed, to_markdown
from ddcl.report.tables.statistics import aggregate, paired_t
from ddcl.schema.tables import TableSpec
from tests.unit import synthetic

KEYS = ["dataset", "variant", "augmentation", "part", "metric"]
SEEDS = [0, 1, 2]
PLAN: Plan = synthetic.suite()


def frame(**values: list[float]) -> pd.DataFrame:
    """One row per variant and seed."""
    return pd.DataFrame(
        [
            {
                "dataset": "digits",
                "variant": name,
                "augmentation": "baug",
                "part": "full",
                "metric": "top1",
                "seed": seed,
                "value": value,
            }
            | {"n": 10, "status": "ok"}
            for name, own in values.items()
            for seed, value in zip(SEEDS, own, strict=True)
        ]
    )


def against(values: pd.DataFrame, compare: str | None = "variant") -> pd.DataFrame:
    """What is said of each row, by variant and part."""
    rows = aggregate(values, KEYS)
    found = differences(values, rows, KEYS, compare, PLAN)
    return found.set_index(rows["variant"] + rows["part"].str[4:])


def marks(values: pd.DataFrame) -> dict[str, str]:
    return against(values)["emphasis"].to_dict()


def test_the_interval_is_that_of_scipy() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.normal(80, 1, 6), rng.normal(79, 1, 6)
    expected = stats.ttest_rel(first, second).confidence_interval(0.95)
    found = paired_t(list(first), list(second))
    assert (found.low, found.high, found.n) == (pytest.approx(expected.low), pytest.approx(expected.high), 6)
    assert found.effect == pytest.approx((first - second).mean())


def test_by_hand() -> None:
    found = paired_t([3.0, 5.0], [1.0, 1.0])  # differences 2 and 4: mean 3, standard error 1, t of one degree 12.706
    assert (found.effect, found.low, found.high) == pytest.approx((3, 3 - 12.7062, 3 + 12.7062), abs=1e-4)
    assert found.low < 0 < found.high
    assert paired_t([3.0, 3.1, 3.2], [1.0, 1.0, 1.0]).low > 0
    assert paired_t([1.0, 1.0, 1.0], [3.0, 3.1, 3.2]).high < 0


FINE = [100 * float(np.float32(right / 179)) for right in (160, 161, 163)]  # of 179 images, as histories hold them
COARSE = [100 * float(np.float32((right - 1) / 179)) for right in (160, 161, 163)]


@pytest.mark.parametrize("pair", [([1.0], [0.0]), ([], []), ([1.0, 2.0], [0.0, 1.0]), (FINE, COARSE)])
def test_no_interval_from_one_pair_or_from_differences_without_spread(pair: tuple[list[float], list[float]]) -> None:
    found = paired_t(*pair)
    assert np.isnan(found.low)
    assert np.isnan(found.high)


CLEAR = frame(ddcl=[0.90, 0.912, 0.92], simsiam=[0.80, 0.815, 0.82])


def test_a_method_is_marked_if_it_is_told_from_its_baseline() -> None:
    assert marks(CLEAR) == {"ddcl": "better", "simsiam": ""}
    worse = frame(ddcl=[0.80, 0.815, 0.82], simsiam=[0.90, 0.912, 0.92])
    assert marks(worse) == {"ddcl": "worse", "simsiam": ""}
    unclear = frame(ddcl=[0.90, 0.91, 0.92], simsiam=[0.89, 0.92, 0.90])
    assert marks(unclear) == {"ddcl": "", "simsiam": ""}


def test_difference_and_interval_are_in_points_and_paired_by_seed() -> None:
    row = against(CLEAR).loc["ddcl"]
    expected = stats.ttest_rel([90.0, 91.2, 92.0], [80.0, 81.5, 82.0])
    ends = expected.confidence_interval(0.95)
    assert row["baseline"] == "simsiam"
    assert row[["difference", "ci_low", "ci_high", "p"]].tolist() == pytest.approx(
        [9.9, ends.low, ends.high, expected.pvalue]
    )
    assert against(CLEAR).loc["simsiam", "baseline"] == ""
    shuffled = CLEAR.assign(seed=[0, 1, 2, 1, 2, 0])
    assert against(shuffled).loc["ddcl", "ci_low"] != row["ci_low"]


@pytest.mark.parametrize("lacking", [0, 1])  # the plan's first and last seed
def test_a_seed_without_a_run_of_the_baseline_leaves_the_pairs_of_the_others(lacking: int) -> None:
    runs = [run for run in PLAN.runs if (run.variant, run.seed) != ("simsiam", lacking)]
    alone = [run.model_copy(update={"baseline": ""}) if run.seed == lacking else run for run in runs]
    values = CLEAR[(CLEAR["variant"] != "simsiam") | (CLEAR["seed"] != lacking)]
    found = differences(values, aggregate(values, KEYS), KEYS, "variant", PLAN.changed(runs=alone))
    assert list(found["baseline"]) == ["simsiam", ""]
    assert list(found["n_pairs"]) == [2, 0]


def test_p_is_corrected_over_the_whole_table() -> None:
    parts = [CLEAR.assign(part=f"part{i}") for i in range(40)]
    one, many = against(CLEAR), against(pd.concat(parts))
    assert one.loc["ddcl", "p_holm"] == one.loc["ddcl", "p"]
    assert many["p_holm"].max() == pytest.approx(min(1.0, 40 * one.loc["ddcl", "p"]))
    assert list(many["p_holm"].dropna()) == pytest.approx(holm(list(many["p"].dropna())))


def test_below_three_seeds_there_is_a_difference_and_nothing_more() -> None:
    row = against(CLEAR[CLEAR["seed"] < 2]).loc["ddcl"]
    assert row["difference"] == pytest.approx(9.85)
    assert np.isnan(row[["ci_low", "ci_high", "p"]].astype(float)).all()
    assert (row["n_pairs"], row["emphasis"]) == (2, "")


def test_smaller_is_better_for_a_drop_and_nothing_is_where_neither_is() -> None:
    assert marks(CLEAR.assign(metric="relative_drop")) == {"ddcl": "worse", "simsiam": ""}
    assert marks(CLEAR.assign(metric="effective_rank")) == {"ddcl": "", "simsiam": ""}


def test_what_ended_badly_is_not_marked() -> None:
    bad = CLEAR.assign(status=CLEAR["status"].mask(CLEAR["seed"] == 0, "collapsed"))
    assert marks(bad) == {"ddcl": "", "simsiam": ""}
    assert against(bad).loc["ddcl", "difference"] == pytest.approx(9.9)


def test_dir_is_set_against_a_baseline_without_parts_and_dvr_is_not() -> None:
    simsiam = CLEAR[CLEAR["variant"] == "simsiam"]
    parts = [CLEAR[CLEAR["variant"] == "ddcl"].assign(part=part) for part in ("dir", "dvr")]
    values = pd.concat([simsiam, *parts])
    rows = aggregate(values, KEYS)
    found = differences(values, rows, KEYS, "variant", PLAN).set_index(rows["part"])
    assert found["baseline"].to_dict() == {"full": "", "dir": "simsiam", "dvr": ""}


def test_compared_only_if_the_table_says_so() -> None:
    assert set(against(CLEAR, None)["baseline"]) == {""}


def test_printed_forms_show_it() -> None:
    cells = [Cell("1.0", "better"), Cell("0.9", "worse"), Cell("0.1 ± 0.0")]
    printed = Printed(["variant"], ["a", "b", "c"], [(["x_y"], cells)], ["a note"])
    spec = TableSpec(title="t", caption="c", kind="cells", rows=["variant"], columns=["metric"], print=["top1"])
    assert "| x_y | **1.0** ▲ | **0.9** ▼ | 0.1 ± 0.0 |" in to_markdown(printed, spec)
    tex = to_latex(printed, spec, "t")
    assert r"x\_y & \textbf{1.0}$^{\uparrow}$ & \textbf{0.9}$^{\downarrow}$ & 0.1 $\pm$ 0.0 \\" in tex
    assert "<u>" not in to_markdown(printed, spec)
