"""Runs evaluation jobs: gives each protocol what it needs, stored features, or the frozen encoder and images.

Imports torch only if a protocol needs images.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ddcl.base.errors import UserError
from ddcl.base.files import canonical_json, digest_text
from ddcl.base.interrupt import MINUTES
from ddcl.evaluate import store
from ddcl.evaluate.store import (
    Asked,
    ColumnSets,
    FeatureTask,
    Measured,
    Outcome,
    TestFeatures,
    check_owner,
    read_train,
)
from ddcl.plan.digests import evaluate_digest
from ddcl.plan.plan import Cell
from ddcl.schema import feature_index
from ddcl.schema.feature_index import Draw, FeatureIndex
from ddcl.schema.manifest import Manifest
from ddcl.schema.recipes import EvaluationRecipe, Recipe, data_recipe
from ddcl.schema.registry import EVALUATIONS, RANDOM_PARTS, EvaluationEntry
from ddcl.schema.suites import RandomSubsetsConfig
from ddcl.schema.training import Status

if TYPE_CHECKING:
    from ddcl.core.method import Method
    from ddcl.evaluate.sgd import ImageTask


@dataclass(frozen=True)
class Job:
    """One evaluation of one run on one data set.

    run: the run's folder. data: manifest.json of the data set that it was trained on, and of `dataset`.
    record: the file to write, and its digest. cells: those that it should have.
    features: the folder of stored features, if the protocol uses them.
    subsets: random column subsets, the control for width. checkpoint_minutes: as in pretraining.
    """

    recipe: Recipe
    evaluation: EvaluationRecipe
    dataset: str
    perturbations: Sequence[str]
    run: Path
    data: tuple[Path, Path]
    record: tuple[Path, str]
    cells: Sequence[Cell]
    features: Path | None = None
    subsets: RandomSubsetsConfig | None = None
    device: str = "cpu"
    threads: int = 1
    checkpoint_minutes: float = MINUTES

    @property
    def entry(self) -> EvaluationEntry:
        """The protocol's entry in the registry."""
        return EVALUATIONS[self.evaluation.protocol]

    @property
    def parts(self) -> set[str]:
        """The parts that the record has cells for."""
        return {cell.part for cell in self.cells}

    @property
    def asked(self) -> Asked:
        """The parts that the record has cells for, with the perturbations under which it has them."""
        return frozenset((cell.part, cell.perturbation) for cell in self.cells)

    @property
    def work(self) -> Path:
        """Where a protocol that trains on images keeps its state for resuming."""
        return self.record[0].parent / "work"

    @property
    def state(self) -> Path:
        """The state that such a protocol resumes from."""
        return self.work / "state.pt"

    @property
    def stored(self) -> Path:
        """The folder of stored features; `UserError` where the protocol needs it and it was not given."""
        if self.features is None:
            raise UserError(f"{self.evaluation.evaluation} needs stored features, but none were given")
        return self.features


@dataclass(frozen=True)
class EvaluationResult:
    """The result of a protocol: outcomes per part and column set, or measured values; empty if the run diverged.

    Digest and seals are as in the record. labels, groups: [N], of the test images, where classes are predicted.
    """

    status: Status
    checkpoint_digest: str
    features_seal: str | None
    features_code: str | None
    trained_on_seal: str
    evaluated_on_seal: str
    outcomes: dict[str, list[Outcome]] | Measured = field(default_factory=dict)
    labels: NDArray[np.int64] | None = None
    groups: NDArray[np.int64] | None = None


def column_sets(parts: Mapping[str, Sequence[int]], job: Job) -> ColumnSets:
    """Return the columns of each part that the job has cells for.

    Random ones have the widths of the method's own DIR and DVR, or of `dir_frac` if the method has no split.
    """
    own = {name: columns for name, columns in parts.items() if name in job.parts}
    if not job.subsets or job.parts.isdisjoint(RANDOM_PARTS):
        return store.column_sets(own, {}, job.recipe.seed, 0)
    width = parts["full"][1]
    dir_width = parts["dir"][1] if "dir" in parts else round(job.subsets.dir_frac * width)
    if not 0 < dir_width < width:
        raise UserError(
            f"{job.evaluation.evaluation}: dir_frac {job.subsets.dir_frac} of {width} features gives random_dir "
            f"{dir_width} columns and random_dvr {width - dir_width}; each needs at least one"
        )
    controls = dict(zip(RANDOM_PARTS, ((0, dir_width), (dir_width, width)), strict=True))
    return store.column_sets(own, controls, job.recipe.seed, job.subsets.draws)


