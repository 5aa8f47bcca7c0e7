"""Gates from planted effects: passed, failed, undecided, and what follows for the comparisons, checks and claims."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ddcl.base.errors import UserError
from ddcl.plan.plan import Plan
from ddcl.report.claims.gates import joint, state_of
from ddcl.report.claims.inference import Estimate
from ddcl.report.claims.judge import judge_claims
from ddcl.report.claims.judged import JudgedClaim, JudgedGate
from ddcl.report.page.claim_details import Page, details
from ddcl.schema.claims import read_claim, read_gates
from ddcl.schema.gates import GateSpec, read_gate
from ddcl.schema.places import config_names, config_path
from ddcl.schema.suites import read_suite
from tests.unit import planted

Accuracy = Callable[[dict[str, Any]], float]
UNTRAINED = planted.BLOCK | {"variants": ["random_init"], "augmentations": ["none"]}


def plan_of(claim: str, seeds: int = 3, evaluations: tuple[str, ...] = ("linear_online",)) -> Plan:
    """DDCL, SimSiam and the untrained encoder, after BAug, CAug and CAug+."""
    numbers = list(range(seeds))
    block = planted.BLOCK | {"variants": ["ddcl", "simsiam"], "augmentations": ["baug", "caug", "caug_plus"]}
    runs = [block | {"seeds": numbers}, UNTRAINED | {"seeds": numbers}]
    perturbations = ["none", "color", "color_rotate", "color_rotate_elastic"]
    return planted.suite([claim], [], seeds, runs=runs, perturbations=perturbations, evaluations=[*evaluations])


def learning(cell: dict[str, Any]) -> float:
    """Rotation and elastic deformation cost 30 points each, 10 where pretraining had them; DDCL is 3 points better."""
    accuracy = 0.95 - 0.35 * (cell["variant"] == "random_init") + 0.03 * (cell["variant"] == "ddcl")
    seen = {"caug": ["rotate"], "caug_plus": ["rotate", "elastic"]}.get(cell["augmentation"], [])
    for name in ("rotate", "elastic"):
        accuracy -= (0.1 if name in seen else 0.3) * (name in cell["perturbation"])
    luck = np.random.default_rng([cell["seed"], *map(ord, cell["variant"] + cell["augmentation"])]).normal(0, 0.002)
    return accuracy - 0.03 + luck


def judged(tmp_path: Path, claim: str, accuracy: Accuracy, seeds: int = 3) -> JudgedClaim:
    plan = plan_of(claim, seeds)
    found = judge_claims(planted.results(plan, tmp_path, accuracy))
    assert len(details(found[0], Page(plan, {})).gates) == len(found[0].gates)  # the page has them
    return found[0]


def test_gates_are_judged_by_the_probe_of_the_data_set(tmp_path: Path) -> None:
    for names, expected in ((("linear_online", "linear"), "linear"), (("linear_online",), "linear_online")):
        found = planted.results(plan_of("C5", 3, names), tmp_path / expected, learning)
        gates = [gate for claim in judge_claims(found) for gate in claim.gates]
        assert {gate.evaluation for gate in gates if gate.evaluation} == {expected}


def states(claim: JudgedClaim) -> dict[str, set[str]]:
    """The states of each gate, over its arms."""
    found: dict[str, set[str]] = {}
    for gate in claim.gates:
        found.setdefault(gate.name, set()).add(gate.state)
    return found


def gate(claim: JudgedClaim, name: str) -> JudgedGate:
    return next(each for each in claim.gates if each.name == name)


def test_every_gate_is_data_that_a_claim_or_a_pilot_names() -> None:
    claims = [read_claim(name) for name in config_names("claims")]
    suites = [read_suite(config_path("suites", name)) for name in config_names("suites")]
    pilots = {gate for suite in suites if suite.pilot for gate in suite.pilot.gates}
    assert sorted({*read_gates(claims), *pilots}) == config_names("gates")
    for name in config_names("gates"):
        assert read_gate(name).follows.endswith(".")


def test_all_gates_are_passed_and_the_claim_is_decided(tmp_path: Path) -> None:
    claim = judged(tmp_path, "C4", learning)
    assert "known_knn" not in states(claim)  # of CIFAR-10 only
    assert states(claim) == {
        name: {"passed"}
        for name in ("trained", "rotation_learned", "rotation_costs", "elastic_learned", "elastic_costs")
    }
    assert claim.verdict == "supported"
    assert gate(claim, "rotation_learned").effect == pytest.approx(20.0, abs=1.0)
    assert gate(claim, "rotation_costs").effect == pytest.approx(30.0, abs=1.0)
    assert gate(claim, "elastic_learned").reported_value == 22.2
    assert claim.forms[1].verdict == "not run"


@pytest.mark.parametrize("claim", ["C4", "C5"])
def test_a_rotation_that_was_not_learned_cannot_be_tested(claim: str, tmp_path: Path) -> None:
    def accuracy(cell: dict[str, Any]) -> float:
        rotated = "rotate" in cell["perturbation"] and cell["augmentation"] in ("caug", "caug_plus")
        return learning(cell) - 0.17 * rotated  # the lift is 3 points, surely above 0

    found = judged(tmp_path, claim, accuracy)
    assert gate(found, "rotation_learned").ci_low > 0
    assert gate(found, "rotation_learned").state == "failed"
    assert found.verdict == "not testable"
    check = found.forms[0].checks[0]
    assert (check.verdict, check.gate) == ("not testable", "failed")
    assert check.effect == check.effect  # what was measured is still shown
    assert {each.verdict for each in check.comparisons} == {"not testable"}
    assert np.isnan([each.p_holm for each in check.comparisons]).all()
    assert "more than half of the comparisons fail a gate" in check.note


def test_a_distortion_that_costs_nothing_cannot_be_tested(tmp_path: Path) -> None:
    def accuracy(cell: dict[str, Any]) -> float:
        return learning(cell | {"perturbation": cell["perturbation"].replace("_elastic", "")})

    found = judged(tmp_path, "C4", accuracy)
    assert states(found)["elastic_costs"] == {"failed"}
    assert states(found)["elastic_learned"] == {"failed"}
    seen, unseen = found.forms[0].checks[:2]
    # After CAug+ two of three comparisons say nothing, and of the unseen distortions the elastic ones.
    assert [each.verdict == "not testable" for each in seen.comparisons] == [False, True, True]
    assert seen.verdict == unseen.verdict == found.verdict == "not testable"


def test_a_network_below_the_untrained_one_decides_nothing(tmp_path: Path) -> None:
    def accuracy(cell: dict[str, Any]) -> float:
        return learning(cell) - 0.5 * (cell["variant"] == "simsiam")

    found = judged(tmp_path, "C2", accuracy)
    assert {(each.arm.split("/")[1], each.state) for each in found.gates} == {("ddcl", "passed"), ("simsiam", "failed")}
    assert found.verdict == "not testable"  # not "supported by 50 points"


def test_a_comparison_that_fails_never_decides(tmp_path: Path) -> None:
    """One of three: SimSiam after BAug is below the untrained encoder. The others decide, and are pooled alone."""

    def accuracy(cell: dict[str, Any]) -> float:
        return learning(cell) - 0.5 * (cell["variant"] == "simsiam" and cell["augmentation"] == "baug")

    check = judged(tmp_path, "C2", accuracy).forms[0].headline
    assert [each.verdict for each in check.comparisons] == ["not testable", "supported", "supported"]
    assert check.verdict == "supported"
    assert check.effect == pytest.approx(3.0, abs=0.8)
    assert {(each.dataset, each.seed) for each in check.seed_effects} == {("digits", seed) for seed in range(3)}
    assert np.mean([each.effect for each in check.seed_effects]) == pytest.approx(check.effect, abs=1e-4)


def test_gates_without_runs_or_seeds_are_undecided(tmp_path: Path) -> None:
    few = judged(tmp_path / "few", "C4", learning, seeds=2)
    assert set().union(*states(few).values()) == {"undecided"}
    assert few.verdict == "inconclusive"
    plan = planted.suite(["C2"], ["ddcl", "simsiam"], 3)
    (claim,) = judge_claims(planted.results(plan, tmp_path / "floor", planted.plus(3.0)))
    assert states(claim) == {"trained": {"undecided"}}
    assert claim.verdict == "supported"  # a gate that was not run closes nothing, and is shown


def test_an_accuracy_that_must_be_reached() -> None:
    unknown = read_gate("known_knn")
    assert state_of(unknown, Estimate(84.0, 83.0, 85.0), 3) == "undecided"
    spec = unknown.model_copy(update={"reference": 84.7})
    assert state_of(spec, Estimate(84.0, 83.0, 85.0), 3) == "passed"
    assert state_of(spec, Estimate(83.0, 82.0, 84.0), 3) == "failed"
    assert state_of(spec, Estimate(83.0), 1) == "undecided"
    with pytest.raises(ValueError, match="only one of the three"):
        GateSpec(**spec.model_dump() | {"control": {"augmentation": "caug"}})
    assert joint([]) == "passed"


def test_a_least_value_in_its_own_unit() -> None:
    spec = read_gate("pairs_have_room")
    assert (spec.scale, spec.reference) == (1.0, None)
    assert state_of(spec, Estimate(0.12, 0.08, 0.16), 3) == "passed"
    assert state_of(spec, Estimate(0.04, 0.03, 0.05), 3) == "failed"
    with pytest.raises(ValueError, match="only one of the three"):
        GateSpec(**spec.model_dump() | {"reference": 0.1})


@pytest.mark.parametrize(("knn", "verdict"), [(0.845, "supported"), (0.80, "not testable")])
def test_an_engine_below_a_known_knn_decides_nothing(
    knn: float, verdict: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own/gates").mkdir(parents=True)
    text = Path("config/gates/known_knn.yaml").read_text(encoding="utf-8") + "reference: 84.7\n"
    (tmp_path / "own/gates/known_knn.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("DDCL_CONFIG", str(tmp_path / "own"))
    block = {"datasets": ["cifar10"], "seeds": [0, 1, 2], "overrides": {}}
    own = block | {"variants": ["ddcl", "simsiam"], "augmentations": ["baug"], "evaluations": ["linear_online"]}
    check = block | {"variants": ["barlow_twins_igor"], "augmentations": ["baug_no_blur"], "evaluations": ["knn200"]}
    plan = planted.suite(["C2"], [], 3, runs=[own, check], perturbations=["none"])

    def accuracy(cell: dict[str, Any]) -> float:
        return knn if cell["variant"] == "barlow_twins_igor" else planted.plus(3.0)(cell)

    (claim,) = judge_claims(planted.results(plan, tmp_path, accuracy))
    found = gate(claim, "known_knn")
    assert found.arm == "cifar10/barlow_twins_igor/baug_no_blur"
    assert found.effect == pytest.approx(100 * knn, abs=0.1)
    assert claim.verdict == verdict


def test_a_gate_that_there_is_not_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "claims").mkdir()
    text = (Path("config/claims") / "C2.yaml").read_text().replace("[trained, ", "[traned, ", 1)
    (tmp_path / "claims/C2.yaml").write_text(text)
    monkeypatch.setenv("DDCL_CONFIG", str(tmp_path))
    with pytest.raises(UserError, match=r"C2\.yaml: check linear.*unknown gate 'traned'.*did you mean 'trained'"):
        read_claim("C2")
