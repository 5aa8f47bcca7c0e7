"""Checks that the files of a run belong together: recipe, summary, history, checkpoint, features, records, predictions.

Every file records what it was made from, as the sha256 of a file, the seal of a sealed file (`ddcl.base.sealed`), or
the digest of its content. Only hashes are computed; does not import torch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from ddcl.base.errors import UserError
from ddcl.base.files import file_sha256
from ddcl.schema import feature_index, history, manifest, record, run_summary
from ddcl.schema.feature_index import FeatureIndex
from ddcl.schema.manifest import Manifest
from ddcl.schema.recipes import Recipe, load_recipe
from ddcl.schema.record import Record, predictions_path
from ddcl.schema.run_summary import RunSummary

T = TypeVar("T")


@dataclass(frozen=True)
class Chain:
    """What the files of a run are compared with.

    manifests: by data set, those that are available. arrays: whether to read stored features, which may be large.
    """

    recipe: Recipe
    summary: RunSummary
    manifests: Mapping[str, Manifest]
    arrays: bool = True


def verify_run(folder: Path, manifests: Mapping[str, Path] | None = None, large: bool = True) -> list[str]:
    """Return one line for each problem with the files of the run in `folder`; empty if they belong together.

    manifests: manifest.json of data sets by name; those of other data sets are not checked. large: read checkpoint and
    stored features too. The checkpoint, features and records may be missing; config.json, run.json and history.csv
    may not. All records anywhere below `folder`/on/<data set> are checked.
    """
    problems: list[str] = []
    recipe = _try(problems, partial(load_recipe, folder / "config.json"))
    summary = _try(problems, partial(run_summary.load, folder / run_summary.FILE))
    read = {name: _try(problems, partial(manifest.load, path)) for name, path in (manifests or {}).items()}
    if recipe is None or summary is None:
        return problems
    chain = Chain(recipe, summary, {name: each for name, each in read.items() if each is not None}, large)
    problems += check_training(folder, chain, large)
    for target in sorted((folder / "on").glob("*/")):
        problems += _check_target(target, chain)
    return problems


def _try(problems: list[str], read: Callable[[], T]) -> T | None:
    """Return what `read` returns; or None, after adding what it says is wrong to the problems."""
    try:
        return read()
    except UserError as error:
        problems.append(str(error))
        return None


def check_training(folder: Path, chain: Chain, checkpoint: bool = True) -> Iterator[str]:
    """Yield what is wrong with run.json, history.csv and, if asked for, checkpoint.pt of a run."""
    path, summary, recipe = folder / run_summary.FILE, chain.summary, chain.recipe
    yield from _differences(
        path,
        {
            "run": (summary.run.name, recipe.name),
            "recipe_digest": (summary.provenance.recipe_digest, recipe.digest),
            "manifest_seal": (summary.manifest_seal, _seal(chain, recipe.dataset)),
        },
    )
    yield from _file_problems(folder / history.FILE, summary.history_sha256, path.name)
    if checkpoint and (folder / "checkpoint.pt").exists():
        yield from _file_problems(folder / "checkpoint.pt", summary.checkpoint_sha256, path.name)


def _check_target(target: Path, chain: Chain) -> Iterator[str]:
    """Yield what is wrong with features and records of a run on one data set, below the folder `target`."""
    seals: set[str] = set()
    for path in sorted(target.rglob(feature_index.FILE)):
        problems: list[str] = []
        index = _try(problems, partial(feature_index.load, path.parent))
        yield from problems
        if index is not None:
            seals.add(index.seal)
            yield from check_features(path, index, target.name, chain)
    for path in sorted(target.rglob("*.json")):
        if path.name != feature_index.FILE:
            problems = []
            read = _try(problems, partial(record.load, path))
            yield from problems
            if read is not None:
                yield from check_record(path, read, target.name, chain)
                if seals and read.features_seal not in (None, *seals):
                    yield f"{path}: was not computed from the stored features; run `{record.MAKER}` again"


def check_features(path: Path, index: FeatureIndex, dataset: str, chain: Chain) -> Iterator[str]:
    """Yield what is wrong with the index of features at `path`, on `dataset`, and the arrays beside it."""
    expected = {
        "run": (index.run.name, chain.recipe.name),
        "eval_dataset": (index.eval_dataset, dataset),
        "recipe_digest": (index.recipe_digest, chain.recipe.digest),
        "checkpoint_digest": (index.checkpoint_digest, chain.summary.checkpoint_digest),
        "status": (index.status, _status(index.status, chain)),
    }
    yield from _differences(path, expected | _seals(index, dataset, chain))
    for stored in index.files() if chain.arrays else ():
        yield from _file_problems(path.parent / stored.file, stored.sha256, path.name)


def check_record(path: Path, read: Record, dataset: str, chain: Chain) -> Iterator[str]:
    """Yield what is wrong with the record at `path`, on `dataset`, and the predictions beside it."""
    expected = {
        "run": (read.run.name, chain.recipe.name),
        "eval_dataset": (read.eval_dataset, dataset),
        "evaluation": (read.evaluation.evaluation, path.stem),
        "recipe_digest": (read.provenance.recipe_digest, chain.recipe.digest),
        "checkpoint_digest": (read.checkpoint_digest, chain.summary.checkpoint_digest),
        "status": (read.status, _status(read.status, chain)),
    }
    yield from _differences(path, expected | _seals(read, dataset, chain))
    yield from _file_problems(predictions_path(path), read.predictions_sha256, path.name)


def _status(found: str, chain: Chain) -> str | None:
    """Return the status that a file must have: of the training, unless features or evaluation diverged themselves."""
    return None if found == "diverged" else chain.summary.status


def _seals(made: FeatureIndex | Record, dataset: str, chain: Chain) -> dict[str, tuple[str, str | None]]:
    """Return, of both data sets, the seal that a file names and that of the manifest, None where it is not at hand."""
    return {
        "trained_on_seal": (made.trained_on_seal, chain.summary.manifest_seal),
        "evaluated_on_seal": (made.evaluated_on_seal, _seal(chain, dataset)),
    }


def _seal(chain: Chain, dataset: str) -> str | None:
    return chain.manifests[dataset].seal if dataset in chain.manifests else None


def _differences(path: Path, expected: Mapping[str, tuple[str, str | None]]) -> Iterator[str]:
    """Yield a line for each value of a file that is not the expected one; None: not known."""
    for name, (value, wanted) in expected.items():
        if wanted is not None and value != wanted:
            yield f"{path}: its {name} is {_short(value)}, expected {_short(wanted)}"


def _short(value: str) -> str:
    return f"{value[:12]}…" if len(value) == 64 else value


def _file_problems(path: Path, sha256: str, where: str) -> Iterator[str]:
    """Yield what is wrong with a file whose sha256 is known from another one."""
    try:
        if file_sha256(path) != sha256:
            yield f"{path}: damaged, edited, or of another run (its sha256 is not the one in {where})"
    except UserError as error:
        yield str(error)
