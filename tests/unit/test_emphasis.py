"""What stands out in a table is best beyond doubt of the seeds; what cannot be told from it is marked, too."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from ddcl.report.tables.emphasis import emphasis
from ddcl.report.tables.latex import to_latex
from ddcl.report.tables.printing import Cell, Printed, to_markdown
from ddcl.report.tables.statistics import aggregate, paired_t
from ddcl.schema.tables import TableSpec
from tests.unit import synthetic

KEYS = ["dataset", "variant", "part", "metric"]
SEEDS = [0, 1, 2]
METRICS = synthetic.metrics()


def frame(**values: list[float]) -> pd.DataFrame:
    """One row per variant and seed."""
    return pd.DataFrame(
        [
            {"dataset": "d", "variant": name, "part": "full", "metric": "top1", "seed": seed, "value": value}
            | {"n": 10, "status": "ok"}
            for name, own in values.items()
            for seed, value in zip(SEEDS, own, strict=True)
        ]
    )


def marks(values: pd.DataFrame, compare: str | None = "variant") -> dict[str, str]:
    rows = aggregate(values, KEYS)
    return dict(
        zip(rows["variant"] + rows["part"].str[4:], emphasis(values, rows, KEYS, compare, METRICS), strict=True)
    )


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
    assert not found.excludes_zero
    assert paired_t([3.0, 3.1, 3.2], [1.0, 1.0, 1.0]).excludes_zero
    assert paired_t([1.0, 1.0, 1.0], [3.0, 3.1, 3.2]).excludes_zero


@pytest.mark.parametrize("pair", [([1.0], [0.0]), ([], []), ([1.0, 2.0], [0.0, 1.0])])
def test_no_interval_from_one_pair_or_from_differences_without_spread(pair: tuple[list[float], list[float]]) -> None:
    found = paired_t(*pair)
    assert np.isnan(found.low)
    assert not found.excludes_zero


def test_the_best_is_bold_if_it_is_told_from_the_runner_up() -> None:
    clear = frame(a=[0.90, 0.91, 0.92], b=[0.80, 0.815, 0.82], c=[0.70, 0.711, 0.72])
    assert marks(clear) == {"a": "best", "b": "", "c": ""}
    unclear = frame(a=[0.90, 0.91, 0.92], b=[0.89, 0.92, 0.90], c=[0.70, 0.711, 0.72])
    assert marks(unclear) == {"a": "tied", "b": "tied", "c": ""}


def test_pairs_are_of_one_seed() -> None:
    """The methods' means are far within each other's spread, but each seed says the same."""
    paired = frame(a=[0.50, 0.70, 0.90], b=[0.49, 0.688, 0.889])
    assert marks(paired) == {"a": "best", "b": ""}
    shuffled = paired.assign(seed=[0, 1, 2, 1, 2, 0])
    assert marks(shuffled) == {"a": "tied", "b": "tied"}


def test_smaller_is_better_for_a_drop() -> None:
    drops = frame(a=[0.30, 0.31, 0.32], b=[0.20, 0.215, 0.22]).assign(metric="relative_drop")
    assert marks(drops) == {"a": "", "b": "best"}


def test_nothing_stands_out_where_neither_more_nor_less_is_better() -> None:
    ranks = frame(a=[0.90, 0.91, 0.92], b=[0.80, 0.815, 0.82]).assign(metric="effective_rank")
    assert marks(ranks) == {"a": "", "b": ""}


def test_what_ended_badly_or_has_one_seed_takes_no_part() -> None:
    values = frame(a=[0.90, 0.91, 0.92], b=[0.80, 0.815, 0.82], c=[0.70, 0.711, 0.72])
    collapsed = values.assign(
        status=values["status"].mask((values["variant"] == "a") & (values["seed"] == 0), "collapsed")
    )
    assert marks(collapsed) == {"a": "", "b": "best", "c": ""}
    assert marks(values[(values["seed"] == 0) | (values["variant"] != "a")]) == {"a": "", "b": "best", "c": ""}
    assert marks(values[values["variant"] == "a"]) == {"a": ""}


def test_compared_within_a_part_and_only_if_the_table_says_so() -> None:
    values = frame(a=[0.90, 0.91, 0.92], b=[0.80, 0.815, 0.82])
    other = frame(a=[0.10, 0.11, 0.12], b=[0.20, 0.215, 0.22]).assign(part="full_dir")
    assert marks(pd.concat([values, other])) == {"a": "best", "b": "", "a_dir": "", "b_dir": "best"}
    assert set(marks(values, None).values()) == {""}


def test_printed_forms_show_it() -> None:
    cells = [Cell("1.0", "best"), Cell("0.9", "tied"), Cell("0.1 ± 0.0")]
    printed = Printed(["variant"], ["a", "b", "c"], [(["x_y"], cells)], ["a note"])
    spec = TableSpec(title="t", caption="c", kind="cells", rows=["variant"], columns=["metric"], print=["top1"])
    assert "| x_y | **1.0** | <u>0.9</u> | 0.1 ± 0.0 |" in to_markdown(printed, spec)
    assert r"x\_y & \textbf{1.0} & \underline{0.9} & 0.1 $\pm$ 0.0 \\" in to_latex(printed, spec, "t")
