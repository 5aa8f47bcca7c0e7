"""Printed forms of a table: Markdown and LaTeX (`ddcl.report.html`: HTML), all from one wide layout."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pandas as pd

from ddcl.core.files import write_text
from ddcl.registry import RANDOM_PARTS, READOUTS, is_knn_metric
from ddcl.report.sources import SOURCES
from ddcl.report.specs import TableSpec

NOTHING = "–"  # no such cell in the suite
MARKS = {
    "collapsed": ("†", "a seed collapsed; its value is included"),
    "diverged": ("‡", "a seed diverged; it has no value"),
    "failed": ("✗", "a seed failed or was interrupted; it has no value"),
    "missing": ("…", "a seed was not run yet, or is out of date; it has no value"),
    "not reached": ("∞", "a seed never got there; it has no value"),
}
METRIC_LABELS = {
    "top1": "top-1",
    "top1_best_test_epoch": "top-1, best test epoch",
    "relative_drop": "relative drop",
    "change": "change",
    "published": "published",
    "difference": "difference",
    "knn_auc": "area (%)",
    "final_knn_top1": "final (%)",
    "epochs_to_95": "epochs to 95 %",
    **{metric: metric.removeprefix("readout_").replace("_", " ") for metric in READOUTS},
    "invariance": "within / total",
    "alignment": "alignment",
    "abs_mean_cosine": "|mean cos|",
    "mean_abs_cosine": "mean |cos|",
    "sd_cosine": "sd cos",
    "mean_abs_cosine_shuffled": "mean |cos|, strangers",
    "cka_dir_dvr": "CKA",
    "effective_rank": "effective rank",
    "std_ratio": "std ratio",
    "uniformity": "uniformity",
    "drift": "drift",
}
UNITLESS = ("", "R²", "balanced accuracy")  # units of numbers that are printed as they are, with two decimals
TEX = {"\\": r"\textbackslash{}", "–": "--", "±": r"$\pm$", "†": r"$\dagger$", "‡": r"$\ddagger$", "✗": r"$\times$"}
TEX |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
TEX |= {"∞": r"$\infty$", "−": "$-$", "…": r"\dots{}"} | {character: "\\" + character for character in "&%$#_{}"}


class Cell(NamedTuple):
    """A printed cell: its text, how it stands out (`best`, `tied` with the best, or not), and where it comes from."""

    text: str
    emphasis: Literal["best", "tied", ""] = ""
    sources: tuple[str, ...] = ()


@dataclass(frozen=True)
class Printed:
    """A printed table: header and labels of each row, the cells, and notes on the marks that were used."""

    row_keys: list[str]
    headers: list[str]
    rows: list[tuple[list[str], list[Cell]]]
    notes: list[str]


def cell_text(row: pd.Series) -> str:
    """Return ``82.2 ± 0.3``; with ``(n=1/2)`` where seeds are missing, and a mark where a run did not end well."""
    marks = "".join(dict.fromkeys(mark for status, (mark, _) in MARKS.items() if status in row["status"]))
    if row["n_seeds"] == 0:
        return marks or NOTHING
    decimals = 2 if row["unit"] in UNITLESS else 1
    number = f"{row['mean']:+.1f}" if row["unit"] == "points" else f"{row['mean']:.{decimals}f}"
    text = number.replace("-", "−")
    if row["n_seeds"] > 1:
        text += f" ± {row['sd']:.{decimals}f}"
    if row.get("part") in RANDOM_PARTS and row["sd_draws"] == row["sd_draws"]:
        text += f" [{row['sd_draws']:.{decimals}f}]"
    if row["n_seeds"] < row["seeds_expected"]:
        text += f" (n={row['n_seeds']}/{row['seeds_expected']})"
    return f"{text} {marks}" if marks else text


def layout(frame: pd.DataFrame, spec: TableSpec, suite: dict[str, Any]) -> Printed:
    """Lay the long frame out as the specification says; a key with one value throughout is left out of the labels."""
    neighbours = {metric: f"k = {metric.rpartition('k')[2]}" for metric in spec.print if is_knn_metric(metric)}
    labels = suite["labels"] | {"metric": METRIC_LABELS | neighbours}
    shown = frame[frame["metric"].isin(spec.print)]
    order = _orders(suite, spec)
    row_keys: list[str] = [key for key in spec.rows if shown[key].nunique() > 1 or key == "variant"]
    rows = _sorted(shown[spec.rows].drop_duplicates(), order)
    columns = _sorted(shown[spec.columns].drop_duplicates(), order)
    cells = {tuple(row[[*spec.rows, *spec.columns]]): row for _, row in shown.iterrows()}
    body = []
    for _, row in rows.iterrows():
        found = [cells.get((*row[spec.rows], *column[spec.columns])) for _, column in columns.iterrows()]
        printed = [Cell(NOTHING) if cell is None else Cell(cell_text(cell), "", cell[SOURCES]) for cell in found]
        body.append(([labels.get(key, {}).get(row[key], row[key]) for key in row_keys], printed))
    headers = [
        " ".join(labels.get(key, {}).get(column[key], column[key]) for key in spec.columns)
        for _, column in columns.iterrows()
    ]
    used = [
        f"{mark} {meaning}" for status, (mark, meaning) in MARKS.items() if shown["status"].str.contains(status).any()
    ]
    if shown.empty:
        used = ["nothing in the suite belongs here"]
    return Printed(row_keys, headers, body, list(dict.fromkeys(used)))


def _orders(suite: dict[str, Any], spec: TableSpec) -> dict[str, list[str]]:
    """Return the order of the values of each key: that of the suite."""
    runs = suite["runs"]
    orders = {key: list(dict.fromkeys(run[key] for run in runs)) for key in ("dataset", "variant", "augmentation")}
    targets = [target for run in runs for target in run["targets"]]
    orders["part"] = list(dict.fromkeys(part for target in targets for part in target["parts"]))
    orders["eval_dataset"] = list(dict.fromkeys(target["eval_dataset"] for target in targets))
    families = [name.split(".")[0] for name in suite["perturbations"]]
    return orders | {
        "evaluation": suite["evaluations"],
        "perturbation": [*suite["perturbations"], *families],
        "metric": spec.print,
    }


def _sorted(frame: pd.DataFrame, orders: dict[str, list[str]]) -> pd.DataFrame:
    """Return the rows in the order of the suite; a column that the suite has no order for keeps its own."""

    def place(column: pd.Series) -> pd.Series:
        names = orders.get(str(column.name)) or list(dict.fromkeys(column))
        return column.map({name: place for place, name in enumerate(names)})

    return frame.sort_values(list(frame.columns), key=place, kind="stable")


def to_markdown(printed: Printed, spec: TableSpec) -> str:
    """Return title, caption, a GitHub table and notes."""

    def line(cells: list[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"

    lines = [f"# {spec.title}", "", spec.caption.strip(), "", line([*printed.row_keys, *printed.headers])]
    lines.append(line(["---"] * len(printed.row_keys) + ["---:"] * len(printed.headers)))
    lines += [line([*labels, *(cell.text for cell in cells)]) for labels, cells in printed.rows]
    return "\n".join([*lines, "", *(f"- {note}" for note in printed.notes)]).rstrip() + "\n"


def tex_escape(text: str) -> str:
    """Return `text` with every character that LaTeX reads otherwise escaped."""
    return "".join(TEX.get(character, character) for character in text)


def to_latex(printed: Printed, spec: TableSpec, name: str) -> str:
    """Return a floating table in booktabs style."""

    def line(cells: list[str]) -> str:
        return "  " + " & ".join(map(tex_escape, cells)) + r" \\"

    alignment = "l" * len(printed.row_keys) + "r" * len(printed.headers)
    caption = tex_escape(f"{spec.title}. {spec.caption.strip()} {'; '.join(printed.notes)}".strip())
    return "\n".join(
        [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"  \centering",
            rf"  \caption{{{caption}}}",
            rf"  \label{{tab:{name}}}",
            rf"  \begin{{tabular}}{{{alignment}}}",
            r"  \toprule",
            line([*printed.row_keys, *printed.headers]),
            r"  \midrule",
            *(line([*labels, *(cell.text for cell in cells)]) for labels, cells in printed.rows),
            r"  \bottomrule",
            r"  \end{tabular}",
            r"\end{table}",
            "",
        ]
    )


def write_table(frame: pd.DataFrame, spec: TableSpec, suite: dict[str, Any], stem: Path) -> None:
    """Write `stem`.csv (long), `stem`.md and `stem`.tex (wide)."""
    printed = layout(frame, spec, suite)
    write_text(
        stem.with_suffix(".csv"),
        frame.drop(columns=SOURCES).to_csv(index=False, float_format="%.4f", lineterminator="\n"),
    )
    write_text(stem.with_suffix(".md"), to_markdown(printed, spec))
    write_text(stem.with_suffix(".tex"), to_latex(printed, spec, stem.name))
