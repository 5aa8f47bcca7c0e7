"""What is known of a metric stands in one place, and a new one works up to the page."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from ddcl.plan.cells import has_cell
from ddcl.plan.plan import Plan
from ddcl.plan.suite import Suite
from ddcl.report.collect import CollectedRun
from ddcl.report.collected import Collected
from ddcl.report.page.cards import build_cards
from ddcl.report.tables.build import build_table
from ddcl.report.tables.cells import expected_cells
from ddcl.report.tables.printing import layout, to_markdown
from ddcl.schema.evaluations import EvaluationSettings
from ddcl.schema.metrics import ACCURACY, CKA, DERIVED, DRIFT, FACTORS, READOUTS, Metric, knn_accuracy
from ddcl.schema.op_recipes import PerturbationRecipe
from ddcl.schema.places import VARIABLE, config_names
from ddcl.schema.registry import EVALUATIONS, SHAPES_FACTORS, EvaluationEntry
from ddcl.schema.run_key import RunKey
from ddcl.schema.tables import TableSpec, read_table
from tests.unit.made_up import cells_of

CALIBRATION = Metric(name="calibration_error", label="calibration", unit="%", decimals=1, better="lower")
SPEC = TableSpec.model_validate(
    {"title": "t", "caption": "c", "kind": "cells", "rows": ["variant", "part"], "columns": ["metric"]}
    | {"select": {"metric": ["calibration_error"]}, "print": ["calibration_error"], "compare": "variant"}
)


def plan_of(*evaluations: str) -> Plan:
    """The plan of a suite of two methods with three seeds each."""
    block = {"datasets": ["digits"], "variants": ["ddcl", "simsiam"], "augmentations": ["caug"], "seeds": [0, 1, 2]}
    words = {"suite": "t", "title": "t", "description": "t"}
    return Suite(words | {"runs": [block], "evaluations": list(evaluations), "perturbations": ["none"]}, "t.yaml").plan


def records_of(plan: Plan) -> pd.DataFrame:
    """Every cell measured: 0.1 for DDCL, 0.2 for SimSiam, each seed a hundredth more, or nearly so."""
    rows: list[dict[str, Any]] = []
    for run, cell in cells_of(plan):
        value = 0.1 + 0.01 * run.seed if run.variant == "ddcl" else 0.2 + 0.011 * run.seed
        rows.append(cell | {"value": value, "n_draws": 1})
    return pd.DataFrame(rows).assign(sd_draws=float("nan"))


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    """A suite with a new protocol: its YAML, and its registry entry with its metric."""
    (tmp_path / "config" / "evaluations").mkdir(parents=True)
    text = "label: calibration\nprotocol: calibrated\nselection: fixed\nsettings: {}\n"
    (tmp_path / "config" / "evaluations" / "calibration.yaml").write_text(text)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "config"))
    entry = EvaluationEntry("ddcl.evaluate.calibrated:evaluate", EvaluationSettings, metrics=(CALIBRATION,))
    monkeypatch.setitem(EVALUATIONS, "calibrated", entry)
    return plan_of("knn", "calibration")


def test_a_new_metric_is_printed_and_compared_as_its_entry_says(made_up: Plan) -> None:
    frame = build_table(records_of(made_up), pd.DataFrame(), made_up, SPEC)
    assert set(frame["metric"]) == {"calibration_error"}
    assert set(frame["unit"]) == {"%"}
    whole = frame[frame["part"] == "full"].set_index("variant")
    assert whole.loc["ddcl", "mean"] == pytest.approx(11.0)
    assert whole["baseline"].to_dict() == {"ddcl": "simsiam", "simsiam": ""}
    assert whole["emphasis"].to_dict() == {"ddcl": "better", "simsiam": ""}  # less is better
    printed = layout(frame, SPEC, made_up)
    assert printed.headers == ["calibration"]
    assert "| DDCL | whole | **11.0 ± 1.0** ▲ |" in to_markdown(printed, SPEC)


def test_a_new_metric_stands_on_the_page(made_up: Plan, tmp_path: Path) -> None:
    absent = {"status": "missing", "message": "", "summary": None, "other_code": False}
    runs = [CollectedRun.model_validate({"run": RunKey.model_validate(run.key)} | absent) for run in made_up.runs]
    found = Collected(made_up, records_of(made_up), pd.DataFrame(), runs, tmp_path)
    card, _ = build_cards(found, expected_cells(found.records, made_up)).cards
    rows = {(row.about, *row.labels): row.texts for row in card.values}
    assert rows["calibration, calibration", "whole", "clean"] == ["10.00", "11.00", "12.00"]
    assert rows["kNN, k = 5", "DIR", "clean"] == ["10.00", "11.00", "12.00"]


def test_another_label_makes_another_plan_of_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_of("knn", "linear")
    assert plan_of("knn", "linear").digest == plan.digest
    label = ACCURACY.model_copy(update={"label": "accuracy"})
    monkeypatch.setitem(EVALUATIONS, "knn", replace(EVALUATIONS["knn"], metrics=(label,)))
    monkeypatch.setitem(EVALUATIONS, "linear", replace(EVALUATIONS["linear"], metrics=(label,)))
    other = plan_of("knn", "linear")
    assert other.metrics["top1"].label == "accuracy"
    assert other.digest != plan.digest
    assert other.runs == plan.runs  # with the digests of recipes, features and records
    assert other.data == plan.data


def test_a_plan_has_the_metrics_of_its_evaluations_and_the_derived_ones() -> None:
    derived = {metric.name for metric in DERIVED}
    assert set(plan_of("linear").metrics) == {"top1"} | derived
    assert set(plan_of("knn").metrics) == {"top1", "top1_k1", "top1_k5", "top1_k200"} | derived


def test_a_name_is_of_one_metric() -> None:
    known: dict[str, Metric] = {}
    for metric in (*DERIVED, *(metric for entry in EVALUATIONS.values() for metric in entry.metrics)):
        assert known.setdefault(metric.name, metric) == metric


def test_every_metric_that_a_table_prints_is_known() -> None:
    reported = [metric.name for entry in EVALUATIONS.values() for metric in entry.metrics]
    known = {*reported, *(metric.name for metric in DERIVED), *(knn_accuracy(k).name for k in (1, 5, 20, 200))}
    for name in config_names("tables"):
        assert set(read_table(name).print) <= known, name


def test_which_parts_have_a_metric_under_what() -> None:
    """Whether a perturbation is a member of a family is what its recipe says, not its name."""
    single = PerturbationRecipe(perturbation="a.b", ops=[])
    member = PerturbationRecipe(perturbation="ab", ops=[], family="a")
    assert has_cell("random_dir", single, ACCURACY)
    assert not has_cell("random_dir", member, ACCURACY)
    assert has_cell("random_dir", member, DRIFT)
    assert has_cell("dir", member, ACCURACY)
    parts = ("full", "dir", "dvr", "random_dir", "random_dvr")
    assert [part for part in parts if has_cell(part, single, CKA)] == ["dvr", "random_dvr"]


def test_units_and_chance() -> None:
    assert {metric.unit for metric in (*READOUTS, *FACTORS) if metric.chance == 0} == {"R²"}
    balanced = {metric.name: metric.chance for metric in (*READOUTS, *FACTORS) if metric.unit == "balanced accuracy"}
    assert balanced == {"readout_flip": 1 / 2, "factor_shape": 1 / 6, "factor_texture": 1 / 4}
    assert (ACCURACY.factor, CKA.factor) == (100.0, 1.0)
    assert SHAPES_FACTORS == ("shape", "texture", "hue", "x", "y", "angle_deg", "scale", "grey")
