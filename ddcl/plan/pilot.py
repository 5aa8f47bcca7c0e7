"""The pilot of a suite: which of its runs come first, and whether they reach what their sources report."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from statistics import fmean

from ddcl.base.errors import UserError, check_name
from ddcl.plan.plan import Cell, Plan, PlannedRun
from ddcl.schema.gates import BASE, GateSpec, read_gate
from ddcl.schema.pilots import JudgedGate, Pilot, PilotConfig, PilotGate, Verdict
from ddcl.schema.places import config_names, config_path, shown_path
from ddcl.schema.published import read_published
from ddcl.schema.record import load as read_record
from ddcl.schema.suites import SuiteConfig, read_suite

DECIMALS = 6  # of percent: 100 · 0.817 is a little less than 81.7


def planned_pilot(config: SuiteConfig, plan: Plan, where: str) -> Pilot | None:
    """Return the pilot of a suite, else those of the suites that it includes; None where there are none.

    `UserError` for a gate without a published number, and for a run or evaluation that the suite does not have. where:
    the suite comes from, for the message.
    """
    found: dict[str, PilotGate] = {}
    for own, place in _configs(config, where):
        for name in own.gates:
            gate = _planned_gate(name, own, plan, f"{place}: pilot")
            if found.setdefault(name, gate) != gate:
                raise UserError(
                    f"{place}: pilot.gates: {name}: another included suite has it with other seeds, or another reason "
                    f"to run anyway; write a pilot in {where}, which then counts alone"
                )
    return Pilot(gates=list(found.values())) if found else None


def _configs(config: SuiteConfig, where: str) -> Iterator[tuple[PilotConfig, str]]:
    if config.pilot:
        yield config.pilot, where
        return
    for name in config.include:
        path = config_path("suites", name)
        yield from _configs(read_suite(path), str(path))


def _planned_gate(name: str, config: PilotConfig, plan: Plan, where: str) -> PilotGate:
    check_name("gate", name, config_names("gates"), f"{where}.gates")
    spec = read_gate(name)
    has_arm = spec.when.get("dataset") and {"variant", "augmentation"} <= spec.treatment.keys()
    if spec.reference is None or not has_arm:
        raise UserError(
            f"{where}.gates: {name}: expected a gate with a published accuracy (`reference`) of a data set (`when`), "
            f"variant and augmentation (`treatment`); see {config_path('gates', name)}"
        )
    arm = f"{spec.treatment['variant']}/{spec.treatment['augmentation']}"
    names = [f"{dataset}/{arm}/seed{seed}" for dataset in spec.when["dataset"] for seed in config.seeds]
    for run in names:
        check_name("run", run, plan.by_name, f"{where}.gates: {name}: suite {plan.suite}")
    cell = BASE | {key: own for key, own in spec.treatment.items() if key in BASE}
    evaluation, records = _records(spec, [plan.by_name[run] for run in names], Cell(**cell))
    if not records:
        asked = f"{'/'.join(cell.values())} by {' or '.join(spec.evaluation)}"
        raise UserError(f"{where}.gates: {name}: the suite has no {asked} of {', '.join(names)}")
    return PilotGate(
        name=name,
        spec=spec,
        source=_source(spec),
        evaluation=evaluation,
        **cell,
        records=records,
        run_anyway=config.run_anyway,
    )


def _records(spec: GateSpec, runs: list[PlannedRun], cell: Cell) -> tuple[str, dict[str, str]]:
    """Return the first evaluation of a gate that gives the cell for all runs, and the record of each; else none."""
    for evaluation in spec.evaluation:
        found = {
            run.name: run.record(target)
            for run in runs
            for target in run.targets
            if (target.eval_dataset, target.evaluation) == (run.dataset, evaluation) and cell in target.expected()
        }
        if len(found) == len(runs):
            return evaluation, found
    return "", {}


def _source(spec: GateSpec) -> str:
    """Return who published the number of a gate, as far as config/published.csv knows."""
    arms = [(dataset, spec.treatment["variant"]) for dataset in spec.when["dataset"]]
    names = [
        number.source
        for number in read_published()
        if (number.dataset, number.variant) in arms and float(number.value_percent) == spec.reference
    ]
    return ", ".join(dict.fromkeys(names))


def judge(pilot: Pilot, results: Path) -> Verdict:
    """Return what the records of a pilot say; `UserError` for one that cannot be read."""
    return Verdict(gates=[_judged(gate, results) for gate in pilot.gates])


def _judged(gate: PilotGate, results: Path) -> JudgedGate:
    percent: dict[str, float | None] = {}
    for run, path in gate.records.items():
        cells = {(cell.part, cell.perturbation, cell.metric): cell.value for cell in read_record(results / path).cells}
        value = cells[gate.part, gate.perturbation, gate.metric]
        percent[run] = None if value is None else 100 * value
    values = [value for value in percent.values() if value is not None]
    passed = len(values) == len(percent) and round(fmean(values), DECIMALS) >= round(gate.least, DECIMALS)
    return JudgedGate(gate=gate, percent=percent, passed=passed)


def describe(judged: JudgedGate) -> str:
    """Return what was found of a gate, and what its source reports, in one line."""
    gate, spec = judged.gate, judged.gate.spec
    found = [f"{run} {'diverged' if own is None else f'has {own:.2f} %'}" for run, own in judged.percent.items()]
    return (
        f"{gate.name} is {'passed' if judged.passed else 'failed'}: {', '.join(found)} ({gate.metric} of "
        f"{gate.evaluation}), and {'their mean' if len(found) > 1 else 'it'} must be at least {gate.least:.2f} %, as "
        f"{gate.source or 'its source'} reports {spec.reference} % and the gate allows {-spec.least:g} points less"
    )


def stopped(verdict: Verdict) -> str:
    """Return why the suite must not go on, and what to do, in one line; nothing where it may."""
    failed = [own for own in verdict.gates if not own.passed and own.gate.run_anyway is None]
    if not failed:
        return ""
    files = ", ".join(dict.fromkeys(shown_path(config_path("gates", own.gate.name)) for own in failed))
    return (
        f"the pilot failed, so no other run of the suite is trained. {'; '.join(map(describe, failed))}. "
        f"{' '.join(dict.fromkeys(own.gate.spec.follows for own in failed))} Mend the recipe of these runs, or {files} "
        "if the published number is of another one; or run the suite all the same: write the reason as `run_anyway` "
        "under `pilot` in the suite's file, and the verdict keeps it"
    )
