"""Records: one JSON object per run and evaluation, with its cells, and the per-image predictions beside it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from ddcl.core.files import write_atomic, write_json
from ddcl.core.provenance import provenance
from ddcl.evaluate.store import FOLDER, TRAIN, Outcome, check_owner, read_features, read_index
from ddcl.recipes import EvaluationRecipe, Recipe
from ddcl.registry import EVALUATIONS, METHODS
from ddcl.stages import evaluate_digest

SCHEMA = 1
METRIC = "top1"


def evaluate_run(
    recipe: Recipe, evaluation: EvaluationRecipe, perturbations: list[str], run: Path, threads: int
) -> dict[str, Any]:
    """Evaluate all parts of the run in folder `run` under all perturbations; write and return the record.

    It goes to `run`/<evaluation>.json, with the per-image predictions beside it. The record of a diverged run has its
    cells without values. BLAS uses `threads` threads: their number can move the last bits.
    """
    folder, out = run / FOLDER, run / f"{evaluation.evaluation}.json"
    index = read_index(folder)
    check_owner(folder, index, recipe.name, recipe.digest)
    entry = EVALUATIONS[evaluation.protocol]
    settings = entry.settings.model_validate(evaluation.settings)
    cells: list[dict[str, Any]] = []
    chosen: dict[str, dict[str, float]] = {}
    predictions: dict[str, Any] = {}
    if index["status"] == "diverged":
        cells = [
            _cell(perturbation, part, None, 0)
            for part in METHODS[recipe.method].parts
            for perturbation in perturbations
        ]
    else:
        evaluate = entry.load()
        train = read_features(folder, index, TRAIN)
        tests = {name: read_features(folder, index, name) for name in perturbations}
        for part, (start, stop) in index["parts"].items():
            sliced = {name: test.columns(start, stop) for name, test in tests.items()}
            with threadpool_limits(threads):
                outcome: Outcome = evaluate(train.columns(start, stop), sliced, settings, recipe.seed)
            chosen[part] = outcome.chosen
            for name, predicted in outcome.predictions.items():
                labels = tests[name].labels
                cells.append(_cell(name, part, float((predicted == labels).mean()), len(labels)))
                predictions[f"{part}/{name}"] = predicted.astype(np.int32)
        predictions["labels"] = next(iter(tests.values())).labels.astype(np.int32)
    record = {
        "schema": SCHEMA,
        "run": {name: getattr(recipe, name) for name in ("dataset", "variant", "augmentation", "seed")},
        "evaluation": evaluation.model_dump(),
        "eval_dataset": recipe.dataset,
        "status": index["status"],
        "chosen": chosen,
        "cells": cells,
        "provenance": {
            "recipe_digest": recipe.digest,
            "checkpoint_digest": index["checkpoint_digest"],
            "code_digest": evaluate_digest(evaluation.protocol),
            **provenance("cpu"),
        },
    }
    write_atomic(predictions_path(out), lambda path: np.savez_compressed(path, **predictions))
    write_json(out, record)
    return record


def predictions_path(record: Path) -> Path:
    """Return where the per-image predictions of a record lie."""
    return record.with_name(f"{record.stem}_predictions.npz")


def _cell(perturbation: str, part: str, value: float | None, n: int) -> dict[str, Any]:
    return {"perturbation": perturbation, "part": part, "metric": METRIC, "value": value, "n": n}
