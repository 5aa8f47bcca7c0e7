"""Each verdict from planted effects: for and against the claim, too little evidence, none, and other protocols."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ddcl.base.errors import UserError
from ddcl.evaluate.record import predictions_path
from ddcl.report.claims.claim_tables import (
    CLAIMS,
    COMPARISONS,
    GATES,
    claim_frame,
    comparison_frame,
    to_latex,
    to_markdown,
    write_claims,
)
from ddcl.report.claims.contrasts import Address, Comparison, Term
from ddcl.report.claims.judge import judge_claims
from ddcl.report.claims.judged import JudgedCheck, JudgedForm
from ddcl.report.claims.pooling import FEW_SEEDS, _poolable, smallest_effect
from ddcl.report.collected import Collected
from ddcl.schema.claims import read_claim
from ddcl.schema.places import CONFIG_DIR
from tests.unit import pages, planted, synthetic

NAMES = ["C1", "C2", "C3", "C4", "C5", "C6", "C7.1", "C7.2", "C7.3", "C7.4", "C8"]
BEYOND = ["B1", "B2", "B3", "B4"]  # of the rivals, which the paper does not have
ROWS = [f"{name}{letter}" for name in NAMES[:-1] for letter in "ab"] + ["C8"]


def judged(found: Collected, name: str) -> JudgedForm:
    """The asymmetric form, whose verdict is that of the paper's claim, unless a row is named."""
    for claim in judge_claims(found):
        if claim.name == name:
            assert claim.verdict == claim.forms[0].verdict
            return claim.forms[0]
    return next(form for claim in judge_claims(found) for form in claim.forms if form.name == name)


def check(claim: JudgedForm, name: str) -> JudgedCheck:
    return next(each for each in claim.checks if each.name == name)


def linear(tmp_path: Path, accuracy: planted.Accuracy, seeds: int = 4, **values: Any) -> Collected:
    """DDCL and SimSiam, and claim C2."""
    plan = planted.suite(["C2"], ["ddcl", "simsiam"], seeds, **values)
    return planted.results(plan, tmp_path, accuracy)


def test_every_claim_is_data() -> None:
    assert sorted(path.stem for path in (CONFIG_DIR / "claims").glob("*.yaml")) == [*BEYOND, *NAMES]
    for name in (*BEYOND, *NAMES):
        assert any(each.decides for each in read_claim(name).checks)


def test_supported(tmp_path: Path) -> None:
    claim = judged(linear(tmp_path, planted.plus(3.0)), "C2")
    assert claim.verdict == "supported"
    own = check(claim, "linear")
    assert own.ci_low < 3.0 < own.ci_high
    assert own.ci_low > 0
    assert own.ci_method == "seeds and images (two-way, Behrens-Fisher)"
    assert (own.n_seeds, own.n_images, len(own.comparisons)) == (4, planted.N, 2)
    assert [each.verdict for each in own.comparisons] == ["supported", "supported"]
    assert own.half_width == pytest.approx(own.effect - own.ci_low)
    assert np.isnan(own.planned_half_width)


def test_contradicted(tmp_path: Path) -> None:
    claim = judged(linear(tmp_path, planted.plus(-3.0)), "C2")
    assert claim.verdict == "contradicted"
    assert claim.headline.ci_high < 0


def test_underpowered(tmp_path: Path) -> None:
    own = judged(linear(tmp_path, planted.plus(0.3, noise=0.02), seeds=3), "C2").headline
    assert own.verdict == "inconclusive"
    assert own.ci_low < 0 < own.ci_high
    assert own.minimum_detectable_effect > own.smallest_effect
    assert own.seeds_needed > 3


@pytest.mark.parametrize("seeds", [1, 2])
def test_below_three_seeds_nothing_is_decided(seeds: int, tmp_path: Path) -> None:
    own = judged(linear(tmp_path, planted.plus(5.0), seeds=seeds), "C2").headline
    assert own.effect == pytest.approx(5.0, abs=0.7)
    assert own.verdict == "inconclusive"
    assert np.isnan([own.ci_low, own.ci_high, own.p]).all()
    assert "fewer than 3 seeds" in own.note
    assert {each.verdict for each in own.comparisons} == {"inconclusive"}
    assert np.isnan(own.minimum_detectable_effect) == (seeds == 1)


