"""Where a number of a table comes from: the cells of records and the histories, by name.

A source is a text: ``runs/<run>/on/<eval_dataset>/<evaluation>.json#<part>/<perturbation>/<metric>`` (a cell of a
record), ``runs/<run>/history.csv``, ``runs/<run>/run.json`` (how the run ended; these below the results folder), or
``config/published.csv:<line>``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ddcl.schema.recipes import run_name
from ddcl.schema.tables import RUN

HISTORY, SUMMARY = "/history.csv", "/run.json"

SOURCES = "sources"  # the column of long frames: a tuple of sources; printed forms and the CSV are without it


def source_of(cell: Any) -> str:
    """Return the source of a cell: anything that its keys can be looked up in."""
    place = f"runs/{run_name(cell)}/on/{cell['eval_dataset']}/{cell['evaluation']}.json"
    return f"{place}#{cell['part']}/{cell['perturbation']}/{cell['metric']}"


def histories_of(run: Mapping[str, Any], reference: tuple[Any, ...] | None) -> tuple[str, ...]:
    """Return the histories of a run and, where there is one, of the run that it is compared with."""
    runs = [dict(run)] if reference is None else [dict(run), dict(zip(RUN, reference, strict=True))]
    return tuple(dict.fromkeys(f"runs/{run_name(each)}{HISTORY}" for each in runs))


def summary_of(run: Mapping[str, Any]) -> str:
    """Return the source that says how a run ended."""
    return f"runs/{run_name(run)}{SUMMARY}"


def joined(sources: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return all sources of several values, each once, in order."""
    return tuple(dict.fromkeys(source for own in sources for source in own))
