"""Which cells records have: the groups in the plan say what `has_cell` says, for every suite."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from ddcl.plan.cells import cell_groups
from ddcl.plan.plan import Cell
from ddcl.plan.suite import Suite
from ddcl.schema.metrics import ACCURACY
from ddcl.schema.places import CONFIG_DIR
from ddcl.schema.registry import has_cell

SUITES = [CONFIG_DIR / "config.yaml", *sorted((CONFIG_DIR / "suites").glob("*.yaml"))]


@pytest.mark.parametrize("path", SUITES, ids=lambda path: path.stem)
def test_the_plan_has_every_cell_once(path: Path) -> None:
    suite = Suite.load(path)
    seen = set()
    for planned in suite.plan.runs:
        run = suite.runs[planned.name]
        for target in planned.targets:
            key = (planned.method, run.subsets is not None, target.evaluation, target.eval_dataset, target.digest)
            if key in seen:
                continue
            seen.add(key)
            metrics = suite.protocol(target.evaluation).metrics_of(suite.evaluations[target.evaluation].settings)
            names = product(
                suite.parts(run, target.evaluation), run.evaluations[target.eval_dataset][target.evaluation], metrics
            )
            expected = [Cell(part, name, own.name) for part, name, own in names if has_cell(part, name, own)]
            found = list(target.expected())
            assert sorted(found) == sorted(expected)
            assert len(set(found)) == len(found) > 0
    assert seen


def test_cells_that_differ_between_parts_are_several_groups() -> None:
    groups = cell_groups(["full", "random_dir"], ("none", "common_corruptions_3.fog_3"), [ACCURACY])
    assert [(group.parts, group.perturbations) for group in groups] == [
        (["full"], ["none", "common_corruptions_3.fog_3"]),
        (["random_dir"], ["none"]),
    ]
