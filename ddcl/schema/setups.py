"""With what a number was trained beside network, epochs and batch: heads, optimiser, normalisation and class list.

Of the suite's runs it is said from their recipes, of published numbers by config/published_setups.yaml, in equal words.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from pydantic import Field

from ddcl.base.yaml_files import Model, parse, read_yaml
from ddcl.schema.places import config_path
from ddcl.schema.recipes import Recipe

UNKNOWN = "?"
IMAGENET = [0.485, 0.456, 0.406]  # the mean that ImageNet's normalisation subtracts


class Setup(Model):
    """What is compared, each in words; `UNKNOWN` where nobody says it."""

    heads: str = Field(default=UNKNOWN, description="projector and predictor, with their widths")
    optimiser: str = Field(default=UNKNOWN, description="its name, learning rate, momentum and weight decay")
    normalisation: str = Field(default=UNKNOWN, description="of pixel values: whose mean and standard deviation")
    classes: str = Field(default=UNKNOWN, description="which classes of the data set")


class PublishedSetup(Setup):
    """An entry of config/published_setups.yaml, and the numbers that it is of."""

    sources: list[str] = Field(min_length=1, description="as in config/published.csv")
    datasets: list[str] = Field(min_length=1, description="of pretraining")
    variants: list[str] = Field(min_length=1, description="the suite's")


class SetupsConfig(Model):
    """config/published_setups.yaml."""

    setups: list[PublishedSetup] = Field(description="the first that names source, data set and variant counts")


def published_setup(source: str, dataset: str, variant: str) -> Setup:
    """Return with what the number of a source was trained."""
    for entry in _read(config_path("", "published_setups")):
        if source in entry.sources and dataset in entry.datasets and variant in entry.variants:
            return entry
    return Setup()


@cache
def _read(path: Path) -> list[PublishedSetup]:
    return parse(SetupsConfig, read_yaml(path), str(path)).setups


def setup_of(recipe: Recipe) -> Setup:
    """Return with what a run is trained."""
    optimizer, data = recipe.training.optimizer, recipe.data
    rate = f"{optimizer.base_lr:g}{' · batch / 256' if optimizer.lr_scaling != 'none' else ''}"
    decay = f"momentum {optimizer.momentum:g}, weight decay {optimizer.weight_decay:g}"
    own = data.normalisation.mean != IMAGENET if data.normalisation else True
    return Setup(
        heads=_heads(recipe),
        optimiser=f"{optimizer.name} {rate}, {decay}",
        normalisation="the training images'" if own else "ImageNet's",
        classes=data.settings.get("classes") or f"all {data.n_classes}",
    )


def _heads(recipe: Recipe) -> str:
    settings = recipe.settings
    if "projector_dim" not in settings:
        return "none"
    projector = f"projector {settings.get('projector_layers', 3)} × {settings['projector_dim']}"
    return (
        f"{projector}, predictor {settings['predictor_hidden_dim']}"
        if "predictor_hidden_dim" in settings
        else projector
    )
