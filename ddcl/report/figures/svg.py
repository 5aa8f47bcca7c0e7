"""Figures as SVG for the page: text stays text, colours are the page's own, and marks tell their values.

matplotlib draws; here its colours become variables, to which the page gives a light and a dark value. Each has the
light one to fall back on, so that the file can stand alone. An artist that was told something says it when pointed at.
"""

from __future__ import annotations

import io
import re

from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from ddcl.plan.plan import Plan

TIP = "tip "
VARIABLES = {"#1c2024": "ink", "#6b737b": "part-dir", "#b4bac0": "part-dvr", "#59616a": "soft", "#dfe2e6": "line"}
VARIABLES |= {"#e9ebe8": "band", "#ffffff": "card"}
NOISE = (  # what no browser needs: prolog, metadata, comments
    re.compile(r"^.*?(?=<svg)", re.DOTALL),
    re.compile(r"<metadata>.*?</metadata>", re.DOTALL),
    re.compile(r"<!--.*?-->", re.DOTALL),
    re.compile(r"<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL),  # it would hold for the whole page
)
JOINS = "stroke-linejoin: round; stroke-linecap: butt"
LONG_NUMBER = re.compile(r"(\d+\.\d\d)\d+")
COLOUR = re.compile(r"#[0-9a-f]{6}\b")
IDENTITY = re.compile(r' id="([^"]*)"')
USED = re.compile(r"#([\w-]+)")
SIZE = re.compile(r'(?<=\s)(?:(?:width|height)="[\d.]+pt"|xmlns:xlink="[^"]*")\s*')


def tell(artist: Artist, text: str) -> None:
    """Let an artist tell a text where one points at it."""
    artist.set_gid(TIP + text.replace("-", "−"))


def svg_of(figure: Figure, name: str, plan: Plan) -> str:
    """Return a figure as an <svg> element with a viewBox and without a size.

    name: of the figure; it keeps its ids apart from those of other figures on the page.
    """
    out = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    for noise in NOISE:
        text = noise.sub("", text)
    head, _, rest = text.partition(">")
    text = f'{SIZE.sub("", head)} style="{JOINS}">{rest}'.replace("xlink:href", "href")
    text = LONG_NUMBER.sub(r"\1", text)
    used = set(USED.findall(text))
    text = IDENTITY.sub(lambda found: _identity(found, used), text)
    text = re.sub(r'<g data-tip="([^"]*)">', r'<g class="tip"><title>\1</title>', text)
    colours = VARIABLES | {mark.light: f"m-{method}" for method, mark in plan.marks.items()}
    text = COLOUR.sub(lambda found: _variable(found[0], colours), text)
    return re.sub(r"\n\s*", "\n", text).strip() + "\n"


def _identity(found: re.Match[str], used: set[str]) -> str:
    """Return an id that something refers to, a tip in place of one, or nothing."""
    name = found[1]
    if name.startswith(TIP):
        return f' data-tip="{name.removeprefix(TIP)}"'
    return found[0] if name in used else ""


def _variable(colour: str, names: dict[str, str]) -> str:
    return f"var(--{names[colour]}, {colour})" if colour in names else colour
