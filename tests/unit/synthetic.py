"""A small suite with made-up numbers whose tables one can compute by hand."""

from __future__ import annotations

import zlib
from functools import cache
from typing import Any

import pandas as pd

from ddcl.plan.plan import CellGroup, Plan, PlannedEvaluation, PlannedFigure, PlannedRun, Target
from ddcl.schema.claims import read_statistics
from ddcl.schema.marks import mark_of
from ddcl.schema.metrics import DERIVED, Metric, knn_accuracy
from ddcl.schema.recipes import Recipe, build_recipe, data_recipe, read_evaluation
from ddcl.schema.registry import EVALUATIONS
from ddcl.schema.tables import read_table

VARIANTS = {"ddcl": ["full", "dir", "dvr"], "simsiam": ["full"]}
PERTURBATIONS = ["none", "color_rotate"]
SEEDS = [0, 1]
METHODS = {"random_init": "random_init", "simsiam": "simsiam", "barlow_twins": "barlow_twins"}  # the others: ddcl
BASELINES = {"ddcl": "simsiam", "ddcl_sym": "barlow_twins"}
FIELDS = {"settings": {}, "backbone": "ResNet-18", "epochs": 6, "extra_warmup_epochs": 0, "batch_size": 256}


def digest(*names: object) -> str:
    """16 hex digits that differ between names."""
    return f"{zlib.crc32(repr(names).encode()):08x}" * 2


def target(evaluation: str, parts: list[str], **changes: Any) -> Target:
    """The cells of one evaluation on digits: accuracies of these parts, clean and perturbed, unless changed."""
    values: dict[str, Any] = {"eval_dataset": "digits", "perturbations": PERTURBATIONS, "metrics": ["top1"]} | changes
    group = CellGroup(parts=parts, perturbations=values["perturbations"], metrics=values["metrics"])
    place = (values["eval_dataset"], evaluation)
    features = digest("features", values["eval_dataset"])
    return Target(
        eval_dataset=place[0],
        evaluation=evaluation,
        digest=digest(*place),
        features=features,
        features_ops=[],
        cells=[group],
    )


def targets(parts: list[str], **changes: Any) -> list[Target]:
    """The cells that each run must have: both evaluations, on digits only."""
    return [target(evaluation, parts, **changes) for evaluation in ("linear", "knn")]


def run(variant: str, augmentation: str, seed: int, parts: list[str], **changes: Any) -> PlannedRun:
    """A run on digits, trained unless changed."""
    values: dict[str, Any] = {"dataset": "digits", "variant": variant, "augmentation": augmentation, "seed": seed}
    values |= {"arm_digest": digest(variant, augmentation), "recipe_digest": f"{variant}{augmentation}{seed}"}
    values |= {"data_digest": digest("digits"), "method": METHODS.get(variant, "ddcl"), "parts": parts}
    values |= {"ops": [], "published_as": variant, "baseline": BASELINES.get(variant, "")}
    values |= FIELDS | {"trains": True, "authors": False, "targets": targets(parts)}
    return PlannedRun(**values | changes)


def evaluation(name: str) -> PlannedEvaluation:
    """An evaluation as config/ has it."""
    recipe = read_evaluation(name)[1]
    return PlannedEvaluation(protocol=recipe.protocol, selection=recipe.selection, settings=recipe.settings)


def made_up(names: list[str]) -> dict[str, PlannedEvaluation]:
    """Evaluations whose protocols have their names."""
    return {name: PlannedEvaluation(protocol=name, selection="fixed", settings={}) for name in names}


def metrics() -> dict[str, Metric]:
    """All metrics that there are, and a further number of neighbours."""
    reported = [metric for entry in EVALUATIONS.values() for metric in entry.metrics]
    return {metric.name: metric for metric in (*reported, *DERIVED, knn_accuracy(5))}


def figures(names: list[str]) -> dict[str, PlannedFigure]:
    """Figures, with words for them."""
    return {name: PlannedFigure(caption=f"caption of {name}", alt=f"what {name} shows") for name in names}


