"""Run cards: what is known of the runs of an arm (they differ in their seed only), side by side, one column per seed.

A number of a table leads to the row of a card that holds the values of its seeds; `Cards.anchors` says which.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pandas as pd
from markupsafe import Markup

from ddcl.base.errors import UserError
from ddcl.plan.plan import Plan, PlannedRun
from ddcl.report.collect import OTHER_CODE, CollectedRun
from ddcl.report.collected import Collected
from ddcl.report.page.commands import commands
from ddcl.report.page.curves import curves
from ddcl.report.page.deviations import Setting, settings
from ddcl.report.sources import SOURCES, histories_of
from ddcl.report.tables.printing import NOTHING
from ddcl.schema.metrics import Metric
from ddcl.schema.recipes import Recipe, load_recipe
from ddcl.schema.run_summary import RunSummary
from ddcl.schema.tables import RUN

ARM = RUN[:3]
HISTORY = {"knn_top1": "kNN accuracy", "lr": "learning rate", "dir_loss": "loss on DIR", "dvr_loss": "loss on DVR"}
ROW = ["evaluation", "eval_dataset", "metric", "part", "perturbation"]  # what a row of a card is about


class Fact(NamedTuple):
    """One fact of the runs of an arm: a text for each seed, or one text where all are alike."""

    name: str
    texts: list[str]
    code: bool = False  # printed as code


class Values(NamedTuple):
    """The values of one cell over the seeds of an arm. about: evaluation, metric; labels: features, test images."""

    anchor: str
    about: str
    labels: tuple[str, ...]
    texts: list[str]


@dataclass
class Card:
    """What the page says of an arm."""

    name: str  # dataset/variant/augmentation
    title: str
    runs: list[PlannedRun]
    statuses: list[str]
    facts: list[Fact]
    recipe: list[Setting]
    curve: Markup
    curve_anchor: str
    values: list[Values]
    commands: str

    @property
    def anchor(self) -> str:
        """The id of the card."""
        return f"card-{self.name.replace('/', '-')}"

    @property
    def anchors(self) -> list[str]:
        """The id of each run's column."""
        return [anchor_of(run.name) for run in self.runs]

    @property
    def blocks(self) -> list[tuple[str, list[Values]]]:
        """Its values, in blocks of one evaluation and metric each."""
        blocks: dict[str, list[Values]] = {}
        for row in self.values:
            blocks.setdefault(row.about, []).append(row)
        return list(blocks.items())

    @property
    def problems(self) -> list[str]:
        """How each run ended that did not end well."""
        ended = zip(self.runs, self.statuses, strict=True)
        return [f"Seed {run.seed}: {status}." for run, status in ended if status != "ok"]

    @property
    def differences(self) -> list[Setting]:
        """The numbers of the recipe in which it departs from the paper's."""
        return [setting for setting in self.recipe if setting.differs]


@dataclass
class Cards:
    """All cards, and where on the page each source of a number is (`ddcl.report.sources`)."""

    cards: list[Card] = field(default_factory=list)
    anchors: dict[str, str] = field(default_factory=dict)
    n_rows: int = 0

    def new_row(self, sources: Iterable[str]) -> str:
        """Return the anchor of one more row, and remember that these sources are there."""
        self.n_rows += 1
        self.anchors |= dict.fromkeys(sources, f"r{self.n_rows}")
        return f"r{self.n_rows}"


def anchor_of(name: str) -> str:
    """Return the id of a run's column in its card, from the run's name."""
    return "run-" + name.replace("/", "-")


def build_cards(found: Collected, cells: pd.DataFrame) -> Cards:
    """Return the cards of a suite's arms, in its order. cells: every expected cell (`tables.expected_cells`)."""
    arms: dict[tuple[str, ...], list[PlannedRun]] = {}
    for run in found.plan.runs:
        arms.setdefault(run.arm, []).append(run)
    ended = {each.run.name: each for each in found.runs}
    by_arm = dict(iter(cells.groupby(ARM, sort=False)))
    by_run = {} if found.histories.empty else dict(iter(found.histories.sort_values("epoch").groupby(RUN, sort=False)))
    all_cards = Cards()
    for arm, runs in arms.items():
        own = [ended[run.name] for run in runs]
        histories = {run.seed: by_run.get(run.names, pd.DataFrame()) for run in runs}
        curve_anchor = f"h{len(all_cards.cards)}"
        all_cards.anchors |= dict.fromkeys(histories_of(runs), curve_anchor)
        labels = [found.plan.label(key, name) for key, name in zip(ARM, arm, strict=True)]
        card = Card(
            name="/".join(arm),
            title=", ".join([labels[1], labels[2], labels[0]]),
            runs=runs,
            statuses=[each.status for each in own],
            facts=_facts(own, list(histories.values())),
            recipe=_recipe(found, runs[0]),
            curve=curves(histories),
            curve_anchor=curve_anchor,
            values=_values(by_arm.get(arm, cells[:0]), runs, found.plan, all_cards),
            commands=commands(found.plan, runs, own),
        )
        all_cards.cards.append(card)
    return all_cards


