"""`ddcl adopt`: results that were copied, or came from an archive, checked and told to Snakemake as finished.

Snakemake compares times, and a copy has those of its copying: all would be made again. What belongs together gets one
time, so nothing is newer than what was made from it. What does not is named, and left as it is.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from ddcl.base.errors import UserError
from ddcl.evaluate.verify import verify_run
from ddcl.plan.addresses import DIGITS, check_address, data_folder
from ddcl.schema import manifest
from ddcl.schema.recipes import load_recipe


@dataclass
class Adopted:
    """What was found: numbers of data sets and runs that are whole, their folders, and a line for all that is not."""

    datasets: int = 0
    runs: int = 0
    problems: list[str] = field(default_factory=list)
    whole: list[Path] = field(default_factory=list)


def adopt(results: Path) -> Adopted:
    """Check every prepared data set and finished run below `results`, and give those that are whole one time.

    The time is the oldest that any file of the results has, so that tables and figures which are newer stay so. A run
    that was not finished is left alone.
    """
    adopted = check(results)
    _give_one_time(results, adopted.whole)
    return adopted


def check(results: Path, only: Collection[str] | None = None, large: bool = True) -> Adopted:
    """Return which prepared data sets and finished runs below `results` are whole, and what is wrong with the others.

    only: their folders below `results`; None: all that are there. large: read checkpoints and stored features, too.
    """

    def asked(path: Path) -> bool:
        return only is None or path.parent.relative_to(results).as_posix() in only

    adopted = Adopted()
    manifests: dict[str, Path] = {}
    for path in filter(asked, sorted(results.glob("data/*/manifest.json"))):
        problems = _data_problems(path)
        if not problems:
            manifests[path.parent.name] = path
            adopted.whole.append(path.parent)
        adopted.problems += problems
    adopted.datasets = len(adopted.whole)
    finished = [*filter(asked, sorted(results.glob("runs/*/*/*/seed*/run.json")))]
    for path in tqdm(finished, unit="run", desc="check", disable=None):
        problems = _run_problems(path.parent, manifests, large)
        adopted.runs += not problems
        adopted.problems += problems
        adopted.whole += [] if problems else [path.parent]
    return adopted


def _data_problems(path: Path) -> list[str]:
    """Return what is wrong with a prepared data set; its arrays are checked by whatever reads them."""
    try:
        read = manifest.load(path)
    except UserError as error:
        return [str(error)]
    folder = Path(data_folder(read.dataset, read.data)).name
    return [] if path.parent.name == folder else [f"{path}: holds {folder}, but its address says {path.parent.name}"]


def _run_problems(folder: Path, manifests: dict[str, Path], large: bool) -> list[str]:
    """Return what is wrong with the run in `folder`: its address, and the chain from its recipe to its records."""
    try:
        recipe = load_recipe(folder / "config.json")
        check_address(folder, recipe)
    except UserError as error:
        return [str(error)]
    prepared = Counter(name[: -DIGITS - 1] for name in manifests)  # a data set may lie there in several preparations
    known = {name[: -DIGITS - 1]: path for name, path in manifests.items() if prepared[name[: -DIGITS - 1]] == 1}
    own = Path(data_folder(recipe.dataset, recipe.data)).name
    return verify_run(folder, known | ({recipe.dataset: manifests[own]} if own in manifests else {}), large)


def _give_one_time(results: Path, folders: list[Path]) -> None:
    """Give all that lies in `folders` the time of the oldest file below `results`."""
    files = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    oldest = min((path.stat().st_mtime for path in _files(results)), default=0.0)
    for path in files:
        os.utime(path, (oldest, oldest))


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.is_file())
