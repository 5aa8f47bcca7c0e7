"""Prepared data sets: their files, and the manifest that every later stage checks them against.

Small images become one array per split; large ones stay in their files, which are listed by name and digest.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddcl.base.errors import UserError
from ddcl.schema.manifest import Manifest, load
from ddcl.schema.recipes import DataRecipe, Recipe
from ddcl.schema.suites import NormalisationConfig

FOLDER = "splits"  # below the prepared data set's folder
HASH_CHUNK_BYTES = 2**26


def split_path(folder: Path, split: str, kind: str) -> Path:
    """Return where images, labels, groups, factors or files of a split lie below a prepared data set's folder."""
    return folder / FOLDER / f"{split}_{kind}.{'tsv' if kind == 'files' else 'npy'}"


def normalisation_of(recipe: Recipe, trained_on: Manifest) -> NormalisationConfig:
    """Return what an encoder's images are normalised with: as it was given, else as the data set it is trained on."""
    return (recipe.encoder and recipe.encoder.normalisation) or trained_on.normalisation


def array_sha256(array: NDArray[Any]) -> str:
    """Return the sha256 of an array's type, shape and content; a memory-mapped one is read piece by piece."""
    digest = hashlib.sha256(f"{array.dtype} {array.shape} ".encode())
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    for start in range(0, len(flat), HASH_CHUNK_BYTES):
        digest.update(flat[start : start + HASH_CHUNK_BYTES].tobytes())
    return digest.hexdigest()


def read_manifest(path: Path, dataset: str, data: DataRecipe) -> Manifest:
    """Read manifest.json; `UserError` unless it belongs to `dataset`, prepared with the recipe `data`."""
    manifest = load(path)
    prepared, wanted = (
        {"dataset": name, **recipe.model_dump(mode="json")}
        for name, recipe in ((manifest.dataset, manifest.data), (dataset, data))
    )
    for key, value in wanted.items():
        if prepared[key] != value:
            raise UserError(
                f"{path}: the manifest has {key} {prepared[key]!r}, the run needs {value!r}; run `ddcl prepare` again"
            )
    return manifest
