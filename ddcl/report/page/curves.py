"""History curves of the runs of an arm as inline SVG: small, without a library, in the colours of the page."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

PANELS = {"knn_top1": "kNN accuracy on held-out training images", "loss": "loss"}
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340, 150, 54, 8, 8, 22  # user units, about pixels
MOST_POINTS = 80  # of a line: more cannot be told apart
DASHES = 5  # kinds of lines (classes s0 to s4); lines of further seeds start again
KEY = 62  # user units that a seed of the key takes


class Frame(NamedTuple):
    """Ranges of a panel's axes, in data units."""

    x_end: float
    low: float
    high: float

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Return a point in user units."""
        across = LEFT + x / self.x_end * (WIDTH - LEFT - RIGHT)
        down = TOP + (self.high - y) / (self.high - self.low) * (HEIGHT - TOP - BOTTOM)
        return across, down


def curves(histories: dict[int, pd.DataFrame]) -> Markup:
    """Return one SVG for each quantity of `PANELS` that was recorded at least twice, one line per seed, and their key.

    histories: seed -> rows of its history, by epoch.
    """
    kinds = {seed: number % DASHES for number, seed in enumerate(histories)}
    panels = [Markup(_panel(*found, kinds)) for found in _recorded(histories)]
    return Markup("").join([*panels, *[_key(kinds)] * bool(panels)])


def _key(kinds: dict[int, int]) -> Markup:
    """Return the key: which line is which seed."""
    lines = "".join(
        f'<path class="s{kind}" d="M{KEY * place},7h20"/><text x="{KEY * place + 24}" y="10">seed {seed}</text>'
        for place, (seed, kind) in enumerate(kinds.items())
    )
    width = KEY * len(kinds)
    return Markup(
        f'<svg class="curve keys" viewBox="0 0 {width} 14" style="width: {width}px" aria-hidden="true">{lines}</svg>'
    )


def _recorded(histories: dict[int, pd.DataFrame]) -> Iterator[tuple[str, dict[int, pd.DataFrame]]]:
    """Yield the label of each panel and its lines, with the columns epoch and y."""
    for name, label in PANELS.items():
        lines = {
            seed: history[["epoch", name]].set_axis(["epoch", "y"], axis=1)
            for seed, history in histories.items()
            if name in history
        }
        finite = {seed: line[np.isfinite(line["y"].astype(float))] for seed, line in lines.items()}
        finite = {seed: line for seed, line in finite.items() if len(line) > 1}
        if finite:
            yield label, finite


def _panel(label: str, lines: dict[int, pd.DataFrame], kinds: dict[int, int]) -> str:
    """Return the SVG of one quantity. kinds: seed -> kind of its line."""
    every = pd.concat(lines.values())
    low, high = float(every["y"].min()), float(every["y"].max())
    margin = 0.05 * (high - low) or 0.5
    frame = Frame(float(every["epoch"].max()), low - margin, high + margin)
    heights = {seed: line["y"] for seed, line in lines.items()}
    ends = "; ".join(f"seed {seed} from {y.iloc[0]:.3g} to {y.iloc[-1]:.3g}" for seed, y in heights.items())
    title = f"{label} against epoch 0 to {frame.x_end:g}; {ends}"
    body = [f'<svg class="curve" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">']
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    body.append(f'<path class="axis" d="M{LEFT},{TOP}V{bottom}H{right}"/>')
    for value in (low, high):
        y = round(frame.place(0, value)[1], 1)
        body.append(f'<text x="{LEFT - 4}" y="{y + 3:.1f}" text-anchor="end">{f"{value:.3g}".replace("-", "−")}</text>')
    body.append(f'<text x="{LEFT}" y="{HEIGHT - 8}">0</text>')
    body.append(f'<text x="{right}" y="{HEIGHT - 8}" text-anchor="end">epoch {frame.x_end:g}</text>')
    for seed, line in lines.items():
        points = " ".join("{:.1f},{:.1f}".format(*frame.place(x, y)) for x, y in _thinned(line))
        body.append(f'<polyline class="s{kinds[seed]}" points="{points}"><title>seed {seed}</title></polyline>')
    return f"<figure>{''.join(body)}</svg><figcaption>{escape(label)}</figcaption></figure>"


def _thinned(line: pd.DataFrame) -> list[tuple[float, float]]:
    """Return at most `MOST_POINTS` points of a line, its first and last among them."""
    chosen = np.unique(np.linspace(0, len(line) - 1, min(len(line), MOST_POINTS)).round().astype(int))
    return [(float(x), float(y)) for x, y in line.iloc[chosen].to_numpy(dtype=float)]
