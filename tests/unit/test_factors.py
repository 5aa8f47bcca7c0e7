"""Readout of true factors: what the parts of a planted encoder carry must be read from them, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ddcl.base.errors import UserError
from ddcl.base.yaml_files import NoSettings
from ddcl.core.method import Method
from ddcl.data.images import ArrayImages
from ddcl.data.readers.shapes import draw_factors, draw_split
from ddcl.evaluate import factors
from ddcl.evaluate.sgd import ImageTask
from ddcl.evaluate.store import ColumnSets
from ddcl.plan.suite import Suite
from ddcl.schema.evaluations import LinearSettings
from ddcl.schema.recipes import build_recipe, read_evaluation
from ddcl.schema.registry import EVALUATIONS, SHAPES_FACTORS
from ddcl.schema.suites import NormalisationConfig

SIDE, SIZES = 16, {"train": 900, "test": 400}
NORMALISATION = NormalisationConfig(mean=[0.5] * 3, std=[0.25] * 3)
SETTINGS = LinearSettings.model_validate(read_evaluation("factors")[1].settings)
COLUMNS: ColumnSets = {"full": [np.arange(8)], "dir": [np.arange(5)], "dvr": [np.arange(5, 8)]}
COLUMNS |= {"random_dvr": [np.array([5, 6, 7]), np.array([0, 1, 2])]}


class Planted(Method):
    """DIR: the colour of what is not background. DVR: how bright the background is, and where the rest lies."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(1, 1), 8, NoSettings())

    def features(self, x: Tensor) -> Tensor:
        x = x * 0.25 + 0.5
        grey = x[:, 0, 0, 0]
        shown = (x - grey[:, None, None, None]).abs() > 0.02
        light = (x * shown).sum(dim=(2, 3))
        light = light / light.sum(dim=1, keepdim=True)
        red, green, blue = light.unbind(dim=1)
        colour = torch.stack((red, green, blue, (red - green).abs(), (green - blue).abs()), dim=1)
        mass, place = shown.any(dim=1).float(), torch.arange(SIDE) - (SIDE - 1) / 2
        mass = mass / mass.sum(dim=(1, 2), keepdim=True)
        where = torch.stack(((mass * place).sum(dim=(1, 2)), (mass * place[:, None]).sum(dim=(1, 2))), dim=1)
        return torch.cat((colour, grey[:, None], where), dim=1)

    def parts(self) -> dict[str, tuple[int, int]]:
        return {"full": (0, 8), "dir": (0, 5), "dvr": (5, 8)}


def task(known: bool = True) -> ImageTask:
    drawn = {split: draw_split(n, SIDE, 0, split) for split, n in SIZES.items()}
    train, test = (
        ArrayImages(torch.from_numpy(own.images), torch.from_numpy(own.labels), SIDE) for own in drawn.values()
    )
    true = {split: own.factors if known else {} for split, own in drawn.items()}
    recipe = build_recipe(("shapes", "ddcl", "baug"), 0, {})
    return ImageTask(recipe, Planted(), train, test, ("shapes", 0), 6, NORMALISATION, Path("none"), [], factors=true)


def test_each_factor_is_read_from_the_part_that_carries_it() -> None:
    found = factors.evaluate(task(), COLUMNS, SETTINGS)
    read = {(part, metric): own[:, 0] for (_, part, metric), own in found.values.items()}
    assert found.n == SIZES["test"]
    assert {metric for _, metric in read} == {metric.name for metric in EVALUATIONS["factors"].metrics}
    assert read["dir", "factor_hue"] > 0.9
    assert read["dvr", "factor_grey"] > 0.9
    assert min(read["dvr", f"factor_{name}"] for name in ("x", "y")) > 0.3  # the shapes' own centres differ, too
    assert abs(read["dvr", "factor_hue"]) < 0.05
    assert max(abs(read["dir", f"factor_{name}"]) for name in ("x", "y")) < 0.05
    assert abs(read["full", "factor_angle_deg"]) < 0.2
    assert read["dir", "factor_shape"] == pytest.approx(1 / 6, abs=0.06)
    first, second = read["random_dvr", "factor_grey"]
    assert first == read["dvr", "factor_grey"] > second


def test_images_without_factors_are_refused() -> None:
    with pytest.raises(UserError, match="factors: data set shapes has no known factors"):
        factors.evaluate(task(known=False), COLUMNS, SETTINGS)
    block = {"datasets": ["digits"], "variants": ["ddcl"], "augmentations": ["baug"], "seeds": [0]}
    suite = {"suite": "t", "title": "t", "description": "t", "runs": [block], "perturbations": ["none"]}
    with pytest.raises(
        UserError, match=r"t\.yaml: evaluation factors needs images .* data set digits has none; .*shapes"
    ):
        Suite(suite | {"evaluations": ["factors"]}, "t.yaml")
    transfer = block | {"datasets": ["shapes"], "transfer": [{"to": ["digits"], "evaluations": ["factors"]}]}
    with pytest.raises(UserError, match="data set digits has none"):
        Suite(suite | {"runs": [transfer], "evaluations": ["factors"]}, "t.yaml")
    found = Suite(suite | {"runs": [block | {"datasets": ["shapes"]}], "evaluations": ["factors"]}, "t.yaml")
    assert found.n_cells() == 3 * len(SHAPES_FACTORS)


def test_the_registry_has_the_factors_that_are_drawn() -> None:
    assert tuple(draw_factors(10, 0, "test")) == SHAPES_FACTORS
