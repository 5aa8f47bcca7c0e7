"""What the intervals and tests do where nothing is true, or something is: the tables of docs/statistics.md.

``python -m tests.unit.simulated`` prints them, in a few minutes; a slow test compares them with what the page says.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from ddcl.report.claims.inference import (
    Array,
    Component,
    by_group,
    combined,
    image_components,
    seed_components,
    two_sided_p,
)
from ddcl.report.claims.power import detectable_effect
from ddcl.report.claims.verdicts import Found, decide, of_claim
from ddcl.report.multiplicity import holm

CONFIDENCE = 0.95
LEVEL = 1 - CONFIDENCE
SEEDS = (3, 5, 10)
# Images that suit a method, and luck of a seed, in logits: seeds differ much, as much as images, little, or not at all.
SPREADS = ((0.5, 0.3), (1.0, 0.15), (1.0, 0.05), (2.0, 0.05), (0.0, 0.0))
FAMILY = 18  # comparisons: two checks of a claim on three data sets and three augmentations
FAMILIES = 1500
IMAGES = 400
GROUP_SIZE = 20  # images of one group, of which some suit a method alike
SHARES = (0.0, 0.5, 0.9)  # of the variance that is of test images
REPEATS = 4000


def correctness(
    generator: np.random.Generator, seeds: int, images: int, spread: tuple[float, float], families: int = 1
) -> Array:
    """Differences [F, S, N] of two equally good classifiers: an image is right with a chance of its difficulty, what
    suits this method (sd spread[0], in logits) and how this seed turned out (sd spread[1])."""
    difficulty = generator.normal(1.5, 2.0, (families, 1, 1, images))
    suits = generator.normal(0.0, spread[0], (families, 2, 1, images))
    luck = generator.normal(0.0, spread[1], (families, 2, seeds, 1))
    right = generator.random((families, 2, seeds, images)) < 1 / (1 + np.exp(-(difficulty + suits + luck)))
    return np.asarray(right[:, 0].astype(float) - right[:, 1].astype(float))


def p_of(differences: Array) -> float:
    """The p of paired differences [S, N] whose true mean is 0; 1 where there is no spread."""
    blocks = {("d", "e"): differences}
    seeds, images = seed_components(blocks), image_components(blocks)
    if not sum(part.variance for part in (*seeds, *images)) > 0:
        return 1.0
    return two_sided_p(abs(float(differences.mean())), seeds, images)


@cache
def null_p(seeds: int, spread: tuple[float, float], families: int = FAMILIES) -> NDArray[np.floating]:
    """The p [families, 18] of comparisons where nothing is true."""
    generator = np.random.default_rng([seeds, IMAGES, families])
    draws = (correctness(generator, seeds, IMAGES, spread, FAMILY) for _ in range(families))
    return np.array([[p_of(each) for each in family] for family in draws])


def coverage(seeds: int, spread: tuple[float, float], families: int = FAMILIES) -> float:
    """Percent of 95 % intervals that hold the truth: those whose p is not below 5 %."""
    return 100 * float((null_p(seeds, spread, families) >= LEVEL).mean())


def grouped_coverage(seeds: int, spread: tuple[float, float], grouped: bool, families: int = FAMILIES // 6) -> float:
    """Percent of 95 % intervals that hold the truth, where all images of a group suit a method alike.

    spread: as in `correctness`; a group is an image there, drawn GROUP_SIZE times. grouped: whether the interval knows.
    """
    generator = np.random.default_rng([seeds, GROUP_SIZE, families])
    n_groups, inside = IMAGES // GROUP_SIZE, []
    groups = np.repeat(np.arange(n_groups), GROUP_SIZE)
    for _ in range(families):
        for own in grouped_correctness(generator, seeds, n_groups, spread):
            inside.append(p_of(by_group(own, groups) if grouped else own) >= LEVEL)
    return 100 * float(np.mean(inside))


def grouped_correctness(
    generator: np.random.Generator, seeds: int, n_groups: int, spread: tuple[float, float]
) -> Array:
    """Differences [F, S, N] as in `correctness`; what suits a method and half of the difficulty are the group's."""
    n = n_groups * GROUP_SIZE
    difficulty = np.repeat(generator.normal(1.5, 1.4, (FAMILY, 1, 1, n_groups)), GROUP_SIZE, axis=3)
    difficulty = difficulty + generator.normal(0.0, 1.4, (FAMILY, 1, 1, n))
    suits = np.repeat(generator.normal(0.0, spread[0], (FAMILY, 2, 1, n_groups)), GROUP_SIZE, axis=3)
    luck = generator.normal(0.0, spread[1], (FAMILY, 2, seeds, 1))
    right = generator.random((FAMILY, 2, seeds, n)) < 1 / (1 + np.exp(-(difficulty + suits + luck)))
    return np.asarray(right[:, 0].astype(float) - right[:, 1].astype(float))


