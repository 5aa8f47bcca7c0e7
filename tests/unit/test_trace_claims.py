"""Every number of the tables of claims can be followed to the files of the runs, and these alone give it again."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from ddcl.base.errors import UserError
from ddcl.evaluate.record import predictions_path
from ddcl.plan.suite import Suite
from ddcl.render import render_claims
from ddcl.report.claims.claim_tables import FRAMES
from ddcl.report.collect import collect
from ddcl.report.exchange.trace import Tracer
from ddcl.report.sources import HISTORY, SOURCES
from ddcl.schema.places import config_names
from tests.unit import written
from tests.unit.synthetic import record_of

BLOCK = written.BLOCK | {"perturbations": ["none", "color", "color_rotate"]}
SUITE = {
    **{name: written.SUITE[name] for name in ("suite", "title", "description", "draws", "random_subsets")},
    "runs": [
        BLOCK | {"transfer": [{"to": ["cub200"], "evaluations": ["linear_b32"]}]},
        BLOCK | {"variants": ["ddcl_preg", "ddcl_w0"], "augmentations": ["baug"]},
        BLOCK | {"augmentations": ["baug"], "authors": True, "evaluations": ["linear_online"]},
    ],
    "claims": config_names("claims"),
}
PLAN = Suite(SUITE, "t.yaml").plan
DDCL = "imagenet100/ddcl/baug/seed0"


def folder(run: str) -> str:
    """Where a run lies, below the results folder, by its variant, augmentation and seed."""
    return PLAN.run(f"imagenet100/{run}").folder


def end(results: Path, name: str, status: str) -> None:
    """Let a run have ended so, and its records say so."""
    run = PLAN.run(name)
    written.change_summary(results / run.folder / "run.json", status=status)
    for target in run.targets:
        written.change_record(results / run.record(target), status=status)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results with their claims, judged; a run collapsed and a record is missing."""
    results = tmp_path_factory.mktemp("whole") / "results"
    written.write_results(PLAN, results, images=40)
    end(results, "imagenet100/ddcl/baug/seed1", "collapsed")
    (results / record_of(PLAN, "imagenet100/simsiam/caug/seed1", "linear_b32", "cub200")).unlink()
    collect(PLAN, results, partial=True)
    render_claims(results)
    return results


