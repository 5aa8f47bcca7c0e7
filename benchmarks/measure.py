"""What the benchmarks share: paths timed in turns in one process, and one CSV per benchmark that names the machine."""

from __future__ import annotations

import argparse
import csv
import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import torch
from tqdm import tqdm

from ddcl.core.devices import device_name

RESULTS = Path(__file__).parent / "results"
COLUMNS = ["what", "unit", "ours", "ours_min", "ours_max", "peer", "peer_min", "peer_max", "ratio", "target", "n"]


@dataclass(frozen=True)
class Ratio:
    """What was measured of two paths, `n` times in turns.

    what, unit: of the values. target: what the ratio of the medians, ours / peer, should be.
    """

    what: str
    unit: str
    ours: list[float]
    peer: list[float]
    target: str

    def row(self) -> dict[str, str]:
        """Return the row of the CSV: medians, minimum, maximum, and the ratio of the medians."""
        ours, peer = statistics.median(self.ours), statistics.median(self.peer)
        row = {"what": self.what, "unit": self.unit, "target": self.target, "n": str(len(self.ours))}
        for name, values in (("ours", self.ours), ("peer", self.peer)):
            row |= {name: f"{statistics.median(values):.5g}"}
            row |= {f"{name}_min": f"{min(values):.5g}", f"{name}_max": f"{max(values):.5g}"}
        return row | {"ratio": f"{ours / peer:.3g}"}


def in_turns(
    paths: Mapping[str, Callable[[], float]], repeats: int, what: str, unmeasured: int = 1
) -> dict[str, list[float]]:
    """Return what each path says it measured, `repeats` times in turns, after so many unmeasured rounds."""
    found: dict[str, list[float]] = {name: [] for name in paths}
    for repeat in tqdm(range(repeats + unmeasured), desc=what, disable=None):
        for name, path in paths.items():
            value = path()
            if repeat >= unmeasured:
                found[name].append(value)
    return found


def products() -> str:
    """Return which units for bf16 products the CPU has, of those that make a difference here."""
    flags = Path("/proc/cpuinfo").read_text(encoding="utf-8").split() if Path("/proc/cpuinfo").is_file() else []
    names = {"avx512_bf16": "AVX-512 bf16", "amx_bf16": "AMX"}
    return " and ".join(name for flag, name in names.items() if flag in flags) or "no bf16 units known"


def machine() -> str:
    """Return the processor, the cores that this process may use, the load of the machine, and versions that matter."""
    names = ("torch", "torchvision", "numpy", "numba", "snakemake", "scikit-learn")
    cores = len(os.sched_getaffinity(0))
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    load = f"load {os.getloadavg()[2]:.1f} in the last 15 minutes"  # the benchmark's own among it
    processor = f"{device_name('cpu')}, {products()}, {cores} cores, {load}"
    return f"{processor}; Python {platform.python_version()}, {versions}; commit {commit}"


def write(name: str, ratios: list[Ratio]) -> None:
    """Write results/NAME.csv and print it."""
    RESULTS.mkdir(exist_ok=True)
    rows = [ratio.row() for ratio in ratios]
    with (RESULTS / f"{name}.csv").open("w", newline="", encoding="utf-8") as file:
        file.write(f"# {machine()}\n")
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    for row in rows:
        print(f"{row['what']}: {row['ours']} against {row['peer']} {row['unit']} → {row['ratio']} ({row['target']})")


def repeats_from_arguments(default: int, description: str | None) -> int:
    """Return --repeats of the command line, and set torch's threads to the cores that there are."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--repeats", type=int, default=default, help="measured rounds (default: %(default)s)")
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    repeats: int = parser.parse_args().repeats
    return repeats