def family_error(seeds: int, spread: tuple[float, float], families: int = FAMILIES) -> float:
    """Percent of families of 18 in which a comparison is called supported or contradicted after Holm's correction."""
    found = [min(holm(list(own))) < LEVEL for own in null_p(seeds, spread, families)]
    return 100 * float(np.mean(found))


def power(seeds: int, share: float, repeats: int = REPEATS) -> float:
    """Percent of studies that find the effect that is called detectable. share: of the variance, that of images."""
    generator = np.random.default_rng([seeds, round(100 * share), repeats])
    truth = [Component(1 - share, seeds - 1)], [Component(share, IMAGES - 1)]
    effect = detectable_effect(combined(*truth, CONFIDENCE), CONFIDENCE, 0.8)
    means = generator.normal(effect, 1.0, repeats)
    own = generator.chisquare(seeds - 1, repeats) / (seeds - 1)
    other = generator.chisquare(IMAGES - 1, repeats) / (IMAGES - 1)
    found = 0
    for mean, one, two in zip(means, own, other, strict=True):
        parts = [Component((1 - share) * one, seeds - 1)], [Component(share * two, IMAGES - 1)]
        found += mean > 0 and two_sided_p(abs(mean), *parts) < LEVEL
    return 100 * found / repeats


def claim_errors(decided_by: str, checks: int, repeats: int = 40_000) -> tuple[float, float]:
    """Percent of claims falsely supported and falsely contradicted, of so many checks where nothing is true."""
    generator = np.random.default_rng([checks, repeats])
    effects = generator.normal(size=(repeats, checks))
    p = 2 * stats.norm.sf(np.abs(effects))
    found = [
        of_claim([(decide(Found(e, q, 1.0, 3), LEVEL), q) for e, q in zip(*own, strict=True)], decided_by, LEVEL)
        for own in zip(effects.tolist(), p.tolist(), strict=True)
    ]
    return 100 * found.count("supported") / repeats, 100 * found.count("contradicted") / repeats


def tables() -> Iterator[list[str]]:
    """The tables as lines of Markdown."""
    columns = " | ".join(f"{suits:g} / {luck:g}" for suits, luck in SPREADS)
    for measure in (coverage, family_error):
        rows = [f"| {n} | " + " | ".join(f"{measure(n, spread):.1f}" for spread in SPREADS) + " |" for n in SEEDS]
        yield [f"| seeds | {columns} |", "|---:" * (1 + len(SPREADS)) + "|", *rows]
    rows = [
        f"| {n} | " + " | ".join(f"{grouped_coverage(n, SPREADS[3], own):.1f}" for own in (True, False)) + " |"
        for n in SEEDS
    ]
    yield ["| seeds | clustered by group | each image on its own |", "|---:|---:|---:|", *rows]
    heads = " | ".join(f"{100 * share:.0f} %" for share in SHARES)
    rows = [f"| {n} | " + " | ".join(f"{power(n, share):.1f}" for share in SHARES) + " |" for n in SEEDS]
    yield [f"| seeds | {heads} |", "|---:" * (1 + len(SHARES)) + "|", *rows]
    errors = {(by, n): claim_errors(by, n) for by in ("all", "any") for n in (1, 2, 3)}
    rows = [f"| `{by}` of {n} | {yes:.2f} | {no:.2f} |" for (by, n), (yes, no) in errors.items()]
    yield ["| deciding checks | supported | contradicted |", "|---|---:|---:|", *rows]


if __name__ == "__main__":
    for table in tables():
        print("\n".join([*table, ""]), flush=True)