def _facts(ended: list[CollectedRun], histories: list[pd.DataFrame]) -> list[Fact]:
    """Return status, health, environment and digests of the runs of an arm."""

    def column(read: Callable[[RunSummary], str]) -> list[str]:
        return [read(each.summary) if each.summary else NOTHING for each in ended]

    def versions(summary: RunSummary) -> str:
        return " · ".join(f"{name} {number}" for name, number in summary.provenance.versions.items() if number)

    facts = [
        Fact("status", [": ".join(filter(None, (each.status, each.message))) for each in ended]),
        Fact("epochs", column(lambda summary: str(summary.epochs))),
        *_ends(histories),
        Fact("training (s)", column(lambda summary: f"{summary.seconds:.1f}")),
        Fact("parameters", column(lambda summary: f"{summary.n_parameters:,}")),
        Fact("precision", column(lambda summary: summary.precision)),
        Fact("device", column(lambda summary: summary.provenance.device)),
        Fact("host", column(lambda summary: summary.provenance.host)),
        Fact("Slurm job", column(lambda summary: summary.provenance.slurm_job_id or NOTHING)),
        Fact("versions", column(versions)),
        Fact("commit", column(commit_text)),
        Fact("code", [OTHER_CODE if each.other_code else "of this checkout" for each in ended]),
        Fact("digest of recipe", column(lambda summary: summary.provenance.recipe_digest), code=True),
        Fact("digest of code", column(lambda summary: summary.provenance.code_digest), code=True),
        Fact("digest of checkpoint", column(lambda summary: summary.checkpoint_digest), code=True),
    ]
    return [fact._replace(texts=fact.texts[:1]) if len(set(fact.texts)) == 1 else fact for fact in facts]


def commit_text(summary: RunSummary) -> str:
    """Return the commit that a run was made with, and whether the tree was clean."""
    commit = summary.provenance.git_commit or "not in a git checkout"
    return f"{commit}, with uncommitted changes" if summary.provenance.git_dirty else commit


def _ends(histories: list[pd.DataFrame]) -> list[Fact]:
    """Return the last value of each column of the histories: loss and its terms, kNN, and health."""
    names = dict.fromkeys(str(name) for history in histories for name in history.columns)
    lasts = [history.ffill().iloc[-1] if len(history) else pd.Series(dtype=float) for history in histories]
    found = []
    for name in names:
        if name in (*RUN, "epoch", "seconds"):
            continue
        values = [last.get(name, float("nan")) for last in lasts]
        if not all(map(pd.isna, values)):
            texts = [NOTHING if pd.isna(value) else f"{float(value):.4g}" for value in values]
            found.append(Fact(f"last {HISTORY.get(name, name.replace('_', ' '))}", texts))
    return found


def _recipe(found: Collected, run: PlannedRun) -> list[Setting]:
    """Return the recipe of a run beside the paper's, if config.json is there and is the recipe of the plan."""
    try:
        recipe: Recipe = load_recipe(found.results / run.folder / "config.json")
    except UserError:
        return []
    return settings(recipe, found.plan.paper_recipe(run)) if recipe.digest == run.recipe_digest else []


def _values(cells: pd.DataFrame, runs: list[PlannedRun], plan: Plan, cards: Cards) -> list[Values]:
    """Return a row for each cell of an arm, of which `cards` takes note."""
    found = []
    for key, group in cells.groupby(ROW, sort=False):
        anchor = cards.new_row(source for sources in group[SOURCES] for source in sources)
        named = dict(zip(ROW, map(str, key), strict=True))
        by_seed = dict(zip(group["seed"], group.itertuples(index=False), strict=True))
        texts = [value_text(plan.metrics[named["metric"]], by_seed.get(run.seed)) for run in runs]
        found.append(Values(anchor, *_row_labels(named, runs[0], plan), texts))
    return found


def _row_labels(named: dict[str, str], run: PlannedRun, plan: Plan) -> tuple[str, tuple[str, ...]]:
    """Return evaluation (with metric, and data set if another); then features and test images."""
    evaluation = plan.label("evaluation", named["evaluation"])
    texts = [evaluation, plan.metrics[named["metric"]].label]
    if named["eval_dataset"] != run.dataset:
        texts.append(f"on {plan.label('eval_dataset', named['eval_dataset'])}")
    return ", ".join(texts), (plan.label("part", named["part"]), plan.label("perturbation", named["perturbation"]))


def value_text(metric: Metric, cell: Any) -> str:
    """Return the value of a cell: shares in percent, others as they stand; its status if that is not ok."""
    if cell is None:
        return NOTHING
    number = f"{100 * cell.value:.2f}" if metric.is_share else f"{cell.value:.4g}"
    if pd.isna(cell.value):
        number = ""
    return number if cell.status == "ok" else f"{number} {cell.status}".strip()
