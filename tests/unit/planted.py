"""Results of a small suite with planted effects: records, histories, runs and the predictions beside the records."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ddcl.plan.plan import Plan
from ddcl.plan.suite import Suite
from ddcl.report.collected import Collected
from tests.unit.pages import ended_well

N = 2000  # test images
Accuracy = Callable[[dict[str, Any]], float]  # of a cell, from its keys
BLOCK = {"datasets": ["digits"], "augmentations": ["baug", "caug"], "overrides": {}}
SUITE: dict[str, Any] = {"suite": "planted", "title": "t", "description": "t", "evaluations": ["linear_online", "knn"]}
SUITE |= {"perturbations": ["none", "color", "color_rotate"]}


def suite(claims: list[str], variants: list[str], seeds: int, **values: Any) -> Plan:
    """The plan of a suite with these claims, variants and seeds; clean and two kinds of perturbed images."""
    runs = [BLOCK | {"variants": variants, "seeds": list(range(seeds))}]
    return Suite(SUITE | {"claims": claims, "runs": runs} | values, "planted.yaml").plan


def base(cell: dict[str, Any]) -> float:
    """0.80 for every method: nothing is planted; a seed moves all its numbers alike.

    Rotation costs, and CAug learns it. The untrained encoder has 0.60.
    """
    drop = {"none": 0.0, "color": 0.05, "color_rotate": 0.2}.get(cell["perturbation"], 0.0)
    drop += 0.1 * (cell["perturbation"] == "color_rotate" and cell["augmentation"] == "baug")
    drop += 0.2 * (cell["variant"] == "random_init")
    part = {"full": 0.0, "dir": 0.01, "dvr": 0.1, "random_dir": 0.01, "random_dvr": 0.1}[cell["part"]]
    return 0.80 - drop - part + 0.01 * np.sin(cell["seed"])


def plus(points: float, noise: float = 0.002, **keys: str) -> Accuracy:
    """`base`, with `points` on the cells with these keys (default: DDCL's), and the luck of each run."""
    keys = keys or {"variant": "ddcl"}

    def accuracy(cell: dict[str, Any]) -> float:
        luck = np.random.default_rng([cell["seed"], *map(ord, cell["variant"] + cell["augmentation"])]).normal(0, noise)
        return base(cell) + luck + points / 100 * all(cell[key] == name for key, name in keys.items())

    return accuracy


def correct(cell: dict[str, Any], accuracy: float) -> NDArray[np.bool_]:
    """Which images are right: mostly the same for all cells, as images differ in difficulty."""
    difficulty = np.random.default_rng(7).normal(size=N)
    own = np.random.default_rng([11, *map(ord, "".join(map(str, cell.values())))]).normal(size=N)
    latent = np.sqrt(0.8) * difficulty + np.sqrt(0.2) * own
    return np.asarray(latent.argsort().argsort() < round(accuracy * N)) if accuracy < 1 else np.ones(N, bool)


def results(
    plan: Plan, folder: Path, accuracy: Accuracy, predictions: bool = True, groups: NDArray[np.int64] | None = None
) -> Collected:
    """What `ddcl collect` would have found, with predictions below `folder`. groups: of the test images."""
    rows = []
    for run in plan.runs:
        for target in run.targets:
            arrays: dict[str, NDArray[Any]] = {"labels": np.zeros(N, np.int32)}
            arrays |= {} if groups is None else {"groups": groups}
            place = {"evaluation": target.evaluation, "eval_dataset": target.eval_dataset}
            for part, perturbation, metric in target.expected():
                cell = run.key | place | {"part": part, "perturbation": perturbation, "metric": metric}
                value = accuracy(cell)
                if metric == "top1":  # no claim here asks for the images of others
                    right = correct(cell, value)
                    arrays[f"{metric}/{part}/{perturbation}"] = (~right).astype(np.int32)[None, None]
                    value = float(right.mean())
                row = cell | {"value": value, "n": N, "n_draws": 1, "sd_draws": np.nan}
                rows.append(row | {"status": "ok", "selection": "fixed", "code": ""})
            if predictions:
                path = folder / run.predictions(target)
                path.parent.mkdir(parents=True, exist_ok=True)
                np.savez(path, allow_pickle=False, **arrays)
    return Collected(plan, pd.DataFrame(rows), histories(plan, {}), ended_well(plan), folder)


def histories(plan: Plan, gain: dict[str, float], noise: float = 0.01) -> pd.DataFrame:
    """kNN rises to 0.8 along an exponential. gain: how much faster a variant is. noise: the luck of each run."""
    rows = []
    for run in plan.runs:
        luck = np.random.default_rng([run.seed, len(run.variant)]).normal(0, noise)
        for epoch in range(0, run.epochs + 1, max(1, run.epochs // 12)):
            knn = 0.8 - 0.5 * np.exp(-4 * epoch / run.epochs * (1 + gain.get(run.variant, 0.0) + luck))
            rows.append(run.key | {"epoch": epoch, "seconds": 1.0 * epoch, "knn_top1": knn})
    return pd.DataFrame(rows)


def changed(found: Collected, keys: dict[str, Any], **values: Any) -> Collected:
    """The same with other columns in the records that have these keys."""
    records = found.records.copy()
    own = (records[list(keys)] == pd.Series(keys)).all(axis=1)
    assert own.any()
    records.loc[own, list(values)] = list(values.values())
    return replace(found, records=records)
