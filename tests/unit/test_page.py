"""The page is complete, self-contained, well-formed, and says what is wrong."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ddcl.base import sealed
from ddcl.base.errors import UserError
from ddcl.base.files import write_json, write_text
from ddcl.plan.plan import Plan
from ddcl.plan.rules import CLAIMS
from ddcl.plan.suite import Suite
from ddcl.report.collected import Collected
from ddcl.report.figures.registry import FIGURES
from ddcl.report.page.facts import attention, facts
from ddcl.report.page.glossary import VIEWS
from ddcl.report.page.write import write_page
from ddcl.schema import manifest
from ddcl.schema.places import CONFIG_DIR
from ddcl.schema.recipes import build_recipe
from ddcl.schema.tables import read_table
from tests.unit import pages, synthetic
from tests.unit.synthetic import record_of
from tests.unit.written import write_manifest

VOID = {"meta", "img", "br", "link", "hr", "input", "path", "polyline", "rect", "circle", "use"}

# What HTML closes by itself: by the start of one of these, or by the end of what holds it.
CLOSED_BY = {"td": {"td", "th", "tr", "tbody"}, "th": {"td", "th", "tr", "tbody"}, "tr": {"tr", "tbody"}}
CLOSED_BY |= {"tbody": {"tbody"}, "dt": {"dd"}, "dd": {"dt"}}


class Checker(HTMLParser):
    """Collects elements; fails where tags are not balanced; rows and cells may leave out their end tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        while self.open and tag in CLOSED_BY.get(self.open[-1], ()):
            self.open.pop()
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while tag in ("tr", "tbody", "table", "dl") and self.open[-1] != tag and self.open[-1] in CLOSED_BY:
            self.open.pop()
        if tag not in VOID:
            assert self.open.pop() == tag, f"</{tag}> closes something else"


def plan_of(tables: list[str], figures: list[str]) -> Plan:
    return synthetic.suite(tuple(tables), figures=synthetic.figures(figures))


@pytest.fixture
def found(tmp_path: Path) -> Collected:
    """What was collected of a suite with two tables and all figures."""
    plan = plan_of(["knn", "linear"], list(FIGURES))
    return pages.results(tmp_path, plan, synthetic.records(plan))


def test_test_images_that_are_training_images_are_said(found: Collected) -> None:
    assert "Test images seen in training" not in facts(found)
    for name, folder in zip(found.plan.data, found.plan.data_folders, strict=True):
        path = found.results / folder / "manifest.json"
        write_manifest(path.parent, name)
        own = manifest.load(path)
        test = own.splits["test"].model_copy(update={"n_in_train": 75})
        sealed.write(path, own.model_copy(update={"splits": own.splits | {"test": test}}))
    labels = [found.plan.label("dataset", name) for name in found.plan.data]
    said = "; ".join(f"75 of 899 of {label} have the same bytes" for label in labels)
    assert facts(found)["Test images seen in training"] == said


def render(found: Collected) -> str:
    out = found.results / "report" / "index.html"
    write_page(found, out)
    return out.read_text(encoding="utf-8")


def text_of(html: str) -> str:
    """The text of a page, white space as one blank."""
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", html))


