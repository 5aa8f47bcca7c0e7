"""A small suite with made-up numbers whose tables one can compute by hand."""

from __future__ import annotations

from typing import Any

import pandas as pd

VARIANTS = {"ddcl": ["full", "dir", "dvr"], "simsiam": ["full"]}
PERTURBATIONS = ["none", "color_rotate"]
SEEDS = [0, 1]


def targets(parts: list[str]) -> list[dict[str, Any]]:
    """The cells that each run must have: both evaluations, on digits only."""
    common = {"eval_dataset": "digits", "perturbations": PERTURBATIONS, "parts": parts, "metrics": ["top1"]}
    return [common | {"evaluation": evaluation} for evaluation in ("linear", "knn")]


def suite() -> dict[str, Any]:
    """The plan: two variants, two augmentations, two seeds, and an untrained floor."""
    runs = [
        {"dataset": "digits", "variant": variant, "augmentation": augmentation, "seed": seed, "parts": parts}
        | {"trains": True, "recipe_digest": f"{variant}{augmentation}{seed}", "targets": targets(parts)}
        for variant, parts in VARIANTS.items()
        for augmentation in ("baug", "caug")
        for seed in SEEDS
    ]
    runs += [
        {"dataset": "digits", "variant": "random_init", "augmentation": "none", "seed": seed, "parts": ["full"]}
        | {"trains": False, "recipe_digest": f"random{seed}", "targets": targets(["full"])}
        for seed in SEEDS
    ]
    return {
        "schema": 1,
        "suite": "synthetic",
        "title": "Synthetic",
        "description": "Made-up numbers.",
        "runs": runs,
        "evaluations": ["linear", "knn"],
        "protocols": {"linear": "linear", "knn": "knn"},
        "selections": {"linear": "train-holdout", "knn": "fixed"},
        "perturbations": PERTURBATIONS,
        "families": {},
        "strengths": {},
        "seen": {
            "baug": {"none": "clean", "color_rotate": "unseen"},
            "caug": {"none": "clean", "color_rotate": "seen"},
            "none": {"none": "clean", "color_rotate": "unseen"},
        },
        "tables": ["knn"],
        "figures": [],
        "labels": {
            "dataset": {"digits": "Digits"},
            "variant": {"ddcl": "DDCL", "simsiam": "SimSiam & co_", "random_init": "Random init"},
            "augmentation": {"baug": "BAug", "caug": "CAug", "none": "no training"},
            "perturbation": {"none": "clean", "color_rotate": "color + rotate"},
            "evaluation": {"linear": "linear", "knn": "kNN"},
        },
    }


def value(run: dict[str, Any], perturbation: str, part: str) -> float:
    """0.90 clean for DDCL after BAug; each other choice and each seed moves it by a round amount."""
    number = {"ddcl": 0.90, "simsiam": 0.88, "random_init": 0.70}[run["variant"]]
    number -= {"baug": 0.0, "caug": 0.02, "none": 0.0}[run["augmentation"]]
    number -= {"full": 0.0, "dir": 0.01, "dvr": 0.20}[part]
    number += 0.04 * run["seed"]
    return number / 2 if perturbation == "color_rotate" else number


def records(plan: dict[str, Any]) -> pd.DataFrame:
    """Every cell of the plan, measured."""
    return pd.DataFrame(
        [
            {"suite": plan["suite"]}
            | {key: run[key] for key in ("dataset", "variant", "augmentation", "seed")}
            | {"evaluation": evaluation, "eval_dataset": run["dataset"], "perturbation": perturbation, "part": part}
            | {"selection": plan["selections"][evaluation], "metric": "top1"}
            | {"value": value(run, perturbation, part), "n": 450, "status": "ok"}
            | {"n_draws": 1, "sd_draws": float("nan")}
            for run in plan["runs"]
            for evaluation in plan["evaluations"]
            for part in run["parts"]
            for perturbation in plan["perturbations"]
        ]
    )


def histories(plan: dict[str, Any]) -> pd.DataFrame:
    """kNN rises in four monitored epochs from 0.5 to the run's final value; epoch 1 is not monitored."""
    rows = []
    for run in plan["runs"]:
        final = {"ddcl": 0.90, "simsiam": 0.80, "random_init": 0.70}[run["variant"]]
        curve = {0: 0.5, 1: None, 2: 0.7, 4: 0.76, 6: final} if run["trains"] else {0: final}
        for epoch, knn in curve.items():
            keys = {key: run[key] for key in ("dataset", "variant", "augmentation", "seed")}
            rows.append(keys | {"epoch": epoch, "seconds": float(epoch), "loss": -0.5, "lr": 0.1, "knn_top1": knn})
    return pd.DataFrame(rows).astype({"knn_top1": float})
