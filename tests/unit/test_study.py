"""The suites of the study can judge every claim that they name, and tuning sees no test image."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from ddcl.plan.suite import Suite
from ddcl.report.claims.judge import gathered
from ddcl.report.collect import COLUMNS
from ddcl.report.collected import Collected
from ddcl.schema.places import CONFIG_DIR


@pytest.mark.parametrize("name", ["textures", "textures_controls", "emoji", "fashion_mnist_small", "shapes"])
def test_each_deciding_check_has_comparisons_and_each_gate_its_cells(name: str) -> None:
    plan = Suite.load(CONFIG_DIR / "suites" / f"{name}.yaml").plan
    records = pd.DataFrame(columns=list(COLUMNS)).astype({"value": float})
    evidence = gathered(Collected(plan, records, pd.DataFrame(columns=["dataset"]), [], Path()))
    for claim, spec in plan.claims.items():
        for check in spec.checks:
            for form in spec.forms if check.decides else ():
                if form in check.forms:
                    assert evidence.comparisons[claim, check.name, form], (claim, check.name, form)
    without = {key.gate for key, gate in evidence.gates.items() if gate.comparison is None}
    assert not without


def test_shapes_for_tuning_are_drawn_from_another_seed() -> None:
    shapes, tuning = (Suite.load(CONFIG_DIR / f"suites/{name}.yaml").plan for name in ("shapes", "shapes_tuning"))
    assert set(shapes.data) == {"shapes"}
    assert set(tuning.data) == {"shapes_tuning"}
    assert set(shapes.data.values()).isdisjoint(tuning.data.values())
