"""Records: one JSON object per run, data set and evaluation, with its cells; per-image predictions lie beside it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from ddcl.base import sealed
from ddcl.base.files import file_sha256, write_atomic
from ddcl.base.provenance import provenance
from ddcl.evaluate.protocols import EvaluationResult, Job, evaluate_features, evaluate_images
from ddcl.evaluate.store import Address, Measured, Outcome
from ddcl.plan.digests import evaluate_digest
from ddcl.schema.feature_index import Draw
from ddcl.schema.record import Cell, Record, predictions_path


def evaluate_run(job: Job) -> Record:
    """Evaluate all parts of a run under all perturbations; write and return the record.

    The per-image predictions lie beside it. If the run, its features or a probe diverged, its cells have no
    values; if no cell has a value, the status is `diverged`. BLAS uses `job.threads` threads: their number can change
    the last bits.
    """
    with threadpool_limits(job.threads):
        result = (evaluate_images if "images" in job.entry.inputs else evaluate_features)(job)
    out, digest = job.record
    cells, predictions = _cells_of(job, result)
    write_atomic(predictions_path(out), lambda path: np.savez_compressed(path, allow_pickle=False, **predictions))
    record = Record(
        run=job.recipe.key,
        evaluation=job.evaluation,
        eval_dataset=job.dataset,
        digest=digest,
        perturbations=tuple(job.perturbations),
        subsets=job.subsets,
        status=result.status if any(cell.value is not None for cell in cells) else "diverged",
        chosen=_chosen(result.outcomes),
        cells=tuple(cells),
        checkpoint_digest=result.checkpoint_digest,
        features_seal=result.features_seal,
        features_code=result.features_code,
        trained_on_seal=result.trained_on_seal,
        evaluated_on_seal=result.evaluated_on_seal,
        predictions_sha256=file_sha256(predictions_path(out)),
        provenance=provenance(
            job.device, job.recipe.digest, evaluate_digest(job.recipe.method, job.evaluation.protocol)
        ),
    )
    sealed.write(out, record)
    if "features" not in job.entry.inputs:  # fine-tuning: states as large as the encoder; those of probes are kept
        shutil.rmtree(job.work, ignore_errors=True)
    return record


def _chosen(outcomes: dict[str, list[Outcome]] | Measured) -> dict[str, tuple[dict[str, float], ...]]:
    """Return the hyperparameters that were chosen for each part and column set."""
    if isinstance(outcomes, Measured):
        return {}
    return {part: tuple(outcome.chosen for outcome in of_part) for part, of_part in outcomes.items()}


def _cells_of(job: Job, result: EvaluationResult) -> tuple[list[Cell], dict[str, NDArray[Any]]]:
    """Return the cells of a protocol's result, and the arrays that are stored beside the record."""
    if not isinstance(result.outcomes, Measured):
        cells, arrays = _cells(job, result.outcomes, result.labels)
        known = {} if result.groups is None else {"groups": result.groups.astype(np.int64)}
        return cells, arrays | known
    measured = result.outcomes
    return [_cell(address, values, measured.n) for address, values in measured.values.items()], measured.arrays


def _cells(
    job: Job, outcomes: dict[str, list[Outcome]], labels: NDArray[np.int64] | None
) -> tuple[list[Cell], dict[str, NDArray[Any]]]:
    """Return the cells and the arrays of per-image predictions [column sets, draws, N]."""
    metrics = job.entry.metrics_of(job.evaluation.settings)
    if labels is None:
        return [_cell((cell.perturbation, cell.part, cell.metric), None, 0) for cell in job.cells], {}
    cells, asked = list[Cell](), set(job.cells)
    arrays: dict[str, NDArray[Any]] = {"labels": labels.astype(np.int32)}
    for (part, of_part), metric in product(outcomes.items(), metrics):
        by_draw = [outcome.predictions.get(metric.name, {}) for outcome in of_part]
        for name in job.perturbations:
            if (part, name, metric.name) in asked:
                if not all(by_draw):
                    cells.append(_cell((name, part, metric.name), None, 0))
                    continue
                predicted = _stacked(by_draw, name)
                cells.append(_cell((name, part, metric.name), (predicted == labels).mean(axis=2), len(labels)))
                arrays[f"{metric.name}/{part}/{name}"] = predicted.astype(np.int32)
    return cells, arrays


def _stacked(by_draw: Sequence[Mapping[Draw, NDArray[np.int64]]], perturbation: str) -> NDArray[np.int64]:
    """Return the predictions [column sets, draws, N] under a perturbation."""
    draws = [draw for draw in by_draw[0] if draw.perturbation == perturbation]
    return np.stack([[predictions[draw] for draw in draws] for predictions in by_draw])


def _cell(address: Address, values: NDArray[np.floating] | None, n: int) -> Cell:
    """Return a cell. values: [column sets, draws].

    The value is their mean; sd_draws is that of the column sets' means where there are several, else of the draws.
    """
    perturbation, part, metric = address
    value, n_draws, sd = None, 0, None
    if values is None or not np.isfinite(values).all():
        n = 0
    else:
        drawn = values.mean(axis=1) if len(values) > 1 else values[0]
        sd = float(drawn.std(ddof=1)) if len(drawn) > 1 else None
        value, n_draws = float(values.mean()), len(drawn)
    return Cell(perturbation=perturbation, part=part, metric=metric, value=value, n=n, n_draws=n_draws, sd_draws=sd)
