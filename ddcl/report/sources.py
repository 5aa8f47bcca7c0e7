"""Where a number of a table comes from: the cells of records and the histories, by name.

A source is a text: ``<record>#<part>/<perturbation>/<metric>`` (a cell of a
record), ``<run>/history.csv``, ``<run>/run.json`` (how the run ended; these paths are below the results folder), or
``config/published.csv:<line>``.
"""

from __future__ import annotations

from collections.abc import Iterable

from ddcl.plan.plan import Cell, PlannedRun

HISTORY, SUMMARY = "/history.csv", "/run.json"

SOURCES = "sources"  # the column of long frames: a tuple of sources; printed forms and the CSV are without it


def source_of(record: str, cell: Cell) -> str:
    """Return the source of a cell of the file `record`."""
    return f"{record}#{cell.part}/{cell.perturbation}/{cell.metric}"


def file_of(source: str) -> str:
    """Return the file, or the file and line, that a source names."""
    return source.partition("#")[0]


def histories_of(runs: Iterable[PlannedRun]) -> tuple[str, ...]:
    """Return the histories of runs, each once."""
    return tuple(dict.fromkeys(f"{run.folder}{HISTORY}" for run in runs))


def summary_of(run: PlannedRun) -> str:
    """Return the source that says how a run ended."""
    return f"{run.folder}{SUMMARY}"


def joined(sources: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    """Return all sources of several values, each once, in order."""
    return tuple(dict.fromkeys(source for own in sources for source in own))
