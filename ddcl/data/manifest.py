"""Prepared data sets: arrays on disk, and the manifest that every later stage checks them against."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddcl.core.errors import UserError
from ddcl.core.files import read_json, write_array, write_json
from ddcl.recipes import read_dataset
from ddcl.registry import READERS

SCHEMA = 1


def array_path(folder: Path, split: str, kind: str) -> Path:
    """Return where `kind` ("images" or "labels") of a split lies below a prepared data set's folder."""
    return folder / "arrays" / f"{split}_{kind}.npy"


def _sha256(array: NDArray[Any]) -> str:
    header = f"{array.dtype} {array.shape} ".encode()
    return hashlib.sha256(header + np.ascontiguousarray(array).tobytes()).hexdigest()


def prepare(name: str, folder: Path) -> dict[str, Any]:
    """Read data set `name`, write its arrays and manifest.json below `folder`, and return the manifest.

    The manifest holds, per split, n, n per class and the sha256 of images and labels, and the training split's mean
    and standard deviation per channel, in [0, 1], that images are normalised with.
    """
    config = read_dataset(name)
    splits = READERS[config.reader].load()(config.image_side_px)
    shutil.rmtree(folder / "arrays", ignore_errors=True)
    entries: dict[str, Any] = {}
    for split, (images, labels) in splits.items():
        for kind, array in (("images", images), ("labels", labels)):
            write_array(array_path(folder, split, kind), array)
        entries[split] = {
            "n": len(labels),
            "n_per_class": np.bincount(labels).tolist(),
            "images_sha256": _sha256(images),
            "labels_sha256": _sha256(labels),
        }
    pixels = splits["train"][0].astype(np.float64) / 255
    manifest = {
        "schema": SCHEMA,
        "dataset": name,
        "reader": config.reader,
        "image_side_px": config.image_side_px,
        "splits": entries,
        "mean": pixels.mean(axis=(0, 2, 3)).tolist(),
        "std": pixels.std(axis=(0, 2, 3)).tolist(),
    }
    write_json(folder / "manifest.json", manifest)
    return manifest


def read_manifest(path: Path, dataset: str, image_side_px: int) -> dict[str, Any]:
    """Read manifest.json; `UserError` unless it is that of `dataset` at this side."""
    manifest: dict[str, Any] = read_json(path, "manifest; `ddcl prepare` makes it")
    if manifest.get("schema") != SCHEMA:
        raise UserError(
            f"{path}: manifest schema {manifest.get('schema')!r}, expected {SCHEMA}; run `ddcl prepare` again"
        )
    found = (manifest["dataset"], manifest["image_side_px"])
    if found != (dataset, image_side_px):
        raise UserError(
            f"{path}: the manifest is of {found[0]} at {found[1]} px, the run needs {dataset} at {image_side_px} px; "
            "run `ddcl prepare` again"
        )
    return manifest


def read_split(path: Path, manifest: dict[str, Any], split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images [N, 3, S, S] and labels [N] of a split, checked against the manifest at `path`."""
    if split not in manifest["splits"]:
        raise UserError(f"{path}: no split {split!r}; there are {', '.join(manifest['splits'])}")
    entry = manifest["splits"][split]
    arrays = []
    for kind in ("images", "labels"):
        file = array_path(path.parent, split, kind)
        try:
            array = np.load(file)
        except FileNotFoundError:
            raise UserError(f"{file}: missing; run `ddcl prepare` again") from None
        except (OSError, ValueError, EOFError) as error:
            raise UserError(f"{file}: damaged array ({error}); run `ddcl prepare` again") from None
        if len(array) != entry["n"] or _sha256(array) != entry[f"{kind}_sha256"]:
            raise UserError(
                f"{file}: does not match {path.name} ({len(array)} items, {entry['n']} expected; sha256 "
                f"{_sha256(array)[:12]}…, {entry[f'{kind}_sha256'][:12]}… expected); run `ddcl prepare` again"
            )
        arrays.append(array)
    return arrays[0], arrays[1]
