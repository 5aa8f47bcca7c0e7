"""Published numbers beside measured ones: the same cell as far as it is the same, and in what the two differ."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ddcl.plan.plan import Plan, PlannedRun
from ddcl.report.sources import SOURCES
from ddcl.report.tables.statistics import aggregate
from ddcl.schema.paper_differences import name_of, paper_differences
from ddcl.schema.published import PublishedNumber
from ddcl.schema.registry import TOP1, TOP1_BEST_TEST
from ddcl.schema.setups import UNKNOWN
from ddcl.schema.tables import KEYS
from ddcl.schema.variants import authors_name

KINDS = {
    "linear": "linear",
    "online": "linear",
    "knn": "knn",
    "finetune": "finetune",
}  # of protocols with published numbers
PUBLISHED_ELSEWHERE = "baug"  # what a published run with another augmentation is put beside
AUTHORS_SOURCES = ("DDCL paper", "DDCL official README")
AUTHORS_WARMUP_EPOCHS = 30  # of the official code, before the epochs that it reports
NOTHING_KNOWN = "nothing known"  # to differ
SAME = ["dataset", "augmentation", "part", "eval_dataset", "perturbation"]  # keys that must be equal
COLUMNS = [*KEYS, "selection", "metric", "unit", "mean", "sd", "n_seeds", "seeds_expected", "n_draws", "sd_draws"]
COLUMNS += ["n_images", "status", "emphasis", SOURCES]
COLUMNS += ["source", "locator", "published_protocol", "protocol_matches", "differs", "note"]


def paper_difference(cell: Mapping[Any, Any], plan: Plan) -> float | None:
    """Return by how many points the paper's DDCL is better than its SimSiam in a cell; None where it has no such cell.

    The paper has linear accuracies, on test images of the data set of pretraining.
    """
    if cell["metric"] != TOP1 or cell["eval_dataset"] != cell["dataset"]:
        return None
    if KINDS.get(plan.evaluations[cell["evaluation"]].protocol) != "linear":
        return None
    return paper_differences().get(name_of(cell["variant"], cell["part"], cell["augmentation"], cell["perturbation"]))


def published_table(cells: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Return the long frame of `published`, what was measured, and the `difference` in percentage points.

    cells: every cell that the suite expects. One group of rows per published number, variant and evaluation of the
    suite that it can be put beside; published numbers of other methods and data sets are left out.
    The difference is against the number that was selected as the published one was, where there is one.
    """
    measured = aggregate(cells, [*KEYS, "selection", "metric"])
    for name in ("mean", "sd", "sd_draws"):
        measured[name] = 100 * measured[name]
    runs = {(run.dataset, run.variant): run for run in plan.runs}
    places = dict(iter(measured.groupby(SAME, sort=False)))
    rows: list[dict[str, Any]] = []
    for number in plan.published:
        keys = number.model_dump() | {"augmentation": number.augmentation or PUBLISHED_ELSEWHERE}
        place = tuple(keys[key] for key in SAME)
        if number.variant and number.metric == TOP1 and place in places:
            found = _beside(places[place], number, runs, plan)
            for (_, variant, evaluation), own in found.groupby(["dataset", "variant", "evaluation"], sort=False):
                differs = differences(number, runs[number.dataset, str(variant)], str(evaluation))
                rows += _rows(number, own, differs)
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.assign(unit=frame["metric"].map(plan.units))


def _beside(
    measured: pd.DataFrame, number: PublishedNumber, runs: dict[tuple[str, str], PlannedRun], plan: Plan
) -> pd.DataFrame:
    """Return those of the measured rows, equal in the keys `SAME`, that a published number can be put beside.

    runs: a run of the plan by data set and variant. A variant that is `published_as` another one stands beside
    numbers of as many epochs only.
    """
    names = [
        variant
        for (dataset, variant), run in runs.items()
        if dataset == number.dataset and run.published_as == number.variant
        if run.epochs == number.epochs or variant in (number.variant, authors_name(number.variant))
    ]
    kinds = measured["evaluation"].map(lambda name: KINDS.get(plan.evaluations[name].protocol, ""))
    chosen: pd.DataFrame = measured[measured["variant"].isin(names) & (kinds == number.evaluation_kind)]
    return chosen


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]


def differences(number: PublishedNumber, run: PlannedRun, evaluation: str) -> str:
    """Return in what a measured run and evaluation differ from the published ones; `nothing known` if in nothing."""
    found = []
    if number.backbone != run.backbone:
        found.append(f"backbone {run.backbone}, published {number.backbone or '?'}")
    if number.epochs != run.epochs:
        found.append(f"epochs {run.epochs}, published {number.epochs or '?'}")
    if number.source in AUTHORS_SOURCES and run.extra_warmup_epochs != AUTHORS_WARMUP_EPOCHS:
        found.append(f"extra warm-up {run.extra_warmup_epochs}, published {AUTHORS_WARMUP_EPOCHS}")
    if number.batch_size and number.batch_size != run.batch_size:
        found.append(f"batch {run.batch_size}, published {number.batch_size}")
    if not number.augmentation:
        found.append("augmentation")
    for name, published in number.setup:
        own = getattr(run.setup, name)
        if published == UNKNOWN:
            found.append(f"{name} not known")
        elif published != own:
            found.append(f"{name} {own}, published {published}")
    if number.same_as != evaluation:
        found.append(f"protocol, published {number.protocol.split(' (')[0]}")
    if number.selection not in ("best-test-epoch", "last-epoch"):
        found.append(f"selection {number.selection}")
    return "; ".join(found) or NOTHING_KNOWN


def _rows(number: PublishedNumber, measured: pd.DataFrame, differs: str) -> list[dict[str, Any]]:
    """Return the rows of one published number beside what was measured by one evaluation."""
    own = _records(measured)
    same = TOP1_BEST_TEST if number.selection == "best-test-epoch" else TOP1
    chosen = next((row for row in own if row["metric"] == same), own[0])
    value = float(number.value_percent)
    texts = number.model_dump(include={"source", "locator", "note"}) | {"differs": differs, "emphasis": ""}
    texts |= {"published_protocol": number.protocol, "protocol_matches": "yes" if differs == NOTHING_KNOWN else "no"}
    blank = {"sd": np.nan, "n_draws": np.nan, "sd_draws": np.nan}
    published = blank | {"metric": "published", "mean": value, "selection": number.selection}
    place = (number.place,)
    published |= {SOURCES: place, "n_seeds": 1, "seeds_expected": 1, "n_images": 0, "status": "ok"}
    difference = {"metric": "difference", "mean": chosen["mean"] - value}
    difference[SOURCES] = (*chosen[SOURCES], *place)
    return [
        {**chosen, **published, **texts},
        *({**row, **texts} for row in own),
        {**chosen, **difference, **texts},
    ]
