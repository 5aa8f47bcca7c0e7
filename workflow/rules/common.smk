# What the rules share: the checked suite, and functions of its grid. Any configuration error stops here, before a job.
import gc
import os
import re
import sys
from functools import cache

from snakemake.exceptions import WorkflowError
from snakemake.logging import logger

from ddcl.base.errors import UserError
from ddcl.base.files import canonical_json, digest_text
from ddcl.plan.datasets import data_root, missing_message
from ddcl.plan.suite import Suite
from ddcl.plan.needs import (
    evaluate_needs,
    extract_needs,
    is_short,
    picture_needs,
    prepare_needs,
    pretrain_needs,
)
from ddcl.schema.pictures import DRAWINGS
from ddcl.schema.recipes import data_recipe, run_name
from ddcl.report.page.deviations import paper_digest
from ddcl.schema.figures import WORDS
from ddcl.plan.digests import (
    collect_digest,
    evaluate_digest,
    extract_digest,
    page_digest,
    picture_digest,
    prepare_digest,
    pretrain_digest,
    report_digest,
)

try:
    SUITE = Suite(dict(config), " + ".join(map(os.path.relpath, workflow.configfiles)))
except UserError as error:
    raise WorkflowError(str(error)) from None

# All modules and the suite stay to the end: without this, Python looks through them again and again as the DAG grows.
gc.freeze()

DATA_ROOT = data_root(SUITE.config.data_root)

# Jobs use the interpreter that runs Snakemake, whether or not its environment is activated. Where the data sets lie is
# no parameter of a rule: moving them redoes nothing.
shell.prefix(
    f'export PATH="{os.path.dirname(sys.executable)}:$PATH" DDCL_DATA="{DATA_ROOT}"; '
)

if workflow.is_main_process:
    missing = missing_message(SUITE.dataset_configs, DATA_ROOT)
    if missing:
        logger.warning(missing)

PICTURES = {entry["name"]: entry for entry in SUITE.picture_entries}

RUN = "results/runs/{dataset}/{variant}/{augmentation}/seed{seed}"
RUN_FOLDER = RUN.replace("{", "{wildcards.")  # the same in a command
LOG = "results/logs/{dataset}/{variant}/{augmentation}/seed{seed}"
BENCHMARK = "results/benchmarks/{dataset}/{variant}/{augmentation}/seed{seed}"
DATA = "results/data/{dataset}"
EVAL_DATA = "results/data/{eval_dataset}"


def one_of(names):
    """Return a pattern that matches the given names only: a typo becomes "no rule to produce", not a strange job."""
    return "|".join(map(re.escape, sorted(set(names)))) or "(?!)"


wildcard_constraints:
    dataset=one_of(SUITE.dataset_configs),
    eval_dataset=one_of(SUITE.dataset_configs),
    variant=one_of(recipe.variant for recipe in SUITE.recipes.values()),
    augmentation=one_of(recipe.augmentation for recipe in SUITE.recipes.values()),
    seed=r"\d+",
    table=one_of(SUITE.tables),
    figure=one_of(SUITE.figures),
    picture=one_of(PICTURES),


def run_of(wildcards):
    name = run_name(dict(wildcards.items()))
    if name not in SUITE.runs:
        raise UserError(f"{name} is not a run of suite {SUITE.config.suite}")
    return SUITE.runs[name]


def recipe_of(wildcards):
    return run_of(wildcards).recipe


def recipe_json(wildcards):
    return recipe_of(wildcards).model_dump_json()


def plan_json(wildcards):
    return SUITE.plan_text()


def dataset_recipe(wildcards):
    return data_recipe(wildcards.dataset).model_dump()


def prepare_code(wildcards):
    return prepare_digest(SUITE.dataset_configs[wildcards.dataset].reader)


def pretrain_code(wildcards):
    recipe = recipe_of(wildcards)
    return pretrain_digest(recipe.method, ops_of(recipe))


def extract_code(wildcards):
    ops = perturbation_ops(tuple(feature_names(wildcards)))
    return extract_digest(recipe_of(wildcards).method, ops)


@cache
def perturbation_ops(names):
    return {op for name in names for op in ops_of(SUITE.perturbations[name])}


def ops_of(recipe):
    """Return the names of the operations of an augmentation or a perturbation."""
    return [item.op for item in recipe.ops]


def feature_names(wildcards):
    return SUITE.features(run_of(wildcards), wildcards.eval_dataset)


def feature_recipes(wildcards):
    return recipes_json(tuple(feature_names(wildcards)))


@cache
def recipes_json(names):
    return canonical_json([SUITE.perturbations[name].model_dump() for name in names])


def extract_arguments(wildcards):
    names = feature_names(wildcards)
    draws = max(SUITE.perturbations[name].draws for name in names)
    return f"--draws {draws} --perturbations {' '.join(names)}"


