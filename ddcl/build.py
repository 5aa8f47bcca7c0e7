"""From a recipe to the objects that it describes."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from ddcl.core.encoders import build_encoder
from ddcl.core.method import Method, Task
from ddcl.core.seeds import derive
from ddcl.data.views import Pipeline
from ddcl.schema.op_recipes import OpRecipe
from ddcl.schema.ops import build_settings
from ddcl.schema.recipes import Recipe
from ddcl.schema.registry import METHODS
from ddcl.schema.suites import NormalisationConfig


def build_method(recipe: Recipe) -> Method:
    """Return the run's method with its initial weights, on the CPU.

    Encoder and heads have sub-streams of their own that depend on the seed only: all methods with one seed start from
    the same encoder (the official code does not: DDCL's ResNet has another initialisation than SimSiam's there).
    """
    entry = METHODS[recipe.method]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(recipe.seed, "weights", "encoder"))
        encoder, feature_dim = build_encoder(recipe.training.backbone)
        torch.manual_seed(derive(recipe.seed, "weights", "heads"))
        method: Method = entry.load()(encoder, feature_dim, entry.settings.model_validate(recipe.settings))
        ops = tuple((item.op, item.settings) for item in recipe.ops)
        method.prepare(Task(recipe.data.n_classes, recipe.data.image_side_px, ops))
    if recipe.training.channels_last:
        method.to(memory_format=torch.channels_last)
    return method


def build_pipeline(ops: Sequence[OpRecipe], side_px: int, normalisation: NormalisationConfig) -> Pipeline:
    """Return the pipeline of a recipe's operations with the data set's normalisation."""
    settings = [(item.op, build_settings(item.op, item.settings, "recipe")) for item in ops]
    return Pipeline(settings, side_px, mean=normalisation.mean, std=normalisation.std)
