"""Printed forms of a table, from one wide layout: Markdown here, LaTeX and HTML in modules of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from ddcl.base.files import write_text
from ddcl.plan.plan import Plan
from ddcl.report.sources import SOURCES
from ddcl.report.tables.convergence import NO_GAIN, NOT_REACHED
from ddcl.report.tables.csv_files import write_csv
from ddcl.report.tables.differences import NOTE
from ddcl.report.tables.latex import to_latex
from ddcl.report.tables.published import paper_difference
from ddcl.schema.marks import GROUPS
from ddcl.schema.metrics import Metric
from ddcl.schema.registry import RANDOM_PARTS
from ddcl.schema.tables import TableSpec

NOTHING = "–"  # no such cell in the suite
MARKS = {
    "collapsed": ("†", "a seed collapsed; its value is included"),
    "diverged": ("‡", "a seed diverged; it has no value"),
    "failed": ("✗", "a seed failed or was interrupted; it has no value"),
    "missing": ("…", "a seed was not run yet, or is out of date; it has no value"),
    NOT_REACHED: (
        "∞",
        "target not reached by at least one seed, which counts with the end of its training: the mean is at least this",
    ),
    NO_GAIN: ("∅", "the baseline ended no better than the untrained encoder: nothing to reach; it has no value"),
}
OTHER_CODE = ("§", "made by other code than this checkout's")
UNSEEN = ("°", "unseen: pretraining's augmentation lacks an operation of this distortion")
INERT = str.maketrans({"<": "&lt;", "|": "\\|", "[": "\\[", "]": "\\]", "\\": "\\\\"})
MARKDOWN = {"better": "**{}** ▲", "worse": "**{}** ▼", "": "{}"}


class Cell(NamedTuple):
    """A printed cell: its text, how it stands beside its baseline, and where it comes from.

    difference: what of its row says so (`ddcl.report.tables.differences`); None where it is set against nothing.
    paper: the paper's own difference, points; None where it has none.
    """

    text: str
    emphasis: Literal["better", "worse", ""] = ""
    sources: tuple[str, ...] = ()
    difference: Mapping[Any, Any] | None = None
    paper: float | None = None


@dataclass(frozen=True)
class Printed:
    """A printed table: header and labels of each row, the cells, and notes on the marks that were used.

    keys: of each row, its names. columns: of each column, its names.
    """

    row_keys: list[str]
    headers: list[str]
    rows: list[tuple[list[str], list[Cell]]]
    notes: list[str]
    keys: list[dict[Any, Any]] = field(default_factory=list)
    columns: list[dict[Any, Any]] = field(default_factory=list)


def cell_text(row: Mapping[Any, Any] | pd.Series, metric: Metric) -> str:
    """Return ``82.2 ± 0.3``; with ``(n=1/2)`` where seeds are missing, and a mark where a run did not end well."""
    marks = "".join(dict.fromkeys(mark for status, (mark, _) in MARKS.items() if status in row["status"]))
    marks += OTHER_CODE[0] if row["code"] else ""
    if row["n_seeds"] == 0:
        return marks or NOTHING
    decimals = metric.decimals
    sign = "+" if metric.signed and round(row["mean"], decimals) else ""
    text = f"{row['mean']:{sign}z.{decimals}f}".replace("-", "−")
    if NOT_REACHED in row["status"]:  # the value is the least that it can be
        text = f"≥ {text}"
    if row["n_seeds"] > 1:
        text += f" ± {row['sd']:.{decimals}f}"
    if row.get("part") in RANDOM_PARTS and row["sd_draws"] == row["sd_draws"]:
        text += f" [{row['sd_draws']:.{decimals}f}]"
    if row["n_seeds"] < row["seeds_expected"]:
        text += f" (n={row['n_seeds']}/{row['seeds_expected']})"
    return f"{text} {marks}" if marks else text


def layout(frame: pd.DataFrame, spec: TableSpec, plan: Plan) -> Printed:
    """Lay the long frame out as the specification says; a key with one value throughout is left out of the labels."""
    labels = plan.labels | {"metric": {name: metric.label for name, metric in plan.metrics.items()}}
    shown = frame[frame["metric"].isin(spec.print)]
    order = _orders(plan, spec)
    row_keys: list[str] = [key for key in spec.rows if shown[key].nunique() > 1 or key == "variant"]
    rows = _sorted(shown[spec.rows].drop_duplicates(), order)
    columns = _sorted(shown[spec.columns].drop_duplicates(), order)
    names = zip(*(shown[key].tolist() for key in [*spec.rows, *spec.columns]), strict=True)
    cells = dict(zip(names, shown.to_dict("records"), strict=True))
    if len(cells) < len(shown):
        raise ValueError(
            f"{spec.title}: {len(shown)} numbers have {len(cells)} places; its rows and columns lack a key"
        )

    def text(key: str, name: str) -> str:
        return str(labels.get(key, {}).get(name, name))

    body = []
    for row in rows.to_dict("records"):
        place = tuple(row.values())
        found = [cells.get((*place, *column)) for column in columns.itertuples(index=False, name=None)]
        printed = [_printed(cell, spec, plan) for cell in found]
        body.append(([text(key, row[key]) for key in row_keys], printed))
    headers = [
        " ".join(filter(None, (text(key, column[key]) for key in spec.columns)))
        for column in columns.to_dict("records")
    ]
    places = rows.to_dict("records"), columns.to_dict("records")
    return Printed(row_keys, headers, body, _notes(shown, spec), *places)


def _printed(cell: dict[Any, Any] | None, spec: TableSpec, plan: Plan) -> Cell:
    if cell is None:
        return Cell(NOTHING)
    unseen = f" {UNSEEN[0]}" if spec.mark_unseen and cell["seen"] == "unseen" else ""
    metric = plan.metrics[cell["metric"]]
    metric = metric.model_copy(update={"signed": True}) if spec.against else metric
    against = cell if cell.get("baseline") and cell["n_pairs"] else None
    paper = paper_difference(cell, plan) if against and not spec.against else None
    return Cell(cell_text(cell, metric) + unseen, cell["emphasis"], cell[SOURCES], against, paper)


def _notes(shown: pd.DataFrame, spec: TableSpec) -> list[str]:
    """Return what the marks and the emphasis mean, as far as they are used."""
    if shown.empty:
        return ["nothing in the suite belongs here"]
    statuses = set(shown["status"])
    used = [f"{mark} {meaning}" for name, (mark, meaning) in MARKS.items() if any(name in each for each in statuses)]
    if (shown["code"] != "").any():
        used.append(" ".join(OTHER_CODE))
    if spec.mark_unseen and (shown["seen"] == "unseen").any():
        used.append(" ".join(UNSEEN))
    return used + [NOTE] * bool((shown["emphasis"] != "").any())


def _orders(plan: Plan, spec: TableSpec) -> dict[str, list[str]]:
    """Return the order of the values of each key: that of the suite."""
    keys = ("dataset", "variant", "augmentation")
    orders = {key: list(dict.fromkeys(getattr(run, key) for run in plan.runs)) for key in keys}
    orders["variant"] = _beside_baselines(plan)
    targets = [target for run in plan.runs for target in run.targets]
    orders["part"] = list(dict.fromkeys(part for target in targets for part in target.parts))
    orders["eval_dataset"] = list(dict.fromkeys(target.eval_dataset for target in targets))
    families = plan.families.values()
    return orders | {
        "evaluation": list(plan.evaluations),
        "perturbation": [*plan.perturbations, *families, "seen", "unseen"],
        "metric": spec.print,
        "seen": ["clean", "seen", "unseen"],
    }


def _beside_baselines(plan: Plan) -> list[str]:
    """Return the variants, groups apart, each after what it is set against; the untrained encoder comes last."""
    runs = {run.variant: run for run in reversed(plan.runs)}
    order = list(dict.fromkeys(run.variant for run in plan.runs))

    def place(name: str) -> tuple[int, bool, int, int]:
        run = runs[name]
        first = order.index(run.baseline) if run.baseline in runs else order.index(name)
        return list(GROUPS).index(run.group), not run.trains, first, order.index(name) if run.baseline else -1

    return sorted(order, key=place)


def _sorted(frame: pd.DataFrame, orders: dict[str, list[str]]) -> pd.DataFrame:
    """Return the rows in the order of the suite; a column that the suite has no order for keeps its own."""

    def place(column: pd.Series) -> pd.Series:
        names = orders.get(str(column.name)) or list(dict.fromkeys(column))
        return column.map({name: place for place, name in enumerate(names)})

    return frame.sort_values(list(frame.columns), key=place, kind="stable")


def markdown_escape(text: str) -> str:
    """Return `text` in one line, in which Markdown finds neither HTML nor links nor the end of a cell."""
    return " ".join(text.split()).translate(INERT)


def to_markdown(printed: Printed, spec: TableSpec) -> str:
    """Return title, caption, a GitHub table and notes."""

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cells) + " |"

    title, caption, *heads = map(markdown_escape, (spec.title, spec.caption, *printed.row_keys, *printed.headers))
    lines = [f"# {title}", "", caption, "", line(heads)]
    lines.append(line(["---"] * len(printed.row_keys) + ["---:"] * len(printed.headers)))
    lines += [
        line([*map(markdown_escape, labels), *(MARKDOWN[cell.emphasis].format(cell.text) for cell in cells)])
        for labels, cells in printed.rows
    ]
    return "\n".join([*lines, "", *(f"- {note}" for note in printed.notes)]).rstrip() + "\n"


def write_table(frame: pd.DataFrame, spec: TableSpec, plan: Plan, stem: Path) -> None:
    """Write `stem`.csv (long), `stem`.md and `stem`.tex (wide)."""
    printed = layout(frame, spec, plan)
    write_csv(frame, stem.with_suffix(".csv"))
    write_text(stem.with_suffix(".md"), to_markdown(printed, spec))
    write_text(stem.with_suffix(".tex"), to_latex(printed, spec, stem.name))
