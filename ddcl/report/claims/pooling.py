"""The comparisons of a check with their effects, and the mean of these effects, paired by seed and by image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ddcl.report.claims.contrasts import Cells, Comparison, missing_arms
from ddcl.report.claims.correctness import Correctness, differences, single_pair
from ddcl.report.claims.endings import ended_comparisons, ended_pool
from ddcl.report.claims.inference import Array, Estimate, image_estimate, mcnemar, pooled_estimate
from ddcl.report.claims.verdicts import DIFFERS, INCONCLUSIVE, NOT_RUN, Verdict
from ddcl.report.collected import Collected
from ddcl.schema.claims import CheckSpec, StatisticsSpec

ONE_SEED = "one seed: nothing is known of other seeds, an interval is over test images only"


@dataclass(frozen=True)
class Result:
    """A comparison with its effect. p_holm: p after Holm's correction within the family."""

    comparison: Comparison
    estimate: Estimate
    n_images: int
    note: str
    verdict: Verdict = INCONCLUSIVE
    p_holm: float = np.nan


class Evidence(NamedTuple):
    """What claims are judged by. comparisons: by the names of claim and check."""

    found: Collected
    cells: Cells
    comparisons: dict[tuple[str, str], list[Comparison]]
    correctness: Correctness
    rules: StatisticsSpec


class Pool(NamedTuple):
    """A check before its verdict: its comparisons, and the effect pooled over those that can be."""

    results: list[Result]
    estimate: Estimate
    n_seeds: int
    note: str


def pool(claim: str, check: CheckSpec, evidence: Evidence) -> Pool:
    """Return the comparisons of a check with their effects, and the mean of these effects, paired by seed."""
    found = evidence.comparisons[claim, check.name]
    if not found:
        return Pool([], Estimate(np.nan), 0, missing_arms(check, evidence.cells))
    pooled, seeds, note = _poolable(found)
    chosen, results = set(map(id, pooled)), []
    blocks: dict[tuple[str, str], Array] = {}
    for each in found:
        if not each.seeds:
            results.append(Result(each, Estimate(np.nan), 0, _note(each), NOT_RUN))
            continue
        matrix, missing = differences(each, evidence.cells.measured, evidence.correctness)
        matrix = matrix * np.float32(check.scale * (1 if check.direction == "higher" else -1))
        images = matrix.shape[1] if matrix.shape[1] > 1 else 0
        verdict: Verdict = DIFFERS if each.differs else INCONCLUSIVE
        results.append(Result(each, _estimate(each, matrix, evidence), images, _note(each, missing), verdict))
        if id(each) in chosen:
            key = (each.treatment.dataset, each.treatment.eval_dataset if images else "")
            rows = matrix[[each.seeds.index(seed) for seed in seeds[key[0]]]] / len(pooled)
            blocks[key] = blocks[key] + rows if key in blocks else rows
    n_seeds = min((len(seeds[each.treatment.dataset]) for each in pooled), default=0)
    return Pool(results, _pooled(blocks, n_seeds, evidence.rules), n_seeds, note)


def _poolable(found: list[Comparison]) -> tuple[list[Comparison], dict[str, list[int]], str]:
    """Return the comparisons to pool, the seeds of each data set that all of its comparisons have, and a note.

    Comparisons of one seed are pooled only where there are no others.
    """
    valid = [each for each in found if each.seeds and not each.differs]
    several = [each for each in valid if len(each.seeds) > 1]
    note = f"{len(valid) - len(several)} of one seed, not pooled" if several and len(several) < len(valid) else ""
    pooled = several or valid
    seeds: dict[str, list[int]] = {}
    for each in pooled:
        own = seeds.setdefault(each.treatment.dataset, list(each.seeds))
        seeds[each.treatment.dataset] = [seed for seed in own if seed in each.seeds]
    without = [name for name, own in seeds.items() if len(own) < (2 if several else 1)]
    if without:
        note = f"no {'two seeds' if several else 'seed'} in all comparisons on {', '.join(without)}: not pooled"
        pooled = [each for each in pooled if each.treatment.dataset not in without]
    elif pooled and not several:
        note = ONE_SEED
    return pooled, seeds, note


def _estimate(comparison: Comparison, matrix: Array, evidence: Evidence) -> Estimate:
    """Return effect and interval of one comparison. matrix: [S, N] differences."""
    estimate = _pooled({("", ""): matrix}, len(matrix), evidence.rules)
    if len(matrix) == 1 and matrix.shape[1] > 1:
        pair = single_pair(comparison, evidence.cells.measured, evidence.correctness)
        if pair is not None:
            return replace(estimate, p=mcnemar(*pair), method=f"{estimate.method}, p of McNemar's test")
    return estimate


def _pooled(blocks: dict[tuple[str, str], Array], n_seeds: int, rules: StatisticsSpec) -> Estimate:
    """Return the interval that the evidence allows: over seeds and images, over seeds, over images, or none."""
    if not blocks:
        return Estimate(np.nan)
    if n_seeds > 1:
        return pooled_estimate(blocks, rules.confidence)
    if any(block.shape[1] == 1 for block in blocks.values()):
        return Estimate(float(sum(block.mean() for block in blocks.values())), method="none: one seed, no test images")
    means: dict[str, Array] = {}
    for (_, images), block in blocks.items():
        means[images] = means[images] + block[0] if images in means else block[0]
    return image_estimate(means, rules.confidence, rules.bootstrap_draws, rules.bootstrap_seed)


def _note(comparison: Comparison, missing: str = "") -> str:
    """Return what a reader of one comparison must know."""
    parts = [*comparison.differs, missing]
    parts += [f"seed {seed}: {what}" for seed, what in comparison.lost.items()]
    parts += [f"seed {seed}: {what}, counted" for seed, what in comparison.marks.items()]
    if len(comparison.seeds) == 1:
        parts.append(ONE_SEED)
    return "; ".join(part for part in parts if part)


def ended_pool_of(check: CheckSpec, evidence: Evidence) -> Pool:
    """Return the comparisons of the share of runs that ended badly, and that share over all pairs of runs."""
    confidence = evidence.rules.confidence
    found = ended_comparisons(check, evidence.found)
    if not found:
        return Pool([], Estimate(np.nan), 0, missing_arms(check, evidence.cells))
    results = [
        Result(each, ended_pool(check, [counts], confidence), 0, _note(each), INCONCLUSIVE if each.seeds else NOT_RUN)
        for each, counts in found
    ]
    counted = [counts for each, counts in found if each.seeds]
    n_seeds = min((len(each.seeds) for each, _ in found if each.seeds), default=0)
    return Pool(results, ended_pool(check, counted, confidence), n_seeds, "")
