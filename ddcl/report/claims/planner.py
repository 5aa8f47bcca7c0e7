"""`ddcl plan --effect`: how many seeds find a difference of accuracies, and what the test images alone blur."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from ddcl.base.files import damage_named
from ddcl.plan.suite import Suite
from ddcl.report.claims.power import paired, seeds_needed, unpaired
from ddcl.schema.claims import PlannerSpec, read_statistics
from ddcl.schema.names import CLEAN
from ddcl.schema.registry import METHODS, TOP1

LINEAR = ("linear", "online")  # protocols whose spread over seeds is measured
Given = tuple[float | None, float | None, float | None]


@dataclass(frozen=True)
class Spread:
    """Of accuracies on a data set, in points: sd over seeds, correlation of two methods, mean; and how it is known."""

    sd: float
    correlation: float
    accuracy: float
    source: str


def plan_seeds(suite: Suite, results: Path, effect: float, given: Given) -> str:
    """Return the text of `ddcl plan --effect`.

    effect: points. given: sd over seeds (points), correlation of pairs and power; None: measured in `results`, else the
    guesses of config/statistics.yaml.
    """
    rules, (sd, correlation, wanted) = read_statistics(), given
    wanted = wanted or rules.power
    head = f"seeds per arm to find a difference of {effect:g} points with {100 * wanted:.0f} % power"
    lines = [f"{head} (two-sided t test, {100 * (1 - rules.confidence):.0f} % level):", ""]
    columns = f"{'sd':>6} {'r':>5} {'unpaired':>9} {'paired':>7} {'test images':>12} {'at %':>6} {'noise':>6}  sd and r"
    lines.append(f"  {'data set':18} {columns}")
    for name, config in suite.dataset_configs.items():
        spread = measured_spread(suite, results, name, rules.planner)
        own_sd, own_r = sd or spread.sd, spread.correlation if correlation is None else correlation
        source = "given" if sd else spread.source
        models = (unpaired(own_sd), paired(own_sd * np.sqrt(2 * (1 - own_r))))
        seeds = [seeds_needed(effect, model, rules.confidence, wanted) for model in models]
        counts = ["many" if each is None else str(each) for each in seeds]
        images = config.n_images.get("test", 0)
        noise = f"{image_noise(spread.accuracy, images, rules.confidence):.2f}" if images else "?"
        numbers = f"{own_sd:6.2f} {own_r:5.2f} {counts[0]:>9} {counts[1]:>7} {images or '?':>12}"
        numbers += f" {spread.accuracy:6.1f} {noise:>6}"
        lines.append(f"  {name:18} {numbers}  {source}")
    return "\n".join([*lines, "", *NOTES])


NOTES = (
    "sd: of an accuracy over seeds, points. r: correlation of two methods over the same seeds. paired: compared",
    "seed by seed. noise: half of the interval of an unpaired difference of two accuracies on so many test images,",
    "points, both at so many percent; more seeds do not shrink it. Paired by image it is smaller (`ddcl claims`).",
)


def image_noise(accuracy: float, n: int, confidence: float) -> float:
    """Return the half-width, in points, of the interval of an unpaired difference of two accuracies (percent)."""
    share = accuracy / 100
    half = stats.norm.isf((1 - confidence) / 2) * np.sqrt(2 * share * (1 - share) / n)
    return float(100 * half)


def measured_spread(suite: Suite, results: Path, dataset: str, guess: PlannerSpec) -> Spread:
    """Return what the collected linear accuracies of trained runs on `dataset` say, else the guess."""
    path = results / "records.parquet"
    guessed = Spread(guess.seed_sd, guess.pair_correlation, guess.accuracy, "guess, not measured")
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
    return Spread(sd or guess.seed_sd, correlation, float(table.mean().mean()), source)


def _mean_variance(table: pd.DataFrame) -> float:
    """Return the mean of the columns' sample variances, each weighted with its degrees of freedom."""
    df = (table.count() - 1).clip(lower=0)
    return float((table.var(ddof=1).fillna(0) * df).sum() / df.sum())