def test_an_effect_too_small_to_matter(tmp_path: Path) -> None:
    own = judged(linear(tmp_path, planted.plus(0.0, noise=0.0005), seeds=6), "C2").headline
    assert own.verdict == "no effect that matters"
    assert -own.smallest_effect < own.ci_low < 0 < own.ci_high < own.smallest_effect == 1.0  # of digits
    assert own.reported_values is not None


def test_a_sure_effect_too_small_to_matter_is_said(tmp_path: Path) -> None:
    plan = planted.suite(["C1"], ["ddcl", "simsiam"], 6)
    curves = planted.histories(plan, {"ddcl": 0.02}, noise=0.0005)
    found = replace(planted.results(plan, tmp_path, planted.base), histories=curves)
    own = check(judged(found, "C1"), "area")
    assert own.ci_low > 0
    assert own.verdict == "no effect that matters"
    assert "0 is outside the interval" in own.note


def test_smallest_effects_are_of_data_sets() -> None:
    spec = read_claim("C2").checks[0]
    assert (smallest_effect(spec, "cifar10"), smallest_effect(spec, "digits")) == (0.3, 1.0)
    assert all(
        each.reason for name in NAMES for own in read_claim(name).checks for each in own.smallest_effects.values()
    )


def test_not_run(tmp_path: Path) -> None:
    plan = planted.suite(["C2", "C7.2", "C8"], ["ddcl"], 2)
    claims = {claim.name: claim.forms[0] for claim in judge_claims(planted.results(plan, tmp_path, planted.base))}
    assert {claim.verdict for claim in claims.values()} == {"not run"}
    assert "the suite has no runs of SimSiam" in claims["C2"].headline.note
    assert "the suite has no runs of DDCL+PReg" in claims["C8"].headline.note
    assert np.isnan(claims["C2"].headline.effect)


def test_what_was_never_evaluated_is_said(tmp_path: Path) -> None:
    plan = planted.suite(["C7.3"], ["ddcl", "simsiam"], 2)
    assert (
        "the suite does not evaluate by diagnostics"
        in judged(planted.results(plan, tmp_path, planted.base), "C7.3").headline.note
    )


def test_only_another_protocol_was_run(tmp_path: Path) -> None:
    claim = judged(linear(tmp_path, planted.plus(3.0), evaluations=["knn"]), "C2")
    assert claim.verdict == "protocol differs"
    assert claim.headline.comparisons[0].effect == pytest.approx(3.0, abs=1.0)
    assert "evaluated by kNN, not by linear or linear (online) or linear (LARS)" in claim.headline.comparisons[0].note
    assert check(claim, "knn").verdict == "supported"  # reported, not decisive


def test_a_data_set_may_have_a_probe_in_place_of_the_papers(tmp_path: Path) -> None:
    """Digits are judged by `linear`, whatever else was run; without that, by the paper's probe."""
    both = {"evaluations": ["linear_online", "linear", "knn"]}
    own = judged(linear(tmp_path / "own", planted.plus(3.0), **both), "C2").headline
    assert own.verdict == "supported"
    assert {each.control.evaluation for each in own.comparisons} == {"linear"}
    assert "on Digits by linear instead of the paper's probe" in own.note
    papers = judged(linear(tmp_path / "papers", planted.plus(3.0)), "C2").headline
    assert papers.verdict == "supported"
    assert {each.control.evaluation for each in papers.comparisons} == {"linear_online"}
    assert "paper's probe" not in papers.note
    found = linear(tmp_path / "none", planted.plus(3.0), **both)
    papers = judged(replace(found, plan=found.plan.changed(probes={})), "C2").headline
    assert {each.control.evaluation for each in papers.comparisons} == {"linear_online"}


@pytest.mark.parametrize("key", ["epochs", "batch_size", "backbone"])
def test_arms_that_differ_in_what_the_claim_is_not_about(key: str, tmp_path: Path) -> None:
    found = linear(tmp_path, planted.plus(3.0))
    plan = synthetic.altered(found.plan, {key: "other"}, variant="ddcl")
    claim = judged(replace(found, plan=plan), "C2")
    assert claim.verdict == "protocol differs"
    assert f"{key.replace('_', ' ')} other and" in claim.headline.comparisons[0].note


