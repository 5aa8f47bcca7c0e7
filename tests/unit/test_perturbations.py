"""Perturbations of test images: the official chains written with torchvision, families, and draws."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as tv

from ddcl.build import build_pipeline
from ddcl.core.seeds import Draws
from ddcl.core.streams import derive
from ddcl.data.ops.elastic import elastic_field
from ddcl.data.ops.parameters import Params
from ddcl.evaluate.features import extraction_jobs
from ddcl.schema.op_recipes import read_ops, read_perturbation, read_perturbations
from ddcl.schema.recipes import build_recipe
from ddcl.schema.suites import NormalisationConfig

SIDE, N = 32, 24
NORMALISATION = NormalisationConfig(mean=[0.5, 0.4, 0.3], std=[0.2, 0.3, 0.4])
JITTERS = [tv.adjust_brightness, tv.adjust_contrast, tv.adjust_saturation, tv.adjust_hue]
FACTORS = ["brightness_factor", "contrast_factor", "saturation_factor", "hue_turns"]
# Official only_eval.py, `--test_aug_type` basic, aug1, aug1_2, aug1_4_2: what happens to an image, in order.
CHAINS = {
    "color": ["jitter"],
    "color_flip": ["flip", "jitter"],
    "color_rotate": ["rotate", "jitter"],
    "color_rotate_elastic": ["rotate", "jitter", "elastic"],
    "color_rotate_elastic_px": ["rotate", "jitter", "elastic"],
}


def images() -> Tensor:
    coarse = torch.rand(N, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return (tv.resize(coarse, [SIDE, SIDE]) * 255).round().to(torch.uint8)


def moved(kind: str, x: Tensor, params: Params, settings: Any, i: int) -> Tensor:
    """Apply one step of the official chain to image i [3, H, W]."""
    if kind == "flip":
        return tv.horizontal_flip(x)
    if kind == "rotate":
        return tv.rotate(x, float(params["angle_deg"][i]), InterpolationMode.NEAREST)
    if kind == "elastic":
        field = elastic_field(params["noise_key"][i : i + 1], (SIDE, SIDE), settings)
        return tv.elastic(x, field, InterpolationMode.BILINEAR)
    for place in params["order"][i].tolist():
        x = JITTERS[place](x, float(params[FACTORS[place]][i]))
    return x


@pytest.mark.parametrize("name", CHAINS)
def test_a_perturbation_is_the_official_chain_on_the_same_parameters(name: str) -> None:
    pipeline = build_pipeline(read_perturbation(name).ops, SIDE, NORMALISATION)
    params = pipeline.sample(Draws(3, torch.arange(N)), SIDE, SIDE)
    assert all(bool(own["applied"].all()) for own in params)  # p = 1
    found = pipeline.apply(images(), params)
    mean, std = (torch.tensor(getattr(NORMALISATION, key))[:, None, None] for key in ("mean", "std"))
    for i, image in enumerate(images()):
        x = image / 255
        for kind, own, (_, settings) in zip(CHAINS[name], params, pipeline.recipe, strict=True):
            x = moved(kind, x, own, settings, i)
        wrong = (found[i] - (x - mean) / std).abs() > 1e-3
        # nearest rotation: a pixel at a tie may go to either neighbour, which elastic deformation spreads
        assert float(wrong.float().mean()) < 2e-3


def test_the_elastic_strength_is_matched_at_32_px_and_the_authors_at_224() -> None:
    def rms_frac(name: str, side: int) -> float:
        pipeline = build_pipeline(read_perturbation(name).ops, side, NORMALISATION)
        key = pipeline.sample(Draws(3, torch.arange(8)), side, side)[-1]["noise_key"]
        field = elastic_field(key, (side, side), pipeline.recipe[-1][1])
        return float(field.square().mean().sqrt()) / 2

    matched, literal = "color_rotate_elastic", "color_rotate_elastic_px"
    assert rms_frac(matched, 32) == pytest.approx(0.075, rel=0.1)  # ten times what the authors' is at 224 px
    assert 0.04 < rms_frac(literal, 32) < rms_frac(matched, 32)
    assert rms_frac(literal, 224) == pytest.approx(rms_frac(matched, 224), rel=1e-6)
    assert rms_frac(matched, 224) == pytest.approx(0.0075, rel=0.1)


def test_families_stand_for_all_combinations() -> None:
    members = read_perturbations("common_corruptions", draws=10)
    assert len(members) == 15 * 5
    kinds = {recipe.ops[0].settings["kind"] for _, recipe in members.values()}
    assert len(kinds) == 15
    assert {recipe.draws for _, recipe in members.values()} == {1}
    assert list(read_perturbations("common_corruptions_3")) == [
        name.replace("corruptions.", "corruptions_3.") for name in members if name.endswith("_3")
    ]
    assert read_perturbation("common_corruptions.fog_4").ops[0].settings == {"kind": "fog", "severity": 4}
    assert read_perturbations("color", draws=10)["color"][1].draws == 10
    assert read_perturbations("none", draws=10)["none"][1].draws == 1


@pytest.mark.parametrize(
    ("left_out", "op"),
    [
        ("crop", "resized_crop"),
        ("color", "color_jitter"),
        ("grey", "grayscale"),
        ("blur", "gaussian_blur"),
        ("flip", "horizontal_flip"),
    ],
)
def test_baug_without_one_operation_is_baug_without_it(left_out: str, op: str) -> None:
    whole, without = (read_ops("augmentations", name, {})[1] for name in ("baug", f"baug_no_{left_out}"))
    assert [item.op for item in whole if item not in without] == [op]
    assert without == [item for item in whole if item.op != op]


def test_draws_differ_and_are_those_of_every_method() -> None:
    perturbations = [read_perturbation("color_rotate", draws=3)]

    def drawn(variant: str, augmentation: str, seed: int) -> list[Tensor]:
        recipe = build_recipe(("digits", variant, augmentation), seed, {})
        jobs = extraction_jobs(recipe, NORMALISATION, "digits", perturbations)
        assert list(jobs) == [("color_rotate", 0), ("color_rotate", 1), ("color_rotate", 2)]
        return [
            pipeline.sample(Draws(stream, torch.arange(N), draw), 16, 16)[0]["angle_deg"]
            for pipeline, stream, draw in jobs.values()
        ]

    first = drawn("ddcl", "baug", 0)
    assert all(torch.equal(a, b) for a, b in zip(first, drawn("barlow_twins", "caug_plus", 0), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, drawn("ddcl", "baug", 1), strict=True))
    assert not torch.equal(first[0], first[1])
    assert derive("digits", 0, "perturb", "color_rotate") != derive("digits", 1, "perturb", "color_rotate")