def evaluate_features(job: Job) -> EvaluationResult:
    """Run a protocol that uses stored features only."""
    index, tests = _stored(job)
    result = EvaluationResult(
        index.status,
        index.checkpoint_digest,
        index.seal,
        index.code_digest,
        index.trained_on_seal,
        index.evaluated_on_seal,
    )
    if index.status == "diverged":
        return result
    evaluate, settings = job.entry.load(), job.entry.settings.model_validate(job.evaluation.settings)
    train, sets = read_train(job.stored, index), column_sets(index.parts, job)
    outcomes = evaluate(FeatureTask(train, tests, sets, job.recipe.seed, job.device, job.asked), settings)
    first = tests[tests.draws[0]]
    return replace(result, outcomes=outcomes, labels=first.labels, groups=first.groups)


def evaluate_images(job: Job) -> EvaluationResult:
    """Run a protocol that uses images."""
    from ddcl.data.manifest import read_manifest
    from ddcl.evaluate.encode import NotFiniteError
    from ddcl.evaluate.features import load_frozen

    method, status, digest = load_frozen(job.run / "checkpoint.pt", job.recipe, job.device)
    trained_on = read_manifest(job.data[0], job.recipe.dataset, job.recipe.data)
    evaluated_on = read_manifest(job.data[1], job.dataset, data_recipe(job.dataset))
    result = EvaluationResult(status, digest, None, None, trained_on.seal, evaluated_on.seal)
    if result.status == "diverged":
        return result
    task = _image_task(job, method, digest, (trained_on, evaluated_on))
    evaluate, settings = job.entry.load(), job.entry.settings.model_validate(job.evaluation.settings)
    if not job.entry.predicts:
        try:
            return replace(result, outcomes=evaluate(task, column_sets(method.parts(), job), settings))
        except NotFiniteError:
            return replace(result, status="diverged")
    groups = None if task.test.groups is None else task.test.groups.numpy()
    result = replace(result, labels=task.test.labels.numpy(), groups=groups)
    if "features" not in job.entry.inputs:
        return replace(result, outcomes={"full": [evaluate(task, settings)]})
    index, tests = _stored(job)
    result = replace(result, features_seal=index.seal, features_code=index.code_digest)
    if index.checkpoint_digest != digest:
        raise UserError(f"{job.stored}: features of another checkpoint of this run; run `ddcl extract` again")
    if index.status == "diverged":
        return replace(result, status="diverged", labels=None, groups=None)
    outcomes = evaluate(task, column_sets(index.parts, job), tests, settings)
    return replace(result, outcomes=outcomes)


def _image_task(job: Job, method: Method, digest: str, manifests: tuple[Manifest, Manifest]) -> ImageTask:
    """Return the task of a protocol that uses images. digest: of the checkpoint. manifests: as `Job.data`."""
    from ddcl.data.images import on_device
    from ddcl.data.manifest import normalisation_of
    from ddcl.data.stored import read_factors, read_images
    from ddcl.evaluate.sgd import ImageTask

    recipe, path, (trained_on, evaluated_on) = job.recipe, job.data[1], manifests
    side_px, workers = recipe.data.image_side_px, job.threads if job.threads > 1 else 0
    train, test = (
        on_device(read_images(path, evaluated_on, split, side_px, workers, recipe.authors), job.device)
        for split in ("train", "test")
    )
    code = evaluate_digest(recipe.method, job.evaluation.protocol)
    identity = [digest, code, digest_text(canonical_json(job.evaluation.settings))]
    identity += [trained_on.seal, evaluated_on.seal, job.subsets.model_dump_json() if job.subsets else ""]
    return ImageTask(
        recipe=recipe,
        method=method,
        train=train,
        test=test,
        names=(job.dataset, recipe.seed),
        n_classes=evaluated_on.data.n_classes,
        normalisation=normalisation_of(recipe, trained_on),
        state=job.state,
        identity=identity,
        checkpoint_minutes=job.checkpoint_minutes,
        asked=job.asked,
        factors={split: read_factors(path, evaluated_on, split) for split in ("train", "test")},
    )


def _stored(job: Job) -> tuple[FeatureIndex, TestFeatures]:
    """Return the index of the stored features and those of the test images, in the order of the job's perturbations."""
    folder = job.stored
    index = feature_index.load(folder)
    check_owner(folder, index, job.recipe)
    if index.eval_dataset != job.dataset:
        raise UserError(
            f"{folder}: these are features on {index.eval_dataset}, not on {job.dataset}; run `ddcl extract` again"
        )
    draws: list[Draw] = []
    for perturbation in job.perturbations:
        stored = [draw for draw in index.draws() if draw.perturbation == perturbation]
        if not stored and index.status != "diverged":
            known = ", ".join(sorted({draw.perturbation for draw in index.draws()}))
            raise UserError(f"{folder}: no features for {perturbation!r}; there are {known}; run `ddcl extract` again")
        draws += stored
    return index, TestFeatures(folder, index, draws)
