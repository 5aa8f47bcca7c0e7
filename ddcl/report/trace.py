"""From a row of a table's CSV back to the files of the runs, and from these alone to the row again."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd

from ddcl.core.config import read_yaml
from ddcl.core.errors import UserError
from ddcl.core.files import read_json
from ddcl.recipes import CONFIG_DIR, run_name
from ddcl.report.collect import gather
from ddcl.report.collected import Collected
from ddcl.report.csv_files import DIGITS, FLOATS, read_csv
from ddcl.report.published import read_published
from ddcl.report.sources import SOURCES
from ddcl.report.tables import build_table

PUBLISHED = "config/published.csv"
HISTORY = "/history.csv"
TOLERANCE = 1.01 * 10**-DIGITS


@dataclass(frozen=True)
class Traced:
    """How a table is traced that the suite has no specification of.

    build: from what was collected to its long frame, with `sources`, in the order of the CSV. Given what was collected
    of some runs alone, it makes the rows of these.
    keys: columns that name a row. numbers: columns that its sources must give again, but for digits not printed.
    """

    build: Callable[[Collected], pd.DataFrame]
    keys: tuple[str, ...]
    numbers: tuple[str, ...] = (*FLOATS, "n_seeds", "seeds_expected")


OTHERS: dict[str, Traced] = {}  # by the name of the table, such as claims


def traced(name: str, found: Collected) -> Traced:
    """Return how the table `name` is traced; `UserError` where the suite has none of this name."""
    if name in OTHERS:
        return OTHERS[name]
    spec = found.spec(name)

    def build(collected: Collected) -> pd.DataFrame:
        return build_table(collected.records, collected.histories, collected.suite, spec)

    dropped = {*FLOATS, "n_seeds", "seeds_expected", "n_draws", "n_images", "status", "emphasis", SOURCES}
    return Traced(build, tuple(name for name in build(found).columns if name not in dropped))


class Tracer:
    """Follows the rows of one table. path: <results>/tables/NAME.csv."""

    def __init__(self, path: Path) -> None:
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
        self._compare(number, self.frame.iloc[number - 1], "what was collected")
        title = " ".join(str(row[key]) for key in self.traced.keys if row[key] != "")
        lines = [f"row {number}: {title}", f"  {_numbers(row)}", *self._sources(sources)]
        self._compare(number, self.again(row, sources), "the files of its sources")
        return "\n".join([*lines, f"  made again from {len(sources)} source{'s' * (len(sources) != 1)}: the same"])

    def again(self, row: pd.Series, sources: Sequence[str]) -> pd.Series:
        """Return the row as the files of its sources, and no others, give it."""
        files = frozenset(text.partition("#")[0] for text in sources if not text.startswith(PUBLISHED))
        if not files:  # a published number alone
            return _published(row, sources)
        if files not in self._made:
            plan = restricted(self.found.suite, files)
            records, histories = gather(plan, self.results).frames(plan["suite"])
            only = replace(self.found, suite=plan, records=records, histories=histories)
            self._made[files] = self.traced.build(only)
        frame, keys = self._made[files], list(self.traced.keys)
        same = (frame[keys] == row[keys]).all(axis=1)
        if same.sum() != 1:
            self._stale(f"the files of its sources give {same.sum()} rows {row[keys].to_dict()}")
        return frame[same].iloc[0]

    def _compare(self, number: int, other: pd.Series, what: str) -> None:
        """Raise if the row of the CSV is another than `other`, but for digits that are not printed."""
        row = self.rows.iloc[number - 1]
        for name in (*self.traced.keys, *self.traced.numbers, "status"):
            if name in row and not _equal(row[name], other[name]):
                self._stale(f"row {number} says {name} {row[name]}, {what} {other[name]}")

    def _stale(self, what: str) -> None:
        raise UserError(f"{self.path}: {what}; `ddcl collect && ddcl table {self.path.stem}` makes it again")

    def _sources(self, sources: Sequence[str]) -> Iterator[str]:
        """Yield what there is to say of each source."""
        published = read_published().set_index("line") if any(text.startswith(PUBLISHED) for text in sources) else None
        for text in sources:
            if text.startswith(PUBLISHED):
                assert published is not None
                number = published.loc[int(text.rpartition(":")[2])]
                yield f"  {text}: {number['value_percent']} %, {number['source']}, {number['locator']}"
            elif text.endswith(HISTORY):
                yield from self._history(text)
            else:
                yield from self._cell(text)

    def _history(self, text: str) -> Iterator[str]:
        path = self.results / text.replace(HISTORY, "/run.json")
        summary = _read(path)
        yield f"  {text}: {_states(summary)}"
        yield f"    again: {command(self.found.suite, text)}"

    def _cell(self, text: str) -> Iterator[str]:
        file, _, address = text.partition("#")
        part, perturbation, metric = address.split("/")
        record = _read(self.results / file)
        wanted = {"part": part, "perturbation": perturbation, "metric": metric}
        cells = [cell for cell in record.get("cells", []) if wanted.items() <= cell.items()]
        values = ", ".join(f"{cell['value']} (n = {cell['n']}, {cell['n_draws']} draws)" for cell in cells)
        address = f"part {part}, perturbation {perturbation}, metric {metric}"
        yield f"  {file} {address}: {values or 'no cell'}; {_states(record)}"
        yield f"    again: {command(self.found.suite, file)}"


def restricted(suite: dict[str, Any], files: Collection[str]) -> dict[str, Any]:
    """Return the plan with the records `files` alone; of a run whose history is among them, with all its records."""
    runs = []
    for run in suite["runs"]:
        folder = f"runs/{run_name(run)}"
        whole = f"{folder}{HISTORY}" in files
        kept = [
            target
            for target in run["targets"]
            if whole or f"{folder}/on/{target['eval_dataset']}/{target['evaluation']}.json" in files
        ]
        if kept:
            runs.append(run | {"targets": kept})
    return suite | {"runs": runs}


def command(suite: dict[str, Any], file: str) -> str:
    """Return the command that makes a file of the results folder again, typed in the root of the project."""
    name, paths = suite["suite"], (CONFIG_DIR / "config.yaml", CONFIG_DIR / "suites" / f"{suite['suite']}.yaml")
    named = [path.relative_to(CONFIG_DIR.parent) for path in paths if path.exists() and _suite_of(path) == name]
    return f"snakemake --cores all --configfile {named[0] if named else f'FILE_OF_{name}'} --force results/{file}"


@cache
def _suite_of(path: Path) -> str:
    return str(read_yaml(path).get("suite"))


def _published(row: pd.Series, sources: Sequence[str]) -> pd.Series:
    """Return the row of a published number as config/published.csv has it."""
    (source,) = sources
    number = read_published().set_index("line").loc[int(source.rpartition(":")[2])].to_dict()
    texts: dict[Any, Any] = {name: number[name] for name in ("source", "locator", "note")}
    return pd.Series(row.to_dict() | texts | {"mean": float(number["value_percent"])})


def _read(path: Path) -> dict[str, Any]:
    """Return the record or summary, or an empty one where there is none."""
    try:
        content: dict[str, Any] = read_json(path, "record or summary")
    except UserError:
        return {}
    return content


def _states(content: dict[str, Any]) -> str:
    """Return status, digests and commit of a record or a summary."""
    if not content:
        return "missing"
    told = content.get("provenance", content)
    digests = [f"{kind} {told.get(f'{kind}_digest')}" for kind in ("recipe", "checkpoint", "code")]
    commit = f"commit {told.get('git_commit')}{' with uncommitted changes' if told.get('git_dirty') else ''}"
    return ", ".join([content["status"], *digests, commit])


def _numbers(row: pd.Series) -> str:
    names = [*FLOATS, "unit", "n_seeds", "seeds_expected", "status", "verdict", "effect", "ci_low", "ci_high"]
    return ", ".join(f"{name} {row[name]}" for name in names if name in row and not pd.isna(row[name]))


def _equal(first: Any, second: Any) -> bool:
    if isinstance(second, float):
        first = float(first or "nan") if isinstance(first, str) else first
        return bool((pd.isna(first) and pd.isna(second)) or abs(first - second) < TOLERANCE)
    return bool(first == second)
