"""Figures as SVG for the page: text stays text, colours are the page's own, and marks tell their values.

matplotlib draws; here its colours become variables, to which the page gives a light and a dark value. Each has the
light one to fall back on, so that the file can stand alone. An artist that was told something says it when pointed at.
"""

from __future__ import annotations

import io
import re
import zlib

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
    re.compile(r"<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL),  # its rules have no names of their own
)
JOINS = "stroke-linejoin: round; stroke-linecap: butt"
LONG_NUMBER = re.compile(r"(\d+\.\d\d)\d+")
COLOUR = re.compile(r"#[0-9a-f]{6}\b")
IDENTITY = re.compile(r' id="([^"]*)"')
USED = re.compile(r"#([\w-]+)")
NAMED = re.compile(r'(?<= id=")[^"]*|(?<=#)[\w-]+')
POINT = re.compile(r'<path d="M[\d.-]+ [\d.-]+"[^>]*/>\n?')  # a line that goes nowhere
STYLE = re.compile(r' style="([^"]*)"')
PATH = re.compile(r' d="([^"]*)"')
GROUP = re.compile(r"<g>|<g [^>]*>|</g>")
UNTURNED = re.compile(r' transform="rotate\(-?0 [^)]*\)"')
SIZE = re.compile(r'(?<=\s)(?:(?:width|height)="[\d.]+pt"|xmlns:xlink="[^"]*")\s*')


def tell(artist: Artist, text: str) -> None:
    """Let an artist tell a text where one points at it."""
    artist.set_gid(TIP + text.replace("-", "−"))


def css_name(method: str) -> str:
    """Return a method's name as CSS and fragments of addresses can have it: a plugin's has dots and a colon."""
    return re.sub(r"[^\w-]", "-", method)


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
    colours = VARIABLES | {mark.light: f"m-{css_name(method)}" for method, mark in plan.marks.items()}
    text = COLOUR.sub(lambda found: _variable(found[0], colours), text)
    text = PATH.sub(lambda found: f' d="{_path(found[1])}"', UNTURNED.sub("", text))
    text = _flat(re.sub(r"\s*\n\s*", "\n", POINT.sub("", text)))
    own = f"f{zlib.crc32(name.encode()) % 46656:x}"
    return _classed(_named(text, own), own).strip() + "\n"


def _named(text: str, own: str) -> str:
    """Return an <svg> with short ids that begin with `own`."""
    ids = {long: f"{own}_{place:x}" for place, long in enumerate(dict.fromkeys(IDENTITY.findall(text)))}
    return NAMED.sub(lambda found: ids.get(found[0], found[0]), text)


def _path(steps: str) -> str:
    """Return the steps of a path without the white space that they do not need."""
    return re.sub(r"(?<=[A-Za-z]) | (?=[A-Za-z])", "", " ".join(steps.split()))


def _flat(text: str) -> str:
    """Return an <svg> without the groups that say nothing."""
    kept: list[bool] = []

    def shown(found: re.Match[str]) -> str:
        if found[0] != "</g>":
            kept.append(found[0] != "<g>")
            return found[0] if kept[-1] else ""
        return "</g>" if kept.pop() else ""

    return re.sub(r"\n+", "\n", GROUP.sub(shown, text))


def _classed(text: str, own: str) -> str:
    """Return an <svg> whose styles are said once: classes that begin with `own`, as they hold for the whole page."""
    head, end, body = text.partition(">")
    classes: dict[str, str] = {}
    body = STYLE.sub(lambda found: f' class="{classes.setdefault(found[1], f"{own}-{len(classes)}")}"', body)
    rules = "".join(f".{each}{{{style.replace(': ', ':').replace('; ', ';')}}}" for style, each in classes.items())
    return f"{head}{end}<style>{rules}</style>{body}"


def _identity(found: re.Match[str], used: set[str]) -> str:
    """Return an id that something refers to, a tip in place of one, or nothing."""
    name = found[1]
    if name.startswith(TIP):
        return f' data-tip="{name.removeprefix(TIP)}"'
    return found[0] if name in used else ""


def _variable(colour: str, names: dict[str, str]) -> str:
    return f"var(--{names[colour]}, {colour})" if colour in names else colour
