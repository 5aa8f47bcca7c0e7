"""Extraction: the features of clean training images and of test images under every perturbation, once per run."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ddcl.base.errors import UserError
from ddcl.base.files import ArrayWriter, write_array, write_json
from ddcl.build import build_method, build_pipeline
from ddcl.core.checkpoint import load_checkpoint, weights_digest
from ddcl.core.method import Method
from ddcl.core.seeds import derive
from ddcl.data.images import Images, on_device
from ddcl.data.manifest import read_manifest
from ddcl.data.stored import read_images
from ddcl.evaluate.encode import Job, encode_chunks
from ddcl.evaluate.store import INDEX, SCHEMA, TRAIN, array_path, drawn, file_digest, labels_path
from ddcl.schema.recipes import PerturbationRecipe, Recipe, data_recipe


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
    (target.folder / INDEX).unlink(missing_ok=True)  # it says that the features are whole
    if content["status"] != "diverged":
        manifest = read_manifest(target.manifest_path, target.dataset, data_recipe(target.dataset).model_dump())
        before = weights_digest(method)
        for split, jobs in extraction_jobs(recipe, normalisation, target.dataset, perturbations).items():
            images = read_images(target.manifest_path, manifest, split, recipe.data.image_side_px, workers)
            labels = labels_path(target.folder, split)
            write_array(labels, images.labels.numpy())
            paths = {name: array_path(target.folder, name) for name in jobs}
            digests = _write_features(method, on_device(images, device), jobs, paths)
            index["sha256"] |= {path.name: digest for path, digest in zip(paths.values(), digests, strict=True)}
            index["sha256"][labels.name] = file_digest(labels)
            index["arrays"] += jobs
        if weights_digest(method) != before:
            raise RuntimeError(f"{recipe.name}: the frozen encoder changed during extraction (weights or BatchNorm)")
        index["encoder_digest"] = before
    write_json(target.folder / INDEX, index)


def _write_features(method: Method, images: Images, jobs: dict[str, Job], paths: dict[str, Path]) -> list[str]:
    """Write the features of all images under each job, float16, chunk by chunk; return the files' digests."""
    width = method.parts()["full"][1]
    with ExitStack() as stack:
        writers = [stack.enter_context(ArrayWriter(path, (len(images), width), "float16")) for path in paths.values()]
        for chunk in encode_chunks(method, images, list(jobs.values())):
            for (name, path), writer, features in zip(paths.items(), writers, chunk, strict=True):
                rows = features.half()
                if not torch.isfinite(rows).all():
                    raise UserError(f"{path}: features under {name!r} are not finite in float16")
                writer.write(rows.cpu().numpy())
    return [writer.digest for writer in writers]


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
