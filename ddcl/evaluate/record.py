"""Records: one JSON object per run, data set and evaluation, with its cells; per-image predictions lie beside it."""

from __future__ import annotations

import shutil
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ddcl.base.files import write_atomic, write_json
from ddcl.base.provenance import provenance
from ddcl.evaluate.protocols import Found, Job, evaluate_features, evaluate_images
from ddcl.evaluate.store import Address, Measured, Outcome
from ddcl.plan.digests import evaluate_digest
from ddcl.schema.registry import has_cell

SCHEMA = 2


def evaluate_run(job: Job) -> dict[str, Any]:
    """Evaluate all parts of a run under all perturbations; write and return the record.

    It goes to <run>/on/<data set>/<evaluation>.json, with the per-image predictions beside it. The record of a diverged
    run has its cells without values. BLAS uses `job.threads` threads: their number can move the last bits.
    """
    with threadpool_limits(job.threads):
        found = (evaluate_images if "images" in job.entry.inputs else evaluate_features)(job)
    out = job.folder / f"{job.evaluation.evaluation}.json"
    cells, predictions = _cells_of(job, found)
    record = {
        "schema": SCHEMA,
        "run": {name: getattr(job.recipe, name) for name in ("dataset", "variant", "augmentation", "seed")},
        "evaluation": job.evaluation.model_dump(),
        "eval_dataset": job.dataset,
        "status": found.status,
        "chosen": _chosen(found.outcomes),
        "cells": cells,
        "provenance": {
            "recipe_digest": job.recipe.digest,
            "checkpoint_digest": found.checkpoint_digest,
            "code_digest": evaluate_digest(job.evaluation.protocol),
            **provenance(job.device),
        },
    }
    write_atomic(predictions_path(out), lambda path: np.savez_compressed(path, allow_pickle=False, **predictions))
    write_json(out, record)
    if "features" not in job.entry.inputs:  # fine-tuning: states of an encoder's size; a probe's are small, and kept
        shutil.rmtree(job.work, ignore_errors=True)
    return record


def _chosen(outcomes: dict[str, list[Outcome]] | Measured) -> dict[str, list[dict[str, float]]]:
    """Return the hyperparameters that were chosen for each part and column set."""
    if isinstance(outcomes, Measured):
        return {}
    return {part: [own.chosen for own in found] for part, found in outcomes.items()}


def _cells_of(job: Job, found: Found) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """Return the cells of what a protocol found, and the arrays that lie beside the record."""
    if not isinstance(found.outcomes, Measured):
        return _cells(job, found.outcomes, found.labels)
    measured = found.outcomes
    return [_cell(address, values, measured.n) for address, values in measured.values.items()], measured.arrays


def _cells(
    job: Job, outcomes: dict[str, list[Outcome]], labels: NDArray[np.int64] | None
) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """Return the cells and the arrays of per-image predictions [column sets, draws, N]."""
    metrics = job.entry.metrics_of(job.evaluation.settings)
    if labels is None:
        places = product(job.perturbations, job.part_names(), metrics)
        return [_cell((name, part, own.name), None, 0) for name, part, own in places if has_cell(part, name, own)], {}
    cells: list[dict[str, Any]] = []
    arrays: dict[str, NDArray[Any]] = {"labels": labels.astype(np.int32)}
    for part, own in outcomes.items():
        for metric in metrics:
            found = [outcome.predictions[metric.name] for outcome in own]
            for name in job.perturbations:
                if not has_cell(part, name, metric):
                    continue
                draws = [key for key in found[0] if key.rpartition("-")[0] == name]
                predicted = np.stack([[item[key] for key in draws] for item in found])
                cells.append(_cell((name, part, metric.name), (predicted == labels).mean(axis=2), len(labels)))
                arrays[f"{metric.name}/{part}/{name}"] = predicted.astype(np.int32)
    return cells, arrays


def _cell(address: Address, values: NDArray[np.floating] | None, n: int) -> dict[str, Any]:
    """Return a cell. values: [column sets, draws].

    The value is their mean; sd_draws is that of the column sets' means where there are several, else of the draws.
    """
    perturbation, part, metric = address
    cell = {"perturbation": perturbation, "part": part, "metric": metric, "n": n}
    if values is None:
        return cell | {"value": None, "n_draws": 0, "sd_draws": None}
    drawn = values.mean(axis=1) if len(values) > 1 else values[0]
    sd = float(drawn.std(ddof=1)) if len(drawn) > 1 else None
    return cell | {"value": float(values.mean()), "n_draws": len(drawn), "sd_draws": sd}


def predictions_path(record: Path) -> Path:
    """Return where the per-image predictions of a record lie."""
    return record.with_name(f"{record.stem}_predictions.npz")
