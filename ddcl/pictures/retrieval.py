"""What nearest neighbours share with their query: the class, or the distortion; by each part, and by random columns."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor
from torch.nn import functional as F

from ddcl.evaluate.store import ColumnSets, column_sets
from ddcl.pictures.material import Encoder, Material
from ddcl.report.figures.layout import FULL
from ddcl.schema.pictures import NeighboursSettings
from ddcl.schema.registry import RANDOM_PARTS


def nearest(features: Tensor, k: int) -> Tensor:
    """Return [N, k]: the nearest other rows of features [N, d] by cosine, the nearest first."""
    unit = F.normalize(features.double(), dim=1)
    cosine = (unit @ unit.T).fill_diagonal_(-torch.inf)
    return cosine.argsort(dim=1, descending=True, stable=True)[:, :k]


def shared(neighbours: Tensor, kind: Tensor) -> tuple[float, float]:
    """Return the share of neighbours [N, k] that are of their query's kind, and what random neighbours would have.

    kind: [N], such as the class or the angle of each image.
    """
    same = (kind[neighbours] == kind[:, None]).double().mean()
    counts = torch.bincount(kind)
    n = len(kind)
    return float(same), float((counts * (counts - 1)).sum()) / (n * (n - 1))


def part_columns(encoder: Encoder, dir_width: int | None, draws: int) -> ColumnSets:
    """Return the columns of every part of an encoder, and of random sets of as many columns as DIR and DVR have.

    dir_width: its own, or that of a method that has parts; None: no random columns.
    """
    width, controls = encoder.parts[FULL][1], {}
    if dir_width and dir_width < width:
        controls = dict(zip(RANDOM_PARTS, ((0, dir_width), (dir_width, width)), strict=True))
    return column_sets(encoder.parts, controls, encoder.recipe.seed, draws)


def measure(material: Material, encoders: list[Encoder], settings: NeighboursSettings) -> pd.DataFrame:
    """Return one row per method and part: the shares of neighbours with the same class and angle, and chance.

    Random parts are means over their draws, with the standard deviation over them.
    """
    x, labels, level = material.rotated(settings.n_images, settings.angles_deg)
    widths = [each.parts["dir"][1] for each in encoders if "dir" in each.parts]
    rows = []
    for encoder in encoders:
        if encoder.method is None:
            continue
        features = encoder.features(x)
        keys = {name: getattr(encoder.recipe, name) for name in ("variant", "augmentation", "seed")}
        dir_width = encoder.parts["dir"][1] if "dir" in encoder.parts else next(iter(widths), None)
        sets = part_columns(encoder, dir_width, settings.random_draws)
        for part, draw, columns in ((part, *each) for part, own in sets.items() for each in enumerate(own)):
            found = nearest(features[:, columns], settings.k)
            (same_class, chance_class), (same_angle, chance_angle) = shared(found, labels), shared(found, level)
            rows.append(
                keys
                | {"part": part, "width": len(columns), "draw": draw, "k": settings.k, "n": len(x)}
                | {"same_class": same_class, "chance_class": chance_class}
                | {"same_angle": same_angle, "chance_angle": chance_angle}
            )
    return summary(pd.DataFrame(rows))


def summary(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the mean over the draws of each part, and their standard deviation where there are several."""
    if frame.empty:
        return frame
    keys = ["variant", "augmentation", "seed", "part", "width", "k", "n"]
    means = ["same_class", "chance_class", "same_angle", "chance_angle"]
    groups = frame.groupby(keys, sort=False)
    spread = groups[["same_class", "same_angle"]].std(ddof=1).add_prefix("sd_draws_")
    return pd.concat([groups[means].mean(), groups.size().rename("n_draws"), spread], axis=1).reset_index()
