"""`ddcl plan --effect`: how many seeds find a difference of accuracies, paired by seed and by test image."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ddcl.base.files import damage_named
from ddcl.plan.suite import Suite
from ddcl.report.claims.inference import Component, by_group, combined, image_components
from ddcl.report.claims.power import power, seeds_needed
from ddcl.report.multiplicity import FEWEST_SEEDS
from ddcl.schema.claims import PlannerSpec, StatisticsSpec, read_statistics
from ddcl.schema.names import CLEAN
from ddcl.schema.registry import METHODS, TOP1

LINEAR = ("linear", "online")  # protocols whose spread is measured
FULL = f"{TOP1}/full/{CLEAN}"  # predictions of a record
Given = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class Spread:
    """Of accuracies on a data set, in points; and how it is known.

    sd: over seeds. correlation: of two methods over the same seeds. discordance: percent of test images that exactly
    one of two methods gets right. per_image: variance over images of the difference of two methods, averaged over
    seeds, points²: what is left of the noise of the test images however many seeds there are, times their number.
    n_groups: groups of test images that are not independent, which per_image then allows for; 0: all are.
    """

    sd: float
    correlation: float
    discordance: float
    per_image: float
    source: str
    n_groups: int = 0

    def of_difference(self, images: int, confidence: float) -> Callable[[int], Component]:
        """Return the variance of a mean paired difference over so many seeds on so many test images (0: not known)."""
        paired = 2 * (1 - self.correlation) * self.sd**2
        noise = [Component(self.per_image / images, (self.n_groups or images) - 1)] if images > 1 else []
        return lambda seeds: combined([Component(paired / seeds, seeds - 1)], noise, confidence)


def plan_seeds(suite: Suite, results: Path, effect: float, given: Given) -> str:
    """Return the text of `ddcl plan --effect`.

    effect: points. given: sd over seeds (points), correlation of pairs and power; None: measured in `results`, else the
    guesses of config/statistics.yaml.
    """
    rules, (sd, correlation, wanted) = read_statistics(), given
    rules = rules.model_copy(update={"power": wanted or rules.power})
    head = f"suite {suite.config.suite}: seeds per arm needed to detect a difference of {effect:g} points with"
    lines = [
        f"{head} {100 * rules.power:.0f} % power (two-sided test at {100 * (1 - rules.confidence):.0f} %):",
        "",
    ]
    columns = f"{'sd':>6} {'r':>5} {'images':>7} {'noise':>6} {'seeds':>6} {'planned':>8} {'power':>6}  known from"
    lines.append(f"  {'data set':18} {columns}")
    for name, config in suite.dataset_configs.items():
        spread = measured_spread(suite, results, name, rules.planner)
        if sd:
            spread = replace(spread, sd=sd, source=f"sd given; {spread.source}")
        spread = spread if correlation is None else replace(spread, correlation=correlation)
        planned = Counter(run.recipe.arm_digest for run in suite.runs.values() if run.recipe.dataset == name)
        lines.append(f"  {name:18} {_line(spread, config.n_images.get('test', 0), planned, effect, rules)}")
    return "\n".join([*lines, "", *NOTES])


def _line(spread: Spread, images: int, planned: Counter[str], effect: float, rules: StatisticsSpec) -> str:
    """Return the numbers of one data set. planned: seeds of each of the suite's arms on it."""
    variance = spread.of_difference(images, rules.confidence)
    needed = seeds_needed(effect, variance, rules.confidence, rules.power)
    noise = f"{np.sqrt(spread.per_image / images):.2f}" if images else "?"
    seeds = max(planned.values(), default=0)
    decided = seeds >= FEWEST_SEEDS
    found = f"{100 * power(effect, variance(seeds), rules.confidence):.0f} %" if decided else "–"
    count = "many" if needed is None else str(max(needed, FEWEST_SEEDS))
    numbers = f"{spread.sd:6.2f} {spread.correlation:5.2f} {images or '?':>7} {noise:>6} {count:>6}"
    return f"{numbers} {seeds or '–':>8} {found:>6}  {spread.source}"


NOTES = (
    "sd: standard deviation of an accuracy over seeds, in points. r: correlation of two methods over the same seeds.",
    "noise: standard error of a paired difference, in points, that the test images cause and that more seeds do not",
    "reduce. planned: seeds of the suite on this data set, with their power. many: no number of seeds is enough.",
)


