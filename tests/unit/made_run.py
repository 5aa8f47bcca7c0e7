"""A prepared data set and a run's folder as the stages leave them, with made-up numbers and small files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from ddcl.base import sealed
from ddcl.base.files import file_sha256, write_array, write_atomic, write_json
from ddcl.base.provenance import provenance
from ddcl.core.checkpoint import save_checkpoint
from ddcl.data.manifest import array_sha256, split_path
from ddcl.plan.addresses import data_folder, features_folder, record_path, run_folder
from ddcl.plan.digests import evaluate_digest, extract_digest, pretrain_digest
from ddcl.schema import feature_index, history, run_summary
from ddcl.schema.feature_index import DrawFile, DrawnFiles, FeatureIndex, SplitFiles, StoredFile
from ddcl.schema.history import History
from ddcl.schema.manifest import Manifest, SplitEntry
from ddcl.schema.recipes import Recipe, build_recipe, data_recipe, read_evaluation
from ddcl.schema.record import Cell, Record, predictions_path
from ddcl.schema.run_summary import RunSummary
from ddcl.schema.suites import NormalisationConfig

N, WIDTH, DATASET = 6, 4, "digits"
LABELS = np.arange(N) % 10
FEATURES, RECORD = "1f" * 8, "2e" * 8  # digests
ARRAYS = features_folder("", DATASET, FEATURES).lstrip("/")  # below the run's folder
LINEAR = record_path("", DATASET, "linear", RECORD).lstrip("/")
PARTS = {"full": (0, 4), "dir": (0, 3), "dvr": (3, 4)}


def write_data(results: Path) -> Manifest:
    """Write the splits and the manifest of the data set."""
    folder, entries = results / data_folder(DATASET, data_recipe(DATASET)), {}
    for number, split in enumerate(("train", "test")):
        images = np.random.default_rng(number).integers(0, 256, (N, 3, 16, 16), dtype=np.uint8)
        write_array(split_path(folder, split, "images"), images)
        write_array(split_path(folder, split, "labels"), LABELS)
        sums = {"labels_sha256": array_sha256(LABELS), "images_sha256": array_sha256(images)}
        entries[split] = SplitEntry(n=N, n_per_class=(1,) * N, **sums)
    manifest = Manifest(
        dataset=DATASET,
        data=data_recipe(DATASET),
        kind="arrays",
        splits=entries,
        normalisation=NormalisationConfig(mean=[0.1, 0.2, 0.3], std=[0.4, 0.5, 0.6]),
    )
    sealed.write(folder / "manifest.json", manifest)
    return manifest


def recipe_of(seed: int = 0) -> Recipe:
    """The recipe of the run."""
    return build_recipe((DATASET, "ddcl", "caug"), seed, {"epochs": 1, "schedule": {"warmup_epochs": 0}})


def run_of(results: Path, seed: int = 0) -> Path:
    """The folder of the run."""
    return results / run_folder(recipe_of(seed))


def manifest_of(results: Path) -> Path:
    """The manifest of the data set."""
    return results / data_folder(DATASET, data_recipe(DATASET)) / "manifest.json"


def write_two_runs(results: Path) -> Path:
    """Write prepared data and two runs that differ in their seed; return the results folder."""
    data = write_data(results)
    for seed in (0, 1):
        write_run(results, data, seed)
    return results


def write_run(results: Path, manifest: Manifest, seed: int = 0) -> Path:
    """Write everything that a run of one evaluation leaves; return its folder."""
    recipe = recipe_of(seed)
    folder = run_of(results, seed)
    write_json(folder / "config.json", recipe.model_dump())
    summary = write_training(folder, recipe, manifest)
    index = write_features(folder / ARRAYS, recipe, summary)
    write_record(folder / LINEAR, recipe, index)
    return folder


def write_training(folder: Path, recipe: Recipe, manifest: Manifest) -> RunSummary:
    """Write history.csv, checkpoint.pt and run.json."""
    seed = recipe.seed
    rows = [
        {"epoch": 0, "seconds": 0.0, "knn_top1": 0.5},
        {"epoch": 1, "seconds": 1.5 + seed, "loss": -0.25, "lr": 0.05, "knn_top1": 0.75, "std_ratio_dir": 0.9},
    ]
    history.write(folder / history.FILE, History.of(rows))
    content = {"recipe_digest": recipe.digest, "status": "ok", "method": {"w": torch.full((2,), float(seed))}}
    digest = save_checkpoint(folder / "checkpoint.pt", content)
    summary = RunSummary(
        run=recipe.key,
        status="ok",
        message="",
        epochs=1,
        precision="fp32",
        n_parameters=2,
        seconds=1.5 + seed,
        history_sha256=file_sha256(folder / history.FILE),
        checkpoint_sha256=file_sha256(folder / "checkpoint.pt"),
        checkpoint_digest=digest,
        manifest_seal=manifest.seal,
        provenance=provenance("cpu", recipe.digest, pretrain_digest(recipe.method, [item.op for item in recipe.ops])),
    )
    sealed.write(folder / run_summary.FILE, summary)
    return summary


def write_features(folder: Path, recipe: Recipe, summary: RunSummary) -> FeatureIndex:
    """Write features of the clean images, of two draws of a perturbation, and their index."""

    def stored(name: str, array: np.ndarray) -> dict[str, str]:
        write_array(folder / name, array)
        return {"file": name, "sha256": file_sha256(folder / name)}

    rng = np.random.default_rng(recipe.seed)

    def features(name: str) -> dict[str, str]:
        return stored(name, rng.normal(size=(N, WIDTH)).astype(np.float16))

    draws = [("none", 0), ("color-like", 0), ("color-like", 1)]  # a name with the character that once parted draws
    index = FeatureIndex(
        run=recipe.key,
        eval_dataset=DATASET,
        status=summary.status,
        parts=PARTS,
        digest=FEATURES,
        code_digest=extract_digest(recipe.method, []),
        recipe_digest=recipe.digest,
        checkpoint_digest=summary.checkpoint_digest,
        encoder_digest="e",
        trained_on_seal=summary.manifest_seal,
        evaluated_on_seal=summary.manifest_seal,
        train=SplitFiles(
            features=StoredFile(**features("train.npy")), labels=StoredFile(**stored("train_labels.npy", LABELS))
        ),
        test=DrawnFiles(
            features=tuple(
                DrawFile(perturbation=name, draw=draw, **features(f"test_{name}-{draw}.npy")) for name, draw in draws
            ),
            labels=StoredFile(**stored("test_labels.npy", LABELS)),
        ),
    )
    sealed.write(folder / feature_index.FILE, index)
    return index


def write_record(path: Path, recipe: Recipe, index: FeatureIndex) -> Record:
    """Write predictions and the record of them."""
    predictions = {"labels": LABELS.astype(np.int32), "top1/full/none": LABELS[None, None].astype(np.int32)}
    predictions["top1/full/none"][0, 0, : 1 + recipe.seed] = 9
    write_atomic(predictions_path(path), lambda file: np.savez_compressed(file, allow_pickle=False, **predictions))
    value = float((predictions["top1/full/none"] == LABELS).mean())
    record = Record(
        run=recipe.key,
        evaluation=read_evaluation("linear")[1],
        eval_dataset=DATASET,
        digest=RECORD,
        perturbations=("none",),
        subsets=None,
        status="ok",
        chosen={"full": ({"l2_weight": 1e-05, "iterations": 12.0},)},
        cells=(Cell(perturbation="none", part="full", metric="top1", value=value, n=N, n_draws=1, sd_draws=None),),
        checkpoint_digest=index.checkpoint_digest,
        features_seal=index.seal,
        features_code=index.code_digest,
        trained_on_seal=index.trained_on_seal,
        evaluated_on_seal=index.evaluated_on_seal,
        predictions_sha256=file_sha256(predictions_path(path)),
        provenance=provenance("cpu", recipe.digest, evaluate_digest(recipe.method, "linear")),
    )
    sealed.write(path, record)
    return record