def suite(tables: tuple[str, ...] = ("knn",), **changes: Any) -> Plan:
    """The plan: two variants, two augmentations, two seeds, and an untrained floor."""
    runs = [
        run(variant, augmentation, seed, parts)
        for variant, parts in VARIANTS.items()
        for augmentation in ("baug", "caug")
        for seed in SEEDS
    ]
    floor = {"trains": False}
    runs += [run("random_init", "none", seed, ["full"], recipe_digest=f"random{seed}", **floor) for seed in SEEDS]
    values: dict[str, Any] = {"suite": "synthetic", "title": "Synthetic"}
    values |= {"description": "Made-up numbers.", "runs": runs, "data": {"digits": digest("digits")}}
    values |= {
        "evaluations": {name: evaluation(name) for name in ("linear", "knn")},
        "metrics": metrics(),
        "perturbations": PERTURBATIONS,
        "families": {},
        "strengths": {},
        "seen": {
            "baug": {"none": "clean", "color_rotate": "unseen"},
            "caug": {"none": "clean", "color_rotate": "seen"},
            "none": {"none": "clean", "color_rotate": "unseen"},
        },
        "tables": {name: read_table(name) for name in tables},
        "figures": {},
        "figure_variants": None,
        "figure_augmentations": None,
        "pictures": [],
        "claims": {},
        "gates": {},
        "statistics": read_statistics(),
        "marks": {name: mark_of(name) for name in ("ddcl", "ddcl_sym", "simsiam", "barlow_twins", "random_init")},
        "labels": {
            "dataset": {"digits": "Digits"},
            "variant": {"ddcl": "DDCL", "simsiam": "SimSiam & co_", "random_init": "Random init"},
            "augmentation": {"baug": "BAug", "caug": "CAug", "none": "no training"},
            "perturbation": {"none": "clean", "color_rotate": "color + rotate"},
            "evaluation": {"linear": "linear", "knn": "kNN"},
        },
    }
    return Plan(**values | changes)


def labelled(plan: Plan, kind: str, names: dict[str, str]) -> Plan:
    """The same plan, with these names printed otherwise."""
    return plan.changed(labels=plan.labels | {kind: plan.labels[kind] | names})


def altered(plan: Plan, values: dict[str, Any], **keys: object) -> Plan:
    """The same plan, with other values in the runs that have these keys."""
    own = [all(getattr(run, key) == value for key, value in keys.items()) for run in plan.runs]
    assert any(own)
    runs = [run.model_copy(update=values) if each else run for run, each in zip(plan.runs, own, strict=True)]
    return plan.changed(runs=runs)


@cache
def _recipe_of_arm(arm: tuple[str, str, str], authors: bool) -> Recipe:
    dataset, variant, augmentation = arm
    return build_recipe((dataset, variant.removesuffix("_authors"), augmentation), 0, {}, authors)


def recipe_of(run: PlannedRun) -> Recipe:
    """The recipe of a run as config/ has it."""
    return _recipe_of_arm(run.arm, run.authors).model_copy(update={"seed": run.seed})


def with_recipes(plan: Plan) -> Plan:
    """The same plan, with the digests of its runs' and data sets' recipes in config/."""
    data = {name: data_recipe(name).digest for name in plan.data}
    runs = []
    for each in plan.runs:
        recipe = recipe_of(each)
        digests = {"arm_digest": recipe.arm_digest, "recipe_digest": recipe.digest}
        runs.append(each.model_copy(update=digests | {"data_digest": data[each.dataset]}))
    return plan.changed(runs=runs, data=data)


def record_of(plan: Plan, run: str, evaluation: str, eval_dataset: str = "") -> str:
    """The file of a record, below the results folder; on the data set of pretraining unless another is named."""
    own = plan.run(run)
    path = plan.record(own.names, eval_dataset or own.dataset, evaluation)
    assert path, (run, evaluation)
    return path


def value(run: PlannedRun, perturbation: str, part: str) -> float:
    """0.90 clean for DDCL after BAug; each other choice and each seed moves it by a round amount."""
    number = {"ddcl": 0.90, "simsiam": 0.88, "random_init": 0.70}[run.variant]
    number -= {"baug": 0.0, "caug": 0.02, "none": 0.0}[run.augmentation]
    number -= {"full": 0.0, "dir": 0.01, "dvr": 0.20}[part]
    number += 0.04 * run.seed
    return number / 2 if perturbation == "color_rotate" else number


def records(plan: Plan) -> pd.DataFrame:
    """Every cell of the plan, measured."""
    return pd.DataFrame(
        [
            {"suite": plan.suite}
            | run.key
            | {"evaluation": evaluation, "eval_dataset": run.dataset, "perturbation": perturbation, "part": part}
            | {"selection": planned.selection, "metric": "top1"}
            | {"value": value(run, perturbation, part), "n": 450, "status": "ok"}
            | {"n_draws": 1, "sd_draws": float("nan"), "code": ""}
            for run in plan.runs
            for evaluation, planned in plan.evaluations.items()
            for part in run.parts
            for perturbation in plan.perturbations
        ]
    )


def histories(plan: Plan) -> pd.DataFrame:
    """kNN rises in four monitored epochs from 0.5 to the run's final value; epoch 1 is not monitored."""
    rows = []
    for run in plan.runs:
        final = {"ddcl": 0.90, "simsiam": 0.80, "random_init": 0.70}[run.variant]
        curve = {0: 0.5, 1: None, 2: 0.7, 4: 0.76, 6: final} if run.trains else {0: final}
        for epoch, knn in curve.items():
            row = {"epoch": epoch, "seconds": float(epoch), "loss": -0.5, "lr": 0.1, "knn_top1": knn}
            rows.append(run.key | row)
    return pd.DataFrame(rows).astype({"knn_top1": float})
