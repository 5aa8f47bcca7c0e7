"""Prepares a data set: reads it, checks it, writes it to disk, and describes it in a manifest."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ddcl.base import sealed
from ddcl.base.errors import UserError
from ddcl.base.files import file_sha256, write_array, write_text
from ddcl.data.checked import Checked, check_arrays, check_files
from ddcl.data.groups import FEWEST
from ddcl.data.holdout import held_out
from ddcl.data.manifest import FOLDER, array_sha256, split_path
from ddcl.data.readers.folders import check_classes, in_words
from ddcl.data.readers.source import NO_LABEL, ArraySplit, FileSplit, Request
from ddcl.schema.manifest import Manifest, SplitEntry
from ddcl.schema.recipes import DataRecipe, data_recipe, read_dataset, reader_settings
from ddcl.schema.registry import READERS
from ddcl.schema.suites import DatasetConfig

CLASSES_SHOWN = 50  # by name


def prepare(name: str, folder: Path, root: Path, download: bool = True) -> Manifest:
    """Read data set `name` below `root`, write its splits and manifest.json below `folder`; return the manifest.

    download: fetch it if it is missing and can be downloaded.
    The manifest holds, per split, n, n per class, and checksums: of the arrays, or of the list of files with their
    digests. It also holds the mean and standard deviation per channel, in [0, 1], for normalisation.
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
        background=config.background,
    )
    splits: dict[str, ArraySplit | FileSplit] = entry.load()(request)
    if config.holdout:
        splits = held_out(name, splits, config.holdout)
    _check_counts(name, config, splits)
    shutil.rmtree(folder / FOLDER, ignore_errors=True)
    checked = {split: _check(recipe, split, content, root) for split, content in splits.items()}
    entries = {split: _write_split(folder, split, content, checked[split]) for split, content in splits.items()}
    known = set(checked["train"].digests)
    shared = sum(digest in known for digest in checked["test"].digests)
    entries["test"] = entries["test"].model_copy(update={"n_in_train": shared})
    manifest = Manifest(
        dataset=name,
        data=recipe,
        kind="arrays" if entries["train"].images_sha256 else "files",
        splits=entries,
        normalisation=config.normalisation or checked["train"].sums.normalisation(name),
    )
    path = folder / "manifest.json"
    if not path.is_file() or path.read_bytes() != sealed.text_of(manifest).encode():
        sealed.write(path, manifest)  # an equal file keeps its time, so that nothing made from it is made again
    return manifest


def _check_counts(name: str, config: DatasetConfig, splits: Mapping[str, ArraySplit | FileSplit]) -> None:
    """Raise `UserError` if labels or numbers of images do not match the data set's YAML."""
    expected = {str(split): n for split, n in config.n_images.items()}
    groups = {str(split): n for split, n in config.n_groups.items()}
    if more := expected.keys() - splits.keys():
        raise UserError(
            f"data set {name}: config/datasets gives n_images for {', '.join(more)}, but it has no such split"
        )
    for split, content in splits.items():
        known = content.labels[content.labels != NO_LABEL]
        classes = np.unique(known)
        if isinstance(content, FileSplit) and content.classes:
            check_classes(name, list(content.classes), config.n_classes)
        if split != "pretrain" and len(known) != len(content.labels):
            raise UserError(
                f"data set {name}: {len(content.labels) - len(known)} images of split {split} have no label"
            )
        if not np.array_equal(classes, np.arange(config.n_classes)):
            missing = sorted(set(range(config.n_classes)) - set(classes.tolist()))
            seen = f"{len(classes)} classes, {missing[:5]} missing" if missing else f"labels up to {classes[-1]}"
            raise UserError(f"data set {name}: split {split} has {seen}; config/datasets says {config.n_classes}")
        _check_groups(name, split, content, groups.get(split))
        wanted = expected.get(split)
        if wanted is not None and wanted != len(content.labels):
            raise UserError(
                f"data set {name}: split {split} has {len(content.labels)} images; config/datasets says {wanted}: "
                "the copy is incomplete or another version"
            )