def test_an_arm_that_differs_in_one_comparison_is_not_pooled(tmp_path: Path) -> None:
    def accuracy(cell: dict[str, Any]) -> float:
        return planted.plus({"baug": 3.0, "caug": 9.0}[cell["augmentation"]])(cell)

    found = linear(tmp_path, accuracy)
    plan = synthetic.altered(found.plan, {"epochs": 1}, variant="ddcl", augmentation="caug")
    own = judged(replace(found, plan=plan), "C2").headline
    assert own.verdict == "supported"
    assert [each.verdict for each in own.comparisons] == ["supported", "protocol differs"]
    assert own.effect == pytest.approx(own.comparisons[0].effect)


def test_a_comparison_that_says_the_opposite_keeps_the_claim_open(tmp_path: Path) -> None:
    def accuracy(cell: dict[str, Any]) -> float:
        return planted.plus({"baug": 9.0, "caug": -3.0}[cell["augmentation"]], 0.001)(cell)

    own = judged(linear(tmp_path, accuracy, seeds=6), "C2").headline
    assert [each.verdict for each in own.comparisons] == ["supported", "contradicted"]
    assert own.verdict == "inconclusive"


def test_a_lost_record_is_named_and_not_averaged_away(tmp_path: Path) -> None:
    found = linear(tmp_path, planted.plus(3.0))
    lost = {"variant": "simsiam", "augmentation": "baug", "seed": 1, "evaluation": "linear_online"}
    own = judged(planted.changed(found, lost, value=np.nan, n=0, status="missing"), "C2").headline
    assert own.comparisons[0].note == "seed 1: SimSiam (BAug) missing"
    assert own.comparisons[0].seeds == [0, 2, 3]
    assert own.comparisons[1].note == ""
    assert own.n_seeds == 3  # those that all comparisons have
    assert "1 with lost seeds" in own.note
    empty = replace(found, records=found.records.iloc[:0])
    assert judged(empty, "C2").verdict == "not run"


def test_a_lost_comparison_takes_no_test_images_away(tmp_path: Path) -> None:
    found = linear(tmp_path, planted.plus(3.0))
    lost = {"variant": "simsiam", "augmentation": "caug", "evaluation": "linear_online"}
    own = judged(planted.changed(found, lost, value=np.nan, n=0, status="missing"), "C2").headline
    assert [each.n_images for each in own.comparisons] == [planted.N, 0]
    assert (own.verdict, own.n_images) == ("supported", planted.N)


def test_each_reason_why_something_is_not_pooled_is_said() -> None:
    def comparison(dataset: str, seeds: tuple[int, ...]) -> Comparison:
        cell = Address(dataset, "ddcl", "baug", "full", "linear", dataset, "none", "top1")
        return Comparison((Term(1, cell), Term(-1, cell._replace(variant="simsiam"))), seeds, {}, {})

    own = [comparison("digits", (0, 1)), comparison("digits", (0,)), comparison("shapes", (0, 1))]
    pooled, seeds, note = _poolable([*own, comparison("shapes", (2, 3))], synthetic.suite())
    assert (pooled, seeds["digits"]) == (own[:1], [0, 1])
    said = [
        "1 with one seed only, not pooled",
        "no two seeds shared by all comparisons on shapes, not pooled",
        FEW_SEEDS,
    ]
    assert note == "; ".join(said)


def test_a_collapsed_run_counts_and_is_said(tmp_path: Path) -> None:
    found = linear(tmp_path, planted.plus(3.0))
    bad = {"variant": "ddcl", "augmentation": "caug", "seed": 2}
    own = judged(planted.changed(found, bad, status="collapsed"), "C2").headline
    assert own.comparisons[1].note == "seed 2: DDCL (CAug) collapsed, counted"
    assert own.comparisons[1].seeds == [0, 1, 2, 3]


def test_without_predictions_seeds_decide(tmp_path: Path) -> None:
    plan = planted.suite(["C2"], ["ddcl", "simsiam"], 4)
    own = judged(planted.results(plan, tmp_path, planted.plus(3.0), predictions=False), "C2").headline
    assert own.ci_method == "seeds (t)"
    assert "no predictions" in own.comparisons[0].note
    assert own.verdict == "supported"


