"""Images and true factors of a prepared data set, as later stages read them: checked against the manifest."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from ddcl.base.errors import UserError
from ddcl.data.files import FileImages
from ddcl.data.images import ArrayImages, Images
from ddcl.data.manifest import array_sha256, split_path
from ddcl.plan.datasets import data_root
from ddcl.schema.manifest import Manifest


def read_images(
    path: Path, manifest: Manifest, split: str, side_px: int, workers: int = 0, exact: bool = False
) -> Images:
    """Return the images of a split, as an encoder of `side_px` sees them.

    path: of manifest.json. `pretrain` means `train` if the data set has no separate images for pretraining.
    workers: processes that decode files. exact: never at a reduced resolution.
    """
    if split == "pretrain" and split not in manifest.splits:
        split = "train"
    if split not in manifest.splits:
        raise UserError(f"{path}: no split {split!r}; there are {', '.join(manifest.splits)}")
    labels = torch.from_numpy(_read_array(path, manifest, split, "labels"))
    grouped = manifest.splits[split].groups_sha256 is not None
    groups = torch.from_numpy(_read_array(path, manifest, split, "groups")) if grouped else None
    if manifest.kind == "arrays":
        return ArrayImages(torch.from_numpy(_read_array(path, manifest, split, "images")), labels, side_px, groups)
    names, digests = _read_files(path, manifest, split)
    data = manifest.data
    # the central crop keeps the same share of the shorter side as in the data set's YAML
    resize_px = round((data.resize_px or data.image_side_px) * side_px / data.image_side_px)
    return FileImages(data_root(), names, digests, labels, side_px, resize_px, data.background, workers, exact, groups)


def read_factors(path: Path, manifest: Manifest, split: str) -> dict[str, NDArray[np.float64]]:
    """Return the true factors [N] of a split's images by name; empty if they are not known.

    path: of manifest.json.
    """
    names = manifest.splits[split].factors
    return dict(zip(names, _read_array(path, manifest, split, "factors").T, strict=True)) if names else {}


def _read_array(
    path: Path, manifest: Manifest, split: str, kind: Literal["images", "labels", "factors", "groups"]
) -> NDArray[Any]:
    """Return an array of a split, memory-mapped (changes stay in memory), checked against the manifest."""
    entry, file = manifest.splits[split], split_path(path.parent, split, kind)
    try:
        array: NDArray[Any] = np.load(file, mmap_mode="c")
    except FileNotFoundError:
        raise UserError(_no_images(file, path, manifest)) from None
    except Exception as error:  # for a damaged header, numpy raises almost anything: TokenError, MemoryError …
        raise UserError(f"{file}: damaged array ({' '.join(str(error).split())}); run `ddcl prepare` again") from None
    digest = array_sha256(array)
    expected = getattr(entry, f"{kind}_sha256")
    if len(array) != entry.n or digest != expected:
        raise UserError(
            f"{file}: does not match {path.name} ({len(array)} items, {entry.n} expected; sha256 "
            f"{digest[:12]}…, {(expected or 'none')[:12]}… expected); run `ddcl prepare` again"
        )
    return array


def _no_images(file: Path, path: Path, manifest: Manifest) -> str:
    """Return the message on a data set whose manifest, at `path`, is here without its images."""
    results = path.parent.parent.parent
    option = "" if results == Path("results") else f" --results {shlex.quote(str(results))}"
    return (
        f"{file}: missing; the manifest is here without its images, as after `ddcl import`; "
        f"run `ddcl prepare {manifest.dataset}{option}` to create them, then the same command again"
    )


def _read_files(path: Path, manifest: Manifest, split: str) -> tuple[list[str], list[str]]:
    """Return names and digests of a split's files, checked against the manifest; a file is checked when it is read."""
    file = split_path(path.parent, split, "files")
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        raise UserError(_no_images(file, path, manifest)) from None
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); run `ddcl prepare` again") from None
    if hashlib.sha256(content).hexdigest() != manifest.splits[split].files_sha256:
        raise UserError(f"{file}: does not match {path.name}; run `ddcl prepare` again")
    lines = [line.split("\t", 1) for line in content.decode("utf-8").split("\n")[:-1]]
    return [name for _, name in lines], [digest for digest, _ in lines]
