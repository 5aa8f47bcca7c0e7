"""Images and their nearest neighbours among distorted images, by each part of the features."""

from __future__ import annotations

import math

import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from ddcl.pictures.activation import name_of
from ddcl.pictures.material import Encoder, Material, missing
from ddcl.pictures.retrieval import measure, nearest
from ddcl.pictures.sheet import Sheet, rgb
from ddcl.report.figures.layout import FULL, INK
from ddcl.schema.pictures import NeighboursSettings

LEFT = 3.0  # cells: left of the neighbours
GUTTER, HEAD, SUMMARY_HEAD, BAR_ROW = 0.3, 0.5, 0.6, 0.36  # cells: between blocks, heights of headings and bars
SAME_CLASS, SAME_ANGLE = "#0072B2", "#D55E00"


def draw(material: Material, settings: NeighboursSettings) -> tuple[Figure, pd.DataFrame]:
    """Draw queries with their nearest neighbours by a few parts, and the shares of all parts below; return these."""
    encoders = material.encoders()
    frame = measure(material, encoders, settings)
    rows, bars = shown_parts(encoders), summary_rows(encoders)
    n_shown = settings.shown_neighbours
    top = HEAD + settings.shown_queries * (len(rows) + GUTTER)
    sheet = Sheet(LEFT + n_shown, max(top, HEAD + 1) + SUMMARY_HEAD + BAR_ROW * len(bars))
    x, labels, level = material.rotated(settings.n_images, settings.angles_deg)
    angles = [f"{angle:g}°" for angle in torch.tensor(settings.angles_deg)[level].tolist()]
    sheet.text((0.5, HEAD / 2), "query")
    sheet.text((LEFT + n_shown / 2, HEAD / 2), missing(encoders) or "its nearest neighbours among the others")
    queries = _queries(labels, settings.shown_queries)
    for number, query in enumerate(queries):
        y = HEAD + number * (len(rows) + GUTTER)
        sheet.image((0, y), rgb(x[query]))
        _angle(sheet, (0, y), angles[query], SAME_ANGLE)
        sheet.line(y + len(rows) + GUTTER / 2, (0, LEFT + n_shown))
    for place, (encoder, part) in enumerate(rows):
        start, stop = encoder.parts[part]
        found = nearest(encoder.features(x)[:, start:stop], n_shown)
        for number, query in enumerate(queries):
            y = HEAD + number * (len(rows) + GUTTER) + place
            sheet.text((LEFT - 0.15, y + 0.5), name_of(encoder, part), ha="right")
            for column, other in enumerate(found[query].tolist()):
                sheet.image((LEFT + column, y), rgb(x[other]))
                if labels[other] == labels[query]:
                    sheet.frame((LEFT + column, y), SAME_CLASS)
                same = angles[other] == angles[query]
                _angle(sheet, (LEFT + column, y), angles[other], SAME_ANGLE if same else "#555555")
    _summary(sheet, top, frame, bars, n_shown)
    return sheet.figure, frame


def shown_parts(encoders: list[Encoder]) -> list[tuple[Encoder, str]]:
    """Return what the picture has rows for: DIR and DVR of the first method with parts, the first method without."""
    usable = [each for each in encoders if each.method is not None]
    split = next((each for each in usable if "dir" in each.parts), None)
    whole = next((each for each in usable if "dir" not in each.parts), None)
    rows = [(split, part) for part in ("dir", "dvr")] if split else []
    return [*rows, *([(whole, FULL)] if whole else [])]


def summary_rows(encoders: list[Encoder]) -> list[tuple[Encoder, str]]:
    """Return the bars of the picture: every part of every encoder."""
    return [(each, part) for each in encoders for part in each.parts]


def _queries(labels: Tensor, n: int) -> list[int]:
    """Return the first image of each of the n classes that come first."""
    first = {int(label): place for place, label in reversed(list(enumerate(labels.tolist())))}
    return sorted(first.values())[:n]


def _angle(sheet: Sheet, place: tuple[float, float], angle: str, colour: str) -> None:
    """Write an image's angle into its corner."""
    box = {"facecolor": colour, "edgecolor": "none", "pad": 0.8, "alpha": 0.9}
    corner = (place[0] + 0.93, place[1] + 0.9)
    sheet.text(corner, angle.replace("-", "−"), ha="right", va="bottom", size=5, bbox=box, color="white", weight="bold")


def _summary(sheet: Sheet, top: float, frame: pd.DataFrame, rows: list[tuple[Encoder, str]], n_shown: int) -> None:
    """Draw how many of the nearest neighbours of all images share the class and the angle, a bar per part."""
    width, first = (n_shown - GUTTER) / 2, top + SUMMARY_HEAD
    if rows:
        text = f"{frame['k'].iloc[0]} nearest of {frame['n'].iloc[0]} images:"
        sheet.text((LEFT - 0.15, top + SUMMARY_HEAD / 2), text, ha="right")
    for kind, colour, left in (("class", SAME_CLASS, LEFT), ("angle", SAME_ANGLE, LEFT + width + GUTTER)):
        sheet.text((left, top + SUMMARY_HEAD / 2), f"share with the same {kind}", ha="left", color=colour)
        for place, (encoder, part) in enumerate(rows):
            variant, same = encoder.recipe.variant, f"same_{kind}"
            share, random = (_value(frame, variant, name, same) for name in (part, f"random_{part}"))
            chance = _value(frame, variant, part, f"chance_{kind}")
            _bar(sheet, (left, first + place * BAR_ROW), width, colour, (share, random, chance))
    for place, (encoder, part) in enumerate(rows):
        name = name_of(encoder, part).replace("\n", ", ")
        sheet.text((LEFT - 0.15, first + (place + 0.5) * BAR_ROW), name, ha="right")


def _bar(
    sheet: Sheet, place: tuple[float, float], width: float, colour: str, values: tuple[float, float, float]
) -> None:
    """Draw a share as a bar of at most `width`. values: the share, that of random columns (or nan), and chance."""
    (x, y), (share, random, chance) = place, values
    sheet.bar((x, y + 0.06), (width * share, BAR_ROW - 0.12), colour)
    sheet.tick(x + width * chance, (y, y + BAR_ROW), "#888888", ":")
    if not math.isnan(random):
        sheet.tick(x + width * random, (y, y + BAR_ROW), INK, "-")
    end = x + width * max(share, 0.0 if math.isnan(random) else random)
    sheet.text((end + 0.06, y + BAR_ROW / 2), f"{share:.0%}", ha="left", color=colour)


def _value(frame: pd.DataFrame, variant: str, part: str, column: str) -> float:
    """Return a number of a part; nan where there is none."""
    own = frame.loc[(frame["variant"] == variant) & (frame["part"] == part), column]
    return float(own.iloc[0]) if len(own) else math.nan
