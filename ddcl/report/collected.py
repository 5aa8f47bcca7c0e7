"""What `ddcl collect` wrote: all that tables, figures and the page are made from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ddcl.base.errors import UserError, check_name
from ddcl.base.files import read_json
from ddcl.plan.plan import Plan, read_plan
from ddcl.schema.tables import TableSpec


@dataclass(frozen=True)
class Collected:
    """The collected files, the plan that they follow, and the folder that they lie in."""

    plan: Plan
    records: pd.DataFrame
    histories: pd.DataFrame
    runs: list[dict[str, Any]]
    results: Path

    @classmethod
    def load(cls, results: Path) -> Collected:
        """Read the four files below `results`."""
        frames = {}
        for name in ("records", "histories"):
            path = results / f"{name}.parquet"
            try:
                frames[name] = pd.read_parquet(path)
            except FileNotFoundError:
                raise UserError(f"{path}: missing; `ddcl collect` makes it") from None
            except (OSError, ValueError) as error:
                raise UserError(f"{path}: cannot be read ({error}); `ddcl collect` makes it") from None
        plan = read_plan(results)
        runs = read_json(results / "runs.json", "list of runs")
        return cls(plan, frames["records"], frames["histories"], runs, results)

    @property
    def seal(self) -> str:
        """What a file that is made from these names them by, so that it is not taken for one of others."""
        return self.plan.digest

    def spec(self, table: str) -> TableSpec:
        """Return the specification of a table of the plan."""
        check_name("table", table, self.plan.tables, f"suite {self.plan.suite}")
        return self.plan.tables[table]
