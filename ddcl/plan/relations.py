"""What the parts of a suite ask of each other, beyond what each may say by itself: found before anything runs."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product

from ddcl.base.errors import UserError, check_name
from ddcl.plan.expand import Expansion, Run
from ddcl.schema.claims import FILES, MACROS
from ddcl.schema.names import LONGEST_NAME
from ddcl.schema.recipes import Recipe
from ddcl.schema.registry import METHODS, RANDOM_PARTS, part_names
from ddcl.schema.subsets import read_subset_config, subset_path
from ddcl.schema.suites import DatasetConfig, SuiteConfig
from ddcl.schema.tuning import CHOICE, SCORES

# What an evaluation cannot be called: the rules of the workflow, as each evaluation is one, and the folder of features.
RULES = (
    *("all", "claims", "collect", "extract", "features", "figure", "gate", "picture", "plan", "prepare", "pretrain"),
    *("report", "resolve", "table", "tune"),
)
TAKEN_TABLES = {name.partition(".")[0] for name in (*FILES, MACROS, SCORES, CHOICE)}  # other files of results/tables


def check_relations(asked: Expansion, config: SuiteConfig, datasets: dict[str, DatasetConfig], where: str) -> None:
    """Raise `UserError` for what cannot be. config: the suite's own file. where: it comes from, for the message."""
    _check_files(asked, where)
    _check_shown(asked.runs.values(), config, where)
    _check_planned(asked, where)
    for run in asked.runs.values():
        _check_columns(asked, run, where)
    pairs = ((name, each) for run in asked.runs.values() for name, own in run.evaluations.items() for each in own)
    for dataset, evaluation in dict.fromkeys(pairs):
        _check_list(asked, dataset, evaluation, datasets[dataset].n_classes)
    check_batches(asked.runs.values(), datasets, where)
    for run in asked.runs.values():
        check_extras(run.recipe, where)


def _check_files(asked: Expansion, where: str) -> None:
    """Check that no two things of the suite would be one file, or one rule."""
    for key, names, taken in (("evaluations", asked.evaluations, RULES), ("tables", asked.tables, TAKEN_TABLES)):
        for name in names:
            if name in taken:
                raise UserError(f"{where}: {key}: {name} is the name of a rule or file of the workflow; rename it")
    datasets = dict.fromkeys(run.recipe.dataset for run in asked.runs.values() if METHODS[run.recipe.method].trains)
    stems = {figure: f"figure {figure}" for figure in asked.figures}
    for picture, dataset in product(asked.pictures, datasets):
        stem, what = f"{picture}_{dataset}", f"picture {picture} of {dataset}"
        if stem in stems:
            raise UserError(f"{where}: {stems[stem]} and {what} would be the same file; rename one")
        if len(stem) > LONGEST_NAME:
            raise UserError(f"{where}: {what}: its name has {len(stem)} characters, at most {LONGEST_NAME} are allowed")
        stems[stem] = what


def _check_shown(runs: Iterable[Run], config: SuiteConfig, where: str) -> None:
    """Check the names of what figures show: those of runs that are trained."""
    trained = [run.recipe for run in runs if METHODS[run.recipe.method].trains]
    for key, kind in (("figure_variants", "variant"), ("figure_augmentations", "augmentation")):
        for name in getattr(config, key) or ():
            check_name(kind, name, dict.fromkeys(getattr(recipe, kind) for recipe in trained), f"{where}: {key}")


def _check_planned(asked: Expansion, where: str) -> None:
    """Check the names of claims and checks whose half-widths were planned."""
    checks = {
        spec.row(name, form): [check.name for check in spec.checks if form in check.forms]
        for name, spec in asked.claims.items()
        for form in spec.forms
    }
    for row, planned in asked.planned_half_widths.items():
        check_name("claim and form", row, checks, f"{where}: planned_half_widths")
        for check in planned:
            check_name("check", check, checks[row], f"{where}: planned_half_widths.{row}")


def _check_columns(asked: Expansion, run: Run, where: str) -> None:
    """Check that random columns, where they are as many as `dir_frac` says, leave neither part empty."""
    entry = METHODS[run.recipe.method]
    if run.subsets is None or "dir" in entry.parts:
        return
    width = run.recipe.network.feature_dim
    width = round(run.recipe.settings.get("feature_frac", 1.0) * width)
    evaluations = {name for own in run.evaluations.values() for name in own}
    drawn = any(set(part_names(entry, asked.protocol(name), random=True)) & set(RANDOM_PARTS) for name in evaluations)
    if drawn and not 0 < round(run.subsets.dir_frac * width) < width:
        raise UserError(
            f"{where}: random_subsets.dir_frac: {run.subsets.dir_frac} of the {width} features of {run.recipe.variant} "
            "leaves one part empty"
        )


def _check_list(asked: Expansion, dataset: str, evaluation: str, n_classes: int) -> None:
    """Check that the list of images that an evaluation trains on is one of this data set."""
    recipe = asked.evaluations[evaluation]
    listed = asked.protocol(evaluation).settings.model_validate(recipe.settings).train_list
    if listed is None:
        return
    found = read_subset_config(dataset, listed)
    if found.dataset != dataset or len(found.positions) != n_classes:
        what = f"a list of {len(found.positions)} classes of {found.dataset}"
        raise UserError(
            f"{subset_path(dataset, listed)}: {what}; evaluation {evaluation} asks for {n_classes} of {dataset}"
        )


def check_batches(runs: Iterable[Run], datasets: dict[str, DatasetConfig], where: str) -> None:
    """Check that no batch is larger than the data set that it is taken of, where that is known."""
    for run in runs:
        images = datasets[run.recipe.dataset].n_images
        method = METHODS[run.recipe.method]
        n = images.get(method.split, images.get("train"))
        if method.trains and n is not None and run.recipe.training.batch_size > n:
            raise UserError(
                f"{where}: {run.recipe.name}: batch_size {run.recipe.training.batch_size} is larger than the {n} "
                f"training images of {run.recipe.dataset}; set a smaller one, in training_overrides of "
                f"config/datasets/{run.recipe.dataset}.yaml"
            )


def check_extras(recipe: Recipe, where: str) -> None:
    """Check that what a method asks for beyond two views can be made of its batches and under its augmentation."""
    extras, training = recipe.extras, recipe.training
    if extras is None:
        return
    own = training.batch_size // training.processes
    if own % extras.shared_draws:
        shared = f" on each of {training.processes} processes" if training.processes > 1 else ""
        raise UserError(
            f"{where}: {recipe.name}: {recipe.method} has groups of {extras.shared_draws} images that share their "
            f"draws, and a batch of {own} images{shared} has no whole number of them"
        )
    if extras.crop and (not recipe.ops or recipe.ops[0].op != "resized_crop"):
        raise UserError(
            f"{where}: {recipe.name}: {recipe.method} asks for a third crop, so its augmentation must begin with "
            f"resized_crop; found {[item.op for item in recipe.ops]}"
        )