def _check_groups(name: str, split: str, content: ArraySplit | FileSplit, wanted: int | None) -> None:
    """Raise `UserError` for groups that are not one integer per image, or do not allow a hold-out later."""
    groups, labels = content.groups, content.labels
    found = 0 if groups is None else len(np.unique(groups))
    if wanted not in (None, found):
        raise UserError(f"data set {name}: split {split} has {found} groups of images; config/datasets says {wanted}")
    if groups is None:
        return
    if groups.shape != labels.shape or not np.issubdtype(groups.dtype, np.integer):
        kind = f"{groups.dtype} {list(groups.shape)}"
        raise UserError(f"data set {name}: groups of split {split}: expected {len(labels)} integers, found {kind}")
    pairs = np.unique(np.stack((labels, groups)), axis=1)
    few = [label for label in np.unique(labels).tolist() if (pairs[0] == label).sum() < FEWEST]
    if split == "train" and few:
        raise UserError(
            f"data set {name}: class {few[0]} of split train is in one group of images; at least {FEWEST} are needed, "
            "because settings are chosen on held-out groups"
        )
    if found < FEWEST:
        raise UserError(f"data set {name}: all images of split {split} are in one group; at least {FEWEST} are needed")


def _check(recipe: DataRecipe, split: str, content: ArraySplit | FileSplit, root: Path) -> Checked:
    """Check every image of a split; also measure training images' pixels if no normalisation is given."""
    measured = split == "train" and recipe.normalisation is None
    if isinstance(content, ArraySplit):
        return check_arrays(content, measured)
    return check_files(root, content, split, recipe, measured)


def _write_split(folder: Path, split: str, content: ArraySplit | FileSplit, checked: Checked) -> SplitEntry:
    """Write one split; return its entry in the manifest."""
    labels = np.asarray(content.labels, dtype=np.int64)
    write_array(split_path(folder, split, "labels"), labels)
    known: dict[str, object] = {}
    images = content.images if isinstance(content, ArraySplit) else checked.squares
    if images is not None:
        write_array(split_path(folder, split, "images"), images)
        known["images_sha256"] = array_sha256(images)
    if content.groups is not None:
        groups = np.asarray(content.groups, dtype=np.int64)
        write_array(split_path(folder, split, "groups"), groups)
        known |= {"n_groups": len(np.unique(groups)), "groups_sha256": array_sha256(groups)}
    if isinstance(content, ArraySplit):
        known |= _write_factors(folder, split, content)
    else:
        text = "".join(f"{digest}\t{name}\n" for digest, name in zip(checked.digests, content.names, strict=True))
        path = split_path(folder, split, "files")
        write_text(path, text)
        known |= {"classes": tuple(content.classes), "ignored": dict(content.ignored)}
        known["files_sha256"] = file_sha256(path)
    entry = SplitEntry(
        n=len(labels),
        n_per_class=tuple(np.bincount(labels[labels != NO_LABEL]).tolist()),
        labels_sha256=array_sha256(labels),
    )
    return entry.model_copy(update=known)


def _write_factors(folder: Path, split: str, content: ArraySplit) -> dict[str, object]:
    """Write the true factors of a split, if they are known; return their entries in the manifest."""
    if not content.factors:
        return {}
    factors = np.stack(list(content.factors.values()), axis=1)  # [N, factors]
    write_array(split_path(folder, split, "factors"), factors)
    return {"factors": tuple(content.factors), "factors_sha256": array_sha256(factors)}


def describe(manifest: Manifest) -> str:
    """Return a summary in lines: images of each class, files left out, and test images that are also in training."""
    lines = []
    for split, entry in manifest.splits.items():
        few, most = min(entry.n_per_class), max(entry.n_per_class)
        counts = f"{len(entry.n_per_class)} classes of {few}{f' to {most}' if few != most else ''} images"
        if 0 < len(entry.classes) <= CLASSES_SHOWN:
            counts = ", ".join(f"{name} {n}" for name, n in zip(entry.classes, entry.n_per_class, strict=True))
        grouped = f" in {entry.n_groups} groups of related images" if entry.n_groups else ""
        lines.append(f"  {split}: {entry.n} images{grouped}; {counts}")
        if entry.ignored:
            lines.append(f"  {split}: left out files that are not images: {in_words(entry.ignored)}")
    if shared := manifest.splits["test"].n_in_train:
        lines.append(f"  warning: {shared} of {manifest.splits['test'].n} test images are also training images")
    return "\n".join(lines)
