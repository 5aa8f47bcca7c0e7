"""How large a run's network is, and how fast: computed from its shape, and from config/throughput.yaml. No torch."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache

from pydantic import Field

from ddcl.base.yaml_files import Model, parse, read_yaml
from ddcl.schema.places import config_path
from ddcl.schema.recipes import Recipe
from ddcl.schema.training import EXPANSION, BackboneConfig

SAME = 0.02  # relative difference of FLOPs up to which a figure is of the same network
VIEWS = 2  # of an image, whose activations training holds at once
ACTIVATION = 8  # bytes of each output of a convolution: itself and normalised, float32
NO_GFLOPS = 1e-6  # where there is no network, only its features: reading them is as good as free
FLOAT = 4  # bytes of a weight
CHECKPOINT = 8  # bytes per weight of the encoder: float32, and heads about as large


class Network(Model):
    """How fast a network is, and how large its checkpoints are."""

    forward_gflops: float = Field(gt=0, description="10⁹ operations for one image, two for each multiplication")
    train_images_per_s: float = Field(gt=0, description="forward and backward; each view of pretraining counts as one")
    encode_images_per_s: float = Field(gt=0, description="forward, in evaluation mode")
    checkpoint_mb: float = Field(gt=0, description="of a trained run, in 10⁶ bytes")
    source: str = Field(description="measured on which machine, or a guess")


class Throughput(Model):
    """config/throughput.yaml."""

    device: str = Field(description="of which the guesses are, in words")
    small_gflops: float = Field(gt=0, description="a network with fewer forward_gflops asks for no GPU")
    shared_gflops: float = Field(gt=0, description="runs with fewer forward_gflops may share a GPU if shared_mb allows")
    shared_mb: float = Field(gt=0, description="memory for a training step below which they may, in 10⁶ bytes")
    networks: dict[str, Network] = Field(description="by name of the backbone, `@`, and side of the images in px")


@cache
def throughput() -> Throughput:
    """Return config/throughput.yaml."""
    path = config_path("", "throughput")
    return parse(Throughput, read_yaml(path), str(path))


def network_name(recipe: Recipe) -> str:
    """Return the key of a run's network in config/throughput.yaml."""
    return f"{recipe.network.name} @ {recipe.data.image_side_px}"


def speed_name(recipe: Recipe) -> str:
    """Return the name of all that the speed of a run's network depends on, on one device: shape, side and precision."""
    return f"{network_name(recipe)}, {forward_gflops(recipe):.4g} GFLOPs, {recipe.training.precision}"


def network_of(recipe: Recipe) -> Network:
    """Return how fast a run's network is: its own figure, else that of the nearest one by FLOPs, scaled.

    Of those that need a GPU, as it does, or that do well on a CPU, as it does.
    """
    name, gflops = network_name(recipe), forward_gflops(recipe)
    known = throughput().networks
    if name in known and math.isclose(known[name].forward_gflops, gflops, rel_tol=SAME):
        return known[name]
    alike = [key for key, own in known.items() if _is_small(own.forward_gflops) == _is_small(gflops)]
    nearest = min(alike or known, key=lambda key: abs(math.log(known[key].forward_gflops / gflops)))
    figure = known[nearest]
    ratio = figure.forward_gflops / gflops
    return Network(
        forward_gflops=gflops,
        train_images_per_s=figure.train_images_per_s * ratio,
        encode_images_per_s=figure.encode_images_per_s * ratio,
        checkpoint_mb=_checkpoint_mb(recipe),
        source=f"{name}: scaled from {nearest} ({figure.source})",
    )


def needs_gpu(recipe: Recipe) -> bool:
    """Return whether a run's network is too large to do well on a CPU."""
    return not _is_small(forward_gflops(recipe))


def shares_gpu(recipe: Recipe) -> bool:
    """Return whether a run cannot fill a GPU: its images take little work, and its batches little of the memory."""
    return forward_gflops(recipe) < throughput().shared_gflops and activations_mb(recipe) < throughput().shared_mb


def activations_mb(recipe: Recipe) -> float:
    """Return about how many MB the activations of a training step take, on each device."""
    if recipe.encoder:
        return 0.0  # it is not trained
    training = recipe.training
    outputs = sum(side**2 * out for _, side, out in _convolutions(training.backbone, recipe.data.image_side_px))
    return training.batch_size / training.processes * VIEWS * ACTIVATION * outputs / 1e6


def _is_small(gflops: float) -> bool:
    return gflops < throughput().small_gflops


def forward_gflops(recipe: Recipe) -> float:
    """Return the 10⁹ FLOPs of a run's encoder for one image."""
    if recipe.encoder:
        return max(recipe.encoder.gflops, NO_GFLOPS)
    return forward_flops(recipe.training.backbone, recipe.data.image_side_px) / 1e9


def forward_flops(backbone: BackboneConfig, side_px: int) -> int:
    """Return the FLOPs of an image of `side_px` through a backbone: two for each multiplication of a convolution."""
    return _flops(backbone.model_dump_json(), side_px)


@cache
def _flops(backbone: str, side_px: int) -> int:
    shape = BackboneConfig.model_validate_json(backbone)
    return 2 * sum(weights * side**2 for weights, side, _ in _convolutions(shape, side_px))


def checkpoint_mb(backbone: BackboneConfig) -> float:
    """Return about how large a checkpoint is, at least 1 MB."""
    return max(1.0, CHECKPOINT * sum(weights for weights, _, _ in _convolutions(backbone, 1)) / 1e6)


def _checkpoint_mb(recipe: Recipe) -> float:
    if recipe.encoder:
        return max(1.0, FLOAT * recipe.encoder.n_parameters / 1e6)
    return checkpoint_mb(recipe.training.backbone)


def feature_width(recipe: Recipe) -> int:
    """Return the number of columns of a run's features."""
    return recipe.network.feature_dim


def _convolutions(backbone: BackboneConfig, side_px: int) -> Iterator[tuple[int, int, int]]:
    """Yield the weights of each convolution, and the side, px, and channels of its output (`ddcl.core.encoders`)."""
    side, channels = -(-side_px // backbone.stem_stride), backbone.widths[0]
    yield int(backbone.stem[0]) ** 2 * 3 * channels, side, channels
    if backbone.max_pool:
        side = -(-side // 2)
    for stage, (blocks, width) in enumerate(zip(backbone.blocks, backbone.widths, strict=True)):
        for block in range(blocks):
            stride = 2 if stage and not block else 1
            before, side, out = side, -(-side // stride), width * EXPANSION[backbone.block]
            if backbone.block == "basic":
                yield 9 * channels * width, side, width
            else:
                yield channels * width, before, width
                yield 9 * width * width, side, width
            yield (9 if backbone.block == "basic" else 1) * width * out, side, out
            if stride > 1 or channels != out:
                yield channels * out, side, out
            channels = out
