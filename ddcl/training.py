"""The pretraining stage: from a recipe and a prepared data set to a checkpoint, a history and a summary."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from ddcl.base import sealed
from ddcl.base.errors import UserError
from ddcl.base.files import file_sha256, write_atomic
from ddcl.base.interrupt import MINUTES
from ddcl.base.progress import FILE as PROGRESS
from ddcl.base.progress import Progress
from ddcl.base.provenance import provenance
from ddcl.build import build_method, build_pipeline, load_given
from ddcl.core import distributed
from ddcl.core.checkpoint import save_checkpoint
from ddcl.core.devices import device_name
from ddcl.core.pretrain import Pretraining
from ddcl.data.images import on_device
from ddcl.data.loader import TwoViewLoader
from ddcl.data.manifest import normalisation_of, read_manifest
from ddcl.data.stored import read_images
from ddcl.evaluate.monitor import Monitor
from ddcl.schema import history, run_summary
from ddcl.schema.history import History
from ddcl.schema.manifest import Manifest
from ddcl.schema.recipes import Recipe
from ddcl.schema.registry import METHODS
from ddcl.schema.run_summary import RunSummary

CHECKPOINT = "checkpoint.pt"
OUTPUTS = (history.FILE, CHECKPOINT, run_summary.FILE)  # run.json, the last, holds the checksums of the others
FINISHED = "finished"  # folder below work


@dataclass(frozen=True)
class Options:
    """Options that do not change a run's results (except for rounding on another device).

    workers: processes that decode images, if the data set is stored as files.
    checkpoint_minutes: the most training time that can be lost if the process is killed.
    """

    device: str = "cpu"
    workers: int = 0
    checkpoint_minutes: float = MINUTES


def pretrain(recipe: Recipe, manifest_path: Path, folder: Path, code_digest: str, options: Options) -> RunSummary:
    """Train the run, write history.csv, checkpoint.pt and run.json below `folder`, and return the content of run.json.

    The state for resuming is kept in `folder`/work. When training is finished, the outputs are linked there too:
    Snakemake deletes the outputs of jobs that it did not see finish, and the links save training again. Two runs of one
    recipe on one machine give the same checkpoint, bit for bit on a CPU, interrupted or not. The caller holds the
    folder's lock.
    """
    with distributed.joined(recipe.training.processes, options.device):
        return _pretrain(recipe, manifest_path, folder, code_digest, options)


def _pretrain(recipe: Recipe, manifest_path: Path, folder: Path, code_digest: str, options: Options) -> RunSummary:
    work = folder / "work"
    manifest = read_manifest(manifest_path, recipe.dataset, recipe.data)
    identity = [recipe.digest, code_digest, manifest.seal]
    summary = distributed.from_first(lambda: _finished(work / FINISHED, identity))
    if summary is None:
        training = _training(recipe, (manifest_path, manifest), identity, options)
        training.run(work, options.checkpoint_minutes, _progress(training, recipe, work))
        summary = distributed.from_first(lambda: _write(training, recipe, work / FINISHED))
    if distributed.rank() == 0:
        for name in OUTPUTS:
            write_atomic(folder / name, partial(_link, work / FINISHED / name))
        for path in (*work.glob("*resume.*"), work / PROGRESS):
            path.unlink(missing_ok=True)
    return summary


def _training(recipe: Recipe, data: tuple[Path, Manifest], identity: list[str], options: Options) -> Pretraining:
    """Return the training that a recipe describes, not started yet. data: the manifest's path and content."""
    device, workers = options.device, options.workers
    manifest_path, manifest = data
    side_px, names = recipe.data.image_side_px, (recipe.dataset, recipe.seed)
    method, normalisation = build_method(recipe).to(device), normalisation_of(recipe, manifest)
    loader = None
    if recipe.encoder:
        load_given(method, recipe)
    if method.trains:
        images = read_images(
            manifest_path, manifest, METHODS[recipe.method].split, side_px, workers, exact=recipe.authors
        )
        pipeline = build_pipeline(recipe.ops, side_px, normalisation)
        batch_size = recipe.training.batch_size
        images = on_device(images, device)
        loader = TwoViewLoader(images, pipeline, batch_size, names, device, method.supervised, recipe.extras)
    labelled = read_images(manifest_path, manifest, "train", side_px, workers)
    monitor = Monitor(labelled, build_pipeline([], side_px, normalisation), recipe.training.monitor, names)
    return Pretraining(method, loader, monitor, recipe.training, identity, recipe.seed)


def _progress(training: Pretraining, recipe: Recipe, work: Path) -> Callable[[int], None]:
    """Return a callback that writes the run's progress; only the first process writes."""
    if distributed.rank():
        return lambda epoch: None
    steps = training.loader.steps if training.loader else 0
    return Progress(work, training.epochs, steps * recipe.training.batch_size)


def _write(training: Pretraining, recipe: Recipe, finished: Path) -> RunSummary:
    """Write the three outputs of a finished run to the folder `finished`, run.json last; return its content."""
    (finished / run_summary.FILE).unlink(missing_ok=True)
    recipe_digest, code_digest, manifest_seal = training.identity
    content = {
        "recipe_digest": recipe_digest,
        "code_digest": code_digest,
        "status": training.status,
        "message": training.message,
        "epochs": training.epoch,
        "run": recipe.name,
        "method": {name: value.cpu() for name, value in training.method.state_dict().items()},
    }
    history.write(finished / history.FILE, History.of(training.history))
    checkpoint_digest = save_checkpoint(finished / CHECKPOINT, content)
    summary = RunSummary(
        run=recipe.key,
        status=training.status,
        message=training.message,
        epochs=training.epoch,
        precision=training.precision,
        n_parameters=sum(p.numel() for p in training.method.parameters()),
        seconds=training.history[-1]["seconds"],
        history_sha256=file_sha256(finished / history.FILE),
        checkpoint_sha256=file_sha256(finished / CHECKPOINT),
        checkpoint_digest=checkpoint_digest,
        manifest_seal=manifest_seal,
        provenance=provenance(device_name(training.device.type), recipe_digest, code_digest),
    )
    sealed.write(finished / run_summary.FILE, summary)
    return summary


def _finished(finished: Path, identity: list[str]) -> RunSummary | None:
    """Return the content of run.json in the folder `finished`, if the run is complete and matches `identity`."""
    try:
        summary = run_summary.load(finished / run_summary.FILE)
        digests = [summary.provenance.recipe_digest, summary.provenance.code_digest, summary.manifest_seal]
        written = [summary.history_sha256, summary.checkpoint_sha256]
        if digests != identity or written != [file_sha256(finished / name) for name in (history.FILE, CHECKPOINT)]:
            return None
    except UserError:
        return None
    print(f"{finished}: this run is already finished; delete the folder to train it again")
    return summary


def _link(source: Path, target: Path) -> None:
    """Make `target` a hard link to `source` with the current time; copy it if links are not supported."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)
    os.utime(target)
