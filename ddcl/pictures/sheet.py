"""A sheet of small images in rows and columns, with text between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray
from torch import Tensor

from ddcl.report.figures.layout import INK, WIDTH

GAP = 0.04  # between images, in cells


class Sheet:
    """A figure of the usual width whose unit is a cell: x from the left, y from the top.

    columns, rows: the size in cells; not whole numbers, as labels take space, too.
    """

    def __init__(self, columns: float, rows: float) -> None:
        self.figure = Figure(figsize=(WIDTH, rows * WIDTH / columns))
        self.axes = self.figure.add_axes((0, 0, 1, 1))
        self.axes.set(xlim=(0, columns), ylim=(rows, 0), autoscale_on=False)
        self.axes.set_axis_off()

    def image(self, place: tuple[float, float], pixels: NDArray[Any], **style: Any) -> None:
        """Show pixels [H, W] or [H, W, 3] in the cell whose upper left corner is `place`."""
        x, y = place
        extent = (x + GAP, x + 1 - GAP, y + 1 - GAP, y + GAP)
        self.axes.imshow(pixels, extent=extent, aspect="auto", **style)

    def frame(self, place: tuple[float, float], colour: str) -> None:
        """Draw a frame around the cell."""
        x, y = place
        side = 1 - 2 * GAP
        self.axes.add_patch(Rectangle((x + GAP, y + GAP), side, side, fill=False, edgecolor=colour, linewidth=1.8))

    def text(self, place: tuple[float, float], text: str, **style: Any) -> None:
        """Write text; centred in both directions unless `style` says otherwise."""
        self.axes.text(*place, text, **({"ha": "center", "va": "center", "color": INK} | style))

    def bar(self, place: tuple[float, float], size: tuple[float, float], colour: str) -> None:
        """Draw a filled rectangle of (width, height)."""
        self.axes.add_patch(Rectangle(place, *size, facecolor=colour, linewidth=0))

    def tick(self, x: float, span: tuple[float, float], colour: str, style: str) -> None:
        """Draw a vertical line."""
        self.axes.plot((x, x), span, color=colour, linestyle=style, linewidth=1.2)

    def line(self, y: float, span: tuple[float, float]) -> None:
        """Draw a thin horizontal line."""
        self.axes.plot(span, (y, y), color="#CCCCCC", linewidth=0.6)


def rgb(x: Tensor) -> NDArray[np.float32]:
    """Return an image [3, H, W] in [0, 1] as [H, W, 3]."""
    pixels: NDArray[np.float32] = x.permute(1, 2, 0).contiguous().numpy()
    return pixels