def evaluate_arguments(evaluation):
    """Return the function of wildcards that gives what the command of an evaluation depends on."""

    def arguments(wildcards):
        run = run_of(wildcards)
        names = run.evaluations[wildcards.eval_dataset][evaluation]
        subsets = run.subsets
        control = (
            f"--subsets {subsets.draws} --dir-frac {subsets.dir_frac} "
            if subsets
            else ""
        )
        return f"{control}--perturbations {' '.join(names)}"

    return arguments


def settings_digest(recipe):
    """Return 16 hex digits that change with the settings: Snakemake copies a mapping, value by value, for every job."""
    return digest_text(canonical_json(recipe.model_dump()))


def evaluation_input(evaluation):
    """Return the patterns of what an evaluation takes: features, or the checkpoint and images of both data sets."""
    inputs = SUITE.protocol(evaluation).inputs
    files = {"recipe": f"{RUN}/config.json"}
    if "features" in inputs:
        files["features"] = f"{RUN}/on/{{eval_dataset}}/features"
    if "images" in inputs:
        files["checkpoint"] = f"{RUN}/checkpoint.pt"
        files["own_data"], files["data"] = (
            f"{DATA}/manifest.json",
            f"{EVAL_DATA}/manifest.json",
        )
        files["splits"] = f"{EVAL_DATA}/splits"
    return files


def record_files(wildcards):
    return [
        f"results/runs/{name}/{file}"
        for name, run in SUITE.runs.items()
        for file in [
            "run.json",
            "history.csv",
            *(
                f"on/{dataset}/{evaluation}.json"
                for dataset, evaluations in run.evaluations.items()
                for evaluation in evaluations
            ),
        ]
    ]


def picture_input(wildcards):
    """Return the prepared data set, and of each run that is shown the recipe, and the checkpoint if it is drawn."""
    entry = PICTURES[wildcards.picture]
    names = ["config.json"]
    if DRAWINGS[entry["drawing"]].encoders:
        names.append("checkpoint.pt")
    data = f"results/data/{entry['dataset']}"
    return {
        "manifest": f"{data}/manifest.json",
        "splits": f"{data}/splits",
        "runs": [
            f"results/runs/{run}/{name}" for run in entry["runs"] for name in names
        ],
    }


def picture_code(wildcards):
    entry = PICTURES[wildcards.picture]
    recipes = [SUITE.runs[run].recipe for run in entry["runs"]]
    ops = [op for recipe in recipes for op in ops_of(recipe)]
    return picture_digest(entry["drawing"], [recipe.method for recipe in recipes], ops)


def needs_of(stage, wildcards, *evaluation):
    """Return what the job of a stage (a function of `ddcl.plan.needs`) needs."""
    if stage is prepare_needs:
        return stage(SUITE.dataset_configs[wildcards.dataset])
    if stage is picture_needs:
        return stage(SUITE, PICTURES[wildcards.picture])
    where = [] if stage is pretrain_needs else [wildcards.eval_dataset]
    return _needs(stage, run_name(dict(wildcards.items())), *where, *evaluation)


@cache
def _needs(stage, name, *where):
    return stage(SUITE, SUITE.runs[name], *where)


def cpus(stage, *evaluation):
    return lambda wildcards: needs_of(stage, wildcards, *evaluation).cpus


def resources(stage, *evaluation):
    """Return the functions of a stage's resources; tried again, a job gets up to three times the memory and time."""

    def amount(name, most):
        return lambda wildcards, attempt: (
            getattr(needs_of(stage, wildcards, *evaluation), name) * min(attempt, most)
        )

    return {
        "gpu": amount("gpu", 1),
        "mem_mb": amount("mem_mb", 3),
        "disk_mb": amount("disk_mb", 1),
        "runtime": amount("runtime", 3),
    }


def group_of(evaluation):
    """Return the function that puts the short evaluations of features into one cluster job with their extraction."""
    return lambda wildcards: (
        "evaluation"
        if is_short(needs_of(evaluate_needs, wildcards, evaluation))
        else None
    )


def table_title(wildcards):
    return SUITE.tables[wildcards.table].title


def table_caption(wildcards):
    return SUITE.tables[wildcards.table].caption


def table_group(wildcards):
    """Return under which heading Snakemake's report lists a table."""
    kind = SUITE.tables[wildcards.table].kind
    headings = {
        "convergence": "While training",
        "published": "Beside published numbers",
    }
    return headings.get(kind, "Evaluations")


def figure_caption(wildcards):
    return WORDS[wildcards.figure].caption


def paper_recipes(wildcards):
    """Return the digest of what the page compares recipes with."""
    recipes = SUITE.recipes.values()
    return paper_digest({(recipe.method, recipe.augmentation) for recipe in recipes})


def targets():
    return [
        *expand(
            "results/tables/{table}.{ext}",
            table=SUITE.tables,
            ext=["csv", "md", "tex", "html"],
        ),
        *expand(
            "results/figures/{figure}.{ext}",
            figure=[*SUITE.figures, *PICTURES],
            ext=["png", "pdf"],
        ),
        "results/report/index.html",
        *(CLAIMS if SUITE.claims else []),
    ]
