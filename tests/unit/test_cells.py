"""Which cells records have: the groups in the plan say what `has_cell` says, for every suite."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest

from ddcl.plan.cells import cells_of, has_cell
from ddcl.plan.plan import Cell
from ddcl.plan.suite import Suite
from ddcl.schema.op_recipes import read_perturbation
from ddcl.schema.places import CONFIG_DIR
from ddcl.schema.recipes import read_evaluation

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
            expected = [
                Cell(part, name, own.name)
                for part, name, own in names
                if has_cell(part, suite.perturbations[name], own)
            ]
            found = list(target.expected())
            assert sorted(found) == sorted(expected)
            assert len(set(found)) == len(found) > 0
    assert seen


def test_cells_that_differ_between_parts_are_several_groups() -> None:
    under = [read_perturbation(name) for name in ("none", "common_corruptions_3.fog_3")]
    groups = cells_of("simsiam", read_evaluation("linear")[1], under, True)
    assert [(group.parts, group.perturbations) for group in groups] == [
        (["full"], ["none", "common_corruptions_3.fog_3"]),
        (["random_dir", "random_dvr"], ["none"]),
    ]
