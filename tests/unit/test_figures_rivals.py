"""The figure of the rivals: parts beyond their width, methods beyond what they extend, and what it costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes

from ddcl.plan.suite import Suite
from ddcl.report.collected import Collected
from ddcl.report.figures import registry
from ddcl.report.figures.rivals import MOST_INK, STRIP, UNTOLD
from ddcl.schema.metrics import READOUTS
from tests.unit import made_up

BLOCK: dict[str, Any] = {"datasets": ["digits"], "augmentations": ["caug"], "seeds": [0, 1]}
PLAN = Suite(
    {"suite": "t", "title": "t", "description": "t", "evaluations": ["linear", "diagnostics"]}
    | {"runs": [BLOCK | {"variants": ["ddcl", "augself", "simsiam"]}], "perturbations": ["none", "color_rotate"]}
    | {"random_subsets": {"draws": 20, "dir_frac": 0.8}},
    "t.yaml",
).plan
MORE = {("ddcl", "dvr"): 0.2, ("ddcl", "dir"): -0.1, ("augself", "full"): 0.04, ("ddcl", "full"): -0.03}


def collected() -> Collected:
    """0.3, of seed 1 0.25 more; and `MORE`."""
    rows: list[dict[str, Any]] = []
    for run, cell in made_up.cells_of(PLAN):
        value = 0.3 + 0.25 * run.seed + MORE.get((run.variant, cell["part"]), 0.0)
        rows.append(cell | {"value": value, "n_draws": 1, "sd_draws": None, "code": ""})
    return Collected(PLAN, pd.DataFrame(rows), pd.DataFrame(), [], Path("results"))


def matrix(axes: Axes) -> dict[tuple[str, str], str]:
    """What is written into each cell, by the labels of its row and column."""
    rows, columns = ([label.get_text() for label in each] for each in (axes.get_yticklabels(), axes.get_xticklabels()))
    cells = [text for text in axes.texts if text.get_fontsize() == 5.5]
    return {(rows[round(y)], columns[round(x)]): t.get_text() for t in cells for x, y in [t.get_position()]}


def test_parts_are_beyond_their_width_and_methods_beyond_what_they_extend() -> None:
    (axes,) = registry.draw("rivals", collected()).axes
    written = matrix(axes)
    readouts = [metric.heading for metric in READOUTS if metric.name not in UNTOLD]
    costs = ["top-1, clean", f"top-1, {PLAN.label('perturbation', 'color_rotate')}"]
    assert {column for _, column in written} == {*readouts, *costs}
    expected = {("DDCL, DIR", name): "−.10" for name in readouts} | {("DDCL, DVR", name): "+.20" for name in readouts}
    expected |= {("AugSelf", name): "+.04" for name in readouts} | {("AugSelf", name): "+4.0" for name in costs}
    expected |= {("DDCL, DIR", name): "−3.0" for name in costs}  # once for the method; SimSiam extends nothing
    assert {place: text for place, text in written.items() if text} == expected
    assert axes.get_title(loc="left") == "CAug"


def test_the_darker_the_larger_and_what_did_not_end_well_is_marked() -> None:
    found = collected()
    records = found.records
    records.loc[(records["metric"] == "readout_angle") & (records["part"] == "dvr"), "value"] += 3
    records.loc[(records["metric"] == "top1") & (records["variant"] == "augself"), "value"] += 0.06
    lost = (records["variant"] == "augself") & (records["seed"] == 1)
    records.loc[lost, ["value", "status"]] = [np.nan, "diverged"]
    (axes,) = registry.draw("rivals", found).axes
    assert matrix(axes)["DDCL, DVR", "rotation"] == "+3.20"
    assert matrix(axes)["AugSelf", "rotation"] == "+.04‡"  # of the seed that there is
    assert matrix(axes)["AugSelf", "top-1, clean"] == "+10.0‡"
    assert max(patch.get_alpha() or 0.0 for patch in axes.patches) == MOST_INK
    strips = [patch for patch in axes.patches if patch.get_height() == STRIP]
    losses = [text for text in matrix(axes).values() if text.startswith("−")]
    assert len(strips) == len(losses)
    assert max(patch.get_alpha() for patch in strips) == pytest.approx(0.3 * MOST_INK)  # −3 points of −10
    assert "1 of 4 runs diverged" in " ".join(text.get_text() for text in axes.texts)
