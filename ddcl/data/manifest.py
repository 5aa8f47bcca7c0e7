"""Prepared data sets: what lies on disk, and the manifest that every later stage checks it against.

Small images become one array per split; large ones stay files, of which names and sizes are kept.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ddcl.base.errors import UserError
from ddcl.base.files import read_json
from ddcl.data.files import FileImages
from ddcl.data.images import ArrayImages, Images
from ddcl.plan.datasets import data_root

SCHEMA = 2
FOLDER = "splits"  # below the prepared data set's folder
HASH_CHUNK_BYTES = 2**26


def split_path(folder: Path, split: str, kind: str) -> Path:
    """Return where `kind` (images, labels, factors or files) of a split lies below a prepared data set's folder."""
    return folder / FOLDER / f"{split}_{kind}.{'tsv' if kind == 'files' else 'npy'}"


def array_sha256(array: NDArray[Any]) -> str:
    """Return the sha256 of an array's type, shape and content; a memory-mapped one is read piece by piece."""
    digest = hashlib.sha256(f"{array.dtype} {array.shape} ".encode())
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    for start in range(0, len(flat), HASH_CHUNK_BYTES):
        digest.update(flat[start : start + HASH_CHUNK_BYTES].tobytes())
    return digest.hexdigest()


def files_sha256(names: Any, sizes: Any) -> str:
    """Return the sha256 of the sorted names and sizes: the same wherever the files lie and however they are listed."""
    lines = sorted(f"{name}\t{size}\n" for name, size in zip(names, sizes, strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def read_manifest(path: Path, dataset: str, data: dict[str, Any]) -> dict[str, Any]:
    """Read manifest.json; `UserError` unless it is that of `dataset`, prepared as the recipe `data` says."""
    manifest: dict[str, Any] = read_json(path, "manifest; `ddcl prepare` makes it")
    if manifest.get("schema") != SCHEMA:
        raise UserError(
            f"{path}: manifest schema {manifest.get('schema')!r}, expected {SCHEMA}; run `ddcl prepare` again"
        )
    found = {"dataset": manifest["dataset"], **manifest["data"]}
    for key, value in {"dataset": dataset, **data}.items():
        if found.get(key) != value:
            raise UserError(
                f"{path}: the manifest has {key} {found.get(key)!r}, the run needs {value!r}; run `ddcl prepare` again"
            )
    return manifest


def read_images(
    path: Path, manifest: dict[str, Any], split: str, side_px: int, workers: int = 0, exact: bool = False
) -> Images:
    """Return the images of a split, as an encoder of `side_px` sees them.

    path: of manifest.json. `pretrain` is `train` where the data set has no images of its own for it.
    workers: processes that decode files. exact: never at a reduced resolution.
    """
    if split == "pretrain" and split not in manifest["splits"]:
        split = "train"
    if split not in manifest["splits"]:
        raise UserError(f"{path}: no split {split!r}; there are {', '.join(manifest['splits'])}")
    labels = torch.from_numpy(_read_array(path, manifest, split, "labels"))
    if manifest["kind"] == "arrays":
        return ArrayImages(torch.from_numpy(_read_array(path, manifest, split, "images")), labels, side_px)
    names, sizes = _read_files(path, manifest, split)
    data = manifest["data"]
    # the share of the shorter side that the central crop keeps stays that of the data set's YAML
    resize_px = round((data["resize_px"] or data["image_side_px"]) * side_px / data["image_side_px"])
    return FileImages(data_root(), names, sizes, labels, side_px, resize_px, workers, exact)


def read_factors(path: Path, manifest: dict[str, Any], split: str) -> dict[str, NDArray[np.float64]]:
    """Return the true factors [N] of a split's images by name; none, where they are not known.

    path: of manifest.json.
    """
    names = manifest["splits"][split].get("factors", [])
    return dict(zip(names, _read_array(path, manifest, split, "factors").T, strict=True)) if names else {}


def _read_array(path: Path, manifest: dict[str, Any], split: str, kind: str) -> NDArray[Any]:
    """Return an array of a split, memory-mapped (changes stay in memory), checked against the manifest."""
    entry, file = manifest["splits"][split], split_path(path.parent, split, kind)
    try:
        array: NDArray[Any] = np.load(file, mmap_mode="c")
    except FileNotFoundError:
        raise UserError(f"{file}: missing; run `ddcl prepare` again") from None
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{file}: damaged array ({error}); run `ddcl prepare` again") from None
    found = array_sha256(array)
    if len(array) != entry["n"] or found != entry[f"{kind}_sha256"]:
        raise UserError(
            f"{file}: does not match {path.name} ({len(array)} items, {entry['n']} expected; sha256 "
            f"{found[:12]}…, {entry[f'{kind}_sha256'][:12]}… expected); run `ddcl prepare` again"
        )
    return array


def _read_files(path: Path, manifest: dict[str, Any], split: str) -> tuple[list[str], list[int]]:
    """Return names and sizes of a split's files, checked against the manifest; each file is checked when it is read."""
    file = split_path(path.parent, split, "files")
    try:
        lines = [line.split("\t", 1) for line in file.read_text(encoding="utf-8").splitlines()]
        sizes, names = [int(line[0]) for line in lines], [line[1] for line in lines]
    except FileNotFoundError:
        raise UserError(f"{file}: missing; run `ddcl prepare` again") from None
    except (OSError, ValueError, IndexError) as error:
        raise UserError(f"{file}: damaged list of files ({error}); run `ddcl prepare` again") from None
    if files_sha256(names, sizes) != manifest["splits"][split]["files_sha256"]:
        raise UserError(f"{file}: does not match {path.name}; run `ddcl prepare` again")
    return names, sizes
