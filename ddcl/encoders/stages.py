"""The stages of an arm of externally computed features: they replace training and extraction.

They write the files of any run, from the converted features instead of images, so that all later stages treat the arm
like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddcl.base import sealed
from ddcl.base.errors import UserError
from ddcl.base.files import damage_named, file_sha256, write_array
from ddcl.base.folders import replace_folder, temporary_folder
from ddcl.base.provenance import provenance
from ddcl.core.checkpoint import save_checkpoint
from ddcl.core.losses import effective_rank
from ddcl.core.seeds import derive, generator
from ddcl.data.groups import leading_groups
from ddcl.data.images import Images
from ddcl.data.manifest import read_manifest
from ddcl.data.stored import read_factors, read_images
from ddcl.evaluate import factors
from ddcl.evaluate.features import Target
from ddcl.evaluate.geometry import geometry
from ddcl.evaluate.neighbours import knn_predict
from ddcl.evaluate.protocols import Job
from ddcl.evaluate.store import Address, FeatureTask, Measured
from ddcl.plan.digests import extract_digest
from ddcl.schema import feature_index, history, run_summary
from ddcl.schema.encoders import missing_weights, path_of, read_encoder
from ddcl.schema.evaluations import DiagnosticsSettings, FactorsSettings
from ddcl.schema.feature_index import CLEAN_DRAW, Draw, DrawFile, DrawnFiles, FeatureIndex, SplitFiles, StoredFile
from ddcl.schema.history import History
from ddcl.schema.manifest import Manifest
from ddcl.schema.names import CLEAN
from ddcl.schema.op_recipes import PerturbationRecipe
from ddcl.schema.recipes import Recipe, data_recipe
from ddcl.schema.registry import EVALUATIONS, METHODS, EvaluationEntry, protocol_of
from ddcl.schema.run_summary import RunSummary

CHECKPOINT = "checkpoint.pt"


def stored(recipe: Recipe) -> dict[str, Tensor]:
    """Return the converted features of an arm: train, test, perturbed.<name> [draws, N, D], and views [V, N, D]."""
    from safetensors.torch import load_file

    name, expected = recipe.variant, recipe.encoder.sha256 if recipe.encoder else ""
    config, advice = read_encoder(name), f"`ddcl encoder add {name} --features …` makes it"
    path = path_of(config, name)
    with damage_named(path, f"features of encoder {name}", advice):
        if path.exists() and file_sha256(path) != expected:
            raise UserError(missing_weights(name) or f"{path}: not the features of this recipe; {advice}")
        return load_file(path)


def pretrain(recipe: Recipe, manifest_path: Path, folder: Path, code_digest: str) -> RunSummary:
    """Write history.csv, checkpoint.pt and run.json of an arm of features, and return the content of run.json.

    The history has one row, the values of the training monitor before the first epoch; the checkpoint names the
    features and holds no weights.
    """
    manifest = read_manifest(manifest_path, recipe.dataset, recipe.data)
    features = stored(recipe)
    images = read_images(manifest_path, manifest, "train", recipe.data.image_side_px)
    _check_rows(recipe, features, images)
    content = {"recipe_digest": recipe.digest, "code_digest": code_digest, "status": "ok", "message": "", "epochs": 0}
    content |= {"run": recipe.name, "method": {}, "features": recipe.network.model_dump()}
    measured = {"epoch": 0, "seconds": 0.0, **_monitor(recipe, features, images)}
    history.write(folder / history.FILE, History.of([measured]))
    checkpoint_digest = save_checkpoint(folder / CHECKPOINT, content)
    summary = RunSummary(
        run=recipe.key,
        status="ok",
        message="",
        epochs=0,
        precision="fp32",
        n_parameters=0,
        seconds=0.0,
        history_sha256=file_sha256(folder / history.FILE),
        checkpoint_sha256=file_sha256(folder / CHECKPOINT),
        checkpoint_digest=checkpoint_digest,
        manifest_seal=manifest.seal,
        provenance=provenance("cpu", recipe.digest, code_digest),
    )
    sealed.write(folder / run_summary.FILE, summary)
    return summary


def _check_rows(recipe: Recipe, features: Mapping[str, Tensor], images: Images) -> None:
    if len(features["train"]) != len(images):
        raise UserError(
            f"encoder {recipe.variant}: features of {len(features['train'])} training images, but {recipe.dataset} has "
            f"{len(images)}; add features of these images with `ddcl encoder add`"
        )


def _monitor(recipe: Recipe, features: Mapping[str, Tensor], images: Images) -> dict[str, float]:
    """Return the values of `ddcl.evaluate.monitor`, measured on the same images."""
    config = recipe.training.monitor
    names = (recipe.dataset, recipe.seed, "monitor")
    order = torch.randperm(len(images), generator=generator(*names))[: config.max_images]
    order, n = leading_groups(images.groups, order, max(1, round(config.holdout_frac * len(order))))
    h, labels = features["train"][order], images.labels[order]
    (predicted,) = knn_predict((h[n:], labels[n:]), h[:n], [config.k], config.temperature)
    return {"knn_top1": float((predicted == labels[:n]).float().mean()), "effective_rank": float(effective_rank(h[:n]))}


def extract(
    recipe: Recipe,
    run: Path,
    trained_on: Manifest,
    target: Target,
    perturbations: list[PerturbationRecipe],
) -> None:
    """Write the features of an arm in the format of any run, replacing existing ones when all are written.

    run: the folder of the run. trained_on: the manifest of its data set, which is that of the features.
    """
    features = stored(recipe)
    summary = run_summary.load(run / run_summary.FILE)
    manifest = read_manifest(target.manifest_path, target.dataset, data_recipe(target.dataset))
    arrays = {"train": features["train"], **{_file(draw): own for draw, own in _draws(features, perturbations).items()}}
    with temporary_folder(target.folder) as folder:
        files = {name: _written(folder / f"{name}.npy", own.half()) for name, own in arrays.items()}
        known = {split: _known(target, manifest, split, folder) for split in ("train", "test")}
        tests = (
            DrawFile(perturbation=draw.perturbation, draw=draw.draw, **files[_file(draw)].model_dump())
            for draw in _draws(features, perturbations)
        )
        index = FeatureIndex(
            run=recipe.key,
            digest=target.digest,
            eval_dataset=target.dataset,
            status=summary.status,
            parts=parts_of(recipe),
            recipe_digest=recipe.digest,
            checkpoint_digest=summary.checkpoint_digest,
            code_digest=extract_digest(recipe.method, [item.op for each in perturbations for item in each.ops]),
            encoder_digest=None,
            trained_on_seal=trained_on.seal,
            evaluated_on_seal=manifest.seal,
            train=SplitFiles(features=files["train"], **known["train"]),
            test=DrawnFiles(features=tuple(tests), **known["test"]),
        )
        sealed.write(folder / feature_index.FILE, index)
        replace_folder(target.folder, folder)


def _file(draw: Draw) -> str:
    return f"test_{draw.perturbation}-{draw.draw}"


def _draws(features: Mapping[str, Tensor], perturbations: list[PerturbationRecipe]) -> dict[Draw, Tensor]:
    """Return the features [N, D] of the test images under each draw."""
    draws: dict[Draw, Tensor] = {}
    for item in perturbations:
        own = features["test"][None] if item.perturbation == CLEAN else features[f"perturbed.{item.perturbation}"]
        draws |= {Draw(item.perturbation, draw): own[draw] for draw in range(item.draws)}
    return draws


def _written(path: Path, values: Tensor) -> StoredFile:
    write_array(path, values.numpy())
    return StoredFile(file=path.name, sha256=file_sha256(path))


def _known(target: Target, manifest: Manifest, split: str, folder: Path) -> dict[str, Any]:
    """Write labels and, where there are any, groups of a split; return their entries in the index."""
    images = read_images(target.manifest_path, manifest, split, manifest.data.image_side_px)
    arrays = {"labels": images.labels} | ({} if images.groups is None else {"groups": images.groups})
    return {name: _written(folder / f"{split}_{name}.npy", own) for name, own in arrays.items()}


def parts_of(recipe: Recipe) -> dict[str, tuple[int, int]]:
    """Return the columns of each part of an arm's features."""
    width, dir_width = recipe.network.feature_dim, recipe.settings.get("dir_width", 0)
    columns = {"full": (0, width), "dir": (0, dir_width), "dvr": (dir_width, width)}
    return {name: columns[name] for name in METHODS[recipe.method].parts}


