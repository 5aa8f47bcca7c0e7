# What the rules share: the checked suite, and functions of its grid. Any configuration error stops here, before a job.
import os
import re
import sys

from snakemake.exceptions import WorkflowError

from ddcl.core.errors import UserError
from ddcl.grid import Suite
from ddcl.stages import (
    collect_digest,
    evaluate_digest,
    extract_digest,
    prepare_digest,
    pretrain_digest,
    report_digest,
)

# Jobs use the interpreter that runs Snakemake, whether or not its environment is activated.
shell.prefix(f'export PATH="{os.path.dirname(sys.executable)}:$PATH"; ')

try:
    SUITE = Suite(dict(config), " + ".join(map(os.path.relpath, workflow.configfiles)))
except UserError as error:
    raise WorkflowError(str(error)) from None

RUN = "results/runs/{dataset}/{variant}/{augmentation}/seed{seed}"
LOG = "results/logs/{dataset}/{variant}/{augmentation}/seed{seed}"
BENCHMARK = "results/benchmarks/{dataset}/{variant}/{augmentation}/seed{seed}"


def one_of(names):
    """Return a pattern that matches the given names only: a typo becomes "no rule to produce", not a strange job."""
    return "|".join(map(re.escape, sorted(set(names)))) or "(?!)"


wildcard_constraints:
    dataset=one_of(recipe.dataset for recipe in SUITE.recipes.values()),
    variant=one_of(recipe.variant for recipe in SUITE.recipes.values()),
    augmentation=one_of(recipe.augmentation for recipe in SUITE.recipes.values()),
    seed=r"\d+",
    table=one_of(SUITE.tables),
    figure=one_of(SUITE.config.figures),


def recipe_of(wildcards):
    name = f"{wildcards.dataset}/{wildcards.variant}/{wildcards.augmentation}/seed{wildcards.seed}"
    if name not in SUITE.recipes:
        raise UserError(f"{name} is not a run of suite {SUITE.config.suite}")
    return SUITE.recipes[name]


def run_folder(wildcards, input):
    return os.path.dirname(input.recipe)


def recipe_json(wildcards):
    return recipe_of(wildcards).model_dump_json()


def plan_json(wildcards):
    return SUITE.plan_text()


def dataset_recipe(wildcards):
    dataset = SUITE.dataset_configs[wildcards.dataset]
    return {"reader": dataset.reader, "image_side_px": dataset.image_side_px}


def prepare_code(wildcards):
    return prepare_digest(SUITE.dataset_configs[wildcards.dataset].reader)


def pretrain_code(wildcards):
    return pretrain_digest(recipe_of(wildcards).method)


def extract_code(wildcards):
    return extract_digest(recipe_of(wildcards).method)


def perturbation_recipes(wildcards):
    return {name: recipe.model_dump() for name, recipe in SUITE.perturbations.items()}


def record_files(wildcards):
    return [
        f"results/runs/{name}/{file}"
        for name in SUITE.recipes
        for file in [
            "run.json",
            "history.csv",
            *(f"{evaluation}.json" for evaluation in SUITE.evaluations),
        ]
    ]


def targets():
    return [
        *expand(
            "results/tables/{table}.{ext}", table=SUITE.tables, ext=["csv", "md", "tex"]
        ),
        *expand(
            "results/figures/{figure}.{ext}",
            figure=SUITE.config.figures,
            ext=["png", "pdf"],
        ),
        "results/report/index.html",
    ]
