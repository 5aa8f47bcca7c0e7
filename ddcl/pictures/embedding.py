"""Two-dimensional layouts of the features of distorted images, coloured by class and by distortion."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from ddcl.pictures.activation import name_of
from ddcl.pictures.material import Encoder, Material, missing
from ddcl.report.figures.layout import FULL, NOTE, WIDTH
from ddcl.schema.pictures import EmbeddingSettings

Colour: TypeAlias = tuple[float, float, float, float]
PERPLEXITY = 30.0  # scikit-learn's default, smaller for few images
COLUMNS = 4  # two pairs: class, angle
CLASSES = "tab20"
ANGLES = "twilight_shifted"  # cyclic, as angles are
DOTS: dict[str, Any] = {"s": 3.5, "linewidth": 0.15, "edgecolor": "#666666"}


def project(features: NDArray[np.float32], projection: str) -> tuple[NDArray[np.float64], str]:
    """Return features [N, d] in two dimensions [N, 2], deterministic, and a note for the title."""
    rows = features.astype(np.float64)
    if projection == "pca":
        from sklearn.decomposition import PCA

        pca = PCA(n_components=2, svd_solver="full")
        return pca.fit_transform(rows), f" ({pca.explained_variance_ratio_.sum():.0%})"
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    perplexity = min(PERPLEXITY, (len(rows) - 1) / 3)
    with threadpool_limits(1):  # the same on any number of cores; and threads wait for each other longer than they work
        points = TSNE(init="pca", perplexity=perplexity, random_state=0, n_jobs=1).fit_transform(rows)
    return points.astype(np.float64), ""


def shown_parts(encoders: list[Encoder]) -> list[tuple[Encoder, str]]:
    """Return DIR and DVR of the methods with parts, then the whole features of the others."""
    usable = [each for each in encoders if each.method is not None]
    split = [(each, part) for each in usable if "dir" in each.parts for part in ("dir", "dvr")]
    return [*split, *((each, FULL) for each in usable if "dir" not in each.parts)]


def draw(material: Material, settings: EmbeddingSettings) -> tuple[Figure, pd.DataFrame]:
    """Draw two panels per part, coloured by class and by angle; return the coordinates, too."""
    x, labels, level = material.rotated(settings.n_images, settings.angles_deg)
    encoders = material.encoders()
    parts = shown_parts(encoders)
    n_rows = max(1, -(-2 * len(parts) // COLUMNS))
    figure = Figure(figsize=(WIDTH, n_rows * 1.6 + 0.5), layout="constrained")
    grid = figure.subplots(n_rows, COLUMNS, squeeze=False).ravel()
    for axes in grid:
        axes.set_axis_off()
    kinds = {"class": class_colours(labels.numpy()), "angle": angle_colours(level.numpy(), settings.angles_deg)}
    found = []
    for place, (encoder, part) in enumerate(parts):
        start, stop = encoder.parts[part]
        points, note = project(encoder.features(x)[:, start:stop].numpy(), settings.projection)
        for offset, (kind, (colours, _)) in enumerate(kinds.items()):
            _panel(
                grid[2 * place + offset],
                points,
                colours,
                f"{name_of(encoder, part).replace(chr(10), ' ')}{note}\nby {kind}",
            )
        keys = {name: getattr(encoder.recipe, name) for name in ("variant", "augmentation", "seed")} | {"part": part}
        angle = np.array(settings.angles_deg)[level.numpy()]
        values = {"label": labels.numpy(), "angle_deg": angle, "x": points[:, 0], "y": points[:, 1]}
        found.append(pd.DataFrame(keys | {"image": np.arange(len(x))} | values))
    _legend(figure, {kind: legend for kind, (_, legend) in kinds.items()})
    if missing(encoders) or not parts:
        figure.suptitle(missing(encoders) or "No encoder to show.", color=NOTE, size=7)
    return figure, pd.concat(found, ignore_index=True) if found else pd.DataFrame()


def class_colours(labels: NDArray[np.int64]) -> tuple[NDArray[np.float64], dict[str, Colour]]:
    """Return the colour [N, 4] of each image, and the legend; more classes than colours share them."""
    palette = colormaps[CLASSES]
    names = np.unique(labels)
    order = [0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19]  # the strong ones first
    colours = {int(name): palette(order[place % len(order)]) for place, name in enumerate(names)}
    legend = {str(name): colour for name, colour in list(colours.items())[: len(order)]}
    return np.array([colours[int(label)] for label in labels]), legend


def angle_colours(level: NDArray[np.int64], angles_deg: list[float]) -> tuple[NDArray[np.float64], dict[str, Colour]]:
    """Return the colour [N, 4] of each image, and the legend: angles that are near have colours that are near."""
    palette = colormaps[ANGLES]
    colours = [palette((angle % 360) / 360) for angle in angles_deg]
    order = np.argsort(angles_deg)
    return np.array(colours)[level], {f"{angles_deg[i]:g}°".replace("-", "−"): colours[i] for i in order}


def _panel(axes: Axes, points: NDArray[np.float64], colours: NDArray[np.float64], title: str) -> None:
    axes.set_axis_on()
    axes.scatter(points[:, 0], points[:, 1], c=colours, **DOTS)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, weight="normal", size=6.5)
    axes.grid(visible=False)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color("#CCCCCC")


def _legend(figure: Figure, legends: dict[str, dict[str, Colour]]) -> None:
    """Write classes below the panels on the left, angles on the right."""
    for (kind, legend), side in zip(legends.items(), ("left", "right"), strict=True):
        dot: dict[str, Any] = {"linewidth": 0, "marker": "o", "markeredgecolor": "#666666", "markeredgewidth": 0.3}
        place: Any = f"outside lower {side}"
        handles = [Line2D([], [], color=colour, label=name, **dot) for name, colour in legend.items()]
        figure.legend(
            handles=handles,
            title=kind,
            loc=place,
            ncols=5,
            columnspacing=0.6,
            handletextpad=0.0,
        )