def test_predictions_of_another_record_are_refused(tmp_path: Path) -> None:
    found = linear(tmp_path, planted.plus(3.0))
    with pytest.raises(UserError, match="top1/full/none gives"):
        judge_claims(planted.changed(found, {"variant": "ddcl", "seed": 0, "evaluation": "linear_online"}, value=0.5))


def test_predictions_lie_where_the_evaluation_puts_them(tmp_path: Path) -> None:
    found = linear(tmp_path, planted.base, seeds=1)
    record = tmp_path / synthetic.record_of(found.plan, "digits/ddcl/baug/seed0", "linear_online")
    assert predictions_path(record).exists()


# --- the other claims


def test_convergence(tmp_path: Path) -> None:
    plan = planted.suite(["C1"], ["ddcl", "simsiam"], 4)
    found = planted.results(plan, tmp_path, planted.base)
    for gain, verdict in ((0.5, "supported"), (-0.3, "contradicted")):
        curves = planted.histories(plan, {"ddcl": gain}, noise=0.005)
        claim = judged(Collected(plan, found.records, curves, found.runs, tmp_path), "C1")
        assert claim.verdict == verdict
        assert [each.verdict for each in claim.checks] == [verdict, verdict]
    assert check(claim, "epochs").effect < 0  # more epochs, though "lower" is the claim's direction


def test_a_curve_that_never_gets_there_counts_as_its_last_epoch(tmp_path: Path) -> None:
    plan = planted.suite(["C1"], ["ddcl", "simsiam"], 3)
    found = planted.results(plan, tmp_path, planted.base)
    curves = planted.histories(plan, {"ddcl": -0.95})
    own = check(judged(Collected(plan, found.records, curves, found.runs, tmp_path), "C1"), "epochs")
    assert own.effect < -20
    assert "DDCL (BAug) not reached, counted" in own.comparisons[0].note


def test_seen_and_unseen_distortions_are_not_pooled(tmp_path: Path) -> None:
    def accuracy(cell: dict[str, Any]) -> float:
        unseen = cell["augmentation"] == "baug" and cell["perturbation"] == "color_rotate"
        return planted.plus(-4.0 if unseen else 4.0)(cell)

    plan = planted.suite(["C4"], ["ddcl", "simsiam"], 4)
    found = planted.results(plan, tmp_path, accuracy)
    claim = judged(found, "C4")
    assert check(claim, "seen").verdict == "supported"
    assert check(claim, "unseen").verdict == "contradicted"
    assert claim.verdict == "contradicted"  # a general claim needs both
    note = claim_frame([own for own in judge_claims(found) if own.name == "C4"]).iloc[0]["note"]
    assert "seen: supported" in note
    assert "unseen: contradicted" in note


def test_a_difference_of_differences(tmp_path: Path) -> None:
    plan = planted.suite(["C5"], ["ddcl", "simsiam"], 4)
    alike = judged(planted.results(plan, tmp_path / "a", planted.plus(3.0)), "C5").headline
    assert abs(alike.effect) < 0.6  # 3 points better after both augmentations: as sensitive
    robust = judged(planted.results(plan, tmp_path / "b", planted.plus(3.0, variant="ddcl", augmentation="caug")), "C5")
    assert robust.headline.effect == pytest.approx(3.0, abs=0.6)
    assert robust.verdict == "supported"
    assert robust.headline.comparisons[0].treatment_minus is not None
    assert robust.headline.comparisons[0].control_minus is not None


def test_dvr_is_useful_only_against_controls_of_width(tmp_path: Path) -> None:
    subsets = {"random_subsets": {"draws": 2, "dir_frac": 0.8}}
    plan = planted.suite(["C6"], ["ddcl", "simsiam"], 4, **subsets)

    def accuracy(cell: dict[str, Any]) -> float:  # the whole is better than DIR and than as many random columns
        return planted.plus(3.0 if cell["part"] == "full" else 0.0, variant=cell["variant"])(cell)

    confounded = judged(planted.results(plan, tmp_path / "a", accuracy), "C6")
    assert check(confounded, "whole").verdict == "supported"
    assert confounded.verdict != "supported"
    useful = judged(planted.results(plan, tmp_path / "b", planted.plus(4.0, variant="ddcl", part="dvr")), "C6")
    assert check(useful, "alone").verdict == "supported"
    assert useful.verdict == "supported"
    assert useful.headline.name == "alone"


