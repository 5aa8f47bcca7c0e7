"""`ddcl compare A B`: the collected cells of two results folders or archives, side by side.

A value is a *repetition* of the other side's if it lies inside the 95 % prediction interval of that side's seeds: where
one more run of it would lie. Nothing is said of a cell of which the other side has fewer than two values.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from ddcl.base.errors import UserError
from ddcl.base.files import damage_named, write_text
from ddcl.report.collect import FILES
from ddcl.report.exchange.unpack import unpack
from ddcl.report.tables.csv_files import csv_text
from ddcl.schema.metrics import Metric
from ddcl.schema.registry import EVALUATIONS, TOP1

CELL = ["dataset", "variant", "augmentation", "eval_dataset", "evaluation", "perturbation", "part", "metric"]
NEEDED = [*CELL, "seed", "value", "recipe_digest"]
GROUP = ["evaluation", "metric", "perturbation"]
CONFIDENCE = 0.95
METRICS: dict[str, Metric] = {metric.name: metric for entry in EVALUATIONS.values() for metric in entry.metrics}


class Side(NamedTuple):
    """Where one side's cells come from, and they: by `NEEDED`, those that have a value."""

    name: str
    cells: pd.DataFrame


def read_side(path: Path) -> Side:
    """Read the collected records of a results folder, a snapshot or an archive; `UserError` if there are none."""
    if not path.exists():
        raise UserError(f"{path}: there is no such folder or archive")
    if path.is_dir():
        return Side(str(path), _cells(path))
    with TemporaryDirectory() as folder:
        unpack(path, Path(folder), whole=True)
        if not (Path(folder) / FILES[0]).exists():
            raise UserError(f"{path}: has no collected records; run `ddcl collect` where it was made, and export again")
        return Side(str(path), _cells(Path(folder)))


def _cells(folder: Path) -> pd.DataFrame:
    file = folder / FILES[0]
    with damage_named(file, "collected records", "`ddcl collect` makes them"):
        frame = pd.read_parquet(file)
    lacking = [name for name in NEEDED if name not in frame]
    if lacking:
        raise UserError(f"{file}: has no columns {', '.join(lacking)}; this is not what `ddcl collect` writes")
    cells = frame.loc[frame["value"].notna(), NEEDED]
    again = cells[cells.duplicated([*CELL, "seed"])]
    if len(again):
        first = ", ".join(map(str, again.iloc[0][[*CELL, "seed"]]))
        raise UserError(f"{file}: has more than one value of {len(again)} cells, such as {first}")
    return cells


def compare(a: Side, b: Side) -> pd.DataFrame:
    """Return a row per cell that both sides have, by `CELL`; accuracies are in percent.

    n, mean and sd of each side's seeds. difference: of the means, a − b. seeds: in both; rms and largest: difference of
    their values. tested, inside: values that have an interval of the other side's, and that lie in it. recipe: whether
    the runs of these seeds have the same recipe.
    """
    sides = [_by_cell(side) for side in (a, b)]
    rows = []
    for cell in sides[0].keys() & sides[1].keys():
        own, other = (side[cell] for side in sides)
        factor = _factor(cell[-1])
        rows.append(dict(zip(CELL, cell, strict=True)) | _row(own, other, factor))
    columns = [*CELL, "n_a", "mean_a", "sd_a", "n_b", "mean_b", "sd_b", "difference"]
    columns += ["seeds", "rms", "largest", "tested", "inside", "recipe"]
    return pd.DataFrame(rows, columns=columns).sort_values(CELL, ignore_index=True)


def _by_cell(side: Side) -> dict[tuple[str, ...], pd.DataFrame]:
    groups = side.cells.groupby(CELL, sort=False)
    return {tuple(map(str, cell)): own.set_index("seed") for cell, own in groups}


def _factor(metric: str) -> float:
    if metric in METRICS:
        return METRICS[metric].factor
    return 100.0 if metric.startswith(TOP1) else 1.0  # kNN's further k


