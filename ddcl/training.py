"""The pretraining stage: from a recipe and a prepared data set to a checkpoint, a history and a summary."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

from ddcl.build import build_method, build_pipeline
from ddcl.core.checkpoint import save_checkpoint
from ddcl.core.devices import device_name
from ddcl.core.files import write_json, write_text
from ddcl.core.pretrain import Pretraining, Row
from ddcl.core.progress import Progress
from ddcl.core.provenance import provenance
from ddcl.data.images import on_device
from ddcl.data.loader import TwoViewLoader
from ddcl.data.manifest import read_images, read_manifest
from ddcl.evaluate.monitor import Monitor
from ddcl.recipes import Recipe

FIRST_COLUMNS = ("epoch", "seconds", "loss", "lr", "knn_top1")


def pretrain(
    recipe: Recipe, manifest_path: Path, folder: Path, device: str, code_digest: str, workers: int = 0
) -> Pretraining:
    """Train the run and write checkpoint.pt, history.csv and run.json below `folder`.

    workers: processes that decode images, where the data set is kept as files.

    The state for resuming lies in `folder`/work until the run has ended. Two runs of one recipe on one machine give the
    same checkpoint, bit for bit on a CPU, interrupted or not.
    """
    manifest = read_manifest(manifest_path, recipe.dataset, recipe.data.model_dump())
    side_px, names = recipe.data.image_side_px, (recipe.dataset, recipe.seed)
    method = build_method(recipe).to(device)
    loader = None
    if method.trains:
        images = read_images(manifest_path, manifest, "pretrain", side_px, workers)
        pipeline = build_pipeline(recipe.ops, side_px, manifest)
        loader = TwoViewLoader(on_device(images, device), pipeline, recipe.training.batch_size, names, device)
    labelled = read_images(manifest_path, manifest, "train", side_px, workers)
    monitor = Monitor(labelled, build_pipeline([], side_px, manifest), recipe.training.monitor, names)
    work = folder / "work"
    training = Pretraining(method, loader, monitor, recipe.training, (recipe.digest, code_digest), recipe.seed)
    images_per_epoch = loader.steps * recipe.training.batch_size if loader else 0
    training.run(work, Progress(work, training.epochs, images_per_epoch))
    _write(training, recipe, folder, code_digest)
    shutil.rmtree(work, ignore_errors=True)
    return training


def _write(training: Pretraining, recipe: Recipe, folder: Path, code_digest: str) -> None:
    """Write the three outputs of a finished run; the checkpoint last, as it is what later stages wait for."""
    method = training.method
    content = {
        "run": recipe.name,
        "recipe_digest": recipe.digest,
        "code_digest": code_digest,
        "status": training.status,
        "message": training.message,
        "epochs": training.epoch,
        "method": {name: value.cpu() for name, value in method.state_dict().items()},
    }
    write_text(folder / "history.csv", history_csv(training.history))
    digest = save_checkpoint(folder / "checkpoint.pt", content)
    summary = {name: getattr(recipe, name) for name in ("dataset", "variant", "augmentation", "seed")} | {
        "schema": 1,
        "status": training.status,
        "message": training.message,
        "epochs": training.epoch,
        "precision": training.precision,
        "n_parameters": sum(p.numel() for p in method.parameters()),
        "recipe_digest": recipe.digest,
        "code_digest": code_digest,
        "checkpoint_digest": digest,
        "seconds": training.history[-1]["seconds"],
        **provenance(device_name(training.device.type)),
    }
    write_json(folder / "run.json", summary)


def history_csv(history: list[Row]) -> str:
    """Return the history as CSV; a quantity that was not measured in an epoch is an empty field."""
    names = dict.fromkeys((*FIRST_COLUMNS, *(name for row in history for name in row)))
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(history)
    return buffer.getvalue()
