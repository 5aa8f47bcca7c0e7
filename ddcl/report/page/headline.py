"""What stands above the claims: what could have been seen at all, and what the evidence is."""

from __future__ import annotations

from collections import Counter
from math import isnan
from typing import NamedTuple

from ddcl.base.errors import UserError
from ddcl.report.claims.judged import JudgedCheck, JudgedClaim
from ddcl.report.claims.verdicts import NOT_TESTABLE
from ddcl.report.collected import Collected
from ddcl.report.numbers import count, plain
from ddcl.schema import manifest

POINTS = "points"
NUMBERS = ("No", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine", "Ten")


class Fact(NamedTuple):
    """A number of the evidence, what it counts, and the same in the paper or in other words below it."""

    number: str
    what: str
    below: str


def could_have_seen(judged: list[JudgedClaim]) -> str:
    """Return one sentence: which differences in accuracy could have been found here, and how large the paper's are."""
    checks = [check for claim in judged if claim.forms for check in claim.forms[0].deciding if check.unit == POINTS]
    found = sorted(each.minimum_detectable_effect for each in checks if not isnan(each.minimum_detectable_effect))
    seeds = max((each.n_seeds for each in checks), default=0)
    if not found:
        return "No difference in accuracy could have been decided here: that takes three seeds of both arms."
    ends = dict.fromkeys(plain(value, 2) for value in (found[0], found[-1]))
    words = (
        f"{NUMBERS[seeds] if seeds < len(NUMBERS) else seeds} seeds per arm could have seen differences in accuracy of "
    )
    claims = "" if len(ends) == 1 else ", depending on the claim"
    return f"{words}{' to '.join(ends)} points or more{claims} (80 % power){_papers(checks)}."


def _papers(checks: list[JudgedCheck]) -> str:
    reported = [each.reported_values for each in checks if each.verdict != NOT_TESTABLE]
    values = [abs(value) for each in reported if each and each.same_quantity for value in (each.low, each.high)]
    return f"; the paper’s own are at most {plain(max(values), 2)}" if values else ""


def evidence(found: Collected, judged: list[JudgedClaim]) -> list[Fact]:
    """Return the numbers of the strip below the headline."""
    plan = found.plan
    done = [each for each in found.runs if each.summary]
    trained = [each for each in done if plan.run(each.run.name).trains]
    seeds = set(Counter(run.arm for run in plan.runs if run.trains).values())
    spread = dict.fromkeys(map(str, (min(seeds), max(seeds)))) if seeds else {"0": None}
    ended = Counter(each.status for each in found.runs)
    others = ", ".join(f"{n} {status}" for status, n in ended.items() if status != "ok")
    facts = [
        Fact(" to ".join(spread), "seeds per arm" if spread.keys() != {"1"} else "seed per arm", "the paper: 1"),
        Fact(
            f"{len(done)}",
            f"of {len(found.runs)} runs" if len(done) < len(found.runs) else "runs, all finished",
            others or f"{len(trained)} trained, {len(done) - len(trained)} untrained",
        ),
        *_images(found),
    ]
    if trained:
        facts += [_networks(found), _machine(found)]
    gates = Counter(gate.state for claim in judged for gate in claim.gates)
    if gates:
        below = ", ".join(f"{gates[state]} {state}" for state in ("undecided", "failed") if gates[state])
        facts.append(Fact(str(gates["passed"]), f"of {gates.total()} gates passed", below or "none failed"))
    return facts


def _images(found: Collected) -> list[Fact]:
    """Return how many images the data sets have that something was trained on."""
    facts = []
    trained_on = dict.fromkeys(run.dataset for run in found.plan.runs if run.trains)
    for name, folder in zip(found.plan.data, found.plan.data_folders, strict=True):
        if name not in trained_on:
            continue
        label = found.plan.label("dataset", name)
        try:
            splits = manifest.load(found.results / folder / "manifest.json").splits
        except UserError:  # an archive without data: the records know the test images
            own = found.records.loc[found.records["eval_dataset"] == name, "n"]
            facts.append(Fact(f"{int(own.max()) if len(own) else 0:,}", "test images", label))
            continue
        pretrain = splits.get("pretrain", splits["train"])
        facts.append(Fact(f"{pretrain.n:,}", f"training and {splits['test'].n:,} test images", label))
    return facts[:2]


def _networks(found: Collected) -> Fact:
    """Return how large the networks are, and how long they were trained, beside the paper's."""
    weights = sorted({each.summary.n_parameters for each in found.runs if each.summary and each.summary.epochs})
    epochs = sorted({each.summary.epochs for each in found.runs if each.summary and each.summary.epochs})
    size = f"{weights[0]:,}" if weights[0] < 1e6 else f"{weights[0] / 1e6:.1f} M"
    ends = " to ".join(dict.fromkeys(map(str, (epochs[0], epochs[-1]))))
    paper = next(iter(found.plan.paper.values()), None)
    below = f"the paper: {paper.training.backbone.name}, {paper.training.epochs}" if paper else "encoder and heads"
    return Fact(size, f"weights{' and more' if len(weights) > 1 else ''}, {ends} epochs", below)


def _machine(found: Collected) -> Fact:
    summaries = [each.summary for each in found.runs if each.summary]
    hosts = {each.provenance.host for each in summaries}
    kinds = dict.fromkeys(
        "GPU" if "cuda" in each.provenance.device.lower() or "nvidia" in each.provenance.device.lower() else "CPU"
        for each in summaries
    )
    precision = dict.fromkeys(each.precision for each in summaries)
    minutes = sum(each.seconds for each in summaries) / 60
    time = f"{minutes:.0f} minutes" if minutes < 120 else f"{minutes / 60:,.0f} hours"
    number, what = count(len(hosts), "machine").split(" ", 1)
    return Fact(number, what, f"{', '.join(kinds)}, {', '.join(precision)}, {time} of training")
