"""Which cells a record has: as data, so that digests and plans change with them, and evaluations are told."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

from ddcl.plan.plan import CellGroup
from ddcl.schema.metrics import Metric
from ddcl.schema.op_recipes import PerturbationRecipe
from ddcl.schema.recipes import EvaluationRecipe
from ddcl.schema.registry import METHODS, RANDOM_PARTS, part_names, protocol_of


def has_cell(part: str, perturbation: PerturbationRecipe, metric: Metric) -> bool:
    """Return whether a metric of a part is measured under a perturbation."""
    if metric.parts is not None and part not in metric.parts:
        return False
    return part not in RANDOM_PARTS or perturbation.family is None or metric.random_in_families


def cells_of(
    method: str, evaluation: EvaluationRecipe, perturbations: Sequence[PerturbationRecipe], random: bool
) -> list[CellGroup]:
    """Return the cells of a method's record, as few products of parts, perturbations and metrics.

    random: with random columns as controls.
    """
    entry = protocol_of(method, evaluation.protocol)
    if entry is None:
        return []
    by_place: dict[tuple[tuple[str, ...], str], list[str]] = {}  # perturbations and part: metrics
    parts = part_names(METHODS[method], entry, random)
    for part, metric in product(parts, entry.metrics_of(evaluation.settings)):
        under = tuple(recipe.perturbation for recipe in perturbations if has_cell(part, recipe, metric))
        if under:
            by_place.setdefault((under, part), []).append(metric.name)
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}  # perturbations and metrics: parts
    for (under, part), own in by_place.items():
        groups.setdefault((under, tuple(own)), []).append(part)
    return [
        CellGroup(parts=own, perturbations=list(under), metrics=list(names)) for (under, names), own in groups.items()
    ]
