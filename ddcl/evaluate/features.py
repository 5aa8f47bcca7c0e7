"""Extraction: the features of clean training images and of test images under every perturbation, once per run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ddcl.build import build_method, build_pipeline
from ddcl.core.checkpoint import load_checkpoint, weights_digest
from ddcl.core.errors import UserError
from ddcl.core.files import write_array, write_json
from ddcl.core.method import Method
from ddcl.core.seeds import derive
from ddcl.data.manifest import read_manifest, read_split
from ddcl.evaluate.encode import encode
from ddcl.evaluate.store import FOLDER, INDEX, SCHEMA, TRAIN, array_path, file_digest, labels_path
from ddcl.recipes import PerturbationRecipe, Recipe


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


def extract(
    recipe: Recipe, run: Path, manifest_path: Path, perturbations: Sequence[PerturbationRecipe], device: str
) -> None:
    """Write the features of the run in folder `run` to `run`/features. A diverged run has none; the index says so."""
    method, content, digest = load_frozen(run / "checkpoint.pt", recipe, device)
    folder = run / FOLDER
    manifest = read_manifest(manifest_path, recipe.dataset, recipe.image_side_px)
    index: dict[str, Any] = {
        "schema": SCHEMA,
        "run": recipe.name,
        "recipe_digest": recipe.digest,
        "checkpoint_digest": digest,
        "status": content["status"],
        "parts": method.parts(),
        "arrays": [],
        "sha256": {},
    }
    folder.mkdir(parents=True, exist_ok=True)
    if content["status"] != "diverged":
        before = weights_digest(method)
        _extract_all(method, recipe, (manifest_path, manifest), perturbations, folder)
        if weights_digest(method) != before:
            raise RuntimeError(f"{recipe.name}: the frozen encoder changed during extraction (weights or BatchNorm)")
        index["encoder_digest"] = before
        index["arrays"] = [TRAIN, *(item.perturbation for item in perturbations)]
        index["sha256"] = {path.name: file_digest(path) for path in sorted(folder.glob("*.npy"))}
    write_json(folder / INDEX, index)


def _extract_all(
    method: Method,
    recipe: Recipe,
    data: tuple[Path, dict[str, Any]],
    perturbations: Sequence[PerturbationRecipe],
    folder: Path,
) -> None:
    path, manifest = data
    clean = PerturbationRecipe(perturbation=TRAIN, ops=[])
    for split, items in ((TRAIN, [clean]), ("test", list(perturbations))):
        images, labels = read_split(path, manifest, split)
        tensor = torch.from_numpy(images)
        write_array(labels_path(folder, split), labels)
        for item in items:
            pipeline = build_pipeline(item.ops, recipe.image_side_px, manifest)
            # not the method and not the augmentation: every method sees the same perturbed images
            stream = derive(recipe.dataset, recipe.seed, "perturb", item.perturbation)
            features = encode(method, tensor, pipeline, stream).to(torch.float16).numpy()
            if not np.isfinite(features).all():
                raise UserError(f"{recipe.name}: features under {item.perturbation!r} are not finite in float16")
            write_array(array_path(folder, item.perturbation), features)
