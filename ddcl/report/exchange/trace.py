"""From a row of a table's CSV back to the files of the runs, and from these alone to the row again."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from ddcl.base.errors import UserError
from ddcl.plan.plan import Plan
from ddcl.report.collect import OTHER_CODE, gather
from ddcl.report.collected import Collected
from ddcl.report.exchange.traced import traced
from ddcl.report.page.commands import command
from ddcl.report.sources import HISTORY, SOURCES, SUMMARY, file_of, summary_of
from ddcl.report.tables.csv_files import FLOATS, read_csv
from ddcl.schema import record, run_summary
from ddcl.schema.published import PublishedNumber, read_published
from ddcl.schema.record import Cell, Record
from ddcl.schema.run_summary import RunSummary


class Tracer:
    """Follows the rows of one table. path: <results>/tables/NAME.csv."""

    def __init__(self, path: Path) -> None:
        if path.suffix != ".csv":
            raise UserError(f"{path}: ddcl trace needs the table's CSV; give {path.with_suffix('.csv')}")
        self.path, self.results = path, path.resolve().parent.parent
        self.rows = read_csv(path)
        self.found = Collected.load(self.results)
        self.traced = traced(path.stem, self.found)
        self.frame = self.traced.build(self.found).reset_index(drop=True)
        self._made: dict[frozenset[str], pd.DataFrame] = {}  # by files, what they give
        if len(self.frame) != len(self.rows):
            self._stale(f"{len(self.rows)} rows, of which what was collected gives {len(self.frame)}")

    def describe(self, number: int) -> str:
        """Return the lines on row `number`, the first one being 1: its sources, and that they give it again.

        `UserError` if they do not.
        """
        if not 1 <= number <= len(self.rows):
            raise UserError(f"{self.path}: row {number} asked for; allowed: 1 to {len(self.rows)}")
        row, sources = self.rows.iloc[number - 1], self.frame[SOURCES].iloc[number - 1]
        self._compare(number, self.frame.iloc[number - 1], "what was collected", self.traced.whole)
        title = " ".join(str(row[key]) for key in self.traced.keys if row[key] != "")
        lines = [f"row {number}: {title}", f"  {_numbers(row)}", *self._sources(sources)]
        lines += [f"  {OTHER_CODE} than this checkout's"] if self.found.is_of_other_code(sources) else []
        lines += [] if sources else ["  nothing that it could be made of is in the suite"]
        self._compare(number, self.again(row, sources), "the files of its sources")
        return "\n".join([*lines, f"  made again from {len(sources)} source{'s' * (len(sources) != 1)}: the same"])

    def again(self, row: pd.Series, sources: Sequence[str]) -> pd.Series:
        """Return the row as the files of its sources, and no others, give it."""
        published = _published_numbers()
        files = frozenset(file_of(text) for text in sources if text not in published)
        if sources and not files:  # a published number alone
            return _published(row, sources)
        if files not in self._made:
            plan = restricted(self.found.plan, files)
            gathered = gather(plan, self.results)
            records, histories = gathered.frames(plan.suite)
            only = replace(self.found, plan=plan, records=records, histories=histories, runs=gathered.runs)
            self._made[files] = self.traced.build(only)
        frame, keys = self._made[files], list(self.traced.keys)
        same = (frame[keys] == row[keys]).all(axis=1)
        if same.sum() != 1:
            self._stale(f"the files of its sources give {same.sum()} rows {row[keys].to_dict()}")
        return frame[same].iloc[0]

    def _compare(self, number: int, other: pd.Series, what: str, more: Sequence[str] = ()) -> None:
        """Raise if the row of the CSV is another than `other`, but for digits that are not printed.

        more: columns to compare beside keys and numbers.
        """
        row = self.rows.iloc[number - 1]
        for name in (*self.traced.keys, *self.traced.numbers, *more):
            if name in row and not self.traced.same(row[name], other[name]):
                self._stale(f"row {number} says {name} {row[name]}, {what} {other[name]}")

    def _stale(self, what: str) -> None:
        raise UserError(f"{self.path}: {what}; `ddcl collect && {self.traced.command}` makes it again")

    def _sources(self, sources: Sequence[str]) -> Iterator[str]:
        """Yield what there is to say of each source, file by file."""
        published = _published_numbers()
        by_file: dict[str, list[str]] = {}
        for text in sources:
            by_file.setdefault(file_of(text), []).append(text)
        for file, own in by_file.items():
            if file in published:
                number = published[file]
                yield f"  {file}: {number.value_percent} %, {number.source}, {number.locator}"
                continue
            if file.endswith((HISTORY, SUMMARY)):
                yield f"  {file}: {_states(_read(self.results / Path(file).with_name('run.json')))}"
            else:
                read = _read(self.results / file)
                cells = read.cells if isinstance(read, Record) else ()
                yield from (f"  {_cell(text, cells)}; {_states(read)}" for text in own)
            yield f"    again: {command(self.found.plan, file)}"


def _cell(source: str, cells: Sequence[Cell]) -> str:
    """Return file, address and value of a cell."""
    file, _, address = source.partition("#")
    part, perturbation, metric = address.split("/")
    wanted = (part, perturbation, metric)
    chosen = [cell for cell in cells if (cell.part, cell.perturbation, cell.metric) == wanted]
    values = ", ".join(f"{cell.value} (n = {cell.n}, {cell.n_draws} draws)" for cell in chosen)
    return f"{file} part {part}, perturbation {perturbation}, metric {metric}: {values or 'no cell'}"


def restricted(plan: Plan, files: Collection[str]) -> Plan:
    """Return the plan with the records `files` alone; of a run whose history is among them, with all its records.

    A run of which only run.json is among them has none.
    """
    runs = []
    for run in plan.runs:
        whole = f"{run.folder}{HISTORY}" in files
        kept = [target for target in run.targets if whole or run.record(target) in files]
        if kept or summary_of(run) in files:
            runs.append(run.model_copy(update={"targets": kept}))
    return plan.changed(runs=runs)


def _published_numbers() -> dict[str, PublishedNumber]:
    """Return the published numbers by their place."""
    return {number.place: number for number in read_published()}


def _published(row: pd.Series, sources: Sequence[str]) -> pd.Series:
    """Return the row of a published number as config/published.csv has it."""
    (source,) = sources
    number = _published_numbers()[source]
    texts: dict[Any, Any] = number.model_dump(include={"source", "locator", "note"})
    return pd.Series(row.to_dict() | texts | {"mean": float(number.value_percent)})


def _read(path: Path) -> Record | RunSummary | None:
    """Return the record or summary; None where there is none that can be used."""
    try:
        return run_summary.load(path) if path.name == run_summary.FILE else record.load(path)
    except UserError:
        return None


def _states(read: Record | RunSummary | None) -> str:
    """Return status, digests and commit of a record or a summary, and whether other code made it."""
    if read is None:
        return "missing"
    made = read.provenance
    digests = {"recipe": made.recipe_digest, "checkpoint": read.checkpoint_digest, "code": made.code_digest}
    commit = f"commit {made.git_commit}{' with uncommitted changes' if made.git_dirty else ''}"
    return ", ".join([read.status, *(f"{kind} {digest}" for kind, digest in digests.items()), commit])


def _numbers(row: pd.Series) -> str:
    names = [*FLOATS, "unit", "n_seeds", "seeds_expected", "status", "verdict", "effect", "ci_low", "ci_high"]
    return ", ".join(f"{name} {row[name]}" for name in names if name in row and not pd.isna(row[name]))
