"""The comparisons of a check with their effects, and the mean of these effects, paired by seed and by image."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ddcl.plan.plan import Plan
from ddcl.report.claims.contrasts import Cells, Comparison, missing_arms
from ddcl.report.claims.correctness import Correctness, differences
from ddcl.report.claims.endings import ended_comparisons, ended_pool
from ddcl.report.claims.gates import FAILED, GateResult, Key, joint, needed
from ddcl.report.claims.inference import Array, Estimate, pooled_estimate
from ddcl.report.claims.verdicts import DIFFERS, INCONCLUSIVE, NOT_RUN, NOT_TESTABLE, Verdict
from ddcl.report.collected import Collected
from ddcl.report.multiplicity import FEWEST_SEEDS
from ddcl.schema.claims import CheckSpec, Form, StatisticsSpec

FEW_SEEDS = f"fewer than {FEWEST_SEEDS} seeds, so nothing is decided"


@dataclass(frozen=True)
class Result:
    """A comparison with its effect, before it is judged.

    n_images, n_groups: test images, and groups of them where they are not independent (0: they are).
    smallest: effect that matters. gates: those of its arms. per_seed: the effect of each of its seeds.
    """

    comparison: Comparison
    estimate: Estimate
    n_images: int
    note: str
    smallest: float
    gates: tuple[GateResult, ...] = ()
    per_seed: tuple[float, ...] = ()
    n_groups: int = 0
    verdict: Verdict = INCONCLUSIVE
    p_holm: float = np.nan

    @cached_property
    def failed(self) -> bool:
        """Whether it fails a gate."""
        return joint(self.gates) == FAILED

    @property
    def measured(self) -> bool:
        """Whether it has an effect, of arms that differ in nothing else."""
        return bool(self.comparison.seeds) and not self.comparison.differs


class Evidence(NamedTuple):
    """What claims are judged by. comparisons: by the names of claim, check and form. gates: of their arms."""

    found: Collected
    cells: Cells
    comparisons: dict[tuple[str, str, Form], list[Comparison]]
    correctness: Correctness
    rules: StatisticsSpec
    gates: Mapping[Key, GateResult]

    def estimated(self, comparison: Comparison, scale: float) -> Estimate:
        """Return the effect of a gate's contrast times `scale`."""
        found = differences(comparison, self.cells.measured, self.correctness)
        block = {("", ""): found.matrix * np.float32(scale)}
        return pooled_estimate(block, self.rules.confidence, bool(found.n_groups))


class SeedEffect(NamedTuple):
    """The effect in one seed of a data set, over the comparisons that are pooled there."""

    dataset: str
    seed: int
    effect: float


class Pool(NamedTuple):
    """A check before its verdict: its comparisons, and the effect pooled over those that can be.

    smallest: the mean of the pooled comparisons' smallest effects that matter. testable: whether at most half of the
    comparisons fail a gate; else the effect is that of all of them.
    """

    results: list[Result]
    estimate: Estimate
    n_seeds: int
    note: str
    smallest: float
    testable: bool = True
    per_seed: tuple[SeedEffect, ...] = ()


def pool(place: tuple[str, str, Form], check: CheckSpec, evidence: Evidence) -> Pool:
    """Return the comparisons of a form with their effects, and the mean of these effects, paired by seed."""
    found, plan = evidence.comparisons[place], evidence.found.plan
    if not found:
        return Pool([], Estimate(np.nan), 0, missing_arms(check, place[2], evidence.cells), check.smallest_effect.value)
    results, matrices = [], {}
    for each in found:
        result, matrix = _result(check, each, evidence)
        results.append(result)
        matrices[id(each)] = matrix
    measured = [each for each in results if each.measured]
    failed = [each for each in measured if each.failed]
    testable = 2 * len(failed) <= len(measured)
    own = [each for each in measured if not (each.failed and testable)]
    pooled, seeds, note = _poolable([each.comparison for each in own], plan)
    blocks, per_seed = _blocks(pooled, seeds, matrices)
    n_seeds = min((len(seeds[each.treatment.dataset]) for each in pooled), default=0)
    smallest = [each.smallest for each in own if any(each.comparison is other for other in pooled)]
    in_groups = {each.comparison.treatment.eval_dataset: each for each in own if each.n_groups}
    said = [
        f"{plan.label('dataset', name)}: {each.n_images:,} images in {each.n_groups:,} groups"
        for name, each in in_groups.items()
    ]
    grouped, note = bool(said), "; ".join(filter(None, [note, *said]))
    estimate = pooled_estimate(blocks, evidence.rules.confidence, grouped) if blocks else Estimate(np.nan)
    estimate = estimate.within(_bound(check, found[0]))
    mean = float(np.mean(smallest)) if smallest else check.smallest_effect.value
    return Pool(results, estimate, n_seeds, note, mean, testable, per_seed)


def smallest_effect(check: CheckSpec, dataset: str) -> float:
    """Return the smallest effect that matters on a data set."""
    return check.smallest_effects.get(dataset, check.smallest_effect).value


