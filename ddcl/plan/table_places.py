"""Whether each number of a table has a place of its own: found before anything runs, not when the table is laid out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product

from ddcl.base.errors import UserError
from ddcl.plan.plan import Plan, PlannedRun, Target
from ddcl.schema.names import CLEAN
from ddcl.schema.places import config_path
from ddcl.schema.tables import KEYS, TableSpec

Place = dict[str, str]


def check_tables(plan: Plan) -> None:
    """Raise `UserError` for a table whose rows and columns lack a key in which its numbers differ."""
    for name, spec in plan.tables.items():
        placed = {*spec.rows, *spec.columns}
        lacking = [key for key in (*KEYS, "metric") if key not in placed and not _one(key, spec, plan)]
        if lacking and spec.kind != "published":
            _check(_trained(plan, spec) if spec.kind == "convergence" else _cells(plan, spec), lacking, name)


def _one(key: str, spec: TableSpec, plan: Plan) -> bool:
    """Return whether a table is about one value of a key at most, whatever else the suite has."""
    if key == "metric":
        return len(spec.print) == 1
    if key == "eval_dataset" and spec.select.tested_on == "own" and "dataset" in (*spec.rows, *spec.columns):
        return True
    names = getattr(spec.select, key, None) or ()
    is_family = key == "perturbation" and not {*names}.isdisjoint(plan.families.values())
    return len(names) == 1 and (not is_family or "perturbation" in spec.mean_over)


def _check(cells: Iterable[Place], lacking: list[str], table: str) -> None:
    found: dict[tuple[str, ...], Place] = {}
    for cell in cells:
        first = found.setdefault(tuple(value for key, value in cell.items() if key not in lacking), cell)
        for key in lacking:
            if first[key] != cell[key]:
                where = f"{config_path('tables', table)}: rows, columns"
                raise UserError(f"{where}: need {key}, which is both {first[key]} and {cell[key]} in this suite")


def _arms(plan: Plan) -> Iterable[PlannedRun]:
    """Return one run of those that differ in their seed only and have the same evaluations."""
    return {(run.arm, *(target.digest for target in run.targets)): run for run in plan.runs}.values()


def _trained(plan: Plan, spec: TableSpec) -> Iterator[Place]:
    """Yield the keys of each number that comes from a training history."""
    blank = dict.fromkeys(KEYS, "")
    for run in (run for run in _arms(plan) if run.trains):
        yield from (blank | _own(run) | {"metric": metric} for metric in spec.print)


def _own(run: PlannedRun) -> Place:
    return {"dataset": run.dataset, "variant": run.variant, "augmentation": run.augmentation}


def _cells(plan: Plan, spec: TableSpec) -> Iterator[Place]:
    """Yield the keys of each number that the table selects, as `ddcl.report.tables.cells` does."""
    select = spec.select
    for run in _arms(plan):
        if not all(getattr(select, key) is None or name in getattr(select, key) for key, name in _own(run).items()):
            continue
        for target in run.targets:
            if select.evaluation is not None and target.evaluation not in select.evaluation:
                continue
            if select.tested_on == "all" or (target.eval_dataset == run.dataset) == (select.tested_on == "own"):
                yield from _of_target(plan, spec, run, target)


def _of_target(plan: Plan, spec: TableSpec, run: PlannedRun, target: Target) -> Iterator[Place]:
    place = _own(run) | {"evaluation": target.evaluation, "eval_dataset": target.eval_dataset}
    for group in target.cells:
        under = dict.fromkeys(filter(None, (_shown(plan, spec, run, name) for name in group.perturbations)))
        parts = [part for part in group.parts if spec.select.part is None or part in spec.select.part]
        own = [metric for metric in group.metrics if metric in spec.select.metric]
        metrics = [metric for metric in (*own, *(spec.derive if own else ())) if metric in spec.print]
        for perturbation, part, metric in product(under, parts, metrics):
            yield place | {"perturbation": perturbation, "part": part, "metric": metric}


def _shown(plan: Plan, spec: TableSpec, run: PlannedRun, name: str) -> str:
    """Return what a perturbation stands as in the table: itself, its family, or seen and unseen; empty: it does not."""
    family, wanted = plan.family(name), spec.select.perturbation
    if family != name if wanted is None else wanted and {name, family}.isdisjoint(wanted):
        return ""
    name = family if "perturbation" in spec.mean_over else name
    return plan.seen[run.augmentation][name] if "seen" in spec.mean_over and name != CLEAN else name
