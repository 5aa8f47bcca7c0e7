"""The cells that a suite expects, those that a table selects, and what is derived from them, one row per seed."""

from __future__ import annotations

import pandas as pd

from ddcl.plan.plan import Plan
from ddcl.report.collect import selection
from ddcl.report.sources import SOURCES, joined, source_of
from ddcl.report.tables.statistics import paired_status
from ddcl.schema.names import CLEAN, NO_AUGMENTATION
from ddcl.schema.registry import RANDOM_PARTS
from ddcl.schema.tables import KEYS, RUN, TableSpec

CELL = [*RUN, "part", "evaluation", "eval_dataset", "perturbation", "metric"]  # keys that name a cell


def expected_cells(records: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Return the row of every cell that the suite expects; `missing` where `records` has no row or no value.

    The plan, not what happens to be in `records`, says how many seeds a mean should have. `seen`: whether the
    augmentation of pretraining has the operations of the perturbation (`ddcl.plan.suite.Suite.seen`). `family`: of the
    perturbation, which is its own where it is a member of none.
    """
    rows = []
    for run in plan.runs:
        seen = plan.seen.get(run.augmentation, {})
        for target in run.targets:
            rule, record = plan.evaluations[target.evaluation].selection, run.record(target)
            own = (*run.names, target.evaluation, target.eval_dataset)
            rows += [
                (*own, *cell, selection(cell.metric, rule), seen.get(cell.perturbation, ""), (source_of(record, cell),))
                for cell in target.expected()
            ]
    names = [*RUN, "evaluation", "eval_dataset", "part", "perturbation", "metric", "selection", "seen", SOURCES]
    cells = pd.DataFrame(rows, columns=names)
    columns = [*CELL, "value", "sd_draws", "n", "n_draws", "status"]
    found = cells.merge(records[columns], on=CELL, how="left", validate="one_to_one")
    unmeasured = found["value"].isna() & (found["status"].isna() | (found["status"] == "ok"))
    counts = {name: found[name].fillna(0).astype(int) for name in ("n", "n_draws")}
    family = found["perturbation"].map(lambda name: plan.families.get(name, name))
    return found.assign(**counts, family=family, status=found["status"].mask(unmeasured, "missing"))


def cell_values(cells: pd.DataFrame, spec: TableSpec, plan: Plan) -> pd.DataFrame:
    """Return one row per selected cell, metric and seed, with the derived metrics added."""
    chosen = cells[cells["metric"].isin(spec.select.metric)]
    if spec.select.tested_on != "all":
        chosen = chosen[(chosen["dataset"] == chosen["eval_dataset"]) == (spec.select.tested_on == "own")]
    if spec.select.perturbation is None:
        chosen = chosen[chosen["family"] == chosen["perturbation"]]
    for key in KEYS:
        names = getattr(spec.select, key, None)
        if names is not None:
            wanted = chosen[key].isin(names)
            chosen = chosen[wanted | chosen["family"].isin(names)] if key == "perturbation" else chosen[wanted]
    for key in spec.mean_over:
        chosen = mean_over(chosen, key)
    if spec.against:
        return beyond_reference(chosen, cells, plan)
    added = [relative_drop(chosen, cells)] if "relative_drop" in spec.derive else []
    if "change" in spec.derive and spec.reference_augmentation is not None:
        added.append(change(chosen, cells, spec.reference_augmentation))
    if "full_minus" in spec.derive:
        added.append(full_minus(chosen, cells))
    return pd.concat([chosen, *added], ignore_index=True)


def mean_over(cells: pd.DataFrame, key: str) -> pd.DataFrame:
    """Return the mean of each run's cells over perturbations, which become one.

    key: `perturbation`: over the members of a family, named by the family. `seen`: over the perturbations that
    pretraining has seen and over those that it has not, named so; clean images stay apart.
    A mean that lacks a cell has no value.
    """
    names = cells["seen"].mask(cells["perturbation"] == CLEAN, CLEAN) if key == "seen" else cells["family"]
    groups = cells.assign(perturbation=names).groupby([*RUN, *KEYS[3:], "seen", "selection", "metric"], sort=False)
    found = groups.agg(
        value=("value", "sum"),
        measured=("value", "count"),
        expected=("value", "size"),
        n=("n", "max"),
        n_draws=("n_draws", "max"),
        sd_draws=("sd_draws", "mean"),
    ).reset_index()
    found["value"] = (found["value"] / found["expected"]).where(found["measured"] == found["expected"])
    sources: list[list[tuple[str, ...]]] = [[] for _ in range(len(found))]
    statuses = ["ok"] * len(found)
    for place, status, source in zip(groups.ngroup().tolist(), cells["status"].tolist(), cells[SOURCES], strict=True):
        sources[place].append(source)
        statuses[place] = status if statuses[place] == "ok" else statuses[place]
    found["status"], found["family"] = statuses, found["perturbation"]
    found[SOURCES] = [joined(own) for own in sources]
    return found.drop(columns=["measured", "expected"])


def _against(chosen: pd.DataFrame, reference: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Return `chosen` with the columns of `reference` rows that have the same `keys`, suffix ``_reference``.

    The status is that of the reference where that is worse. What the suite has no reference for is left out: it is not
    missing.
    """
    columns = [*keys, "value", "status", SOURCES]
    paired = chosen.merge(reference[columns], on=keys, suffixes=("", "_reference"))
    statuses = zip(paired["status"].tolist(), paired["status_reference"].tolist(), strict=True)
    sources = zip(paired[SOURCES], paired[f"{SOURCES}_reference"], strict=True)
    paired["status"] = [paired_status(*pair) for pair in statuses]
    paired[SOURCES] = [joined(pair) for pair in sources]
    return paired


def relative_drop(chosen: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Return 1 − value / clean value of the same run, evaluation and part, for perturbed cells."""
    clean = cells[cells["perturbation"] == CLEAN]
    perturbed = chosen[chosen["perturbation"] != CLEAN]
    paired = _against(perturbed, clean, [*RUN, "evaluation", "eval_dataset", "part", "metric"])
    return paired.assign(metric="relative_drop", value=1 - paired["value"] / paired["value_reference"])


def change(chosen: pd.DataFrame, cells: pd.DataFrame, augmentation: str) -> pd.DataFrame:
    """Return value minus the value under `augmentation`, paired by seed; nothing for runs without training."""
    reference = cells[cells["augmentation"] == augmentation]
    keys = ["dataset", "variant", "seed", "evaluation", "eval_dataset", "part", "perturbation", "metric"]
    others = chosen[~chosen["augmentation"].isin([augmentation, NO_AUGMENTATION])]
    paired = _against(others, reference, keys)
    return paired.assign(metric="change", value=paired["value"] - paired["value_reference"])


def full_minus(chosen: pd.DataFrame, cells: pd.DataFrame) -> pd.DataFrame:
    """Return the value of all features minus that of the part, of the same run: what the other columns add."""
    whole, parts = cells[cells["part"] == "full"], chosen[chosen["part"] != "full"]
    paired = _against(parts, whole, [*RUN, "evaluation", "eval_dataset", "perturbation", "metric"])
    return paired.assign(metric="full_minus", value=paired["value_reference"] - paired["value"])


def beyond_reference(chosen: pd.DataFrame, cells: pd.DataFrame, plan: Plan) -> pd.DataFrame:
    """Return each value minus that of its reference, of the same seed.

    That of a part is as many random columns of the same features; that of all features, those of the variant that the
    run is set against. What has no reference is left out.
    """
    baselines = {run.names: run.baseline for run in plan.runs}
    names = chosen[RUN].itertuples(index=False, name=None)
    chosen = chosen.assign(baseline=[baselines[name] for name in names])
    same = ["evaluation", "eval_dataset", "perturbation", "part", "metric"]
    controls = cells[cells["part"].isin(RANDOM_PARTS)]
    controls = controls.assign(part=controls["part"].str.removeprefix("random_"))
    whole = cells[cells["part"] == "full"].rename(columns={"variant": "baseline"})
    paired = pd.concat(
        [
            _against(chosen[chosen["part"] != "full"], controls, [*RUN, *same]),
            _against(chosen[chosen["part"] == "full"], whole, ["dataset", "baseline", "augmentation", "seed", *same]),
        ],
        ignore_index=True,
    )
    return paired.assign(value=paired["value"] - paired["value_reference"], sd_draws=float("nan"))
