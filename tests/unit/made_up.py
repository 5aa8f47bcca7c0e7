"""Made-up results of a real suite: every cell that it plans, with values that depend on everything a little."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ddcl.base.files import write_json
from ddcl.plan.addresses import run_folder
from ddcl.plan.plan import Plan, PlannedRun
from ddcl.plan.suite import Suite
from ddcl.report.claims.judge import judge_claims
from ddcl.report.claims.judged import JudgedClaim, write_judged
from ddcl.report.collected import Collected
from ddcl.schema.places import CONFIG_DIR
from tests.unit.pages import ended_well

SUITES = {"digits": "config.yaml", "cifar10": "suites/cifar10.yaml"}
DROPS = {"color": 0.03, "color_flip": 0.05, "color_rotate": 0.3, "color_rotate_elastic": 0.45}
PARTS = {"dir": 0.01, "dvr": 0.12, "random_dir": 0.01, "random_dvr": 0.1}
IMAGES = 10000


@cache
def suite_of(suite: str) -> Suite:
    """A suite of the project."""
    return Suite.load(CONFIG_DIR / SUITES[suite])


def plan_of(suite: str) -> Plan:
    """The plan of a suite of the project."""
    return suite_of(suite).plan


def write_recipes(suite: str, folder: Path) -> None:
    """Write the recipe of each run to its folder, as the cards of the page show it."""
    for recipe in suite_of(suite).recipes.values():
        write_json(folder / run_folder(recipe) / "config.json", recipe.model_dump())


def luck(*names: object, size: float = 1.0) -> float:
    """A number in ±size that depends on the names alone."""
    return size * (2 * zlib.crc32("/".join(map(str, names)).encode()) / 2**32 - 1)


def value(run: PlannedRun, part: str, perturbation: str, metric: str) -> float:
    """A share: DDCL is a little better than its baselines, rotation costs more than training with it wins back."""
    number = 0.85 if run.trains else 0.55
    number += {"ddcl": 0.004, "ddcl_sym": 0.01}.get(run.method, 0.0) - PARTS.get(part, 0.0)
    number -= DROPS.get(perturbation, 0.2 if perturbation != "none" else 0.0)
    number += 0.15 * (run.augmentation.startswith("caug") and "rotate" in perturbation)
    number += (
        luck(run.seed, size=0.01) + luck(*run.names, size=0.006) + luck(*run.names, part, perturbation, size=0.003)
    )
    return number * (0.3 if metric.startswith("readout") else 1.0) - 0.1 * metric.startswith("invariance")


def collected(suite: str, folder: Path, plan: Plan | None = None) -> Collected:
    """What `ddcl collect` would find of the suite, with its claims judged below `folder`."""
    plan = plan or plan_of(suite)
    rows: list[dict[str, Any]] = []
    rest = {"status": "ok", "training": "ok", "code": "", "n": IMAGES}
    for run in plan.runs:
        for target in run.targets:
            place = run.key | {"evaluation": target.evaluation, "eval_dataset": target.eval_dataset} | rest
            rule = plan.evaluations[target.evaluation].selection
            rows += [
                place
                | {"part": part, "perturbation": perturbation, "metric": metric, "selection": rule}
                | {"value": value(run, part, perturbation, metric)}
                | {"n_draws": 20 if part.startswith("random") else 1}
                | {"sd_draws": 0.004 if part.startswith("random") else np.nan}
                for part, perturbation, metric in target.expected()
            ]
    found = Collected(plan, pd.DataFrame(rows), histories(plan), ended_well(plan), folder)
    if plan.claims:
        write_judged(judge_claims(found), found)
    return found


def cells_of(plan: Plan) -> Iterator[tuple[PlannedRun, dict[str, Any]]]:
    """Each cell of a plan with its run, as a record of 450 images that ended well, without value and draws."""
    for run in plan.runs:
        for target in run.targets:
            place = run.key | {"evaluation": target.evaluation, "eval_dataset": target.eval_dataset}
            for part, perturbation, metric in target.expected():
                cell = {"part": part, "perturbation": perturbation, "metric": metric, "n": 450, "status": "ok"}
                yield run, place | cell


def claims() -> list[JudgedClaim]:
    """The judged claims of digits with such results."""
    bare = collected("digits", Path("nowhere"), plan_of("digits").changed(claims={}))
    return judge_claims(replace(bare, plan=plan_of("digits")))


def histories(plan: Plan) -> pd.DataFrame:
    """kNN rises along an exponential, monitored every tenth of the training."""
    rows = []
    for run in plan.runs:
        for epoch in range(0, run.epochs + 1, max(1, run.epochs // 10)):
            share = epoch / run.epochs if run.epochs else 0.0
            knn = 0.8 - 0.45 * np.exp(-5 * share) + luck(*run.names, size=0.01) * (share > 0)
            rows.append(run.key | {"epoch": epoch, "seconds": 2.0 * epoch, "loss": -share, "lr": 0.1, "knn_top1": knn})
    return pd.DataFrame(rows)