def check(html: str) -> Checker:
    """Balanced elements, each id once, each link to an element that is there."""
    checker = Checker()
    checker.feed(html)
    assert checker.open == []
    ids = [attributes["id"] for _, attributes in checker.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    links = [attributes["href"] or "" for tag, attributes in checker.elements if tag == "a"]
    assert {link[1:] for link in links if link.startswith("#")} <= set(ids)
    several = [attributes["data-from"] or "" for _, attributes in checker.elements if "data-from" in attributes]
    assert {place for places in several for place in places.split()} <= set(ids)
    return checker


def test_page_is_complete_well_formed_and_self_contained(found: Collected) -> None:
    html = render(found)
    checker = check(html)
    tags = [tag for tag, _ in checker.elements]
    assert tags.count("img") == len(FIGURES) + len(VIEWS)  # figures are made up without an SVG
    assert tags.count("article") == 5  # one for the seeds of each arm
    assert all(a["src"].startswith("data:image/png;base64,") and a["alt"] for t, a in checker.elements if t == "img")
    assert not re.search(r"""src=["']?(https?:)?//|url\((?!#)|@import|\son[a-z]+=""", html)
    assert {tag for tag, a in checker.elements if (a.get("href") or "").startswith(("http", "//"))} == {"a"}
    assert "Nothing is missing, out of date, failed, collapsed or diverged." in html
    assert "with uncommitted changes" in html
    assert "torch 2.0" in html
    assert "10 of 10 done, 8 of them trained" in html
    assert 'id="claims"' not in html


def test_every_number_leads_to_the_values_of_its_seeds(found: Collected) -> None:
    html = render(found)
    rows = dict(re.findall(r'<tr id="(r\d+)">(.*)', html))
    assert len(rows) == (3 + 3 + 1 + 1 + 1) * 2 * 2  # parts of the arms, evaluations, perturbations
    tables = html[html.index('id="tables"') : html.index('id="figures"')]
    numbers = re.findall(r'<a class="from" href="#(r\d+)">(?:<span class="lv">)?(\d+\.\d) ± ', tables)
    assert len(numbers) == tables.count("<td") - tables.count("<td>–") > 20
    for anchor, mean in numbers:
        seeds = [float(text) for text in re.findall(r"<td>([\d.]+)(?=<|$)", rows[anchor])]
        assert len(seeds) == 2
        assert f"{np.mean(seeds):.1f}" == mean


def test_a_number_made_of_several_arms_names_all_places(tmp_path: Path) -> None:
    plan = plan_of(["augmentation", "convergence"], [])
    html = render(pages.results(tmp_path, plan, synthetic.records(plan)))
    check(html)
    assert re.search(r'href="#r\d+" data-from="r\d+ r\d+">(?:<span class="lv">)?[+−]\d', html)  # a change
    assert re.search(r'<a class="from" href="#h\d+">', html)  # a number of a history
    assert re.search(r'<div class="curves" id="h0"><figure><svg', html)


def test_a_published_number_leads_to_its_place(tmp_path: Path) -> None:
    block = {"datasets": ["cifar10"], "variants": ["simsiam"], "augmentations": ["baug"], "seeds": [0]}
    config = {"suite": "some", "title": "Some", "description": "", "runs": [block], "evaluations": ["knn200"]}
    plan = Suite(config | {"perturbations": ["none"], "tables": ["published"], "figures": []}, "test").plan
    run = plan.runs[0].key
    cell = {"evaluation": "knn200", "eval_dataset": "cifar10", "part": "full", "perturbation": "none", "metric": "top1"}
    measured = {"selection": "fixed", "value": 0.8, "n": 10000, "n_draws": 1, "sd_draws": np.nan, "status": "ok"}
    measured |= {"code": ""}
    html = render(pages.results(tmp_path, plan, pd.DataFrame([run | cell | measured]), pd.DataFrame()))
    check(html)
    links = dict(re.findall(r'href="#(p\d+)">([\d.]+)</a>', html))
    assert links
    for anchor, value in links.items():
        row = re.search(
            rf'<tr id="{anchor}"><th scope="row">\d+</th><td>([\d.]+)</td><td class="wrap">(.+?)</td>', html
        )
        assert row
        assert f"{float(row[1]):.1f}" == value
        assert row[2]
    assert re.search(r'href="#r1" data-from="r1 p\d+">(?:<span class="lv">)?[+−]\d', html)  # the difference


def test_a_card_says_how_the_recipe_departs_and_how_to_make_it_again(found: Collected) -> None:
    html = render(found)
    card = html[html.index('id="card-digits-ddcl-baug"') : html.index('id="card-digits-ddcl-caug"')]
    epochs = synthetic.recipe_of(found.plan.run("digits/ddcl/baug/seed0")).training.epochs
    assert f'<th>training.epochs<td class="key">{epochs}<td class="key">500' in card
    assert '<th>training.schedule.extra_warmup_epochs<td class="key">0<td class="key">30' in card
    assert "<dt>method.dir_frac<dd>0.8\n" in card
    assert "method.dir_frac<td" not in card  # as in the paper
    assert "git checkout " + "f" * 40 in card
    assert f" -- results/{record_of(found.plan, 'digits/ddcl/baug/seed1', 'linear')} results/" in card
    assert f"ddcl pretrain --run results/{found.plan.run('digits/ddcl/baug/seed1').folder}" in card
    untrained = html[html.index('id="card-digits-random_init-none"') :]
    assert "Nothing to compare with: nothing is trained." in untrained


def test_the_suite_of_the_project_is_named_in_the_commands(found: Collected) -> None:
    for suite, file in (("smoke", "config/suites/smoke.yaml"), ("digits", "config/config.yaml")):
        assert f"--configfile {file} --" in render(replace(found, plan=found.plan.changed(suite=suite)))


def test_another_recipe_is_not_shown_as_that_of_the_run(found: Collected) -> None:
    for seed in (0, 1):
        other = build_recipe(("digits", "ddcl", "baug"), 7, {"epochs": 7})
        folder = found.plan.run(f"digits/ddcl/baug/seed{seed}").folder
        write_json(found.results / folder / "config.json", other.model_dump())
    html = render(found)
    card = html[html.index('id="card-digits-ddcl-baug"') : html.index('id="card-digits-ddcl-caug"')]
    assert "training.epochs" not in card


@pytest.mark.parametrize("status", ["missing", "failed"])
def test_what_is_wrong_is_named(status: str, found: Collected) -> None:
    records, runs = found.records, found.runs
    pages.end(found, 0, "collapsed", "effective rank 1.20 is below 2.0")
    pages.end(found, 1, status, "run.json: why")
    lost = (records["variant"] == "simsiam") & (records["augmentation"] == "caug") & (records["evaluation"] == "knn")
    records.loc[lost & (records["seed"] == 1), ["value", "status"]] = [np.nan, status]
    html = render(found)
    check(html)
    text = text_of(html)
    assert "digits/ddcl/baug/seed0: collapsed: effective rank 1.20" in text
    assert f"digits/ddcl/baug/seed1: {status}: run.json: why" in text
    assert f"digits/simsiam/caug/seed1: knn: 2 of its cells {status}" in text
    assert f"3 of {len(runs)} runs need a look" in text
    assert re.findall(r'<p class="bad">(.*?)</p>', html) == ["Seed 0: collapsed.", f"Seed 1: {status}."]
    assert f"<td>85.00<td>{status}\n" not in html  # SimSiam, CAug: 0.86 for seed 0
    assert f"<td>86.00<td>{status}\n" in html
    assert re.search(
        r'<td id="[\w-]+" class="bad"><a class="from" href="#r\d+">(?:<span class="lv">)?86.0 \(n=1/2\) ', html
    )


def test_what_is_out_of_date_is_told_from_what_was_not_run(found: Collected) -> None:
    records = found.records
    own = (records["variant"] == "ddcl") & (records["augmentation"] == "baug") & (records["seed"] == 0)
    records.loc[own, ["value", "status"]] = [np.nan, "missing"]
    write_json(found.results / record_of(found.plan, "digits/ddcl/baug/seed0", "knn"), {})
    pages.end(found, -1, "missing", "run.json: its recipe_digest is 1")
    write_json(found.results / found.plan.runs[-1].folder / "run.json", {})
    assert attention(found) == [
        ("digits/ddcl/baug/seed0", "run-digits-ddcl-baug-seed0",
         ["linear: 6 of its cells missing", "knn: 6 of its cells out of date"]),
        ("digits/random_init/none/seed1", "run-digits-random_init-none-seed1",
         ["out of date: run.json: its recipe_digest is 1"]),
    ]  # fmt: skip


def test_a_run_is_named_once_with_all_that_is_wrong(found: Collected) -> None:
    records = found.records
    own = (records["variant"] == "ddcl") & (records["augmentation"] == "baug") & (records["seed"] == 0)
    records.loc[own, "status"] = "collapsed"
    records.loc[own & (records["evaluation"] == "linear"), "status"] = "missing"
    pages.end(found, 0, "collapsed", "rank")
    assert [(run, problems) for run, _, problems in attention(found)] == [
        ("digits/ddcl/baug/seed0", ["collapsed: rank", "linear: 6 of its cells missing"])
    ]


def test_labels_are_escaped(tmp_path: Path) -> None:
    plan = plan_of(["knn"], [])
    plan = synthetic.labelled(plan, "variant", {"ddcl": "<script>alert(1)</script>"}).changed(title="A & B <i>")
    html = render(pages.results(tmp_path, plan, synthetic.records(plan)))
    assert html.count("<script>") == 1  # the page's own
    assert "&lt;script&gt;" in html
    assert "A &amp; B &lt;i&gt;" in html


def test_page_is_the_same_every_time(found: Collected) -> None:
    assert render(found) == render(found)


def test_claims_come_first_with_their_verdicts_and_comparisons(found: Collected) -> None:
    judged = pages.with_claims(found)
    write_text(judged.results / "tables/macros.tex", "")
    html = render(judged)
    check(html)
    text = text_of(html)
    assert html.index('id="claims"') < html.index('id="run"')
    assert "Found here: 1 supported, 1 contradicted, 1 inconclusive, 1 not run, 1 protocol differs" in text
    assert '<span class="glyph" aria-hidden="true">▼</span> contradicted</span>' in html
    assert "DDCL is better &amp; cheaper" in html
    assert '<span class="number"><b>+0.3</b> (−0.2 to +0.8)</span> <small>points</small>' in html
    assert "To find 0.3 points, the smallest effect that matters, takes 40 seeds per arm." in text
    assert 'href="../tables/claim_comparisons.csv"' in html
    assert "<b>0" not in html[html.index('id="claim-C3"') : html.index('id="claim-C4"')]  # nothing was run: no zeros
    assert all(f'href="../tables/{name}"' in html for name in ("claims.json", "macros.tex"))


def test_the_first_screen_says_what_could_have_been_seen(found: Collected) -> None:
    text = text_of(render(pages.with_claims(found)))
    assert "Five seeds per arm could have seen differences in accuracy of 1.2 points or more (80 % power)" in text
    assert "2 seeds per arm the paper: 1".replace(" the", "the") in text.replace("arm the", "armthe")


def test_a_suite_without_claims_shows_and_links_none_whatever_lies_there(found: Collected) -> None:
    pages.with_claims(found)  # of another suite
    for name in ("claims.csv", "macros.tex"):
        (found.results / "tables" / name).write_text("those of another suite")
    html = render(found)
    assert 'id="claims"' not in html
    assert not any(f"../tables/{name}" in html for name in CLAIMS)


def test_the_page_of_a_suite_with_claims_needs_its_own_verdicts(found: Collected) -> None:
    own = pages.with_claims(found)
    with pytest.raises(UserError, match=r"claims\.json: verdicts on suite synthetic, plan .*; run `ddcl claims` again"):
        render(replace(own, plan=own.plan.changed(title="another")))
    (found.results / "tables/claims.json").unlink()
    with pytest.raises(UserError, match=r"claims\.json: missing verdicts on the claims; `ddcl claims` makes it$"):
        render(own)


def test_effects_of_claims_lead_to_the_values_that_they_are_differences_of(found: Collected) -> None:
    html = render(pages.with_claims(found))
    rows = dict(re.findall(r'<tr id="(r\d+)">(.*)', html))
    claims = html[html.index('id="claims"') : html.index('id="run"')]
    linked = re.findall(r'<a class="from" href="#(\w+)" data-from="\1 (\w+)">([^<]+)</a>', claims)
    effects = {effect: places for *places, effect in linked}
    of_seed = {
        effect: [float(re.findall(r"<td>([\d.]+)(?=<|$)", rows[place])[0]) for place in effects[effect]]
        for effect in ("+0.3", "−3.1")
    }
    # DDCL and SimSiam after CAug on distorted images; DVR after BAug, and the whole after CAug
    assert of_seed == {"+0.3": [44.0, 43.0], "−3.1": [35.0, 44.0]}
    assert all(re.fullmatch(r"h\d+", place) for place in effects["+2.5"])  # curves


def test_a_hundred_runs_fit_into_five_megabytes(tmp_path: Path) -> None:
    plan, records, histories = pages.hundred_runs()
    tables = ["linear", "knn", "robustness", "augmentation", "convergence"]
    figures = Suite.load(CONFIG_DIR / "config.yaml").figures
    plan = plan.changed(tables={name: read_table(name) for name in tables}, figures=synthetic.figures(figures))
    png = os.urandom(100_000)  # a figure of the default suite has 50 to 75 thousand bytes
    html = render(pages.results(tmp_path, plan, records, histories, png))
    assert len(plan.runs) == 100
    size = len(html.encode())
    without_figures = size - len(figures) * 133_333
    assert without_figures < 2e6, without_figures
    assert size < 5e6, size
