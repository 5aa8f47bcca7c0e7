"""Where an evaluation finds its features, and where its record goes. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ddcl.base.errors import UserError
from ddcl.plan.addresses import features_folder, record_digest, record_path
from ddcl.plan.cells import cells_of
from ddcl.plan.plan import Cell
from ddcl.schema import feature_index
from ddcl.schema.feature_index import FeatureIndex
from ddcl.schema.recipes import EvaluationRecipe, Recipe, data_recipe, perturbation_on
from ddcl.schema.registry import EVALUATIONS
from ddcl.schema.subsets import read_subset_config
from ddcl.schema.suites import RandomSubsetsConfig


def find_features(run: Path, dataset: str, perturbations: Sequence[str], given: Path | None) -> Path:
    """Return the folder of a run's features on a data set, under these perturbations.

    given: the folder, if the user named one. `UserError` if there is none, or if there are several and none was named.
    """
    if given is not None:
        return given
    pattern = f"on/{dataset}/features-*/arrays"
    having = [folder for folder in sorted(run.glob(pattern)) if _has(folder, perturbations)]
    if len(having) == 1:
        return having[0]
    names = ", ".join(map(str, having)) or f"none in {run / pattern}"
    asked = f"features of {dataset} under {', '.join(perturbations)}"
    hint = "name one with --features" if having else "run `ddcl extract` first"
    raise UserError(f"{run}: asked for {asked}; found {names}; {hint}")


def _has(folder: Path, perturbations: Sequence[str]) -> bool:
    index = feature_index.load(folder)
    return index.status == "diverged" or set(perturbations) <= {draw.perturbation for draw in index.draws()}


def find_record(
    run: Path,
    names: tuple[Recipe, EvaluationRecipe, str],
    perturbations: Sequence[str],
    subsets: RandomSubsetsConfig | None,
    index: FeatureIndex | None,
) -> tuple[Path, str, list[Cell]]:
    """Return the file of a record, its digest (`ddcl.plan.addresses`), and the cells that it should have.

    names: recipes of run and evaluation, and the data set. index: of the features used, if it uses stored features.
    """
    recipe, evaluation, dataset = names
    settings = EVALUATIONS[evaluation.protocol].settings.model_validate(evaluation.settings)
    recipes = [perturbation_on(dataset, name, index.n_draws(name) if index else 1) for name in perturbations]
    groups = cells_of(recipe.method, evaluation, recipes, subsets is not None)
    cells = [cell for group in groups for cell in group]
    digest = record_digest(
        evaluation,
        recipes,
        subsets,
        data_recipe(dataset),
        index.digest if index else None,
        cells,
        read_subset_config(dataset, settings.train_list).positions if settings.train_list else None,
    )
    return Path(record_path(str(run), dataset, evaluation.evaluation, digest)), digest, cells


def new_features(run: Path, dataset: str, digest: str) -> Path:
    """Return the folder that a run's features on a data set are written to."""
    return Path(features_folder(str(run), dataset, digest))
