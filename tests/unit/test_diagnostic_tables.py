"""Tables of diagnostics: how their numbers are printed, and what all features have over a part."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from ddcl.plan.suite import Suite
from ddcl.report.tables.build import build_table
from ddcl.report.tables.printing import layout, to_latex, to_markdown
from ddcl.schema.tables import TableSpec, read_table
from tests.unit import made_up, synthetic

BLOCK = {"datasets": ["digits"], "variants": ["ddcl", "simsiam"], "augmentations": ["caug"], "seeds": [0, 1]}
PLAN = Suite(
    {"suite": "t", "title": "t", "description": "t", "runs": [BLOCK], "evaluations": ["linear", "diagnostics", "drift"]}
    | {"perturbations": ["none", "rotation"], "random_subsets": {"draws": 20, "dir_frac": 0.8}},
    "t.yaml",
).plan


def records() -> pd.DataFrame:
    """Every cell of the plan: 0.5, of seed 1 0.25 more; random columns have a spread."""
    rows: list[dict[str, Any]] = []
    for run, cell in made_up.cells_of(PLAN):
        random = cell["part"].startswith("random")
        draws = {"n_draws": 20 if random else 1, "sd_draws": 0.031 if random else None}
        rows.append(cell | draws | {"value": 0.5 + 0.25 * run.seed})
    return pd.DataFrame(rows)


HEADERS = {"readout": 12, "invariance": 7, "health": 3, "drift": 13, "response": 13, "width": 2, "equivariance": 5}


@pytest.mark.parametrize("name", HEADERS)
def test_every_table_of_a_suite_with_diagnostics_is_whole(name: str) -> None:
    spec = read_table(name)
    frame = build_table(records(), pd.DataFrame(), PLAN, spec)
    assert set(frame["status"]) == {"ok"}
    assert set(frame["n_seeds"]) == {2}
    printed = layout(frame, spec, PLAN)
    assert len(printed.headers) == HEADERS[name]
    rows = {tuple(labels[-2:]): cells for labels, cells in printed.rows}
    assert len(rows) == (4 if name == "response" else 8)  # random columns are not classified under families
    if name in ("readout", "drift"):
        assert rows["DDCL", "DVR"][0].text == "0.62 ± 0.18"
        assert rows["SimSiam", "random, DVR’s width"][0].text == "0.62 ± 0.18 [0.03]"
    assert to_markdown(printed, spec)
    assert to_latex(printed, spec, name)


def test_what_all_features_have_over_a_part_is_paired_by_run() -> None:
    plan = synthetic.suite()
    frame = synthetic.records(plan)
    lost = (frame["variant"] == "ddcl") & (frame["seed"] == 1) & (frame["part"] == "full")
    frame.loc[lost, ["value", "status"]] = [float("nan"), "missing"]
    values: dict[str, Any] = {"title": "t", "caption": "c", "kind": "cells", "rows": ["variant", "part"]}
    values |= {"columns": ["metric"], "print": ["full_minus"], "derive": ["full_minus"]}
    spec = TableSpec.model_validate(values | {"select": {"evaluation": ["linear"], "augmentation": ["baug"]}})
    table = build_table(frame, pd.DataFrame(), plan, spec)
    clean = table[(table["metric"] == "full_minus") & (table["perturbation"] == "none")].set_index("part")
    assert clean.loc["dir", "mean"] == pytest.approx(1.0)
    assert clean.loc["dvr", "mean"] == pytest.approx(20.0)
    assert clean.loc["dir", "unit"] == "points"
    assert clean.loc["dir", "status"] == "1 of 2 missing"
    assert "full" not in clean.index


@pytest.mark.parametrize("name", ["carried", "cost"])
def test_a_part_is_set_against_its_width_and_a_method_against_the_one_it_extends(name: str) -> None:
    """DVR has 0.2 more than its random columns, DIR 0.1 less; DDCL's features 0.03 more than SimSiam's."""
    frame, spec = records(), read_table(name)
    whole = (frame["variant"] == "ddcl") & (frame["part"] == "full")
    frame["value"] += 0.2 * (frame["part"] == "dvr") - 0.1 * (frame["part"] == "dir") + 0.03 * whole
    table = build_table(frame, pd.DataFrame(), PLAN, spec)
    assert set(table["variant"]) == {"ddcl"}  # SimSiam extends nothing, and has no parts
    means = table.groupby("part")["mean"].agg(["min", "max"])
    expected = {"dir": -0.1, "dvr": 0.2, "full": 0.03} if name == "carried" else {"full": 3.0}
    assert {part: pytest.approx(value) for part, value in expected.items()} == means["min"].to_dict()
    assert means["min"].to_dict() == pytest.approx(means["max"].to_dict())
    assert set(table["sd"].round(9)) == {0.0}  # paired: seeds differ by 0.25
    assert set(table["unit"]) == ({"R²", "balanced accuracy", ""} if name == "carried" else {"points"})
    assert all(len(sources) == 4 for sources in table["sources"])  # two cells of two seeds
    printed = layout(table, spec, PLAN)
    assert printed.rows[-1][1][0].text == ("+0.20 ± 0.00" if name == "carried" else "+3.0 ± 0.0")


def test_a_reference_that_is_missing_makes_the_difference_missing() -> None:
    frame = records()
    lost = (frame["variant"] == "simsiam") & (frame["seed"] == 1) & (frame["part"] == "full")
    frame.loc[lost, ["value", "status"]] = [float("nan"), "missing"]
    table = build_table(frame, pd.DataFrame(), PLAN, read_table("cost"))
    assert set(table["status"]) == {"1 of 2 missing"}


def test_a_table_of_differences_derives_nothing() -> None:
    values = {
        "title": "t",
        "caption": "c",
        "kind": "cells",
        "rows": ["variant"],
        "columns": ["part"],
        "print": ["top1"],
    }
    values |= {"against": "width_and_baseline", "derive": ["full_minus"]}
    with pytest.raises(ValueError, match="against: a table of differences derives nothing"):
        TableSpec.model_validate(values)
