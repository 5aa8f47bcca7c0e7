"""From a claim's check and a suite's plan to comparisons: which cells are set against which, over which seeds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import NamedTuple

import numpy as np

from ddcl.plan.plan import Cell, Plan, PlannedRun
from ddcl.report.collected import Collected
from ddcl.report.sources import SOURCES, joined, source_of
from ddcl.report.tables.convergence import convergence_values
from ddcl.schema.claims import MONITOR, CheckSpec, Form, PairSpec
from ddcl.schema.gates import BASE
from ddcl.schema.names import CLEAN, NO_AUGMENTATION
from ddcl.schema.registry import GIVEN_METHODS

EPOCHS = "epochs_to_95"


class Address(NamedTuple):
    """A cell without its seed."""

    dataset: str
    variant: str
    augmentation: str
    part: str
    evaluation: str
    eval_dataset: str
    perturbation: str
    metric: str


class Measured(NamedTuple):
    """What a cell holds: its value (NaN: none), how its run ended, and the number of test images.

    histories: the sources of a value of training curves; any other comes from its record.
    """

    value: float
    status: str
    n: int
    histories: tuple[str, ...] = ()


MISSING = Measured(np.nan, "missing", 0)


class Term(NamedTuple):
    """A cell of a contrast, and the sign that it enters with."""

    sign: int
    address: Address


@dataclass(frozen=True)
class Comparison:
    """A contrast of cells: treatment minus control, or a difference of such differences.

    seeds: those in which every cell has a value; the first of them where an arm is an encoder from elsewhere, whose
    weights are the same in all. lost: what is wrong with the others, by seed.
    marks: seeds that count, with a reservation. differs: in what the arms differ that the claim is not about.
    sources: of all planned cells, measured or not (`ddcl.report.sources`).
    """

    terms: tuple[Term, ...]
    seeds: tuple[int, ...]
    lost: Mapping[int, str]
    marks: Mapping[int, str]
    sources: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()

    @property
    def treatment(self) -> Address:
        """The cell that the claim says is better."""
        return self.terms[0].address

    @property
    def control(self) -> Address:
        """The cell that it is compared with."""
        return self.terms[1].address


@dataclass
class Cells:
    """Every planned cell of a suite by address and seed, and what is known of each run."""

    measured: dict[Address, dict[int, Measured]] = field(default_factory=dict)
    runs: dict[tuple[str, str, str], PlannedRun] = field(default_factory=dict)

    plan: Plan | None = None

    @classmethod
    def of(cls, found: Collected, checks: list[CheckSpec]) -> Cells:
        """Return the planned cells of the evaluations and metrics that checks and gates name, measured or not."""
        cells = cls(plan=found.plan)
        evaluations = {name for check in checks for name in (*check.evaluation, *check.instead)}
        evaluations |= {name for gate in found.plan.gates.values() for name in gate.evaluation}
        metrics = {"top1"} | {name for check in checks for name in _metrics(check)}
        for run in found.plan.runs:
            cells.runs.setdefault(run.arm, run)
            for target in run.targets:
                if target.evaluation in evaluations:
                    for part, perturbation, metric in target.expected():
                        if metric in metrics:
                            place = (part, target.evaluation, target.eval_dataset, perturbation, metric)
                            cells._add(run.names, place, MISSING)
        cells._fill(found, evaluations, metrics)
        if MONITOR in evaluations:
            cells._add_convergence(found, checks)
        return cells

    def _add(self, run: tuple[str, str, str, int], place: tuple[str, ...], value: Measured) -> None:
        self.measured.setdefault(Address(*run[:3], *place), {})[run[3]] = value

    def source(self, address: Address, seed: int) -> str:
        """Return the source of a planned cell (`ddcl.report.sources`)."""
        assert self.plan is not None
        record = self.plan.record((*address[:3], seed), address.eval_dataset, address.evaluation)
        assert record is not None
        return source_of(record, Cell(address.part, address.perturbation, address.metric))

    def _fill(self, found: Collected, evaluations: set[str], metrics: set[str]) -> None:
        """Put the records' values in place of `MISSING`."""
        records = found.records
        records = records[records["evaluation"].isin(evaluations) & records["metric"].isin(metrics)]
        columns = [records[name] for name in (*Address._fields, "seed", "value", "status", "n")]
        for *names, seed, value, status, n in zip(*(column.tolist() for column in columns), strict=True):
            planned = self.measured.get(Address(*names), {})
            if seed in planned:
                unmeasured = np.isnan(value) and status == "ok"
                planned[seed] = Measured(float(value), "missing" if unmeasured else str(status), int(n))

    def _add_convergence(self, found: Collected, checks: list[CheckSpec]) -> None:
        """Add the metrics of training curves; epochs as shares of the training's, 1 where it never got there."""
        pairs = [pair for check in checks if MONITOR in check.evaluation for pair in check.pairs]
        reference = {pair.treatment["variant"]: pair.control["variant"] for pair in pairs}
        values = convergence_values(found.records, found.histories, found.plan, reference)
        for row in values.to_dict("records"):
            run = self.runs[row["dataset"], row["variant"], row["augmentation"]]
            value = float(row["value"])
            if row["metric"] == EPOCHS:
                value /= run.epochs + run.extra_warmup_epochs
            place = ("full", MONITOR, row["eval_dataset"], CLEAN, row["metric"])
            self._add((*run.arm, row["seed"]), place, Measured(value, row["status"], 0, row[SOURCES]))


