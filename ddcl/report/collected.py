"""What `ddcl collect` wrote: all that tables, figures and the page are made from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from ddcl.base import sealed
from ddcl.base.errors import UserError, check_name
from ddcl.base.files import damage_named, file_sha256
from ddcl.plan.plan import FILE, Plan, read_plan
from ddcl.report.collect import COLUMNS, DIGESTS, FILES, RUNS, CollectedRun, CollectedRuns
from ddcl.report.sources import HISTORY, SUMMARY, file_of
from ddcl.schema.tables import RUN, TableSpec

MAKER = "ddcl collect"


@dataclass(frozen=True)
class Collected:
    """The collected files, the plan that they follow, and the folder that they lie in.

    seal: of runs.json, which holds the checksums of the others.
    """

    plan: Plan
    records: pd.DataFrame
    histories: pd.DataFrame
    runs: list[CollectedRun]
    results: Path
    seal: str = ""

    @classmethod
    def load(cls, results: Path) -> Collected:
        """Read the four files below `results`; `UserError` if one is missing or damaged, or they do not fit."""
        plan = read_plan(results)
        runs = sealed.read(results / RUNS, CollectedRuns, "list of collected runs", MAKER)
        if runs.plan != plan.digest:
            raise UserError(
                f"{results / RUNS}: collected for suite {runs.suite} (plan {runs.plan}), {results / FILE} is suite "
                f"{plan.suite} (plan {plan.digest}); run `{MAKER}` again"
            )
        columns = {FILES[0]: [name for name in COLUMNS if name not in DIGESTS]}  # no table is made of digests
        records, histories = (
            _frame(results / name, runs.files_sha256.get(name, ""), columns.get(name)) for name in FILES
        )
        return cls(plan, records, histories, list(runs.runs), results, runs.seal)

    @cached_property
    def other_code(self) -> frozenset[str]:
        """The records, histories and summaries that are not of this checkout's code, as sources name them."""
        files = set()
        for each in self.runs:
            if each.other_code:
                folder = self.plan.run(each.run.name).folder
                files |= {f"{folder}{HISTORY}", f"{folder}{SUMMARY}"}
        rows = self.records.loc[self.records["code"] != "", [*RUN, "eval_dataset", "evaluation"]].drop_duplicates()
        for *run, dataset, evaluation in rows.itertuples(index=False, name=None):
            files.add(self.plan.record(tuple(run), dataset, evaluation) or "")
        return frozenset(files)

    def is_of_other_code(self, sources: Iterable[str]) -> bool:
        """Return whether other code than this checkout's made any of the sources of a number."""
        return any(file_of(source) in self.other_code for source in sources)

    def spec(self, table: str) -> TableSpec:
        """Return the specification of a table of the plan."""
        check_name("table", table, self.plan.tables, f"suite {self.plan.suite}")
        return self.plan.tables[table]


def _frame(path: Path, sha256: str, columns: list[str] | None) -> pd.DataFrame:
    """Return a frame that `ddcl collect` wrote, unchanged since; `UserError` if it cannot be used."""
    with damage_named(path, "collected numbers", f"run `{MAKER}` again"):
        if path.exists() and file_sha256(path) != sha256:
            raise UserError(f"{path}: damaged or edited (its sha256 is not the one in {RUNS}); run `{MAKER}` again")
        return pd.read_parquet(path, columns=columns)
