"""The report stage: reads the collected files and writes one table, one figure or the page."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from ddcl.core.errors import UserError, check_name
from ddcl.core.files import read_json
from ddcl.report.specs import TableSpec


@dataclass(frozen=True)
class Collected:
    """What `ddcl collect` wrote, and the plan it followed."""

    suite: dict[str, Any]
    records: pd.DataFrame
    histories: pd.DataFrame
    runs: list[dict[str, Any]]

    @classmethod
    def load(cls, results: Path) -> Collected:
        """Read the four files below `results`."""
        frames = {}
        for name in ("records", "histories"):
            path = results / f"{name}.parquet"
            try:
                frames[name] = pd.read_parquet(path)
            except (OSError, ValueError) as error:
                raise UserError(f"{path}: cannot be read ({error}); `ddcl collect` makes it") from None
        plan = read_json(results / "suite.json", "plan; `ddcl resolve` makes it")
        return cls(plan, frames["records"], frames["histories"], read_json(results / "runs.json", "list of runs"))

    def spec(self, table: str) -> TableSpec:
        """Return the specification of a table of the plan."""
        check_name("table", table, self.suite["tables"], f"suite {self.suite['suite']}")
        return TableSpec.model_validate(self.suite["table_specs"][table])


def render_table(name: str, results: Path) -> None:
    """Write `results`/tables/`name`.{csv,md,tex}."""
    from ddcl.report.printing import write_table
    from ddcl.report.tables import build_table

    found = Collected.load(results)
    spec = found.spec(name)
    frame = build_table(found.records, found.histories, found.suite, spec)
    write_table(frame, spec, found.suite, results / "tables" / name)


def render_figure(name: str, results: Path) -> None:
    """Write `results`/figures/`name`.{png,pdf}."""
    from ddcl.report.figures import FIGURES, write_figure

    check_name("figure", name, FIGURES, "ddcl figure")
    found = Collected.load(results)
    write_figure(FIGURES[name](found.records, found.histories, found.suite), results / "figures" / name)


def render_page(results: Path) -> Path:
    """Write `results`/report/index.html from the collected files and the drawn figures; return its path."""
    from ddcl.report.page import write_page
    from ddcl.report.printing import layout, to_html
    from ddcl.report.tables import build_table

    found = Collected.load(results)
    tables = {}
    for name in found.suite["tables"]:
        spec = found.spec(name)
        frame = build_table(found.records, found.histories, found.suite, spec)
        tables[name] = (spec.title, spec.caption, to_html(layout(frame, spec, found.suite)))
    out = results / "report" / "index.html"
    write_page(found.suite, found.runs, found.records, tables, results / "figures", out)
    return out
