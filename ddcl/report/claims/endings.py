"""How often training ends badly: the share of runs that collapsed or diverged, of two variants over the same seeds.

Runs of one seed under several augmentations start from the same weights and see the same images in the same order, so
they are no independent witnesses: the seed is the unit, of each data set.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import product
from math import ceil
from typing import Protocol, TypeAlias

import numpy as np
from scipy import stats

from ddcl.plan.plan import Plan, PlannedRun
from ddcl.report.claims.contrasts import Address, Comparison, Term, arm_words
from ddcl.report.claims.inference import Estimate
from ddcl.report.claims.power import detectable_rate, pairs_needed
from ddcl.report.collected import Collected
from ddcl.report.multiplicity import FEWEST_SEEDS
from ddcl.report.sources import summary_of
from ddcl.schema.claims import CheckSpec, Form, StatisticsSpec
from ddcl.schema.names import CLEAN

BAD = ("collapsed", "diverged")
ENDED = ("ok", *BAD)


Unit: TypeAlias = tuple[str, int]  # data set and seed
Counts: TypeAlias = Mapping[Unit, tuple[bool, bool]]  # whether the treatment and the control ended badly


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
            comparison, counts = _compared(arms, ended, found.plan)
            results.append((replace(comparison, sources=tuple(map(summary_of, runs))), counts))
    return results


def _compared(arms: list[tuple[str, str, str]], ended: dict[int, list[str]], plan: Plan) -> tuple[Comparison, Counts]:
    words = [arm_words(plan, variant, augmentation) for _, variant, augmentation in arms]
    lost = {
        seed: ", ".join(f"{arm} {name}" for arm, name in zip(words, names, strict=True) if name not in ENDED)
        for seed, names in ended.items()
    }
    lost = {seed: text for seed, text in lost.items() if text}
    whole = {seed: names for seed, names in ended.items() if seed not in lost}
    terms = tuple(
        Term(sign, Address(*arm, "full", "training", arm[0], CLEAN, "collapsed or diverged"))
        for sign, arm in zip((1, -1), arms, strict=True)
    )
    counts = {(arms[0][0], seed): (names[0] in BAD, names[1] in BAD) for seed, names in whole.items()}
    return Comparison(terms, tuple(whole), lost, {}), counts


def ended_pool(check: CheckSpec, counts: Iterable[Counts], confidence: float) -> Estimate:
    """Return how much smaller the treatment's share is, with Newcombe's hybrid score interval (Statist. Med. 17, 1998).

    The interval has as many trials as there are seeds, as if all runs of a seed ended alike: how alike they do end
    cannot be known from few. It takes the arms as independent. p: see `sign_flip`. Below three seeds there is neither.
    """
    units: dict[Unit, list[tuple[bool, bool]]] = {}
    for unit, pair in (item for each in counts for item in each.items()):
        units.setdefault(unit, []).append(pair)
    pairs = np.array([pair for own in units.values() for pair in own], dtype=float)
    if not len(pairs):
        return Estimate(np.nan)
    sizes = np.array([len(own) for own in units.values()])
    trials = float(sizes.sum() ** 2 / np.square(sizes).sum())  # their number, if all have as many runs (Kish)
    own, other = (float(share) for share in pairs.mean(axis=0))
    effect = other - own
    if min(Counter(dataset for dataset, _ in units).values()) < FEWEST_SEEDS:
        return Estimate(check.scale * effect, method=f"none: fewer than {FEWEST_SEEDS} seeds")
    (own_low, own_high), (other_low, other_high) = (wilson(share, trials, confidence) for share in (own, other))
    low, high = np.hypot(other - other_low, own_high - own), np.hypot(other_high - other, own - own_low)
    p = sign_flip([sum(control - treatment for treatment, control in each) for each in units.values()])
    ends = [check.scale * float(value) for value in (effect, effect - low, effect + high)]
    return Estimate(ends[0], ends[1], ends[2], p, "shares of runs (Newcombe, by seed), p of sign flips of seeds")


def wilson(share: float, trials: float, confidence: float) -> tuple[float, float]:
    """Return Wilson's score interval of a share in so many trials, which need not be a whole number."""
    z = float(stats.norm.isf((1 - confidence) / 2))
    middle, weight = share + z**2 / (2 * trials), 1 + z**2 / trials
    half = z * float(np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2)))
    return max(0.0, (middle - half) / weight), min(1.0, (middle + half) / weight)


def sign_flip(changes: Sequence[int]) -> float:
    """Return the two-sided exact p of a sum of changes, one per seed, each of which could have had the other sign.

    With changes of -1, 0 and 1 only, it is the sign test.
    """
    ways: Counter[int] = Counter({0: 1})  # of each sum
    for change in changes:
        before, ways = ways, Counter()
        for total, n in before.items():
            ways[total + change] += n
            ways[total - change] += n
    found = abs(sum(changes))
    return sum(n for total, n in ways.items() if abs(total) >= found) / ways.total()


def ended_outlook(check: CheckSpec, results: Sequence[Compared], rules: StatisticsSpec) -> tuple[float, float]:
    """Return the change of the share that so many seeds would find, and the seeds that the smallest one needs."""
    used = [each.comparison for each in results if each.comparison.seeds]
    units = {(each.treatment.dataset, seed) for each in used for seed in each.seeds}
    detectable = detectable_rate(len(units), rules.confidence, rules.power)
    needed = pairs_needed(check.smallest_effect.value / check.scale, rules.confidence, rules.power)
    per_seed = len({dataset for dataset, _ in units}) or 1
    return check.scale * detectable, np.inf if needed is None else float(ceil(needed / per_seed))