def diagnosed(tmp_path: Path, value: Callable[[str, str, str], float], claims: list[str]) -> Collected:
    """Diagnostics of both forms and their baselines. value: of variant, part and metric, before the luck of a seed."""
    variants = ["ddcl", "simsiam", "ddcl_sym", "barlow_twins"]
    plan = planted.suite(claims, variants, 4, random_subsets={"draws": 2, "dir_frac": 0.8})
    metrics = [f"readout_{name}" for name in ("brightness", "angle")]
    metrics += ["abs_mean_cosine", "mean_abs_cosine", "mean_abs_cosine_shuffled", "invariance"]
    rows, runs = [], []
    for planned in plan.runs:
        parts = [*(["dir", "dvr"] if planned.variant.startswith("ddcl") else []), "random_dir", "random_dvr"]
        target = synthetic.target("diagnostics", parts, perturbations=["none"], metrics=metrics)
        runs.append(planned.model_copy(update={"targets": [target]}))
        for part, metric in product(parts, metrics):
            noise = 0.01 * np.sin(7 * planned.seed + sum(map(ord, part + metric + planned.variant)))
            keys = planned.key | {"part": part, "code": "", "metric": metric, "n": 9, "status": "ok"}
            keys |= {"evaluation": "diagnostics", "eval_dataset": "digits", "perturbation": "none"}
            rows.append(keys | {"value": value(planned.variant, part, metric) + noise})
    return Collected(plan.changed(runs=runs), pd.DataFrame(rows), pd.DataFrame(), [], tmp_path)


def test_diagnostics_are_judged_by_seeds(tmp_path: Path) -> None:
    def value(variant: str, part: str, metric: str) -> float:
        good = (part == "dvr") != metric.endswith("cosine")
        return 0.2 + 0.5 * good

    found = diagnosed(tmp_path, value, ["C7.1", "C7.2", "C7.3", "C7.4"])
    for claim in judge_claims(found):
        assert [form.verdict for form in claim.forms] == ["supported", "supported"]
        checks = [each for form in claim.forms for each in form.checks if each.decides or each.verdict != "not run"]
        assert {each.ci_method for each in checks} == {"seeds (t)"}
    names = comparison_frame(judge_claims(found))["control"]
    assert "ddcl (mean_abs_cosine_shuffled)" in set(names)
    assert check(judged(found, "C7.3"), "varies").effect == pytest.approx(0.5, abs=0.02)


def test_a_wider_part_is_not_called_better_for_its_width(tmp_path: Path) -> None:
    """DIR has four times DVR's columns. Where each part is read as well as as many random columns, there is nothing."""

    def by_width(variant: str, part: str, metric: str) -> float:
        return 0.6 if part.endswith("dir") else 0.3

    own = check(judged(diagnosed(tmp_path / "a", by_width, ["C7.4"]), "C7.4"), "readout")
    assert own.effect == pytest.approx(0.0, abs=0.02)
    assert own.verdict != "contradicted"

    def carried(variant: str, part: str, metric: str) -> float:
        return by_width(variant, part, metric) + 0.2 * (part == "dvr" and variant == "ddcl_sym")

    found = diagnosed(tmp_path / "b", carried, ["C7.4"])
    assert judged(found, "C7.4b").verdict == "supported"
    assert judged(found, "C7.4a").verdict != "supported"  # the forms are not averaged


def test_collapse_is_counted_over_seeds(tmp_path: Path) -> None:
    plan = planted.suite(["C8"], ["ddcl", "ddcl_preg"], 12)
    found = planted.results(plan, tmp_path, planted.base, predictions=False)
    healthy = judged(found, "C8").headline
    assert (healthy.verdict, healthy.effect) == ("inconclusive", 0.0)
    assert healthy.seeds_needed > 12
    for place, run in enumerate(plan.runs):
        bad = run.seed < 7 if run.variant == "ddcl" else run.seed == 6  # of seed 6, both
        pages.end(found, place, "collapsed" if bad else "ok", "")
    claim = judged(found, "C8")
    assert claim.headline.effect == pytest.approx(50.0)
    assert claim.headline.p == pytest.approx(2 * 0.5**6)  # six seeds changed, each under both augmentations
    assert claim.verdict == "supported"
    pages.end(found, 0, "missing", "")
    assert "missing" in judged(found, "C8").headline.comparisons[0].note


