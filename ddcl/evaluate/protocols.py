"""From an evaluation job to what its protocol needs: stored features, or the frozen encoder and images.

Imports torch only where a protocol needs images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddcl.base.errors import UserError
from ddcl.base.files import canonical_json, digest_text
from ddcl.base.interrupt import MINUTES
from ddcl.evaluate import store
from ddcl.evaluate.store import (
    FOLDER,
    TRAIN,
    ColumnSets,
    FeatureTask,
    Measured,
    Outcome,
    TestFeatures,
    check_owner,
    draws_of,
    evaluation_folder,
    read_features,
    read_index,
)
from ddcl.plan.digests import evaluate_digest
from ddcl.schema.recipes import EvaluationRecipe, Recipe, data_recipe
from ddcl.schema.registry import EVALUATIONS, METHODS, RANDOM_PARTS, EvaluationEntry, part_names
from ddcl.schema.suites import RandomSubsetsConfig


@dataclass(frozen=True)
class Job:
    """One evaluation of one run on one data set.

    run: the run's folder. data: manifest.json of the data set that it was trained on, and of `dataset`.
    subsets: random columns as the control of width. checkpoint_minutes: as in pretraining.
    """

    recipe: Recipe
    evaluation: EvaluationRecipe
    dataset: str
    perturbations: Sequence[str]
    run: Path
    data: tuple[Path, Path]
    subsets: RandomSubsetsConfig | None = None
    device: str = "cpu"
    threads: int = 1
    checkpoint_minutes: float = MINUTES

    @property
    def entry(self) -> EvaluationEntry:
        """The protocol's entry in the registry."""
        return EVALUATIONS[self.evaluation.protocol]

    def part_names(self) -> list[str]:
        """Return the parts that the record has cells for."""
        return part_names(METHODS[self.recipe.method], self.entry, self.subsets is not None)

    @property
    def folder(self) -> Path:
        """Where features and records of this run and data set lie."""
        return evaluation_folder(self.run, self.dataset)

    @property
    def work(self) -> Path:
        """Where a protocol that trains on images keeps its state for resuming."""
        return self.folder / f"{self.evaluation.evaluation}_work"


@dataclass(frozen=True)
class Found:
    """What a protocol found: outcomes per part and column set, or measured values; nothing where the run diverged."""

    status: str
    checkpoint_digest: str
    outcomes: dict[str, list[Outcome]] | Measured
    labels: NDArray[np.int64] | None


def column_sets(parts: Mapping[str, Sequence[int]], job: Job) -> ColumnSets:
    """Return the columns of each part that the protocol takes, and of random subsets if the job has them.

    These are as wide as the method's own DIR and DVR; as `dir_frac` says where there is no split.
    """
    allowed = job.entry.parts
    if not job.subsets or allowed is not None:
        sets = store.column_sets(parts, {}, job.recipe.seed, 0)
        return {name: own for name, own in sets.items() if allowed is None or name in allowed}
    width = parts["full"][1]
    dir_width = parts["dir"][1] if "dir" in parts else round(job.subsets.dir_frac * width)
    controls = dict(zip(RANDOM_PARTS, ((0, dir_width), (dir_width, width)), strict=True))
    return store.column_sets(parts, controls, job.recipe.seed, job.subsets.draws)


def evaluate_features(job: Job) -> Found:
    """Evaluate by a protocol that takes stored features only."""
    index, tests = _stored(job)
    if index["status"] == "diverged":
        return Found(index["status"], index["checkpoint_digest"], {}, None)
    evaluate, settings = job.entry.load(), job.entry.settings.model_validate(job.evaluation.settings)
    train, sets = read_features(job.folder / FOLDER, index, TRAIN), column_sets(index["parts"], job)
    outcomes = evaluate(FeatureTask(train, tests, sets, job.recipe.seed, job.device), settings)
    return Found(index["status"], index["checkpoint_digest"], outcomes, tests[tests.names[0]].labels)


def evaluate_images(job: Job) -> Found:
    """Evaluate by a protocol that takes images itself."""
    from ddcl.data.images import on_device
    from ddcl.data.manifest import read_manifest
    from ddcl.data.stored import read_factors, read_images
    from ddcl.evaluate.features import load_frozen
    from ddcl.evaluate.sgd import ImageTask

    recipe, (own_path, path) = job.recipe, job.data
    method, content, digest = load_frozen(job.run / "checkpoint.pt", recipe, job.device)
    if content["status"] == "diverged":
        return Found("diverged", digest, {}, None)
    normalisation = read_manifest(own_path, recipe.dataset, recipe.data.model_dump())
    manifest = read_manifest(path, job.dataset, data_recipe(job.dataset).model_dump())
    side_px, workers = recipe.data.image_side_px, job.threads if job.threads > 1 else 0
    train, test = (
        on_device(read_images(path, manifest, split, side_px, workers, recipe.authors), job.device)
        for split in ("train", "test")
    )
    identity = [digest, evaluate_digest(job.evaluation.protocol), digest_text(canonical_json(job.evaluation.settings))]
    identity += [canonical_json(manifest["splits"]), job.subsets.model_dump_json() if job.subsets else ""]
    task = ImageTask(
        recipe=recipe,
        method=method,
        train=train,
        test=test,
        names=(job.dataset, recipe.seed),
        n_classes=manifest["data"]["n_classes"],
        normalisation=normalisation,
        state=job.work / "state.pt",
        identity=identity,
        checkpoint_minutes=job.checkpoint_minutes,
        factors={split: read_factors(path, manifest, split) for split in ("train", "test")},
    )
    evaluate, settings = job.entry.load(), job.entry.settings.model_validate(job.evaluation.settings)
    if not job.entry.predicts:
        found = evaluate(task, column_sets(method.parts(), job), settings)
        return Found(content["status"], digest, found, test.labels.numpy())
    if "features" not in job.entry.inputs:
        return Found(content["status"], digest, {"full": [evaluate(task, settings)]}, test.labels.numpy())
    index, tests = _stored(job)
    outcomes = evaluate(task, column_sets(index["parts"], job), tests, settings)
    return Found(content["status"], digest, outcomes, test.labels.numpy())


def _stored(job: Job) -> tuple[dict[str, Any], TestFeatures]:
    """Return the index of the stored features and those of the test images, the clean ones first."""
    folder = job.folder / FOLDER
    index = read_index(folder)
    check_owner(folder, index, job.recipe.name, job.recipe.digest)
    names = []
    for perturbation in job.perturbations:
        draws = draws_of(index, perturbation)
        if not draws and index["status"] != "diverged":
            known = ", ".join(sorted({name.rpartition("-")[0] for name in index["arrays"]} - {""}))
            raise UserError(f"{folder}: no features for {perturbation!r}; there are {known}; run `ddcl extract` again")
        names += draws
    return index, TestFeatures(folder, index, names)