def _metrics(check: CheckSpec) -> Iterator[str]:
    """Yield the metrics that a check names."""
    for keys in check.over:
        yield from keys.get("metric", [])
    for cell in (cell for pair in check.pairs for cell in (pair.treatment, pair.control)):
        if "metric" in cell:
            yield cell["metric"]


def comparisons(check: CheckSpec, form: Form, cells: Cells) -> list[Comparison]:
    """Return every comparison of a form that the suite plans cells for, with the claim's protocol or one instead."""
    datasets = dict.fromkeys(dataset for dataset, _, _ in cells.runs)
    tested = dict.fromkeys((address.dataset, address.eval_dataset) for address in cells.measured)
    places = [place for place in tested if (place[0] == place[1]) == (check.tested_on == "own")]
    found: dict[tuple[Term, ...], Comparison] = {}
    for dataset, pair, keys in product(datasets, check.forms.get(form, []), _products(check)):
        for place in (each for each in places if each[0] == dataset):
            terms = _planned_terms(check, pair, keys, place, cells)
            if terms:
                found.setdefault(terms, _comparison(check, terms, cells))
    return list(found.values())


def _products(check: CheckSpec) -> Iterator[dict[str, str]]:
    """Yield the cells' keys that the check compares over."""
    for given in check.over:
        for names in product(*given.values()):
            yield {str(key): name for key, name in (*BASE.items(), *zip(given, names, strict=True))}


def _planned_terms(
    check: CheckSpec, pair: PairSpec, keys: dict[str, str], place: tuple[str, str], cells: Cells
) -> tuple[Term, ...] | None:
    """Return the terms under the first protocol that the suite plans all of them for; None if there is none."""
    arms: list[tuple[int, dict[str, str]]] = [(1, keys | pair.treatment), (-1, keys | pair.control)]
    for (sign, arm), minus in zip(list(arms), (pair.treatment_minus, pair.control_minus), strict=True):
        if minus:
            arms.append((-sign, arm | minus))
    for evaluation in (*_protocols(check, place[1], cells), *check.instead):
        names = {"dataset": place[0], "evaluation": evaluation, "eval_dataset": place[1]}
        terms = tuple(Term(sign, Address(**arm, **names)) for sign, arm in arms)
        if all(term.address in cells.measured for term in terms):
            return terms
    return None


def _comparison(check: CheckSpec, terms: tuple[Term, ...], cells: Cells) -> Comparison:
    return replace(contrast(terms, cells), differs=tuple(_differences(check, terms, cells)))


