"""How large networks are, against a count of what torch does; how fast those are that nobody has measured."""

from __future__ import annotations

import re
from typing import Any

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ddcl.core.encoders import build_encoder
from ddcl.plan.networks import (
    activations_mb,
    checkpoint_mb,
    forward_flops,
    forward_gflops,
    needs_gpu,
    network_name,
    network_of,
    throughput,
)
from ddcl.plan.suite import Suite
from ddcl.schema.places import CONFIG_DIR
from ddcl.schema.recipes import Recipe, build_recipe
from ddcl.schema.training import BackboneConfig

CIFAR: dict[str, Any] = {"block": "basic", "blocks": [2, 2, 2, 2], "widths": [64, 128, 256, 512]}
SHAPES: dict[str, tuple[dict[str, Any], int]] = {
    "ResNet-18": (CIFAR, 32),
    "ResNet-50": (
        {"block": "bottleneck", "blocks": [3, 4, 6, 3], "stem": "7x7", "stem_stride": 2, "max_pool": True},
        224,
    ),
    "small": ({"blocks": [1, 1, 1], "widths": [16, 32, 64]}, 16),
    "odd side": ({"blocks": [1, 1, 1], "widths": [16, 32, 64], "stem_stride": 2}, 27),
    "bottleneck of two stages": ({"block": "bottleneck", "blocks": [1, 2], "widths": [16, 48]}, 32),
}


def recipe_of(backbone: dict[str, Any], dataset: str = "cifar10") -> Recipe:
    return build_recipe((dataset, "simsiam", "baug"), 0, {"backbone": backbone})


@pytest.mark.parametrize("name", SHAPES)
def test_flops_and_weights_are_those_that_torch_counts(name: str) -> None:
    values, side_px = SHAPES[name]
    backbone: BackboneConfig = recipe_of(values).training.backbone
    with torch.device("meta"):
        encoder, width = build_encoder(backbone)
        with FlopCounterMode(display=False) as counter:
            h = encoder.eval()(torch.empty(1, 3, side_px, side_px))
    assert h.shape == (1, width)
    assert forward_flops(backbone, side_px) == counter.get_total_flops()
    weights = sum(p.numel() for p in encoder.parameters() if p.ndim == 4)
    assert checkpoint_mb(backbone) == pytest.approx(max(1.0, 8 * weights / 1e6))


@pytest.mark.parametrize("name", SHAPES)
def test_activations_are_the_outputs_of_the_convolutions(name: str) -> None:
    values, side_px = SHAPES[name]
    recipe = recipe_of(values)
    outputs: list[int] = []
    with torch.device("meta"):
        encoder, _ = build_encoder(recipe.training.backbone)
        for module in encoder.modules():
            if isinstance(module, nn.Conv2d):
                module.register_forward_hook(lambda module, x, h: outputs.append(h.numel()))
        encoder.eval()(torch.empty(1, 3, side_px, side_px))
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"image_side_px": side_px})})
    bytes_held = 2 * recipe.training.batch_size * 8 * sum(outputs)  # two views; two float32 for each
    assert activations_mb(recipe) == pytest.approx(bytes_held / 1e6)


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONFIG_DIR / "suites").glob("*.yaml")))
def test_every_network_of_every_suite_has_its_own_figure(name: str) -> None:
    for run in Suite.load(CONFIG_DIR / "suites" / f"{name}.yaml").runs.values():
        figure = throughput().networks[network_name(run.recipe)]
        assert network_of(run.recipe) == figure
        assert figure.forward_gflops == pytest.approx(forward_gflops(run.recipe), rel=1e-3)


def test_every_figure_says_whether_it_was_measured_and_when() -> None:
    for network in throughput().networks.values():
        assert re.match(r"guess|measured on .*, \d{4}-\d\d-\d\d$", network.source), network


def test_a_gpu_is_for_large_networks_whatever_their_name() -> None:
    small = {"blocks": [1, 1, 1], "widths": [16, 32, 64]}
    wide = {"blocks": [2, 2, 2, 2], "widths": [96, 192, 384, 768]}
    assert not needs_gpu(recipe_of(small))
    assert needs_gpu(recipe_of(wide))
    assert needs_gpu(recipe_of(CIFAR))
    assert not needs_gpu(recipe_of({"blocks": [1, 1, 1, 1], "widths": [8, 16, 32, 64]}))


def test_a_network_without_a_figure_has_a_speed_that_is_scaled_and_says_so() -> None:
    """ResNet-18 with a 7×7 stem of stride 2 is another network than that whose name it has."""
    recipe = recipe_of({**CIFAR, "stem": "7x7", "stem_stride": 2})
    found, nearest = network_of(recipe), throughput().networks["ResNet-18 @ 96"]
    assert found.source == "ResNet-18 @ 32: scaled from ResNet-18 @ 96 (guess)"
    ratio = nearest.forward_gflops / forward_gflops(recipe)
    assert ratio > 2
    assert found.train_images_per_s == pytest.approx(nearest.train_images_per_s * ratio)
    assert found.encode_images_per_s == pytest.approx(nearest.encode_images_per_s * ratio)
    assert found.checkpoint_mb == pytest.approx(85, rel=0.1)  # that of the figure


def test_a_small_network_is_scaled_from_a_small_one() -> None:
    found = network_of(recipe_of({"blocks": [3, 3, 3], "widths": [16, 32, 64]}))
    assert "scaled from ResNet basic 1-1-1, widths 16-32-64" in found.source
    assert found.train_images_per_s < 1000
