"""How often training ends badly: the share of runs that collapsed or diverged, of two variants over the same seeds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product
from math import ceil
from typing import NamedTuple, Protocol

import numpy as np
from scipy import stats

from ddcl.plan.plan import PlannedRun
from ddcl.report.claims.contrasts import Address, Comparison, Term
from ddcl.report.claims.inference import FEWEST_SEEDS, Estimate, sign_test
from ddcl.report.claims.power import detectable_rate, pairs_needed
from ddcl.report.collected import Collected
from ddcl.report.sources import summary_of
from ddcl.schema.claims import CheckSpec, Form, StatisticsSpec
from ddcl.schema.names import CLEAN

BAD = ("collapsed", "diverged")
ENDED = ("ok", *BAD)


class Counts(NamedTuple):
    """Pairs of runs over the same seeds: how many, how many of each arm ended badly, and how many changed which way."""

    pairs: int
    treatment: int
    control: int
    better: int
    worse: int


class Compared(Protocol):
    """What has a comparison: a result of `ddcl.report.claims.judge`."""

    @property
    def comparison(self) -> Comparison: ...


def ended_comparisons(check: CheckSpec, form: Form, found: Collected) -> list[tuple[Comparison, Counts]]:
    """Return a comparison and its counts for each data set, pair and augmentation that the suite plans both arms of."""
    planned: dict[tuple[str, str, str], dict[int, PlannedRun]] = {}
    for run in found.plan.runs:
        planned.setdefault(run.arm, {})[run.seed] = run
    status = {tuple(each.run.model_dump().values()): each.status for each in found.runs}
    augmentations = dict.fromkeys(name for keys in check.over for name in keys.get("augmentation", []))
    results = []
    datasets, pairs = dict.fromkeys(key[0] for key in planned), check.forms.get(form, [])
    for dataset, pair, augmentation in product(datasets, pairs, augmentations):
        arms = [(dataset, cell["variant"], augmentation) for cell in (pair.treatment, pair.control)]
        if all(arm in planned for arm in arms):
            seeds = sorted(set(planned[arms[0]]) | set(planned[arms[1]]))
            ended = {seed: [status.get((*arm, seed), "missing") for arm in arms] for seed in seeds}
            runs = [run for arm in arms for run in planned[arm].values()]
            comparison, counts = _compared(arms, ended)
            results.append((replace(comparison, sources=tuple(map(summary_of, runs))), counts))
    return results


def _compared(arms: list[tuple[str, str, str]], ended: dict[int, list[str]]) -> tuple[Comparison, Counts]:
    lost = {
        seed: ", ".join(f"{arm[1]}/{arm[2]} {name}" for arm, name in zip(arms, names, strict=True) if name not in ENDED)
        for seed, names in ended.items()
    }
    lost = {seed: text for seed, text in lost.items() if text}
    whole = {seed: names for seed, names in ended.items() if seed not in lost}
    terms = tuple(
        Term(sign, Address(*arm, "full", "training", arm[0], CLEAN, "collapsed or diverged"))
        for sign, arm in zip((1, -1), arms, strict=True)
    )
    bad = [[name in BAD for name in names] for names in whole.values()]
    better = sum(control and not treatment for treatment, control in bad)
    worse = sum(treatment and not control for treatment, control in bad)
    counts = Counts(len(bad), sum(own for own, _ in bad), sum(other for _, other in bad), better, worse)
    return Comparison(terms, tuple(whole), lost, {}), counts


def ended_pool(check: CheckSpec, counts: Iterable[Counts], n_seeds: int, confidence: float) -> Estimate:
    """Return how much smaller the treatment's share is, with Newcombe's hybrid score interval (Statist. Med. 17, 1998).

    p is that of the exact sign test over pairs of runs. The interval takes the arms as independent. Below three seeds
    there is neither.
    """
    total = Counts(*(sum(each) for each in zip(*counts, strict=True))) if (counts := list(counts)) else None
    if total is None or not total.pairs:
        return Estimate(np.nan)
    own, other = total.treatment / total.pairs, total.control / total.pairs
    if n_seeds < FEWEST_SEEDS:
        return Estimate(check.scale * (other - own), method=f"none: fewer than {FEWEST_SEEDS} seeds")
    bounds = [
        stats.binomtest(bad, total.pairs).proportion_ci(confidence, method="wilson")
        for bad in (total.treatment, total.control)
    ]
    low = np.hypot(other - bounds[1].low, bounds[0].high - own)
    high = np.hypot(bounds[1].high - other, own - bounds[0].low)
    effect, p = other - own, sign_test(total.better, total.worse)
    ends = [check.scale * float(value) for value in (effect, effect - low, effect + high)]
    return Estimate(ends[0], ends[1], ends[2], p, "shares of runs (Newcombe), p of the exact sign test")


def ended_outlook(check: CheckSpec, results: Sequence[Compared], rules: StatisticsSpec) -> tuple[float, float]:
    """Return the change of the share that so many pairs would find, and the seeds that the smallest one needs."""
    used = [each.comparison for each in results if each.comparison.seeds]
    detectable = detectable_rate(sum(len(each.seeds) for each in used), rules.confidence, rules.power)
    needed = pairs_needed(check.smallest_effect.value / check.scale, rules.confidence, rules.power)
    return check.scale * detectable, np.inf if needed is None else float(ceil(needed / max(len(used), 1)))
