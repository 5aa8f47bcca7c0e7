"""Results on disk, as the jobs of a suite leave them, with made-up numbers; without checkpoints and features."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ddcl.base import sealed
from ddcl.base.files import file_sha256, write_atomic, write_json
from ddcl.plan.digests import evaluate_digest, extract_digest, pretrain_digest
from ddcl.plan.plan import Plan, PlannedRun, Target, write_plan
from ddcl.plan.suite import Suite
from ddcl.report.collect import RUNS, CollectedRuns
from ddcl.schema import history, record, run_summary
from ddcl.schema.history import History
from ddcl.schema.manifest import Manifest, SplitEntry
from ddcl.schema.recipes import data_recipe, read_dataset, read_evaluation
from ddcl.schema.record import Cell, Record, predictions_path
from ddcl.schema.run_key import RunKey
from ddcl.schema.run_summary import RunSummary
from ddcl.schema.suites import NormalisationConfig
from tests.unit import pages, synthetic

SHORT = {0: 0.3, 3: 0.4, 6: 0.5}
Value = Callable[[PlannedRun, str, str], float]  # of a run, a perturbation and a part
BLOCK: dict[str, list[str] | list[int]] = {
    "datasets": ["imagenet100"],
    "variants": ["ddcl", "simsiam"],
    "augmentations": ["baug", "caug"],
}
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


Seals = dict[str, str]  # of the manifests, by data set


def write_results(
    plan: Plan, results: Path, value: Value = scattered, images: int = 0, knn: Mapping[int, float] = SHORT
) -> None:
    """Write the plan, its data sets' manifests, and all that each of its runs leaves but checkpoint and features.

    The plan's digests must be those of real recipes (`synthetic.with_recipes`).
    images: test images; accuracies are shares of them, as the predictions say. 0: the predictions are labels alone.
    knn: the monitor's accuracy by epoch; the last of a run is shifted by its value.
    """
    write_plan(plan, results)
    seals = {
        name: write_manifest(results / folder, name) for name, folder in zip(plan.data, plan.data_folders, strict=True)
    }
    for run in plan.runs:
        folder = results / run.folder
        write_json(folder / "config.json", synthetic.recipe_of(run).model_dump())
        summary = write_training(folder, run, seals[run.dataset], value(run, "none", "full") / 5, knn)
        for target in run.targets:
            write_record(results / run.record(target), (run, target), summary, seals, value, images)


def write_manifest(folder: Path, dataset: str) -> str:
    """Write the manifest of a data set without its images; return its seal."""
    config = read_dataset(dataset)
    counts = {split: config.n_images.get(split, 450) for split in ("train", "test")}
    per_class = {split: (n // config.n_classes,) * config.n_classes for split, n in counts.items()}
    normalisation = NormalisationConfig(mean=[0.5] * 3, std=[0.25] * 3)
    made = Manifest(
        dataset=dataset,
        data=data_recipe(dataset),
        kind="arrays",
        splits={
            split: SplitEntry(n=n, n_per_class=per_class[split], labels_sha256="l", images_sha256="i")
            for split, n in counts.items()
        },
        normalisation=normalisation,
    )
    sealed.write(folder / "manifest.json", made)
    return made.seal


def write_training(folder: Path, run: PlannedRun, seal: str, shift: float, knn: Mapping[int, float]) -> RunSummary:
    """Write history.csv and run.json. seal: of the manifest. shift: what the last accuracy has more."""
    rows = [{"epoch": epoch, "seconds": 2.0 * epoch, "knn_top1": accuracy} for epoch, accuracy in knn.items()]
    rows[-1]["knn_top1"] += shift
    history.write(folder / history.FILE, History.of(rows if run.trains else rows[:1]))
    made = pages.provenance(run, code_digest=pretrain_digest(run.method, run.ops), git_dirty=False)
    changes: dict[str, Any] = {"epochs": max(knn), "seconds": 2.0 * max(knn), "manifest_seal": seal, "provenance": made}
    summary = pages.summary(run, history_sha256=file_sha256(folder / history.FILE), **changes)
    sealed.write(folder / run_summary.FILE, summary)
    return summary


def write_record(
    path: Path, planned: tuple[PlannedRun, Target], summary: RunSummary, seals: Seals, value: Value, images: int
) -> None:
    """Write a record of a run, and its predictions."""
    run, target = planned
    recipe = read_evaluation(target.evaluation)[1]
    cells, predictions = list(cells_of(run, target, value)), {"labels": np.arange(9, dtype=np.int32)}
    if images:
        cells, predictions = predicted(cells, f"{run.name}/on/{target.eval_dataset}/{target.evaluation}", images)
    write_atomic(predictions_path(path), lambda file: np.savez_compressed(file, allow_pickle=False, **predictions))
    made = Record(
        run=RunKey(**run.key),
        evaluation=recipe,
        eval_dataset=target.eval_dataset,
        digest=target.digest,
        perturbations=tuple(target.perturbations),
        subsets=None,
        status=summary.status,
        chosen={},
        cells=tuple(cells),
        checkpoint_digest=summary.checkpoint_digest,
        features_seal="f" if target.features else None,
        features_code=extract_digest(run.method, target.features_ops) if target.features else None,
        trained_on_seal=summary.manifest_seal,
        evaluated_on_seal=seals[target.eval_dataset],
        predictions_sha256=file_sha256(predictions_path(path)),
        provenance=pages.provenance(run, code_digest=evaluate_digest(run.method, recipe.protocol), git_dirty=False),
    )
    sealed.write(path, made)


def cells_of(run: PlannedRun, target: Target, value: Value) -> Iterator[Cell]:
    """Yield the cells of a record; a metric has 0.01 more than the one before."""
    shift = {metric: place / 100 for place, metric in enumerate(target.metrics)}
    for part, perturbation, metric in target.expected():
        number = value(run, perturbation, part) + shift[metric]
        address = {"part": part, "perturbation": perturbation, "metric": metric}
        yield Cell(**address, value=number, n=450, n_draws=1, sd_draws=None)


def predicted(cells: list[Cell], record: str, images: int) -> tuple[list[Cell], dict[str, NDArray[np.int32]]]:
    """Return the cells with accuracies that are shares of so many images, and the predictions that have them."""
    arrays, changed = {"labels": np.zeros(images, np.int32)}, []
    for cell in cells:
        if cell.metric.startswith("top1"):
            name = f"{cell.metric}/{cell.part}/{cell.perturbation}"
            order = np.random.default_rng(zlib.crc32(f"{record}.json/{name}".encode())).permutation(images)
            right = order < round((cell.value or 0.0) * images)
            arrays[name] = (~right).astype(np.int32)[None, None]
            cell = cell.model_copy(update={"value": float(right.mean()), "n": images})
        changed.append(cell)
    return changed, arrays


def change_record(path: Path, **changes: Any) -> None:
    """Write a record anew with other fields, and a seal that fits."""
    sealed.write(path, record.load(path).model_copy(update=changes))


def change_summary(path: Path, **changes: Any) -> None:
    """Write a run.json anew with other fields, and a seal that fits."""
    sealed.write(path, run_summary.load(path).model_copy(update=changes))


def change_frame(results: Path, name: str, frame: pd.DataFrame) -> None:
    """Write a collected file anew, and a runs.json that fits."""
    frame.to_parquet(results / name, index=False)
    runs = sealed.read(results / RUNS, CollectedRuns, "", "")
    sums = runs.files_sha256 | {name: file_sha256(results / name)}
    sealed.write(results / RUNS, runs.model_copy(update={"files_sha256": sums}))
