"""What a tuning suite chooses: of each variant the setting with the best mean accuracy on held-out training images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ddcl.base.errors import UserError
from ddcl.base.files import write_text
from ddcl.report.collect import ABSENT
from ddcl.report.collected import Collected
from ddcl.report.tables.csv_files import write_csv
from ddcl.schema.names import CLEAN
from ddcl.schema.registry import TOP1
from ddcl.schema.tuning import CHOICE, SCORES, Choice, TunedConfig, TuningConfig, budget_of


def scores(found: Collected) -> pd.DataFrame:
    """Return a row per setting: variant, setting, its values, accuracy in percent, sd over seeds, runs that diverged.

    `UserError` for a suite that does not tune, or one of which a run is missing or failed: then budgets are not equal.
    """
    tuning = found.plan.tuning
    if tuning is None:
        raise UserError(f"suite {found.plan.suite} has no section tuning, so there is nothing to choose")
    frame = found.records[~found.records["status"].isin(ABSENT)]
    wanted = {"evaluation": tuning.evaluation, "metric": TOP1, "part": "full", "perturbation": CLEAN}
    for key, value in wanted.items():
        frame = frame[frame[key] == value]
    rows = []
    for variant in tuning.grids:
        for setting in tuning.settings(variant):
            name = setting.name(variant)
            own = frame[frame["variant"] == name]
            per_seed = _per_seed(own, tuning, name)
            rows.append({"variant": variant, "setting": name, "values": setting.text, **_score(per_seed)})
    return pd.DataFrame(rows)


def _per_seed(own: pd.DataFrame, tuning: TuningConfig, name: str) -> pd.DataFrame:
    """Return the accuracies of a setting by seed and augmentation; NaN where training diverged."""
    table = own.pivot_table(index="seed", columns="augmentation", values="value", dropna=False)
    table = table.reindex(index=tuning.seeds, columns=tuning.augmentations)
    if len(own) < table.size:
        raise UserError(
            f"{name}: {len(own)} of {table.size} runs have an accuracy; settings can be chosen when all have one"
        )
    return 100 * table


def _score(per_seed: pd.DataFrame) -> dict[str, float]:
    """Return mean and sd over seeds; a setting of which a run diverged has none and is not chosen."""
    lost = int(per_seed.isna().sum().sum())
    means = per_seed.mean(axis=1)
    sd = float(means.std(ddof=1)) if len(means) > 1 else np.nan
    return {"accuracy": np.nan if lost else float(means.mean()), "sd_seeds": np.nan if lost else sd, "diverged": lost}


def choose(found: Collected, frame: pd.DataFrame) -> TunedConfig:
    """Return the choice of each variant, with the budget that all had alike. frame: of `scores`."""
    plan, tuning = found.plan, found.plan.tuning
    assert tuning is not None
    epochs = {run.variant: run.epochs + run.extra_warmup_epochs for run in plan.runs}
    return TunedConfig(
        suite=plan.suite,
        plan=plan.digest,
        dataset=tuning.dataset,
        augmentations=tuning.augmentations,
        seeds=tuning.seeds,
        evaluation=tuning.evaluation,
        budget=budget_of(tuning, next(iter(tuning.grids)), epochs),
        choices={variant: _choice(tuning, variant, frame) for variant in tuning.grids},
    )


def _choice(tuning: TuningConfig, variant: str, frame: pd.DataFrame) -> Choice:
    """Return the setting with the best mean; of equal ones, the first that is listed."""
    own = frame[frame["variant"] == variant].set_index("setting")
    if own["accuracy"].isna().all():
        raise UserError(f"{variant}: every setting diverged; there is nothing to choose")
    ranked = own.sort_values("accuracy", ascending=False, kind="stable")["accuracy"].dropna()
    best = next(each for each in tuning.settings(variant) if each.name(variant) == ranked.index[0])
    grid, sd = tuning.grids[variant], float(own.loc[ranked.index[0], "sd_seeds"])
    return Choice(
        values=best.values,
        accuracy=round(float(ranked.iloc[0]), 3),
        sd_seeds=None if np.isnan(sd) else round(sd, 3),
        next_best=round(float(ranked.iloc[1]), 3) if len(ranked) > 1 else None,
        at_edge=[key for key, value in best.values.items() if grid[key][1:] and value in (grid[key][0], grid[key][-1])],
    )


def write_choice(tuned: TunedConfig, frame: pd.DataFrame, folder: Path) -> None:
    """Write the scores and the choice."""
    write_csv(frame, folder / SCORES)
    write_text(folder / CHOICE, tuned.text)
