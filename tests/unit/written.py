"""Results on disk, as the jobs of a suite leave them, with made-up numbers."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ddcl.base.files import read_json, write_atomic, write_json, write_text
from ddcl.evaluate.record import predictions_path
from ddcl.evaluate.store import evaluation_folder
from ddcl.plan.digests import evaluate_digest
from ddcl.plan.suite import Suite
from ddcl.report.collect import expected_cells, run_folder
from ddcl.schema.recipes import read_evaluation
from ddcl.schema.tables import RUN

Value = Callable[[dict[str, Any], str, str], float]  # of a run, a perturbation and a part
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


def plan() -> dict[str, Any]:
    """A plan with cells for every table but one."""
    return Suite(SUITE, "t.yaml").plan()


def scattered(run: dict[str, Any], perturbation: str, part: str) -> float:
    """A number in [0.2, 0.9] that depends on everything."""
    text = "/".join([*(str(run[key]) for key in RUN), perturbation, part])
    return 0.2 + 0.7 * zlib.crc32(text.encode()) / 2**32


def write_results(plan: dict[str, Any], results: Path, value: Value = scattered, images: int = 0) -> None:
    """Write the plan, and config.json, run.json, history.csv, records and predictions of each of its runs.

    images: test images; accuracies are shares of them, as the predictions say. 0: records without their predictions.
    """
    write_json(results / "suite.json", plan)
    for run in plan["runs"]:
        folder, keys = run_folder(results, run), {key: run[key] for key in RUN}
        own = {"recipe_digest": run["recipe_digest"], "checkpoint_digest": "c", "git_commit": "f" * 40}
        summary = {"status": "ok", "message": "", "epochs": 6, "seconds": 6.0, "device": "cpu", "host": "here"}
        write_json(folder / "config.json", keys | {"made": "up"})
        write_json(folder / "run.json", keys | own | summary)
        curve = [0.3, 0.4, 0.5 + value(run, "none", "full") / 5]
        lines = [f"{epoch},{2 * epoch}.0,{knn}" for epoch, knn in zip((0, 3, 6), curve, strict=True)]
        write_text(
            folder / "history.csv", "\n".join(["epoch,seconds,knn_top1", *lines[: None if run["trains"] else 1]]) + "\n"
        )
        for target in run["targets"]:
            path = write_record(run, target, keys | own, folder, value)
            if images:
                write_predictions(path, images)


def write_record(run: dict[str, Any], target: dict[str, Any], own: dict[str, Any], folder: Path, value: Value) -> Path:
    """Write a record, and labels in the place of its predictions."""
    recipe = read_evaluation(target["evaluation"])[1]
    shift = {metric: place / 100 for place, metric in enumerate(target["metrics"])}
    cells = [
        {"perturbation": perturbation, "part": part, "metric": metric, "n": 450, "n_draws": 1, "sd_draws": None}
        | {"value": value(run, perturbation, part) + shift[metric]}
        for part, perturbation, metric in expected_cells(target)
    ]
    keys, digests = {key: own[key] for key in RUN}, {key: own[key] for key in own if key not in RUN}
    record = {"run": keys, "eval_dataset": target["eval_dataset"], "status": "ok", "cells": cells}
    record |= {"evaluation": recipe.model_dump()}
    record["provenance"] = digests | {"code_digest": evaluate_digest(recipe.protocol)}
    path = evaluation_folder(folder, target["eval_dataset"]) / f"{recipe.evaluation}.json"
    write_json(path, record)
    predictions = {"labels": np.arange(9, dtype=np.int32)}
    write_atomic(predictions_path(path), lambda file: np.savez_compressed(file, **predictions))
    return path


def write_predictions(path: Path, images: int) -> None:
    """Write the predictions beside a record, and there their shares as accuracies."""
    record, arrays = read_json(path, "record"), {"labels": np.zeros(images, np.int32)}
    for cell in record["cells"]:
        if cell["metric"].startswith("top1"):
            name = f"{cell['metric']}/{cell['part']}/{cell['perturbation']}"
            address = "/".join([*path.parts[-7:], name])  # of the run and not of the results folder
            order = np.random.default_rng(zlib.crc32(address.encode())).permutation(images)
            right = order < round(cell["value"] * images)
            arrays[name] = (~right).astype(np.int32)[None, None]
            cell |= {"value": right.mean(), "n": images}
    write_json(path, record)
    write_atomic(predictions_path(path), lambda file: np.savez_compressed(file, allow_pickle=False, **arrays))