def _row(a: pd.DataFrame, b: pd.DataFrame, factor: float) -> dict[str, object]:
    values = [factor * side["value"].to_numpy(dtype=float) for side in (a, b)]
    both = a.index.intersection(b.index)
    paired = factor * (a.loc[both, "value"] - b.loc[both, "value"]).to_numpy(dtype=float)
    inside = [*insides(values[0], values[1]), *insides(values[1], values[0])]
    row: dict[str, object] = {}
    for name, own in zip("ab", values, strict=True):
        sd = float(own.std(ddof=1)) if len(own) > 1 else np.nan
        row |= {f"n_{name}": len(own), f"mean_{name}": float(own.mean()), f"sd_{name}": sd}
    same = bool((a.loc[both, "recipe_digest"] == b.loc[both, "recipe_digest"]).all())
    return row | {
        "difference": float(values[0].mean() - values[1].mean()),
        "seeds": len(both),
        "rms": float(np.sqrt((paired**2).mean())) if len(both) else np.nan,
        "largest": float(np.abs(paired).max()) if len(both) else np.nan,
        "tested": len(inside),
        "inside": sum(inside),
        "recipe": ("same" if same else "other") if len(both) else "",
    }


def insides(values: Sequence[float] | np.ndarray, others: np.ndarray) -> list[bool]:
    """Return of each value whether it lies in the prediction interval of the others; none, where there is no interval.

    mean ± t · sd · √(1 + 1/n): where one more of the others would lie with 95 %, if they are normal.
    """
    n = len(others)
    if n < 2:
        return []
    half = stats.t.isf((1 - CONFIDENCE) / 2, n - 1) * others.std(ddof=1) * np.sqrt(1 + 1 / n)
    return [bool(abs(value - others.mean()) <= half + 1e-9) for value in values]


def describe(a: Side, b: Side, cells: pd.DataFrame) -> str:
    """Return the text of `ddcl compare`: what both have, and how far they are apart, by evaluation and perturbation."""
    names = [{tuple(map(str, cell)) for cell in side.cells[CELL].drop_duplicates().to_numpy()} for side in (a, b)]
    only = [len(names[0] - names[1]), len(names[1] - names[0])]
    lines = [f"A: {a.name}", f"B: {b.name}", f"{len(cells)} cells in both, {only[0]} in A only, {only[1]} in B only"]
    if cells.empty:
        return "\n".join([*lines, "nothing to compare"])
    lines += [_recipes(cells["recipe"]), ""]
    head = f"{'cells':>6} {'rms':>8} {'largest':>8} {'repetitions':>14}"
    lines.append(f"  {'evaluation, metric, perturbation':50} {head}")
    for name, own in cells.groupby(GROUP, sort=True):
        lines.append(f"  {', '.join(map(str, name)):50} {len(own):6} {_apart(own)}")
    return "\n".join([*lines, f"  {'all':50} {len(cells):6} {'':17} {_share(cells):>14}", "", *NOTES])


def _recipes(found: pd.Series) -> str:
    """Return what is said of the recipes of the common runs."""
    if not found.isin(["same", "other"]).any():
        return "no run is in both, so no recipe was compared"
    other = int((found == "other").sum())
    told = f"cells of runs with different recipes, or of another version of the suite: {other}"
    return told if other else "all common runs have the same recipe"


NOTES = (
    "rms, largest: differences between the two values of a seed, for accuracies in points. repetitions: values inside",
    "the 95 % prediction interval of the other side's seeds, as 95 in 100 true repetitions are. With two seeds it is",
    "very wide.",
)


def _apart(own: pd.DataFrame) -> str:
    paired = own[own["seeds"] > 0]
    if paired.empty:
        return f"{'–':>8} {'–':>8} {_share(own):>14}"
    rms = float(np.sqrt(np.average(paired["rms"] ** 2, weights=paired["seeds"])))
    return f"{rms:8.2f} {paired['largest'].max():8.2f} {_share(own):>14}"


def _share(own: pd.DataFrame) -> str:
    tested, inside = int(own["tested"].sum()), int(own["inside"].sum())
    return f"{inside} of {tested}" if tested else "–"


def write_cells(cells: pd.DataFrame, path: Path) -> None:
    """Write the cells as CSV."""
    write_text(path, csv_text(cells, "%.4f"))
