"""Preparing a data set: what its reader finds, checked, written to disk, and described by the manifest."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from tqdm import tqdm

from ddcl.base import sealed
from ddcl.base.errors import UserError
from ddcl.base.files import file_sha256, write_array, write_text
from ddcl.data.holdout import held_out
from ddcl.data.manifest import FOLDER, HASH_CHUNK_BYTES, array_sha256, split_path
from ddcl.data.readers.source import NO_LABEL, ArraySplit, FileSplit, Request
from ddcl.schema.manifest import Manifest, SplitEntry
from ddcl.schema.recipes import data_recipe, read_dataset, reader_settings
from ddcl.schema.registry import READERS
from ddcl.schema.suites import DatasetConfig, NormalisationConfig


def prepare(name: str, folder: Path, root: Path, download: bool = True) -> Manifest:
    """Read data set `name` below `root`, write its splits and manifest.json below `folder`; return the manifest.

    download: fetch it where that is possible and it is not there.
    The manifest holds, per split, n, n per class, and checksums: of the arrays, or of the list of the files with
    their sizes; and mean and standard deviation per channel, in [0, 1], that images are normalised with.
    """
    config, recipe = read_dataset(name), data_recipe(name)
    entry = READERS[config.reader]
    request = Request(
        dataset=name,
        root=root,
        side_px=config.image_side_px,
        settings=reader_settings(name, config),
        download=download,
        obtain=config.obtain,
    )
    splits: dict[str, ArraySplit | FileSplit] = entry.load()(request)
    if config.holdout:
        splits = held_out(name, splits, config.holdout)
    _check_counts(name, config, splits)
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    entries = {split: _write_split(folder, split, content, root) for split, content in splits.items()}
    manifest = Manifest(
        dataset=name,
        data=recipe,
        kind="files" if isinstance(splits["train"], FileSplit) else "arrays",
        splits=entries,
        normalisation=config.normalisation or _moments(name, splits["train"]),
    )
    path = folder / "manifest.json"
    if not path.is_file() or path.read_bytes() != sealed.text_of(manifest).encode():
        sealed.write(path, manifest)  # an equal one keeps its time: nothing that was made from it is made again
    return manifest


def _check_counts(name: str, config: DatasetConfig, splits: Mapping[str, ArraySplit | FileSplit]) -> None:
    """Raise `UserError` for labels or numbers of images that are not those of the data set's YAML."""
    for split, content in splits.items():
        known = content.labels[content.labels != NO_LABEL]
        classes = np.unique(known)
        if split != "pretrain" and len(known) != len(content.labels):
            raise UserError(
                f"data set {name}: {len(content.labels) - len(known)} images of split {split} have no label"
            )
        if not np.array_equal(classes, np.arange(config.n_classes)):
            missing = sorted(set(range(config.n_classes)) - set(classes.tolist()))
            seen = f"{len(classes)} classes, {missing[:5]} missing" if missing else f"labels up to {classes[-1]}"
            raise UserError(f"data set {name}: split {split} has {seen}; config/datasets says {config.n_classes}")
        wanted = config.n_images.get(split)
        if wanted is not None and wanted != len(content.labels):
            raise UserError(
                f"data set {name}: split {split} has {len(content.labels)} images; config/datasets says {wanted}: "
                "the copy is incomplete or another version"
            )


def _write_split(folder: Path, split: str, content: ArraySplit | FileSplit, root: Path) -> SplitEntry:
    """Write one split; return its entry in the manifest."""
    labels = np.asarray(content.labels, dtype=np.int64)
    write_array(split_path(folder, split, "labels"), labels)
    entry = SplitEntry(
        n=len(labels),
        n_per_class=tuple(np.bincount(labels[labels != NO_LABEL]).tolist()),
        labels_sha256=array_sha256(labels),
    )
    if isinstance(content, ArraySplit):
        write_array(split_path(folder, split, "images"), content.images)
        factors = _write_factors(folder, split, content)
        return entry.model_copy(update={"images_sha256": array_sha256(content.images)} | factors)
    sizes = _verify_files(root, content, split)
    text = "".join(f"{size}\t{name}\n" for name, size in zip(content.names, sizes, strict=True))
    path = split_path(folder, split, "files")
    write_text(path, text)
    return entry.model_copy(update={"files_sha256": file_sha256(path)})


def _write_factors(folder: Path, split: str, content: ArraySplit) -> dict[str, object]:
    """Write the true factors of a split, if they are known; return what the manifest says of them."""
    if not content.factors:
        return {}
    factors = np.stack(list(content.factors.values()), axis=1)  # [N, factors]
    write_array(split_path(folder, split, "factors"), factors)
    return {"factors": tuple(content.factors), "factors_sha256": array_sha256(factors)}


def _verify_files(root: Path, content: FileSplit, split: str) -> list[int]:
    """Return the size of each file after decoding it coarsely; all damaged ones stand in one `UserError`."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        checks = pool.map(lambda name: _check_file(root / name), content.names, chunksize=64)
        checked = list(tqdm(checks, total=len(content.names), unit="file", desc=f"check {split}", disable=None))
    bad = [problem for _, problem in checked if problem]
    if bad:
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise UserError(f"{len(bad)} damaged images in split {split}: {'; '.join(bad[:5])}{more}; get them again")
    return [size for size, _ in checked]


def _check_file(path: Path) -> tuple[int, str]:
    """Return a file's size in bytes, and what is wrong with it as an image, if anything."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            image.draft("RGB", (32, 32))  # JPEG: an eighth of the side, but every byte is read
            image.load()
        return path.stat().st_size, ""
    except Exception as error:  # PIL raises OSError, SyntaxError, ValueError, struct.error …
        return 0, f"{path} ({str(error).replace(str(path), '').strip()})"


def _moments(name: str, content: ArraySplit | FileSplit) -> NormalisationConfig:
    """Return mean and std per channel of the training images, in [0, 1], from exact integer sums."""
    if isinstance(content, FileSplit):
        raise UserError(f"data set {name}: images kept as files need `normalisation` in config/datasets/{name}.yaml")
    total, squares, n = np.zeros(3), np.zeros(3), content.images.size // 3
    for chunk in np.array_split(content.images, max(1, content.images.nbytes // HASH_CHUNK_BYTES)):
        pixels = chunk.astype(np.int64)
        total += pixels.sum(axis=(0, 2, 3))
        squares += (pixels**2).sum(axis=(0, 2, 3))
    mean = total / n
    std = np.sqrt(squares / n - mean**2)
    return NormalisationConfig(mean=(mean / 255).tolist(), std=(std / 255).tolist())
