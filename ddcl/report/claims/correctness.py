"""Which test images a run classified correctly: read from the predictions beside its records, or from a snapshot.

A snapshot keeps, in one file, what the claims need of the predictions (`Correctness.write`): of each test image, in how
many draws it was classified correctly. That is a hundredth of the predictions, and gives the same intervals.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ddcl.base.errors import UserError
from ddcl.base.files import damage_named, write_atomic
from ddcl.plan.addresses import predictions_of
from ddcl.plan.plan import KEPT, Plan
from ddcl.report.claims.contrasts import Address, Comparison, Measured
from ddcl.report.claims.inference import Array, by_group

GROUPS = "groups"  # what a snapshot calls the groups of a data set's test images
ROOM = 400_000_000  # bytes of correctness that are kept: ten thousand records with one draw need a tenth
TOLERANCE = 1e-6  # between a record's value and the mean of the predictions beside it
Place = tuple[str, str, str, int, str, str]  # a run, evaluation data set and evaluation


class Shares(NamedTuple):
    """Of each test image, in how many of `total` draws it was classified correctly; packed bits where that is one."""

    counts: NDArray[np.generic]
    total: int
    n: int

    @classmethod
    def of(cls, correct: NDArray[np.bool_]) -> Shares:
        """Return the shares of `correct` [column sets, draws, N]."""
        total, n = correct.shape[0] * correct.shape[1], correct.shape[2]
        if total == 1:
            return cls(np.packbits(correct.reshape(n)), total, n)
        return cls(correct.sum(axis=(0, 1), dtype=np.uint8 if total < 256 else np.uint32), total, n)

    def unpacked(self) -> NDArray[np.float32]:
        """Return the shares [N], in [0, 1]."""
        counts = np.unpackbits(self.counts, count=self.n) if self.total == 1 else self.counts  # type: ignore[arg-type]
        return counts.astype(np.float32) / np.float32(self.total)


class Differences(NamedTuple):
    """A contrast of each seed and test image: [S, N], or [S, G] of groups of images that are not independent.

    n_images: N, 0 where there are none; n_groups: G, 0 where each image stands for itself. missing: why there are none.
    """

    matrix: Array
    n_images: int = 0
    n_groups: int = 0
    missing: str = ""

    @property
    def said(self) -> str:
        """What a reader must know of its images."""
        return f"{self.n_images:,} images in {self.n_groups:,} groups" if self.n_groups else self.missing


class Correctness:
    """Reads per-image correctness below a results folder: each file once, while there is room to keep what it gives."""

    def __init__(self, plan: Plan, results: Path, comparisons: Iterable[Comparison]) -> None:
        self.plan, self.results = plan, results
        self._wanted: dict[Place, set[str]] = {}
        self._kept: dict[Place, dict[str, Shares]] = {}
        self._groups: dict[str, NDArray[np.int64] | None] = {}
        self._bytes = 0
        for comparison in comparisons:
            for address in (term.address for term in comparison.terms):
                for seed in comparison.seeds:
                    self._wanted.setdefault(_place(address, seed), set()).add(_name(address))

    def _file(self, place: Place) -> str:
        record = self.plan.record(place[:4], place[4], place[5])
        assert record is not None
        return predictions_of(record)

    def _read(self, place: Place, names: Iterable[str]) -> dict[str, Shares]:
        """Return the shares of those names that the file has, or that of a snapshot; none without a file of classes."""
        path = self.results / self._file(place)
        if not path.exists():
            return self._read_kept(place, names)
        with damage_named(path, "predictions", "run `ddcl evaluate` again"), np.load(path) as archive:
            there = [name for name in names if name in archive]  # other evaluations store other things
            labels = archive["labels"] if there else None
            if there and place[4] not in self._groups:
                self._groups[place[4]] = archive.get("groups")
            return {name: Shares.of(archive[name] == labels) for name in there}

    def _read_kept(self, place: Place, names: Iterable[str]) -> dict[str, Shares]:
        """Return the same from the file of a snapshot."""
        file, groups = self._file(place), self._kept_here.get((place[4], GROUPS))
        found = {name: self._kept_here[file, name] for name in names if (file, name) in self._kept_here}
        if found and place[4] not in self._groups:
            self._groups[place[4]] = None if groups is None else groups.counts.astype(np.int64)
        return found

    @cached_property
    def _kept_here(self) -> dict[tuple[str, str], Shares]:
        """What the file of a snapshot has, by file of predictions and name."""
        path = self.results / KEPT
        if not path.exists():
            return {}
        with damage_named(path, "correctness of images", "get the snapshot again"):
            rows: list[dict[Hashable, Any]] = pd.read_parquet(path).to_dict("records")
            return {
                (row["file"], row["name"]): Shares(np.frombuffer(row["counts"], row["dtype"]), row["total"], row["n"])
                for row in rows
            }

    def write(self, path: Path) -> None:
        """Write the file of a snapshot: all that the comparisons need of the predictions."""
        kept: dict[tuple[str, str], Shares] = {}
        for place in sorted(self._wanted):
            if self.plan.record(place[:4], place[4], place[5]) is not None:  # of the monitor there is none
                kept |= {(self._file(place), name): own for name, own in self._read(place, self._wanted[place]).items()}
        for name, groups in self._groups.items():
            if groups is not None:
                kept[name, GROUPS] = Shares(groups, 0, len(groups))
        rows = [
            (*key, own.total, own.n, own.counts.dtype.name, own.counts.tobytes()) for key, own in sorted(kept.items())
        ]
        frame = pd.DataFrame(rows, columns=["file", "name", "total", "n", "dtype", "counts"])
        write_atomic(path, lambda temporary: frame.to_parquet(temporary, index=False, compression="zstd"))

    def _shares(self, place: Place, name: str) -> Shares | None:
        if place in self._kept:
            return self._kept[place].get(name)
        if self._bytes >= ROOM:
            return self._read(place, [name]).get(name)
        self._kept[place] = self._read(place, self._wanted[place])
        self._bytes += sum(shares.counts.nbytes for shares in self._kept[place].values())
        return self._kept[place].get(name)

    def of(self, address: Address, seed: int, measured: Measured) -> NDArray[np.float32] | None:
        """Return the share of draws (or column sets) in which each test image is classified correctly, [N] in [0, 1].

        None where no predictions were stored. `UserError` where they do not give the record's value.
        """
        place, name = _place(address, seed), _name(address)
        shares = self._shares(place, name)
        if shares is None:
            return None
        correct = shares.unpacked()
        value = float(correct.mean(dtype=np.float64))
        if abs(value - measured.value) > TOLERANCE:
            found = f"{name} gives {value:.6f}, its record {measured.value:.6f}"
            path = self.results / self._file(place)
            if path.exists():
                raise UserError(f"{path}: {found}; `ddcl collect` again")
            raise UserError(f"{self.results / KEPT}: {self._file(place)}: {found}; get the snapshot again")
        return correct

    def groups(self, eval_dataset: str) -> NDArray[np.int64] | None:
        """Return the groups [N] of the test images of a data set, of which predictions were read; None: it has none."""
        return self._groups.get(eval_dataset)


def _place(address: Address, seed: int) -> Place:
    return address.dataset, address.variant, address.augmentation, seed, address.eval_dataset, address.evaluation


def _name(address: Address) -> str:
    return f"{address.metric}/{address.part}/{address.perturbation}"


def differences(
    comparison: Comparison, cells: dict[Address, dict[int, Measured]], correctness: Correctness
) -> Differences:
    """Return the contrast of each seed and test image; of each seed alone where predictions are missing."""
    values = [[cells[term.address][seed] for seed in comparison.seeds] for term in comparison.terms]
    signs = np.array([term.sign for term in comparison.terms], dtype=float)
    per_seed = signs @ np.array([[each.value for each in own] for own in values])
    found = np.zeros((len(comparison.seeds), max((each.n for own in values for each in own), default=0)), np.float32)
    if not found.shape[1]:
        return Differences(per_seed[:, None])
    for term, own in zip(comparison.terms, values, strict=True):
        for row, (seed, measured) in enumerate(zip(comparison.seeds, own, strict=True)):
            correct = correctness.of(term.address, seed, measured) if measured.n == found.shape[1] else None
            if correct is None:
                return Differences(per_seed[:, None], missing="no predictions, so the interval is over seeds only")
            found[row] += term.sign * correct
    groups = correctness.groups(comparison.treatment.eval_dataset)
    if groups is None:
        return Differences(found, found.shape[1])
    clustered = by_group(found, groups)
    return Differences(clustered, found.shape[1], clustered.shape[1])