class OfFeatures(Job):
    """An evaluation of an arm of features by a protocol that uses images for all other arms."""

    @property
    def entry(self) -> EvaluationEntry:
        """What the protocol can measure of features alone."""
        protocol = self.evaluation.protocol
        own = protocol_of(self.recipe.method, protocol)
        if own is None:
            raise UserError(f"{self.recipe.name}: {protocol} needs the network, but only its features are available")
        if EVALUATIONS[protocol].inputs == own.inputs:
            return own
        measure = MEASURES[protocol]
        return _Loaded(**vars(own), evaluate=lambda task, settings: measure(self, task, settings))


@dataclass(frozen=True)
class _Loaded(EvaluationEntry):
    """An entry with a given function."""

    evaluate: Callable[[FeatureTask, Any], Measured] | None = None

    def load(self) -> Any:
        """Return the function."""
        return self.evaluate


def _geometry(job: Job, task: FeatureTask, settings: DiagnosticsSettings) -> Measured:
    """Measure the geometry of features, and their invariance if there are views, on the images of the diagnostics.

    There are no readouts, because the distortion of an image is not known for externally computed features.
    """
    test, recipe = task.tests[CLEAN_DRAW].features, job.recipe
    names = (job.dataset, recipe.seed, "diagnostics", "test", "images")
    order = torch.randperm(len(test), generator=generator(*names))
    index = order[: settings.max_test_images].sort().values
    h = torch.from_numpy(test[index.numpy()]).float()
    views = stored(recipe).get("views")
    measured = geometry(h, None if views is None else views[:, index], [{}, {}], task.sets)
    values: dict[Address, NDArray[np.floating]] = {
        (CLEAN, *place): scores[:, None] for place, scores in measured.items()
    }
    return Measured(values, len(index), {"images": index.numpy().astype(np.int32)})


def _factors(job: Job, task: FeatureTask, settings: FactorsSettings) -> Measured:
    """Measure how well the true factors of the data set's images are read from their features."""
    manifest = read_manifest(job.data[1], job.dataset, data_recipe(job.dataset))
    train, test = (
        factors.Known(
            torch.from_numpy(np.array(own.features)).float(),
            None if own.groups is None else torch.from_numpy(own.groups),
            read_factors(job.data[1], manifest, split),
        )
        for split, own in (("train", task.train), ("test", task.tests[CLEAN_DRAW]))
    )
    return factors.read_all(train, test, task.sets, settings, derive(job.dataset, job.recipe.seed, "factors"))


MEASURES: dict[str, Callable[[Job, FeatureTask, Any], Measured]] = {"diagnostics": _geometry, "factors": _factors}
