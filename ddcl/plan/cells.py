"""Which cells a record has: as data, so that digests and plans change with them."""

from __future__ import annotations

from itertools import product

from ddcl.plan.plan import CellGroup
from ddcl.schema.metrics import Metric
from ddcl.schema.registry import has_cell


def cell_groups(parts: list[str], perturbations: tuple[str, ...], metrics: list[Metric]) -> list[CellGroup]:
    """Return the cells that a record has, as few products of parts, perturbations and metrics."""
    by_place: dict[tuple[tuple[str, ...], str], list[str]] = {}  # perturbations and part: metrics
    for part, metric in product(parts, metrics):
        under = tuple(name for name in perturbations if has_cell(part, name, metric))
        if under:
            by_place.setdefault((under, part), []).append(metric.name)
    groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}  # perturbations and metrics: parts
    for (under, part), own in by_place.items():
        groups.setdefault((under, tuple(own)), []).append(part)
    return [
        CellGroup(parts=own, perturbations=list(under), metrics=list(names)) for (under, names), own in groups.items()
    ]
