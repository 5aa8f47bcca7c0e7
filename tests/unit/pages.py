"""Made-up results that a page can be written from: recipes, figures and what was collected."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ddcl.base.files import write_json
from ddcl.report.collect import expected_cells, selection
from ddcl.report.collected import Collected
from ddcl.schema.recipes import build_recipe, run_name
from ddcl.schema.tables import read_table
from tests.unit import synthetic

PNG = b"\x89PNG not really"
CLAIMS = """claim,verdict,statement,source,effect,ci_low,ci_high,unit,n_seeds,n_images,n_comparisons,smallest_effect,\
minimum_detectable_effect,seeds_needed,note
C1,supported,DDCL converges faster than SimSiam,abstract,2.5,1.25,3.75,points,5,,3,1,0.8,3,
C2,contradicted,DDCL is better & cheaper,Table 1,-1.5,-2.5,-0.5,points,5,450,6,0.3,0.5,12,
C3,not run,It transfers better,Table 3,,,,points,0,0,0,0.3,,,no data set to transfer to
C4,inconclusive,It is more robust,Table 4,0.31,-0.2,0.82,points,2,450,8,0.3,1.25,40,two seeds
C5,protocol differs,It is less sensitive,README,,,,points,,,,0.3,,,the arms differ in epochs
"""
COMPARISONS = """claim,comparison,dataset,augmentation,treatment,control,evaluation,perturbation,part,metric,effect,\
ci_low,ci_high,ci_method,p,p_holm,n_seeds,n_images,verdict,note,eval_dataset
C4,seen,digits,caug,ddcl,simsiam,linear,color_rotate,full,top1,0.31,-0.2,0.82,t,0.12,0.24,2,450,inconclusive,two \
seeds,digits
C4,unseen,digits,baug,ddcl (dvr),ddcl (caug),linear,color_rotate,full,top1,-3.1,-4,-2.2,t,.001,.002,2,450,\
contradicted,,digits
C1,area,digits,caug,ddcl,simsiam,monitor,none,full,knn_auc,2.5,1.25,3.75,t,.001,.002,5,0,supported,,digits
"""


def summaries(plan: dict[str, Any]) -> list[dict[str, Any]]:
    """What runs.json says of runs that all ended well."""
    return [
        {key: run[key] for key in ("dataset", "variant", "augmentation", "seed")}
        | {"status": "ok", "message": "", "epochs": 20, "precision": "bf16", "n_parameters": 123456, "seconds": 12.3}
        | {"recipe_digest": run["recipe_digest"], "code_digest": "d" * 16, "checkpoint_digest": "c" * 16}
        | {"device": "A CPU", "host": "node", "slurm_job_id": None}
        | {"versions": {"torch": "2.0", "timm": None}, "git_commit": "f" * 40, "git_dirty": True}
        for run in plan["runs"]
    ]


def results(
    folder: Path,
    plan: dict[str, Any],
    records: pd.DataFrame,
    histories: pd.DataFrame | None = None,
    png: bytes = PNG,
) -> Collected:
    """Write real recipes and made-up figures to `folder`, and return what was collected there."""
    plan["table_specs"] = {name: read_table(name).model_dump() for name in plan["tables"]}
    for run in plan["runs"]:
        recipe = build_recipe((run["dataset"], run["variant"], run["augmentation"]), run["seed"], {})
        run["recipe_digest"] = recipe.digest
        write_json(folder / "runs" / run_name(run) / "config.json", recipe.model_dump())
    (folder / "figures").mkdir(parents=True)
    for name in plan["figures"]:
        (folder / "figures" / f"{name}.png").write_bytes(png)
    curves = synthetic.histories(plan) if histories is None else histories
    return Collected(plan, records, curves, summaries(plan), folder)


def write_claims(folder: Path) -> None:
    """Write the two tables of the claims."""
    (folder / "tables").mkdir(parents=True, exist_ok=True)
    (folder / "tables" / "claims.csv").write_text(CLAIMS)
    (folder / "tables" / "claim_comparisons.csv").write_text(COMPARISONS)


def hundred_runs() -> tuple[dict[str, Any], pd.DataFrame, pd.DataFrame]:
    """Plan, records and histories of 25 arms with 4 seeds each, evaluated as the default suite is, for 200 epochs."""
    plan = synthetic.suite()
    variants = {"ddcl": "ddcl", "ddcl_sym": "ddcl", "ddcl_f50": "ddcl", "simsiam": "simsiam", "barlow_twins": "simsiam"}
    augmentations = ["baug", "caug", "caug_plus", "baug_no_crop", "baug_no_blur"]
    plan["perturbations"] = ["none", "color", "color_flip", "color_rotate", "color_rotate_elastic"]
    plan["runs"] = []
    for variant, augmentation, seed in product(variants, augmentations, range(4)):
        parts = synthetic.VARIANTS[variants[variant]]
        targets = [target | {"perturbations": plan["perturbations"]} for target in synthetic.targets(parts)]
        run = {"dataset": "digits", "variant": variant, "augmentation": augmentation, "seed": seed, "parts": parts}
        plan["runs"].append(run | {"trains": True, "recipe_digest": "", "targets": targets})
    for kind, names in {
        "variant": variants,
        "augmentation": augmentations,
        "perturbation": plan["perturbations"],
    }.items():
        plan["labels"][kind] |= {name: name.replace("_", " ") for name in names}
    draw = np.random.default_rng(0)
    cells = [
        {key: run[key] for key in ("dataset", "variant", "augmentation", "seed")}
        | {"evaluation": target["evaluation"], "eval_dataset": "digits", "part": part, "perturbation": perturbation}
        | {"metric": metric, "selection": selection(metric, "fixed"), "value": draw.uniform(), "n": 450, "status": "ok"}
        | {"n_draws": 1, "sd_draws": float("nan")}
        for run in plan["runs"]
        for target in run["targets"]
        for part, perturbation, metric in expected_cells(target)
    ]
    histories = [
        {key: run[key] for key in ("dataset", "variant", "augmentation", "seed")}
        | {"epoch": epoch, "seconds": 1.5 * epoch, "loss": -draw.uniform(), "lr": 0.1, "effective_rank": 20.0}
        | {"knn_top1": draw.uniform() if epoch % 4 == 0 else np.nan}
        for run in plan["runs"]
        for epoch in range(201)
    ]
    return plan, pd.DataFrame(cells), pd.DataFrame(histories)