def measured_spread(suite: Suite, results: Path, dataset: str, guess: PlannerSpec) -> Spread:
    """Return what the collected linear accuracies of trained runs on `dataset` say, else the guess."""
    path = results / "records.parquet"
    discordance = guess.discordance
    per_image = 100 * discordance * guess.discordance_shared  # points²: 100² times the share of images
    config = suite.dataset_configs[dataset]
    n_groups, images = config.n_groups.get("test", 0), config.n_images.get("test", 0)
    if n_groups and images:  # the design effect of clusters of equal size (Kish 1965)
        per_image *= 1 + (images / n_groups - 1) * guess.group_correlation
    guessed = Spread(guess.seed_sd, guess.pair_correlation, discordance, per_image, "guess, not measured", n_groups)
    if not path.exists():
        return guessed
    linear = [name for name, recipe in suite.evaluations.items() if recipe.protocol in LINEAR]
    trained = {run.recipe.variant for run in suite.runs.values() if METHODS[run.recipe.method].trains}
    with damage_named(path, "collected numbers", "run `ddcl collect` again"):
        frame = pd.read_parquet(path)
        frame = frame[(frame["dataset"] == dataset) & (frame["eval_dataset"] == dataset)]
        frame = frame[frame["evaluation"].isin(linear[:1]) & (frame["metric"] == TOP1) & (frame["part"] == "full")]
        frame = frame[(frame["perturbation"] == CLEAN) & frame["value"].notna() & frame["variant"].isin(trained)]
    table = 100 * frame.pivot_table(index="seed", columns=["augmentation", "variant"], values="value")
    if len(table) < 2:
        return guessed
    variance = _mean_variance(table)
    pairs = [
        table[augmentation].iloc[:, [i]].to_numpy() - table[augmentation].iloc[:, i + 1 :]
        for augmentation in dict.fromkeys(table.columns.get_level_values(0))
        for i in range(table[augmentation].shape[1] - 1)
    ]
    correlation, sd = guess.pair_correlation, float(np.sqrt(variance))
    if pairs and variance > 0:
        of_pairs = _mean_variance(pd.concat(pairs, axis=1))
        correlation = float(np.clip(1 - of_pairs / (2 * variance), -1.0, 0.99))
    groups = int((table.count() > 1).sum())
    source = f"measured, {len(table)} seeds of {groups} variants and augmentations"
    measured = replace(guessed, sd=sd or guess.seed_sd, correlation=correlation, source=source)
    return with_images(measured, suite, results, dataset)


def with_images(spread: Spread, suite: Suite, results: Path, dataset: str) -> Spread:
    """Return the spread with what the predictions beside the records say of the test images, where there are any."""
    pairs = list(paired_correctness(suite, results, dataset))
    if not pairs:
        return replace(spread, source=f"{spread.source}; test images: guess")
    discordance, per_image = (float(np.mean([of(own) for own in pairs])) for of in (_discordance, _per_image))
    groups = pairs[0].groups
    source = f"{spread.source}; {discordance:.1f} % discordant in {len(pairs)} pairs"
    n_groups = 0 if groups is None else len(np.unique(groups))
    return replace(spread, discordance=discordance, per_image=per_image, source=source, n_groups=n_groups)


class Pair(NamedTuple):
    """The difference of two methods' correctness [seeds, N], and the groups [N] of test images, if they have any."""

    differences: NDArray[np.float64]
    groups: NDArray[np.int64] | None


def _discordance(pair: Pair) -> float:
    return float(100 * np.abs(pair.differences).mean())


def _per_image(pair: Pair) -> float:
    """Return what the test images add to the variance of the mean, times their number."""
    found = pair.differences if pair.groups is None else by_group(pair.differences, pair.groups)
    images = image_components({("", ""): 100 * found})
    return float(images[0].variance * pair.differences.shape[1])


def paired_correctness(suite: Suite, results: Path, dataset: str) -> Iterator[Pair]:
    """Yield the differences of two methods that were trained on a data set under one augmentation.

    From the predictions beside the records of the first linear evaluation, where two seeds or more have them.
    """
    evaluation = next((name for name, own in suite.evaluations.items() if own.protocol in LINEAR), None)
    correct: dict[str, dict[str, dict[int, NDArray[np.float64]]]] = {}
    groups: NDArray[np.int64] | None = None
    for run in suite.plan.runs:
        for target in run.targets:
            path = results / run.predictions(target)
            wanted = run.trains and run.dataset == target.eval_dataset == dataset and target.evaluation == evaluation
            if wanted and path.exists():
                with damage_named(path, "predictions", "run `ddcl evaluate` again"), np.load(path) as archive:
                    if FULL in archive:
                        own = (archive[FULL] == archive["labels"]).mean(axis=(0, 1))
                        groups = archive.get("groups")
                        correct.setdefault(run.augmentation, {}).setdefault(run.variant, {})[run.seed] = own
    for arms in correct.values():
        for one, other in combinations(arms.values(), 2):
            seeds = sorted(one.keys() & other.keys())
            if len(seeds) > 1:
                yield Pair(np.stack([one[seed] - other[seed] for seed in seeds]), groups)


def _mean_variance(table: pd.DataFrame) -> float:
    """Return the mean of the columns' sample variances, each weighted with its degrees of freedom."""
    df = (table.count() - 1).clip(lower=0)
    return float((table.var(ddof=1).fillna(0) * df).sum() / df.sum())
