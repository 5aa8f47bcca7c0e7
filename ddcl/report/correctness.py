"""Which test images a run classified correctly, read from the predictions beside its records."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddcl.core.errors import UserError
from ddcl.evaluate.store import evaluation_folder
from ddcl.report.collect import run_folder
from ddcl.report.contrasts import Address, Comparison, Measured
from ddcl.report.inference import Array

OPEN_FILES = 64
TOLERANCE = 1e-6  # between a record's value and the mean of the predictions beside it


class Correctness:
    """Reads per-image correctness below a results folder; keeps the files that it read last open."""

    def __init__(self, results: Path) -> None:
        self.results = results
        self._files: OrderedDict[Path, tuple[Any, NDArray[np.int32]]] = OrderedDict()

    def _open(self, path: Path) -> tuple[Any, NDArray[np.int32]]:
        """Return the archive at `path` and its labels [N]."""
        if path in self._files:
            self._files.move_to_end(path)
            return self._files[path]
        while len(self._files) >= OPEN_FILES:
            self._files.popitem(last=False)[1][0].close()
        try:
            archive = np.load(path)
            self._files[path] = archive, archive["labels"]
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{path}: cannot be read as predictions ({error})") from None
        return self._files[path]

    def of(self, address: Address, seed: int, measured: Measured) -> NDArray[np.float32] | None:
        """Return the share of draws (or column sets) in which each test image is classified correctly, [N] in [0, 1].

        None where no predictions were stored. `UserError` where they do not give the record's value.
        """
        run = {"dataset": address.dataset, "variant": address.variant, "augmentation": address.augmentation}
        folder = evaluation_folder(run_folder(self.results, run | {"seed": seed}), address.eval_dataset)
        path = folder / f"{address.evaluation}_predictions.npz"
        if not path.exists():
            return None
        archive, labels = self._open(path)
        name = f"{address.metric}/{address.part}/{address.perturbation}"
        if name not in archive:
            return None
        correct: NDArray[np.float32] = (archive[name] == labels).mean(axis=(0, 1), dtype=np.float32)
        found = float(correct.mean(dtype=np.float64))
        if abs(found - measured.value) > TOLERANCE:
            raise UserError(f"{path}: {name} gives {found:.6f}, its record {measured.value:.6f}; `ddcl collect` again")
        return correct


def differences(
    comparison: Comparison, cells: dict[Address, dict[int, Measured]], correctness: Correctness
) -> tuple[Array, str]:
    """Return the contrast of each seed and test image, [S, N], and why there are no images if N is 1."""
    values = [[cells[term.address][seed] for seed in comparison.seeds] for term in comparison.terms]
    signs = np.array([term.sign for term in comparison.terms], dtype=float)
    per_seed = signs @ np.array([[each.value for each in own] for own in values])
    found = np.zeros((len(comparison.seeds), max((each.n for own in values for each in own), default=0)), np.float32)
    if not found.shape[1]:
        return per_seed[:, None], ""
    for term, own in zip(comparison.terms, values, strict=True):
        for row, (seed, measured) in enumerate(zip(comparison.seeds, own, strict=True)):
            correct = correctness.of(term.address, seed, measured) if measured.n == found.shape[1] else None
            if correct is None:
                return per_seed[:, None], "no predictions: seeds only"
            found[row] += term.sign * correct
    return found, ""


def single_pair(
    comparison: Comparison, cells: dict[Address, dict[int, Measured]], correctness: Correctness
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """Return both arms' correctness [N] where each is one seed's single prediction per image, for McNemar's test."""
    if len(comparison.terms) != 2 or len(comparison.seeds) != 1:
        return None
    seed, arms = comparison.seeds[0], []
    for term in comparison.terms:
        correct = correctness.of(term.address, seed, cells[term.address][seed])
        if correct is None or not np.isin(correct, (0, 1)).all():
            return None
        arms.append(correct == 1)
    return arms[0], arms[1]