def contrast(terms: tuple[Term, ...], cells: Cells) -> Comparison:
    """Return the contrast of planned cells, with the seeds in which all have a value."""
    assert cells.plan is not None
    arms = [arm_words(cells.plan, term.address.variant, term.address.augmentation) for term in terms]
    runs = {arm: cells.runs.get(term.address[:3]) for arm, term in zip(arms, terms, strict=True)}
    given = [arm for arm, run in runs.items() if run and run.method in GIVEN_METHODS]
    own = [cells.measured[term.address] for term in terms]
    planned = sorted(set().union(*own))
    lost, marks = dict[int, str](), dict[int, str]()
    for seed in planned:
        values = [(arm, of.get(seed)) for arm, of in zip(arms, own, strict=True)]
        bad = [f"{arm} {value.status}" for arm, value in values if value and np.isnan(value.value)]
        absent = [f"no run of {arm} in the suite" for arm, value in values if value is None]
        odd = [f"{arm} {value.status}" for arm, value in values if value and value.status != "ok"]
        if bad or absent:
            lost[seed] = ", ".join(dict.fromkeys(bad + absent))
        elif given and any(other < seed and other not in lost for other in planned):
            lost[seed] = f"{', '.join(given)} is one training, whatever the seed"
        elif odd:
            marks[seed] = ", ".join(dict.fromkeys(odd))
    seeds = tuple(seed for seed in planned if seed not in lost)
    sources = joined(
        value.histories or (cells.source(term.address, seed),)
        for term, of in zip(terms, own, strict=True)
        for seed, value in of.items()
    )
    return Comparison(terms, seeds, lost, marks, sources)


def arm_words(plan: Plan, variant: str, augmentation: str) -> str:
    """Return how notes call an arm: ``DDCL (CAug)``, and without an augmentation ``Random init``."""
    label = plan.label("variant", variant)
    return label if augmentation == NO_AUGMENTATION else f"{label} ({plan.label('augmentation', augmentation)})"


def _either(plan: Plan, kind: str, names: Iterable[str]) -> str:
    return " or ".join(dict.fromkeys(plan.label(kind, name) for name in names))


def _differences(check: CheckSpec, terms: tuple[Term, ...], cells: Cells) -> Iterator[str]:
    """Yield in what the runs of the terms differ that the claim is not about, and whether the protocol is another."""
    runs = [cells.runs[term.address[:3]] for term in terms]
    for name in check.conditions:
        values = list(dict.fromkeys(str(getattr(run, name)) for run in runs))
        if len(values) > 1:
            yield f"{name.replace('_', ' ')} {' and '.join(values)}"
    evaluation, wanted = terms[0].address.evaluation, _protocols(check, terms[0].address.eval_dataset, cells)
    if evaluation not in wanted:
        assert cells.plan is not None
        own = cells.plan.label("evaluation", evaluation)
        yield f"evaluated by {own}, not by {_either(cells.plan, 'evaluation', wanted)}"


def _protocols(check: CheckSpec, eval_dataset: str, cells: Cells) -> list[str]:
    """Return the evaluations by which a check is judged on a data set."""
    assert cells.plan is not None
    return check.protocols(cells.plan.probes.get(eval_dataset))


def missing_arms(check: CheckSpec, form: Form, cells: Cells) -> str:
    """Return why a suite has no comparison of a form: ``the suite has no runs of DDCL+PReg``."""
    assert cells.plan is not None
    pairs = check.forms.get(form, [])
    if not pairs:
        return f"not asked of the {form} form"
    variants = dict.fromkeys(cell["variant"] for pair in pairs for cell in (pair.treatment, pair.control))
    trained = {variant for _, variant, _ in cells.runs}
    absent = [name for name in variants if name not in trained]
    whole = [pair for pair in pairs if {pair.treatment["variant"], pair.control["variant"]} <= trained]
    if not whole:
        return f"the suite has no runs of {_either(cells.plan, 'variant', absent)}"
    evaluated = {(address.evaluation, address.eval_dataset == address.dataset) for address in cells.measured}
    own = check.tested_on == "own"
    tested = dict.fromkeys(address.eval_dataset for address in cells.measured)
    wanted = {name: None for dataset in tested for name in _protocols(check, dataset, cells)} or check.evaluation
    if check.kind == "cells" and not any((name, own) in evaluated for name in wanted):
        if not own and not any(name == own for _, name in evaluated):
            return "the suite evaluates on no other data set"
        missing = _either(cells.plan, "evaluation", wanted)
        return f"the suite does not evaluate by {missing}{'' if own else ' on other data sets'}"
    parts = dict.fromkeys(cell["part"] for pair in whole for cell in pair.model_dump().values() if "part" in cell)
    measured = {address.part for address in cells.measured}
    lacking = [part for part in parts if part not in measured]
    if lacking:
        return f"the suite has no values of these features: {_either(cells.plan, 'part', lacking)}"
    return "the suite has no such values of both arms"