def _result(check: CheckSpec, each: Comparison, evidence: Evidence) -> tuple[Result, Array]:
    """Return a comparison with its effect, and its differences [S, N]."""
    gates = tuple(evidence.gates[key] for key in needed(check, each, evidence.found.plan, evidence.cells))
    smallest = smallest_effect(check, each.treatment.dataset)
    if not each.seeds:
        nothing = Result(each, Estimate(np.nan), 0, _note(each), smallest, gates, verdict=NOT_RUN)
        return nothing, np.zeros((0, 1), np.float32)
    found = differences(each, evidence.cells.measured, evidence.correctness)
    matrix = found.matrix * np.float32(check.scale * (1 if check.direction == "higher" else -1))
    images = found.n_images if matrix.shape[1] > 1 else 0
    estimate = pooled_estimate({("", ""): matrix}, evidence.rules.confidence, bool(found.n_groups))
    estimate, note = estimate.within(_bound(check, each)), _note(each, found.said)
    per_seed = tuple(map(float, matrix.mean(axis=1, dtype=np.float64)))
    result = Result(each, estimate, images, note, smallest, gates, per_seed, found.n_groups)
    verdict: Verdict = DIFFERS if each.differs else NOT_TESTABLE if result.failed else INCONCLUSIVE
    return replace(result, verdict=verdict), matrix


def _bound(check: CheckSpec, comparison: Comparison) -> float:
    """Return what no effect can exceed: of differences of shares 1, of differences of those 2."""
    return check.scale * len(comparison.terms) / 2 if check.bounded else np.inf


def _blocks(
    pooled: list[Comparison], seeds: dict[str, list[int]], matrices: dict[int, Array]
) -> tuple[dict[tuple[str, str], Array], tuple[SeedEffect, ...]]:
    """Return the weighted sums of differences by data set and test images, and the mean effect of each seed."""
    blocks: dict[tuple[str, str], Array] = {}
    effects: dict[str, list[Array]] = {}
    for each in pooled:
        dataset, matrix = each.treatment.dataset, matrices[id(each)]
        own = matrix[[each.seeds.index(seed) for seed in seeds[dataset]]]
        key = (dataset, each.treatment.eval_dataset if matrix.shape[1] > 1 else "")
        rows = own / len(pooled)
        blocks[key] = blocks[key] + rows if key in blocks else rows
        effects.setdefault(dataset, []).append(own.mean(axis=1, dtype=np.float64))
    means = {dataset: np.mean(own, axis=0) for dataset, own in effects.items()}
    return blocks, tuple(
        SeedEffect(dataset, seed, float(effect))
        for dataset, own in means.items()
        for seed, effect in zip(seeds[dataset], own, strict=True)
    )


def _poolable(valid: list[Comparison], plan: Plan) -> tuple[list[Comparison], dict[str, list[int]], str]:
    """Return the comparisons to pool, the seeds of each data set that all of its comparisons have, and a note.

    Comparisons of one seed are pooled only where there are no others.
    """
    several = [each for each in valid if len(each.seeds) > 1]
    note = (
        f"{len(valid) - len(several)} with one seed only, not pooled" if several and len(several) < len(valid) else ""
    )
    pooled = several or valid
    seeds: dict[str, list[int]] = {}
    for each in pooled:
        own = seeds.setdefault(each.treatment.dataset, list(each.seeds))
        seeds[each.treatment.dataset] = [seed for seed in own if seed in each.seeds]
    without = [name for name, own in seeds.items() if len(own) < (2 if several else 1)]
    if without:
        words, shared = [plan.label("dataset", name) for name in without], "two seeds" if several else "seed"
        lacking = f"no {shared} shared by all comparisons on {', '.join(words)}, not pooled"
        note = "; ".join(filter(None, [note, lacking]))
        pooled = [each for each in pooled if each.treatment.dataset not in without]
    if pooled and min(len(seeds[each.treatment.dataset]) for each in pooled) < FEWEST_SEEDS:
        note = "; ".join(filter(None, [note, FEW_SEEDS]))
    return pooled, seeds, note


def _note(comparison: Comparison, images: str = "") -> str:
    """Return what a reader of one comparison must know. images: what of its images."""
    parts = [*comparison.differs, images]
    parts += [f"seed {seed}: {what}" for seed, what in comparison.lost.items()]
    parts += [f"seed {seed}: {what}, counted" for seed, what in comparison.marks.items()]
    return "; ".join(part for part in parts if part)


def ended_pool_of(form: Form, check: CheckSpec, evidence: Evidence) -> Pool:
    """Return the comparisons of the share of runs that ended badly, and that share over all pairs of runs."""
    confidence, smallest = evidence.rules.confidence, check.smallest_effect.value
    found = ended_comparisons(check, form, evidence.found)
    if not found:
        return Pool([], Estimate(np.nan), 0, missing_arms(check, form, evidence.cells), smallest)
    results = [
        Result(
            each,
            ended_pool(check, [counts], confidence),
            0,
            _note(each),
            smallest_effect(check, each.treatment.dataset),
            verdict=INCONCLUSIVE if each.seeds else NOT_RUN,
        )
        for each, counts in found
    ]
    counted = [counts for each, counts in found if each.seeds]
    n_seeds = min((len(each.seeds) for each, _ in found if each.seeds), default=0)
    note = FEW_SEEDS if 0 < n_seeds < FEWEST_SEEDS else ""
    return Pool(results, ended_pool(check, counted, confidence), n_seeds, note, smallest)
