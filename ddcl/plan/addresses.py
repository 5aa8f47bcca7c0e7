"""Where results lie below the results folder. An address holds 8 hex digits of what its content depends on.

    data/<dataset>-<data>/                          the data set's recipe
    runs/<dataset>/<variant>/<augmentation>-<arm>/seed<N>/    the run's recipe, without its seed
        on/<eval_dataset>/features-<digest>/arrays  perturbations and draws, and the data set's recipe
        on/<eval_dataset>/<evaluation>-<digest>/    the evaluation's recipe, its cells, and all of the above

So equal work of two suites is shared, and unequal work has another place. The files hold the full digests.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from ddcl.base.errors import UserError
from ddcl.schema.names import NAME
from ddcl.schema.op_recipes import PerturbationRecipe
from ddcl.schema.recipes import DataRecipe, EvaluationRecipe, Recipe, digest_of
from ddcl.schema.run_key import RunKey
from ddcl.schema.suites import RandomSubsetsConfig

DIGITS = 8  # of a digest that stand in an address
ADDRESSED = rf"{NAME}-[0-9a-f]{{8}}"  # pattern of a name with its digest
Cells = Iterable[tuple[str, str, str]]  # part, perturbation, metric


def addressed(name: str, digest: str) -> str:
    """Return ``name-3e0d3d5c``."""
    return f"{name}-{digest[:DIGITS]}"


def run_folder(recipe: Recipe) -> str:
    """Return the folder of a run, below the results folder."""
    return folder_of_run(recipe.key, recipe.arm_digest)


def folder_of_run(run: RunKey, arm_digest: str) -> str:
    """Return the same, where only the digest of the recipe without its seed is at hand."""
    return f"runs/{run.dataset}/{run.variant}/{addressed(run.augmentation, arm_digest)}/seed{run.seed}"


def data_folder(dataset: str, recipe: DataRecipe) -> str:
    """Return the folder of a prepared data set, below the results folder."""
    return folder_of_data(dataset, recipe.digest)


def folder_of_data(dataset: str, digest: str) -> str:
    """Return the same, where only the recipe's digest is at hand."""
    return f"data/{addressed(dataset, digest)}"


def features_digest(perturbations: Iterable[PerturbationRecipe], data: DataRecipe) -> str:
    """Return the digest of the features of a run: under which perturbations, on what data."""
    recipes = {item.perturbation: item.identity() for item in perturbations}
    return digest_of([recipes, data.identity()])


def record_digest(
    evaluation: EvaluationRecipe,
    perturbations: Iterable[PerturbationRecipe],
    subsets: RandomSubsetsConfig | None,
    data: DataRecipe,
    features: str | None,
    cells: Cells,
    images: Sequence[Sequence[int]] | None = None,
) -> str:
    """Return the digest of a record: all that decides its numbers beside the run and the code, and which it has.

    features: digest of the stored features that it is made from, if it is. images: the list of training images that it
    is restricted to, if it is: positions by class.
    """
    recipes = {item.perturbation: item.identity() for item in perturbations}
    drawn = subsets.model_dump() if subsets else None
    return digest_of([evaluation.identity(), recipes, drawn, data.identity(), features, sorted(cells), images])


def features_folder(run: str, dataset: str, digest: str) -> str:
    """Return the folder of a run's features on a data set."""
    return f"{run}/on/{dataset}/{addressed('features', digest)}/arrays"


def record_path(run: str, dataset: str, evaluation: str, digest: str) -> str:
    """Return the file of a run's record of an evaluation on a data set."""
    return f"{run}/on/{dataset}/{addressed(evaluation, digest)}/{evaluation}.json"


def log_folder(run: str) -> str:
    """Return the folder of the logs of the run in folder `run`."""
    return f"logs/{run.removeprefix('runs/')}"


def log_path(run: str, stage: str, eval_dataset: str = "") -> str:
    """Return the log of a job of the run in folder `run`. stage: with its digest, where it has one."""
    return f"{log_folder(run)}/{'/'.join(filter(None, (eval_dataset, stage)))}.log"


def cost_path(recipe: Recipe, stage: str, eval_dataset: str = "", digest: str = "") -> str:
    """Return the file that says what a job of a run cost: named as its log is."""
    name = addressed(stage, digest) if digest else stage
    return f"{cost_folder(run_folder(recipe))}/{'/'.join(filter(None, (eval_dataset, name)))}.json"


def cost_folder(run: str) -> str:
    """Return the folder of what the jobs of the run in folder `run` cost."""
    return f"costs/{run.removeprefix('runs/')}"


def results_of(folder: Path, recipe: Recipe) -> Path | None:
    """Return the results folder that a run's folder is in; None where the run lies elsewhere than at its address."""
    whole, place = os.path.abspath(folder), f"/{run_folder(recipe)}"
    return Path(whole.removesuffix(place)) if whole.endswith(place) else None


def predictions_of(record: str) -> str:
    """Return the file of the per-image predictions beside a record."""
    return f"{record.removesuffix('.json')}_predictions.npz"


def check_address(folder: Path, recipe: Recipe) -> None:
    """Raise `UserError` if the recipe in a run's folder is not the one that the folder's name says."""
    named = folder.resolve().parent.name.rpartition("-")[2]
    if named != recipe.arm_digest[:DIGITS]:
        raise UserError(
            f"{folder / 'config.json'}: holds recipe {recipe.arm_digest[:DIGITS]}, but its address says {named}; "
            "delete the file and run snakemake again"
        )
