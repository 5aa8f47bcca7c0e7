"""claims.json: what is written is what is read; what is damaged, older or of another plan is refused in one line."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from math import inf, isnan, nan
from pathlib import Path
from typing import Any

import pytest

from ddcl.base.errors import UserError
from ddcl.base.files import canonical_json, read_json, write_json
from ddcl.plan.rules import Rules
from ddcl.plan.suite import Suite
from ddcl.render import render_claims
from ddcl.report.claims.claim_tables import write_claims
from ddcl.report.claims.judge import judge_claims
from ddcl.report.claims.judged import Finding, JudgedClaim, JudgedClaims, read_judged, write_judged
from ddcl.report.claims.macros import macros
from ddcl.report.collected import Collected
from ddcl.report.figures.registry import draw
from ddcl.schema.claims import FILES, JUDGED, MACROS
from ddcl.schema.places import config_names
from tests.unit import pages, planted, synthetic


@pytest.fixture
def found(tmp_path: Path) -> Collected:
    """Suite with claims that were judged."""
    plan = synthetic.suite()
    return pages.with_claims(pages.results(tmp_path, plan, synthetic.records(plan)))


def path_of(found: Collected) -> Path:
    return found.results / "tables" / "claims.json"


def refused(found: Collected) -> str:
    """The one line that says why the file is not read."""
    with pytest.raises(UserError) as error:
        read_judged(found)
    text = str(error.value)
    assert text.startswith(f"{path_of(found)}")
    assert "ddcl claims" in text
    assert "\n" not in text
    return text


def files(found: Collected, claims: list[JudgedClaim], folder: Path) -> dict[str, str]:
    """All that is printed of claims, by file."""
    write_claims(claims, folder)
    texts = {path.name: path.read_text() for path in folder.iterdir()}
    return texts | {MACROS: macros(found, claims)}


def test_what_is_read_back_prints_the_same(tmp_path: Path) -> None:
    plan = planted.suite(config_names("claims"), ["ddcl", "simsiam", "ddcl_preg", "ddcl_w0"], 3)
    results = planted.results(plan, tmp_path, planted.plus(3.0))
    made = judge_claims(results)
    write_judged(made, results)
    again = read_judged(results)
    assert [claim.model_dump(mode="json") for claim in again] == [claim.model_dump(mode="json") for claim in made]
    printed = files(results, again, tmp_path / "again")
    assert printed == files(results, made, tmp_path / "made")
    assert set(printed) == {*FILES, MACROS} - {JUDGED}
    checks = [check for claim in again for form in claim.forms for check in form.checks]
    assert any(isnan(check.effect) for check in checks)
    assert any(each.treatment_minus for check in checks for each in check.comparisons)
    assert all(each.sources for check in checks for each in check.comparisons)


def test_numbers_that_json_has_not(tmp_path: Path) -> None:
    values: dict[str, Any] = pages.NONE | {"verdict": "not run", "effect": -0.1, "p": inf}
    written = Finding.model_validate(values).model_dump(mode="json")
    assert (written["effect"], written["ci_low"], written["p"]) == (-0.1, None, "inf")
    write_json(tmp_path / "f.json", written)
    again = Finding.model_validate(read_json(tmp_path / "f.json", "finding"))
    assert (again.effect, again.p) == (-0.1, inf)
    assert isnan(again.ci_low)
    with pytest.raises(ValueError, match="effect"):
        Finding.model_validate(values | {"effect": "0.5"})
    with pytest.raises(ValueError, match="verdict"):
        Finding.model_validate(values | {"verdict": "perhaps"})


def test_a_suite_without_claims_has_none_whatever_lies_there(found: Collected) -> None:
    assert [claim.name for claim in read_judged(found)] == ["C1", "C2", "C3", "C4", "C5"]
    other = replace(found, plan=found.plan.changed(claims={}))
    assert read_judged(other) == []
    axes = draw("claims", other).axes[0]
    assert [text.get_text() for text in axes.texts] == ["no claims in the suite: no data"]


def test_a_file_that_is_missing(found: Collected) -> None:
    path_of(found).unlink()
    assert refused(found).endswith("missing verdicts on the claims; `ddcl claims` makes it")
    with pytest.raises(UserError, match="missing verdicts"):
        draw("claims", found)


def test_a_file_that_is_cut(found: Collected) -> None:
    path_of(found).write_text(path_of(found).read_text()[:-100])
    assert "not valid JSON" in refused(found)


def _without_p(values: dict[str, Any]) -> None:
    del values["claims"][0]["forms"][0]["checks"][0]["p"]


def _without_check(values: dict[str, Any]) -> None:
    values["claims"][0]["forms"][0]["checks"] = []


def _bare(values: dict[str, Any]) -> None:
    values["claims"][3]["forms"][0]["checks"][0]["comparisons"][0]["treatment"].pop("part")


DAMAGED: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (
        lambda values: values.update(schema=0),
        f"claims of schema 0, this version reads {JudgedClaims.SCHEMA}; run `ddcl claims` again",
    ),
    (lambda values: values.pop("schema"), "claims of no schema"),
    (_without_p, "missing key 'claims.0.forms.0.checks.0.p'"),
    (_bare, "missing key 'claims.3.forms.0.checks.0.comparisons.0.treatment.part'"),
    (lambda values: values["claims"][0]["forms"][0].update(verdict="perhaps"), "claims.0.forms.0.verdict"),
    (lambda values: values.update(more=1), "unknown key 'more'"),
    (_without_check, "has other claims or checks than suite synthetic"),
    (lambda values: values["claims"].pop(), "has other claims or checks than suite synthetic"),
    (lambda values: values.update(collected="0" * 16), "judged from collected files other than"),
]


@pytest.mark.parametrize(("damage", "said"), DAMAGED)
def test_a_file_that_is_damaged_or_older(
    damage: Callable[[dict[str, Any]], object], said: str, found: Collected
) -> None:
    values = json.loads(path_of(found).read_text())
    damage(values)
    write_json(path_of(found), values)
    if "schema" in said:
        assert said in refused(found)
    else:
        assert "damaged or edited" in refused(found)
        del values["sha256"]
        write_json(path_of(found), values | {"sha256": hashlib.sha256(canonical_json(values).encode()).hexdigest()})
        assert said in refused(found)


def test_a_file_that_is_no_object(found: Collected) -> None:
    write_json(path_of(found), [1])
    assert "expected an object, found list" in refused(found)


def test_a_file_of_another_plan(found: Collected) -> None:
    other = replace(found, plan=found.plan.changed(suite="another"))
    text = refused(other)
    assert f"verdicts on suite synthetic, plan {found.plan.digest}; " in text
    assert f"the results are of suite another, plan {other.plan.digest}; run `ddcl claims` again" in text
    with pytest.raises(UserError, match="verdicts on suite synthetic"):
        draw("claims", other)


def test_claims_are_judged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planted.suite(["C2"], ["ddcl", "simsiam"], 3)
    results = planted.results(plan, tmp_path, planted.plus(3.0))
    monkeypatch.setattr(Collected, "load", classmethod(lambda cls, folder: results))
    assert render_claims(tmp_path) == {"C2": "supported"}
    monkeypatch.setattr("ddcl.report.claims.judge.judge", nan)  # judging again would fail
    (claim,) = read_judged(results)
    assert claim.verdict == "supported"
    rows = [text.get_text() for text in draw("claims", results).axes[0].get_yticklabels()]
    assert rows[0] == "C2a: supported"


@pytest.mark.parametrize(("claims", "needed"), [(["C2"], ["results/tables/claims.json"]), ([], [])])
def test_the_figure_of_claims_waits_for_the_verdicts(claims: list[str], needed: list[str]) -> None:
    values = planted.SUITE | {"claims": claims, "figures": ["claims", "knn_curves"]}
    values["runs"] = [planted.BLOCK | {"variants": ["ddcl"], "seeds": [0]}]
    rules = Rules(Suite(values, "planted.yaml"))
    assert rules.figure_input({"figure": "claims"}) == needed
    assert rules.figure_input({"figure": "knn_curves"}) == []
    assert ("results/tables/claims.json" in rules.targets()) == bool(claims)
