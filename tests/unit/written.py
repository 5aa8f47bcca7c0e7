"""Results on disk, as the jobs of a suite leave them, with made-up numbers."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ddcl.base.files import read_json, write_atomic, write_json, write_text
from ddcl.plan.digests import evaluate_digest
from ddcl.plan.plan import Plan, PlannedRun, Target, write_plan
from ddcl.plan.suite import Suite
from ddcl.schema.recipes import read_evaluation

Value = Callable[[PlannedRun, str, str], float]  # of a run, a perturbation and a part
BLOCK = {"datasets": ["imagenet100"], "variants": ["ddcl", "simsiam"], "augmentations": ["baug", "caug"]}
BLOCK |= {"seeds": [0, 1], "evaluations": ["linear"]}
SUITE = {
    "suite": "t",
    "title": "t",
    "description": "t",
    "runs": [
        BLOCK | {"transfer": [{"to": ["cub200"], "evaluations": ["linear_b32"]}]},
        {"datasets": ["imagenet100"], "variants": ["random_init"], "augmentations": ["none"], "seeds": [0, 1]}
        | {"evaluations": ["linear"], "perturbations": ["none"]},
        BLOCK | {"augmentations": ["baug"], "evaluations": ["knn", "semi_1pct"], "perturbations": ["none"]},
        BLOCK
        | {"augmentations": ["baug"], "authors": True, "evaluations": ["linear_online"], "perturbations": ["none"]},
    ],
    "perturbations": ["none", "color", "color_rotate", "common_corruptions_3"],
    "draws": 10,
    "random_subsets": {"draws": 5, "dir_frac": 0.8},
    "tables": [
        *("linear", "knn", "knn_neighbours", "linear_online", "linear_best_test", "robustness", "robustness_seen"),
        *("corruptions", "augmentation", "ablations", "transfer", "semi_supervised", "convergence", "published"),
    ],
}


def plan() -> Plan:
    """A plan with cells for every table but one."""
    return Suite(SUITE, "t.yaml").plan


def scattered(run: PlannedRun, perturbation: str, part: str) -> float:
    """A number in [0.2, 0.9] that depends on everything."""
    text = "/".join([*map(str, run.names), perturbation, part])
    return 0.2 + 0.7 * zlib.crc32(text.encode()) / 2**32


def write_results(plan: Plan, results: Path, value: Value = scattered, images: int = 0) -> None:
    """Write the plan, and config.json, run.json, history.csv, records and predictions of each of its runs.

    images: test images; accuracies are shares of them, as the predictions say. 0: records without their predictions.
    """
    write_plan(plan, results)
    for run in plan.runs:
        folder = results / run.folder
        own = {"recipe_digest": run.recipe_digest, "checkpoint_digest": "c", "git_commit": "f" * 40}
        summary = {"status": "ok", "message": "", "epochs": 6, "seconds": 6.0, "device": "cpu", "host": "here"}
        write_json(folder / "config.json", run.key | {"made": "up"})
        write_json(folder / "run.json", run.key | own | summary)
        curve = [0.3, 0.4, 0.5 + value(run, "none", "full") / 5]
        lines = [f"{epoch},{2 * epoch}.0,{knn}" for epoch, knn in zip((0, 3, 6), curve, strict=True)]
        write_text(
            folder / "history.csv", "\n".join(["epoch,seconds,knn_top1", *lines[: None if run.trains else 1]]) + "\n"
        )
        for target in run.targets:
            write_record(run, target, own, results, value)
            if images:
                write_predictions(run, target, results, images)


def write_record(run: PlannedRun, target: Target, digests: dict[str, str], results: Path, value: Value) -> None:
    """Write a record, and labels in the place of its predictions."""
    recipe = read_evaluation(target.evaluation)[1]
    shift = {metric: place / 100 for place, metric in enumerate(target.metrics)}
    cells = [
        {"perturbation": perturbation, "part": part, "metric": metric, "n": 450, "n_draws": 1, "sd_draws": None}
        | {"value": value(run, perturbation, part) + shift[metric]}
        for part, perturbation, metric in target.expected()
    ]
    record = {"run": run.key, "eval_dataset": target.eval_dataset, "status": "ok", "cells": cells}
    record |= {"evaluation": recipe.model_dump()}
    record["provenance"] = digests | {"code_digest": evaluate_digest(recipe.protocol)}
    write_json(results / run.record(target), record)
    predictions = {"labels": np.arange(9, dtype=np.int32)}
    write_atomic(results / run.predictions(target), lambda file: np.savez_compressed(file, **predictions))


def write_predictions(run: PlannedRun, target: Target, results: Path, images: int) -> None:
    """Write the predictions beside a record, and there their shares as accuracies."""
    path = results / run.record(target)
    record, arrays = read_json(path, "record"), {"labels": np.zeros(images, np.int32)}
    for cell in record["cells"]:
        if cell["metric"].startswith("top1"):
            name = f"{cell['metric']}/{cell['part']}/{cell['perturbation']}"
            address = f"{run.name}/on/{target.eval_dataset}/{target.evaluation}.json/{name}"
            order = np.random.default_rng(zlib.crc32(address.encode())).permutation(images)
            right = order < round(cell["value"] * images)
            arrays[name] = (~right).astype(np.int32)[None, None]
            cell |= {"value": right.mean(), "n": images}
    write_json(path, record)
    predictions = results / run.predictions(target)
    write_atomic(predictions, lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))
