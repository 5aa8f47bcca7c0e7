"""Made-up diagnostics and response curves of the synthetic suite: DVR carries the angle, DIR does not."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from ddcl.plan.plan import PlannedRun
from ddcl.report.collected import Collected
from tests.unit import synthetic

READOUT = {"full": 0.80, "dir": 0.20, "dvr": 0.70, "random_dir": 0.60, "random_dvr": 0.40}
INVARIANCE = {"full": 0.30, "dir": 0.10, "dvr": 0.60, "random_dir": 0.30, "random_dvr": 0.30}
COSINES = {"abs_mean_cosine": 0.02, "mean_abs_cosine": 0.45, "sd_cosine": 0.50}
FAMILIES = {"rotation": range(-180, 181, 30), "elastic_strength": (1, 2, 4, 7, 10), "jitter_strength": (0.5, 1, 1.5, 2)}
MEMBERS = {
    family: {f"{family}.{strength}": float(strength) for strength in strengths}
    for family, strengths in FAMILIES.items()
}


def collected() -> Collected:
    """Every cell measured; each seed adds 0.04, the second augmentation takes 0.02."""
    plain, names = synthetic.suite(), ["diagnostics", "factors", "drift"]
    plan = synthetic.labelled(plain, "evaluation", {name: name for name in names})
    plan = plan.changed(
        evaluations=plan.evaluations | synthetic.made_up(names),
        families={name: family for family, members in MEMBERS.items() for name in members},
        strengths={name: float(strength) for members in MEMBERS.values() for name, strength in members.items()},
    )
    rows = [row for run in plan.runs for row in (*_diagnostics(run), *_response(run))]
    records = pd.concat([synthetic.records(plain), pd.DataFrame(rows)], ignore_index=True)
    histories = synthetic.histories(plan)
    split, trained = histories["variant"] == "ddcl", histories["epoch"] > 0
    histories["dir_loss"] = (-histories["epoch"] / 10).where(split & trained)
    histories["loss"] = histories["loss"].where(trained)
    return Collected(plan, records, histories, [], Path("results"))


def _cell(run: PlannedRun, evaluation: str, metric: str, value: float) -> dict[str, Any]:
    moved = value + 0.04 * run.seed - {"baug": 0.0, "caug": 0.02, "none": 0.0}[run.augmentation]
    return run.key | {
        "evaluation": evaluation,
        "eval_dataset": run.dataset,
        "perturbation": "none",
        "part": "full",
        "metric": metric,
        "value": moved,
        "sd_draws": float("nan"),
        "status": "ok",
        "code": "",
    }


def _diagnostics(run: PlannedRun) -> list[dict[str, Any]]:
    """The readouts, invariance and cosines of a run; an untrained one knows less."""
    rows, less = [], 0.0 if run.trains else 0.1
    for part in (*run.parts, "random_dir", "random_dvr"):
        metrics = {"readout_angle": READOUT[part] - less, "invariance": INVARIANCE[part]}
        metrics |= {"readout_flip": 0.5 + READOUT[part] / 2, "readout_hue": -0.3, "readout_shuffled": -0.05}
        sd = {"sd_draws": 0.05 if part.startswith("random") else float("nan")}
        rows += [_cell(run, "diagnostics", name, value) | {"part": part} | sd for name, value in metrics.items()]
    for part in run.parts:
        rows += [_cell(run, "diagnostics", name, value) | {"part": part} for name, value in COSINES.items()]
    for part in (*run.parts, "random_dir", "random_dvr"):
        metrics = {"factor_hue": READOUT[part], "factor_shape": 1 / 6 + READOUT[part] * 5 / 6}
        rows += [_cell(run, "factors", name, value) | {"part": part} for name, value in metrics.items()]
    return rows


def _response(run: PlannedRun) -> list[dict[str, Any]]:
    """Accuracy falls and drift rises with the strength, as a share of the family's largest."""
    rows = []
    for family, part in product(FAMILIES, run.parts):
        for strength in FAMILIES[family]:
            name, share = {"perturbation": f"{family}.{strength}", "part": part}, abs(strength) / max(FAMILIES[family])
            rows.append(_cell(run, "knn", "top1", 0.9 - 0.5 * share) | name)
            rows.append(_cell(run, "drift", "drift", (0.8 if part == "dvr" else 0.4) * share) | name)
    return rows