def test_shares_are_supported_only_if_the_interval_says_so_too(tmp_path: Path) -> None:
    """Six of ten seeds lose one of two runs without PReg. p is 3 %, but the interval of ten seeds has 0 inside."""
    plan = planted.suite(["C8"], ["ddcl", "ddcl_preg"], 10)
    found = planted.results(plan, tmp_path, planted.base, predictions=False)
    for place, run in enumerate(plan.runs):
        bad = run.variant == "ddcl" and run.augmentation == "baug" and run.seed < 6
        pages.end(found, place, "collapsed" if bad else "ok", "")
    own = judged(found, "C8").headline
    assert own.p == pytest.approx(2 * 0.5**6)
    assert (own.ci_low < 0, own.verdict) == (True, "inconclusive")


def test_a_comparison_that_has_no_test_takes_no_part_in_a_correction(tmp_path: Path) -> None:
    """One seed after CAug has no test: of BAug the same is said as without it."""
    found = linear(tmp_path, planted.plus(0.6, noise=0.002), seeds=5)  # the interval ends at 0.94, and 1 matters
    alone, beside = found.records["augmentation"] == "baug", found.records["seed"] == 0
    verdicts = []
    for kept in (alone, alone | beside):
        values = found.records["value"].where(kept)
        status = found.records["status"].where(kept, "missing")
        lost = replace(found, records=found.records.assign(value=values, status=status))
        verdicts.append(check(judged(lost, "C2"), "linear").comparisons[0].verdict)
    assert verdicts == ["no effect that matters"] * 2


# --- gates and rules: tests/unit/test_gates.py, tests/unit/test_verdicts.py


# --- files


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Collected:
    """All claims, on four variants."""
    plan = planted.suite(NAMES, ["ddcl", "simsiam", "ddcl_preg", "ddcl_w0"], 3)
    return planted.results(plan, tmp_path_factory.mktemp("everything"), planted.plus(3.0))


def test_the_files_have_every_claim_and_comparison(everything: Collected, tmp_path: Path) -> None:
    claims = judge_claims(everything)
    write_claims(claims, tmp_path)
    frame = pd.read_csv(tmp_path / "claims.csv")
    assert list(frame.columns) == CLAIMS
    assert list(frame["claim"]) == ROWS
    assert frame["statement"].str.len().min() > 20
    again = pd.read_csv(tmp_path / "claim_comparisons.csv")
    assert list(again.columns) == COMPARISONS
    forms = [form for claim in claims for form in claim.forms]
    assert len(again) == sum(len(each.comparisons) for form in forms for each in form.checks) > 20
    pd.testing.assert_series_equal(again["effect"], comparison_frame(claims)["effect"], rtol=1e-4)
    checks = pd.read_csv(tmp_path / "claim_checks.csv")
    assert len(checks) == sum(len(form.checks) for form in forms)
    gates = pd.read_csv(tmp_path / "claim_gates.csv")
    assert list(gates.columns) == GATES
    assert set(gates["gate"]) == {"trained", "rotation_learned", "rotation_costs"}  # no CAug+ here
    text = to_markdown(claims)
    assert all(f"**{name}**" in text for name in ROWS)
    assert len({line.count("|") - line.count("\\|") for line in text.splitlines() if line.startswith("|")}) == 1
    assert to_latex(claims).count(r"\\") == 1 + len(ROWS)


def test_a_family_shares_its_correction(everything: Collected) -> None:
    own = check(judged(everything, "C2"), "linear")
    p, adjusted = [each.p for each in own.comparisons], [each.p_holm for each in own.comparisons]
    assert min(adjusted) == pytest.approx(min(1.0, len(p) * min(p)))
    assert all(after >= before for before, after in zip(p, adjusted, strict=True))
