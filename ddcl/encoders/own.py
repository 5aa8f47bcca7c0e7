"""The files beside a checkpoint of this suite that describe its network and its training data."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from ddcl.base.errors import UserError
from ddcl.plan.addresses import data_folder, results_of
from ddcl.schema import manifest
from ddcl.schema.recipes import Recipe, load_recipe
from ddcl.schema.registry import METHODS
from ddcl.schema.suites import NormalisationConfig


class OwnRun(NamedTuple):
    """A run of another results folder. normalisation: of its data; None: neither its recipe nor a manifest says it."""

    recipe: Recipe
    normalisation: NormalisationConfig | None
    dir_width: int | None


def own_run(checkpoint: Path) -> OwnRun:
    """Return the run of a checkpoint of this suite; `UserError` without the recipe beside it."""
    path = checkpoint.with_name("config.json")
    if not path.exists():
        raise UserError(f"{checkpoint}: a checkpoint of this suite needs its recipe config.json in the same folder")
    recipe = load_recipe(path)
    if recipe.encoder is not None:
        raise UserError(f"{checkpoint}: is itself an external encoder; add the file that it was made from")
    split = "dir" in METHODS[recipe.method].parts
    width = recipe.training.backbone.feature_dim
    dir_width = round(recipe.settings["dir_frac"] * width) if split and "dir_frac" in recipe.settings else None
    return OwnRun(recipe, recipe.data.normalisation or _measured(checkpoint.parent, recipe), dir_width)


def _measured(folder: Path, recipe: Recipe) -> NormalisationConfig | None:
    """Return the normalisation of the prepared data of the results folder that a run lies in, if it is there."""
    results = results_of(folder, recipe)
    path = results / data_folder(recipe.dataset, recipe.data) / "manifest.json" if results else None
    return manifest.load(path).normalisation if path and path.exists() else None
