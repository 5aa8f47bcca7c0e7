"""Turns externally computed features into an arm of a suite, for models that cannot be loaded here.

The files are those that `ddcl diagnose` reads (`ddcl.evaluate.feature_files`), one each for the training images and the
test images of a data set, in the order of its splits, and one for each draw of a perturbation of the test images.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ddcl.base.errors import UserError, check_name
from ddcl.base.files import file_sha256
from ddcl.data.stored import read_images
from ddcl.encoders.add import Told, check_untold, split_of, written
from ddcl.encoders.images import prepared
from ddcl.evaluate.feature_files import FeatureFile, read_file
from ddcl.schema.encoders import NONE, EncoderConfig, GivenFeatures, Origin, check_dataset, check_new, known_encoder
from ddcl.schema.names import CLEAN
from ddcl.schema.op_recipes import perturbation_names

LAYOUT = "features"
MOST = 65504.0  # of float16, in which features are stored


@dataclass(frozen=True)
class Files:
    """Files of features of a data set's images. perturbed: by perturbation, a file for each draw."""

    dataset: str
    train: Path
    test: Path
    perturbed: tuple[tuple[str, Path], ...] = ()

    @property
    def all(self) -> tuple[Path, ...]:
        """Every file."""
        return (self.train, self.test, *(path for _, path in self.perturbed))


def add_features(name: str, files: Files, told: Told, root: Path, results: Path) -> tuple[EncoderConfig, Path]:
    """Convert files of features to safetensors below `root`, write the YAML of their arm, and return both.

    results: the folder with the prepared data set; the files' labels are compared with its labels. Raises `UserError`
    and writes nothing if a file is not as expected.
    """
    former = known_encoder(name)
    if former:
        check_untold(name, told)
    check_new(name, told.trained_on)
    check_dataset(files.dataset, f"encoder {name}: --dataset")
    for perturbation, path in files.perturbed:
        known = [own for own in perturbation_names() if own != CLEAN]
        check_name("perturbation", perturbation, known, f"{path}: --perturbed")
    train, test = _read(files.train, ("labels", "part_")), _read(files.test, ("labels", "part_", "views"))
    _check_fit(files, train, test)
    _check_labels(files, {"train": (files.train, train), "test": (files.test, test)}, results)
    draws, width = _perturbed(files, test), train.features.shape[1]
    arrays = {"train": train.features, "test": test.features}
    arrays |= {f"perturbed.{perturbation}": np.stack(own) for perturbation, own in draws.items()}
    arrays |= {} if test.views is None else {"views": test.views}
    n_views, n_draws = 0 if test.views is None else len(test.views), {each: len(own) for each, own in draws.items()}
    values = {
        "network": NONE,
        "features": GivenFeatures(dataset=files.dataset, draws=n_draws, n_views=n_views),
        "feature_dim": width,
        "dir_width": split_of(told.dir_width or (former and former.dir_width) or _dir_width(files, train), width),
    }
    tensors = {key: torch.from_numpy(array) for key, array in arrays.items()}
    return written(name, (tensors, values, _origin(files, len(arrays), told)), told, root)


def _read(path: Path, allowed: tuple[str, ...]) -> FeatureFile:
    """Read a file of features as float32; `UserError` for values that float16 cannot hold."""
    file = read_file(path, np.float32, allowed)
    largest = max(float(np.abs(each).max()) for each in (file.features, file.views) if each is not None)
    if largest > MOST:
        raise UserError(f"{path}: values up to {largest:.3g}; at most {MOST:.0f} can be stored; divide all by a number")
    return file


def _check_labels(files: Files, read: dict[str, tuple[Path, FeatureFile]], results: Path) -> None:
    """Raise `UserError` unless the labels equal those of the prepared data set's splits, in the same order."""
    what = f"{files.train}: the order of its rows is compared with data set {files.dataset}, which"
    place, data = prepared(files.dataset, results, what)
    for split, (path, file) in read.items():
        expected = read_images(place, data, split, data.data.image_side_px).labels.numpy()
        if len(file.features) != len(expected):
            raise UserError(
                f"{path}: {len(file.features)} rows, but split {split} of {files.dataset} has {len(expected)} images"
            )
        if file.labels is None:
            raise UserError(
                f"{path}: no array `labels` [{len(expected)}]; it is needed to check that the rows are in the order of "
                f"split {split} of {files.dataset}"
            )
        _check_same(path, file.labels, expected, f"split {split} of {files.dataset}")


def _check_same(path: Path, labels: NDArray[np.int64], expected: NDArray[np.int64], what: str) -> None:
    wrong = np.flatnonzero(labels != expected)
    if len(wrong):
        row = int(wrong[0])
        raise UserError(
            f"{path}: labels: {len(wrong)} of {len(labels)} differ from {what}: row {row} has {labels[row]}, "
            f"expected {expected[row]}; the rows must be in the order of the split"
        )


def _perturbed(files: Files, test: FeatureFile) -> dict[str, list[NDArray[np.floating]]]:
    """Return the features of the test images under each perturbation, [N, D] for each draw."""
    draws: dict[str, list[NDArray[np.floating]]] = {}
    for perturbation, path in files.perturbed:
        file = _read(path, ("labels",))
        if file.features.shape != test.features.shape:
            raise UserError(
                f"{path}: features: expected {list(test.features.shape)}, as in {files.test}, found "
                f"{list(file.features.shape)}"
            )
        if file.labels is not None and test.labels is not None:
            _check_same(path, file.labels, test.labels, str(files.test))
        draws.setdefault(perturbation, []).append(file.features)
    return draws


def _check_fit(files: Files, train: FeatureFile, test: FeatureFile) -> None:
    """Raise `UserError` unless both files can come from one encoder."""
    width, found = train.features.shape[1], test.features.shape[1]
    if width != found:
        raise UserError(f"{files.test}: {found} feature columns, but {files.train} has {width}")
    if train.parts != test.parts:
        raise UserError(f"{files.test}: parts {_listed(test)}, but {files.train} has {_listed(train)}")


def _dir_width(files: Files, train: FeatureFile) -> int | None:
    """Return how many columns DIR has; None if the files name no parts."""
    width = train.features.shape[1]
    if not train.parts:
        return None
    middle = train.parts.get("dir", (0, 0))[1]
    if train.parts != {"dir": (0, middle), "dvr": (middle, width)}:
        raise UserError(
            f"{files.train}: parts {_listed(train)}; expected part_dir [0, n] and part_dvr [n, {width}], or none"
        )
    return middle


def _listed(file: FeatureFile) -> str:
    return ", ".join(f"{name} {[*own]}" for name, own in file.parts.items()) or "none"


def _origin(files: Files, n_used: int, told: Told) -> Origin:
    """Return where the features come from. sha256: of the list of the files' sha256."""
    digests = "\n".join(map(file_sha256, files.all))
    return Origin(
        file=", ".join(path.name for path in files.all),
        sha256=hashlib.sha256(digests.encode()).hexdigest(),
        layout=LAYOUT,
        n_used=n_used,
        left_out=[],
        source=told.source,
        licence=told.licence,
    )
