"""Made-up results that a page can be written from: recipes, figures and what was collected."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from math import nan
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ddcl.base.files import write_json
from ddcl.base.provenance import Provenance
from ddcl.plan.plan import Plan, PlannedRun
from ddcl.report.claims.contrasts import Address
from ddcl.report.claims.judged import JudgedCheck, JudgedClaim, JudgedComparison, JudgedForm, write_judged
from ddcl.report.collect import ABSENT, CollectedRun, selection
from ddcl.report.collected import Collected
from ddcl.schema.claims import CheckSpec, ClaimSpec, PairSpec, Smallest
from ddcl.schema.paper import paper_recipe
from ddcl.schema.run_key import RunKey
from ddcl.schema.run_summary import RunSummary
from tests.unit import synthetic

PNG = b"\x89PNG not really"
NONE = {"effect": nan, "ci_low": nan, "ci_high": nan, "p": nan, "p_holm": nan, "ci_method": "none", "n_images": 0}
NONE |= {"note": "", "gate": "passed", "smallest_effect": 0.3}
UNKNOWN = {
    "planned_half_width": nan,
    "minimum_detectable_effect": nan,
    "seeds_needed": nan,
    "n_seeds": 0,
    "comparisons": [],
    "seed_effects": [],
}
UNKNOWN |= {"why": "", "reported_values": None, "unit": "points"}
GATE: dict[str, Any] = {"name": "trained", "arm": "digits/ddcl/caug", "label": "trained", "statement": "It is trained."}
GATE |= {
    "follows": "It says nothing.",
    "evaluation": "linear",
    "effect": 4.0,
    "ci_low": -1.0,
    "ci_high": 9.0,
    "least": 0.0,
}
GATE |= {
    "n_seeds": 3,
    "compared": True,
    "unit": "points",
    "reference": None,
    "reported_value": None,
    "state": "failed",
    "sources": [],
}
WHOLE = Address("digits", "ddcl", "caug", "full", "linear", "digits", "color_rotate", "top1")
CURVE = WHOLE._replace(evaluation="monitor", perturbation="none", metric="knn_auc")


def provenance(run: PlannedRun, **changes: Any) -> Provenance:
    """What made a run, on another machine than this."""
    values: dict[str, Any] = {"recipe_digest": run.recipe_digest, "code_digest": "d" * 16, "device": "A CPU"}
    values |= {"host": "node", "slurm_job_id": None, "git_commit": "f" * 40, "git_dirty": True}
    return Provenance(**values | {"versions": {"torch": "2.0", "timm": None}} | changes)


def summary(run: PlannedRun, **changes: Any) -> RunSummary:
    """The summary of a run that ended well."""
    values: dict[str, Any] = {"status": "ok", "message": "", "epochs": 20, "precision": "bf16", "seconds": 12.3}
    values |= {"n_parameters": 123456, "manifest_seal": "m", "provenance": provenance(run)}
    values |= {"history_sha256": "h", "checkpoint_sha256": "s", "checkpoint_digest": "c" * 16}
    return RunSummary(run=RunKey(**run.key), **values | changes)


def ended_well(plan: Plan) -> list[CollectedRun]:
    """What runs.json says of runs that all ended well."""
    rest: dict[str, Any] = {"status": "ok", "message": "", "other_code": False}
    return [CollectedRun(run=RunKey(**run.key), summary=summary(run), **rest) for run in plan.runs]


def end(found: Collected, place: int, status: str, message: str) -> None:
    """Let a run have ended so; a missing or failed one has no summary."""
    each = found.runs[place]
    ended = each.summary.model_copy(update={"status": status, "message": message}) if each.summary else None
    values = {"status": status, "message": message, "summary": None if status in ABSENT else ended}
    found.runs[place] = each.model_copy(update=values)


def results(
    folder: Path,
    plan: Plan,
    records: pd.DataFrame,
    histories: pd.DataFrame | None = None,
    png: bytes = PNG,
) -> Collected:
    """Write real recipes and made-up figures to `folder`, and return what was collected there."""
    plan = synthetic.with_recipes(plan)
    for run in plan.runs:
        write_json(folder / run.folder / "config.json", synthetic.recipe_of(run).model_dump())
    paper = {f"{run.method}/{run.augmentation}": paper_recipe(run.method, run.augmentation) for run in plan.runs}
    plan = plan.changed(paper={name: recipe for name, recipe in paper.items() if recipe})
    (folder / "figures").mkdir(parents=True)
    for name in plan.figures:
        (folder / "figures" / f"{name}.png").write_bytes(png)
    curves = synthetic.histories(plan) if histories is None else histories
    return Collected(plan, records, curves, ended_well(plan), folder)


def finding(effect: float, low: float, high: float, **values: Any) -> dict[str, Any]:
    """The fields of what was found, unless changed."""
    return NONE | {"effect": effect, "ci_low": low, "ci_high": high} | values


def compared(treatment: Address, control: Address, seeds: int, **found: Any) -> JudgedComparison:
    """A comparison over so many seeds."""
    given = {"treatment_minus": None, "control_minus": None, "seeds": list(range(seeds)), "sources": [], "gates": []}
    given |= {"seed_effects": [found["effect"]] * seeds}
    return JudgedComparison(treatment=treatment, control=control, **given | found)


def judged(name: str, verdict: str, statement: str, source: str, **found: Any) -> JudgedClaim:
    """A claim with one check."""
    named = {"name": "own", "label": name, "statement": statement, "decides": True, "family": "own"}
    check = JudgedCheck.model_validate(NONE | UNKNOWN | named | {"verdict": verdict} | found)
    form = JudgedForm.model_validate({"name": name, "form": "asymmetric", "verdict": verdict, "checks": [check]})
    values: dict[str, Any] = {
        "name": name,
        "statement": statement,
        "statement_short": statement,
        "source": source,
        "reported": "r",
    }
    values |= {"reported_short": "r", "decided_by": "all", "forms": [form], "gates": [GATE]}
    return JudgedClaim.model_validate(values)


def judged_claims() -> list[JudgedClaim]:
    """Five claims, with a verdict of each kind; two of them with comparisons."""
    simsiam, dvr = WHOLE._replace(variant="simsiam"), WHOLE._replace(augmentation="baug", part="dvr")
    open_ = finding(0.31, -0.2, 0.82, n_images=450, note="two seeds")
    faster = compared(
        CURVE,
        CURVE._replace(variant="simsiam"),
        5,
        **finding(2.5, 1.25, 3.75, p=0.001, p_holm=0.002, verdict="supported"),
    )
    gated = {"gates": ["trained digits/ddcl/caug"], "verdict": "inconclusive"}
    seen = compared(WHOLE, simsiam, 2, **open_ | {"p": 0.12, "p_holm": 0.24} | gated)
    worse = finding(-3.1, -4.0, -2.2, p=0.001, p_holm=0.002, n_images=450, verdict="contradicted")
    needs = {"minimum_detectable_effect": 1.25, "seeds_needed": 40.0, "n_seeds": 2}
    return [
        judged("C1", "supported", "DDCL converges faster than SimSiam", "abstract", n_seeds=5, comparisons=[faster]),
        judged("C2", "contradicted", "DDCL is better & cheaper", "Table 1", n_seeds=5, **finding(-1.5, -2.5, -0.5)),
        judged("C3", "not run", "It transfers better", "Table 3", note="no data set to transfer to"),
        judged(
            "C4",
            "inconclusive",
            "It is more robust",
            "Table 4",
            **open_ | needs,
            comparisons=[seen, compared(dvr, WHOLE, 2, **worse)],
        ),
        judged("C5", "protocol differs", "It is less sensitive", "README", note="the arms differ in epochs"),
    ]


def with_claims(found: Collected) -> Collected:
    """The same suite with claims, which are judged in claims.json."""
    pair = PairSpec(treatment={"variant": "ddcl"}, control={"variant": "simsiam"})
    check = CheckSpec(
        name="own",
        label="own",
        statement="s",
        forms={"asymmetric": [pair]},
        over=[{"augmentation": ["caug"]}],
        evaluation=["linear"],
        family="own",
        unit="points",
        smallest_effect=Smallest(value=0.3, reason="what the paper reports"),
    )
    words = {"statement": "s", "statement_short": "s", "source": "s", "reported": "r", "reported_short": "r"}
    spec = ClaimSpec(decided_by="all", checks=[check], **words)
    claims = judged_claims()
    found = replace(found, plan=found.plan.changed(claims={claim.name: spec for claim in claims}))
    write_judged(claims, found)
    return found


def hundred_runs() -> tuple[Plan, pd.DataFrame, pd.DataFrame]:
    """Plan, records and histories of 25 arms with 4 seeds each, evaluated as the default suite is, for 200 epochs."""
    variants = {"ddcl": "ddcl", "ddcl_sym": "ddcl", "ddcl_f50": "ddcl", "simsiam": "simsiam", "barlow_twins": "simsiam"}
    augmentations = ["baug", "caug", "caug_plus", "baug_no_crop", "baug_no_blur"]
    perturbations = ["none", "color", "color_flip", "color_rotate", "color_rotate_elastic"]
    runs = []
    for variant, augmentation, seed in product(variants, augmentations, range(4)):
        parts = synthetic.VARIANTS[variants[variant]]
        targets = synthetic.targets(parts, perturbations=perturbations)
        runs.append(synthetic.run(variant, augmentation, seed, parts, targets=targets))
    plan = synthetic.suite(runs=runs, perturbations=perturbations)
    for kind, names in {"variant": variants, "augmentation": augmentations, "perturbation": perturbations}.items():
        plan = synthetic.labelled(plan, kind, {name: name.replace("_", " ") for name in names})
    draw = np.random.default_rng(0)
    cells = [
        run.key
        | {"evaluation": target.evaluation, "eval_dataset": "digits", "part": part, "perturbation": perturbation}
        | {"metric": metric, "selection": selection(metric, "fixed"), "value": draw.uniform(), "n": 450, "status": "ok"}
        | {"n_draws": 1, "sd_draws": float("nan"), "code": ""}
        for run in plan.runs
        for target in run.targets
        for part, perturbation, metric in target.expected()
    ]
    histories = [
        run.key
        | {"epoch": epoch, "seconds": 1.5 * epoch, "loss": -draw.uniform(), "lr": 0.1, "effective_rank": 20.0}
        | {"knn_top1": draw.uniform() if epoch % 4 == 0 else np.nan}
        for run in plan.runs
        for epoch in range(201)
    ]
    return plan, pd.DataFrame(cells), pd.DataFrame(histories)