@pytest.fixture
def results(whole: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    return shutil.copytree(whole, tmp_path / "results")


def tracer_of(results: Path, name: str = "claim_comparisons") -> Tracer:
    return Tracer(results / "tables" / f"{name}.csv")


def row_of(tracer: Tracer, **keys: str) -> int:
    """The number of the first row with these keys."""
    return int((tracer.rows[list(keys)] == list(keys.values())).all(axis=1).argmax()) + 1


COLLAPSE = {"claim": "C8", "check": "collapse"}
CURVES = {"claim": "C1a", "check": "area"}
LEAD = {"claim": "C5a", "check": "ladder"}  # a difference of differences


@pytest.mark.parametrize("name", FRAMES)
def test_every_row_is_made_again_from_its_sources_alone(name: str, whole: Path) -> None:
    tracer = tracer_of(whole, name)
    assert len(tracer.rows) >= 8
    letter = "" if name == "claim_gates" else "a"
    assert set(tracer.rows["claim"]) >= {f"C{number}{letter}" for number in range(1, 7)}
    for number in range(1, len(tracer.rows) + 1):
        assert tracer.describe(number).endswith("sources: the same")


def test_the_sources_of_a_comparison(whole: Path) -> None:
    tracer = tracer_of(whole)
    arms = [folder(f"{name}/seed0")[:-1] for name in ("ddcl/baug", "simsiam/baug", "ddcl_preg/baug")]
    for keys, expected in [
        (CURVES, {f"{arm}{seed}/history.csv" for arm in arms[:2] for seed in (0, 1)}),
        (COLLAPSE, {f"{arm}{seed}/run.json" for arm in arms[::2] for seed in (0, 1)}),
    ]:
        number = row_of(tracer, **keys)
        assert set(tracer.frame[SOURCES].iloc[number - 1]) == expected
    text = tracer.describe(row_of(tracer, **COLLAPSE))
    assert f"  {folder('ddcl/baug/seed1')}/run.json: collapsed, recipe " in text
    sources = tracer.frame[SOURCES].iloc[row_of(tracer, **LEAD) - 1]
    expected = {
        f"{record_of(PLAN, f'imagenet100/{v}/{a}/seed{s}', 'linear')}#full/none/top1"
        for v in ("ddcl", "simsiam")
        for a in ("baug", "caug")
        for s in (0, 1)
    }
    assert set(sources) == expected


def test_a_record_that_is_missing_is_a_source(whole: Path) -> None:
    tracer = tracer_of(whole)
    number = row_of(tracer, claim="C3a", check="transfer", augmentation="caug")
    assert tracer.rows["n_seeds"].iloc[number - 1] == 1
    record = record_of(PLAN, "imagenet100/simsiam/caug/seed1", "linear_b32", "cub200")
    text = f"{record} part full, perturbation none, metric top1: no cell; missing"
    assert text in tracer.describe(number)


def test_a_claim_has_the_sources_of_all_its_checks(whole: Path) -> None:
    tracers = {name: tracer_of(whole, name).frame for name in FRAMES}
    for claim in ("C1", "C2", "C3", "C4", "C5", "C6", "C7.1"):
        of_form = [
            set().union(*frame.loc[frame["claim"] == f"{claim}a", SOURCES])
            for name, frame in tracers.items()
            if name != "claim_gates"
        ]
        gates = tracers["claim_gates"]
        assert of_form[0] == of_form[1]
        assert of_form[0] == of_form[2].union(*gates.loc[gates["claim"] == claim, SOURCES])
        assert bool(of_form[0]) == (claim != "C7.1")
    absent = row_of(tracer_of(whole, "claims"), claim="C7.1a")
    assert "nothing that it could be made of is in the suite" in tracer_of(whole, "claims").describe(absent)


def needed(source: str) -> tuple[str, ...]:
    """How the names of the files begin that a source is or needs: predictions, and its run's recipe and summary."""
    run, file = "/".join(source.split("/")[:5]), source.partition("#")[0]
    own = f"{run}/" if file.endswith(HISTORY) else file.removesuffix(".json")
    return own, *(f"{run}/{name}" for name in ("config.json", "run.json", "history.csv"))


@pytest.mark.parametrize("keys", [CURVES, COLLAPSE, LEAD])
def test_without_any_other_file(keys: dict[str, str], results: Path) -> None:
    tracer = tracer_of(results)
    number = row_of(tracer, **keys)
    row, sources = tracer.rows.iloc[number - 1], tracer.frame[SOURCES].iloc[number - 1]
    kept = tuple(name for source in sources for name in needed(source))
    others = [path for path in results.rglob("*.*") if not path.relative_to(results).as_posix().startswith(kept)]
    assert len(others) > 50
    for path in others:
        path.unlink()
    again = tracer.again(row, sources)
    for name in tracer.traced.numbers:
        assert tracer.traced.same(row[name], again[name]), name


def test_predictions_and_endings_that_changed_since_are_noticed(results: Path) -> None:
    tracer = tracer_of(results)
    predictions_path(results / record_of(PLAN, DDCL, "linear")).unlink()
    with pytest.raises(UserError, match=r"says effect .*, the files of its sources .*; `ddcl collect && ddcl claims`"):
        tracer.describe(row_of(tracer, claim="C2a", check="centred", augmentation="baug"))
    end(results, DDCL, "diverged")
    with pytest.raises(UserError, match=r"says effect 50, the files of its sources 100\.0"):
        tracer.describe(row_of(tracer, **COLLAPSE))


def test_another_verdict_is_noticed(results: Path) -> None:
    path = results / "tables/claim_comparisons.csv"
    path.write_text(path.read_text().replace(",inconclusive,", ",supported,", 1))
    tracer = tracer_of(results)
    number = row_of(tracer, verdict="supported")
    with pytest.raises(UserError, match="says verdict supported, what was collected inconclusive"):
        tracer.describe(number)
