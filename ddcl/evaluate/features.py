"""Extraction: the features of clean training images and of test images under every perturbation, once per run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ddcl.build import build_method, build_pipeline
from ddcl.core.checkpoint import load_checkpoint, weights_digest
from ddcl.core.errors import UserError
from ddcl.core.files import write_array, write_json
from ddcl.core.method import Method
from ddcl.core.seeds import derive
from ddcl.data.manifest import read_images, read_manifest
from ddcl.evaluate.encode import Job, encode
from ddcl.evaluate.store import INDEX, SCHEMA, TRAIN, array_path, drawn, file_digest, labels_path
from ddcl.recipes import PerturbationRecipe, Recipe, data_recipe


def load_frozen(path: Path, recipe: Recipe, device: str) -> tuple[Method, dict[str, Any], str]:
    """Return the run's method with the checkpoint's weights, the checkpoint's content without weights, its digest."""
    content, digest = load_checkpoint(path)
    if content["recipe_digest"] != recipe.digest:
        raise UserError(
            f"{path}: checkpoint of recipe {content['recipe_digest']}, but the run {recipe.name} has {recipe.digest}; "
            "run `ddcl pretrain` again"
        )
    method = build_method(recipe)
    method.load_state_dict(content.pop("method"), strict=True)
    return method.to(device).requires_grad_(False), content, digest


@dataclass(frozen=True)
class Target:
    """The data set that features are extracted of: its name, prepared data, and where the features go."""

    dataset: str
    manifest_path: Path
    folder: Path


def extract(
    recipe: Recipe,
    run: Path,
    normalisation: dict[str, Any],
    target: Target,
    perturbations: Sequence[PerturbationRecipe],
    options: tuple[str, int],
) -> None:
    """Write the features of the run in folder `run` on `target`. A diverged run has none; the index says so.

    normalisation: the manifest of the data set that the run was trained on: the encoder sees its mean and std.
    options: device, and processes that decode images.
    """
    device, workers = options
    method, content, digest = load_frozen(run / "checkpoint.pt", recipe, device)
    index: dict[str, Any] = {
        "schema": SCHEMA,
        "run": recipe.name,
        "eval_dataset": target.dataset,
        "recipe_digest": recipe.digest,
        "checkpoint_digest": digest,
        "status": content["status"],
        "parts": method.parts(),
        "arrays": [],
        "sha256": {},
    }
    target.folder.mkdir(parents=True, exist_ok=True)
    if content["status"] != "diverged":
        manifest = read_manifest(target.manifest_path, target.dataset, data_recipe(target.dataset).model_dump())
        before = weights_digest(method)
        for split, jobs in extraction_jobs(recipe, normalisation, target.dataset, perturbations).items():
            images = read_images(target.manifest_path, manifest, split, recipe.data.image_side_px, workers)
            write_array(labels_path(target.folder, split), images.labels.numpy())
            for name, features in zip(jobs, encode(method, images, list(jobs.values()), torch.float16), strict=True):
                _write_features(target.folder, recipe, name, features)
                index["arrays"].append(name)
        if weights_digest(method) != before:
            raise RuntimeError(f"{recipe.name}: the frozen encoder changed during extraction (weights or BatchNorm)")
        index["encoder_digest"] = before
        index["sha256"] = {path.name: file_digest(path) for path in sorted(target.folder.glob("*.npy"))}
    write_json(target.folder / INDEX, index)


def extraction_jobs(
    recipe: Recipe, normalisation: dict[str, Any], dataset: str, perturbations: Sequence[PerturbationRecipe]
) -> dict[str, dict[str, Job]]:
    """Return, per split, what to encode its images with, by the name of the features."""
    side_px = recipe.data.image_side_px
    jobs: dict[str, dict[str, Job]] = {TRAIN: {TRAIN: (build_pipeline([], side_px, normalisation), 0, 0)}, "test": {}}
    for item in perturbations:
        pipeline = build_pipeline(item.ops, side_px, normalisation)
        # not the method and not the augmentation: every method sees the same perturbed images
        stream = derive(dataset, recipe.seed, "perturb", item.perturbation)
        jobs["test"] |= {drawn(item.perturbation, draw): (pipeline, stream, draw) for draw in range(item.draws)}
    return jobs


def _write_features(folder: Path, recipe: Recipe, name: str, features: Tensor) -> None:
    if not torch.isfinite(features).all():
        raise UserError(f"{recipe.name}: features under {name!r} are not finite in float16")
    write_array(array_path(folder, name), features.numpy())
