"""The claims and their verdicts as the page shows them, from results/tables/claims.csv and claim_comparisons.csv."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ddcl.plan.plan import Cell, Plan
from ddcl.report.sources import histories_of, source_of
from ddcl.schema.claims import MONITOR
from ddcl.schema.registry import RANDOM_PARTS, SPLIT_PARTS
from ddcl.schema.tables import RUN

# verdict -> a symbol that stands out without its colour, and the name of its style
LOOKS = {
    "supported": ("▲", "supported"),
    "contradicted": ("▼", "contradicted"),
    "inconclusive": ("◆", "inconclusive"),
    "not run": ("○", "absent"),
    "protocol differs": ("≠", "absent"),
}
OTHER = ("?", "absent")
CELL = ("dataset", "augmentation", "evaluation", "eval_dataset", "part", "perturbation", "metric")
PARTS = (*SPLIT_PARTS, *RANDOM_PARTS)
CONDITIONS = ("check", "dataset", "augmentation", "evaluation", "perturbation", "part", "metric")


@dataclass(frozen=True)
class Verdict:
    """A verdict: its word, symbol and style."""

    word: str

    @property
    def symbol(self) -> str:
        """The symbol beside the word."""
        return LOOKS.get(self.word, OTHER)[0]

    @property
    def style(self) -> str:
        """The class of its element."""
        return LOOKS.get(self.word, OTHER)[1]


@dataclass(frozen=True)
class Comparison:
    """One comparison of a claim. arms: (label, card's anchor or empty) of treatment and control.

    places: anchors of both arms' values, as far as they are on the page; not of values that are taken off both.
    """

    arms: list[tuple[str, str]]
    places: list[str]
    conditions: str
    effect: str
    p: str
    n: str
    verdict: Verdict
    note: str


@dataclass(frozen=True)
class Claim:
    """A claim, what was found, and the comparisons that it rests on."""

    name: str
    statement: str
    source: str
    verdict: Verdict
    effect: str
    n: str
    power: str
    note: str
    comparisons: list[Comparison]


def read_claims(tables: Path, plan: Plan, anchors: Mapping[str, str]) -> list[Claim]:
    """Return the claims in the folder `tables`; none if there is no claims.csv.

    anchors: dataset/variant/augmentation -> the anchor of the card; source -> that of its values (`cards.Cards`).
    """
    claims, comparisons = tables / "claims.csv", tables / "claim_comparisons.csv"
    if not claims.exists():
        return []
    rows = _rows(comparisons) if comparisons.exists() else []
    return [
        _claim(row, [_comparison(own, plan, anchors) for own in rows if own["claim"] == row["claim"]])
        for row in _rows(claims)
    ]


def _rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV as they stand there; a column that is not there is empty."""
    frame = pd.read_csv(path, dtype=str, keep_default_na=False)
    return [defaultdict(str, {str(key): value for key, value in row.items()}) for row in frame.to_dict("records")]


def _claim(row: dict[str, str], comparisons: list[Comparison]) -> Claim:
    return Claim(
        name=row["claim"],
        statement=row["statement"],
        source=row["source"],
        verdict=Verdict(row["verdict"]),
        effect=effect_text(row),
        n=n_text(row),
        power=power_text(row),
        note=row["note"],
        comparisons=comparisons,
    )


def power_text(row: Mapping[str, str]) -> str:
    """Return what an inconclusive claim would need; empty for any other."""
    if row["verdict"] != "inconclusive":
        return ""
    found = []
    if row["minimum_detectable_effect"]:
        least = f"{number(row['minimum_detectable_effect'])} {row['unit']}".strip()
        found.append(f"an effect of {least} or more would probably have been found")
    if row["seeds_needed"]:
        smallest = f" of {number(row['smallest_effect'])} {row['unit']}" if row["smallest_effect"] else ""
        needs = "more test images" if row["seeds_needed"] == "inf" else f"{number(row['seeds_needed'])} seeds per arm"
        found.append(f"the smallest effect that matters{smallest} needs {needs}")
    return "; ".join(found)


def _comparison(row: dict[str, str], plan: Plan, anchors: Mapping[str, str]) -> Comparison:
    labels = plan.labels
    names = [name for name in dict.fromkeys((row["treatment"], row["control"])) if name]
    cells = [_cell(name, row, labels["augmentation"]) for name in names]
    cards = [anchors.get("/".join(cell[key] for key in RUN[:3]), "") for cell in cells]
    places = [_place(cell, plan, anchors) for cell in cells]
    texts = [labels.get(key, {}).get(row[key], row[key]) for key in CONDITIONS]
    found = f"p = {number(row['p'])}" if row["p"] else ""
    if row["p_holm"]:
        found += f" (Holm {number(row['p_holm'])})"
    return Comparison(
        arms=[(_label(name, labels), card) for name, card in zip(names, cards, strict=True)],
        places=[place for place in dict.fromkeys(places) if place],
        conditions=", ".join(filter(None, texts)),
        effect=effect_text(row),
        p=found.strip(),
        n=n_text(row),
        verdict=Verdict(row["verdict"]),
        note=row["note"],
    )


def _cell(name: str, row: Mapping[str, str], augmentations: Collection[str]) -> dict[str, str]:
    """Return the cell, without its seed, of an arm named ``ddcl``, or ``ddcl (dvr)`` where arms differ in their part.

    They may also differ in augmentation or metric: ``ddcl (caug)``.
    """
    variant, words = _split(name)
    kinds = {word: "augmentation" if word in augmentations else "part" if word in PARTS else "metric" for word in words}
    return {key: row[key] for key in CELL} | {"variant": variant} | {kind: word for word, kind in kinds.items()}


def _split(name: str) -> tuple[str, list[str]]:
    """Return variant and words in parentheses."""
    variant, _, detail = name.removesuffix(")").partition(" (")
    return variant, [word for word in detail.split(", ") if word]


def _label(name: str, labels: Mapping[str, dict[str, str]]) -> str:
    variant, words = _split(name)
    shown = ", ".join(labels["augmentation"].get(word, word) for word in words)
    return f"{labels['variant'].get(variant, variant)}{f' ({shown})' if shown else ''}"


def _place(cell: dict[str, str], plan: Plan, anchors: Mapping[str, str]) -> str:
    """Return the anchor of an arm's values in its card, or of its curves; empty where there is none."""
    arm = tuple(cell[key] for key in RUN[:3])
    run = next((run for run in plan.runs if run.arm == arm), None)
    if run is None:
        return ""
    if cell["evaluation"] == MONITOR:
        return anchors.get(histories_of([run])[0], "")
    record = plan.record(run.names, cell["eval_dataset"], cell["evaluation"])
    own = Cell(cell["part"], cell["perturbation"], cell["metric"])
    return anchors.get(source_of(record, own), "") if record else ""


def effect_text(row: Mapping[str, str]) -> str:
    """Return ``+0.31 (−0.20 to +0.82) points``; a dash where nothing was measured."""
    if not row["effect"]:
        return "–"
    interval = f" ({number(row['ci_low'], '+')} to {number(row['ci_high'], '+')})" if row["ci_low"] else ""
    return f"{number(row['effect'], '+')}{interval} {row['unit']}".strip()


def n_text(row: Mapping[str, str]) -> str:
    """Return how many seeds, images and comparisons an effect rests on; what there is none of is left out."""
    names = {"n_seeds": "seeds", "n_images": "images", "n_comparisons": "comparisons"}
    found = [f"{number(row[key])} {name}" for key, name in names.items() if row[key] not in ("", "0")]
    return ", ".join(text.removesuffix("s") if text.startswith("1 ") else text for text in found)


def number(text: str, sign: str = "") -> str:
    """Return a number of a CSV with three digits, or with a sign and two decimals; as it stands if it is none."""
    try:
        value = float(text)
    except ValueError:
        return text
    if abs(value) >= 100 or (value.is_integer() and not sign) or value == 0:
        form = f"{sign if value else ''},.0f"
    elif sign:
        form = "+.2f" if round(value, 2) else "z.2f"  # no sign before 0.00
    else:
        form = ".3g"
    return f"{value:{form}}".replace("-", "−")
