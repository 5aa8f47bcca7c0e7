"""From a recipe to the objects that it describes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ddcl.base.errors import UserError
from ddcl.base.files import damage_named, file_sha256
from ddcl.base.paths import expanded
from ddcl.core.encoders import build_encoder
from ddcl.core.method import Method, Task
from ddcl.core.networks import build_given
from ddcl.core.seeds import derive
from ddcl.data.views import Pipeline
from ddcl.schema.encoders import read_encoder
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
        encoder, feature_dim = _encoder(recipe)
        torch.manual_seed(derive(recipe.seed, "weights", "heads"))
        method: Method = entry.load()(encoder, feature_dim, entry.settings.model_validate(recipe.settings))
        if tuple(method.parts()) != entry.parts:
            own, found = ", ".join(entry.parts), ", ".join(method.parts())
            raise UserError(f"method {recipe.method}: its entry has the parts {own}, its class {found}")
        ops = tuple((item.op, item.settings) for item in recipe.ops)
        method.prepare(Task(recipe.data.n_classes, recipe.data.image_side_px, ops))
    if recipe.training.channels_last and not recipe.encoder:
        method.to(memory_format=torch.channels_last)
    return method


def _encoder(recipe: Recipe) -> tuple[nn.Module, int]:
    if recipe.encoder:
        return build_given(recipe.encoder), recipe.encoder.feature_dim
    return build_encoder(recipe.training.backbone)


def load_given(method: Method, recipe: Recipe) -> None:
    """Give the method of an encoder from elsewhere its weights; `UserError` unless the file is that of the recipe."""
    from safetensors.torch import load_file

    assert recipe.encoder
    name, advice = recipe.variant, f"`ddcl encoder add {recipe.variant} FILE` makes it"
    path = expanded(read_encoder(name).file, f"encoder {name}: file")
    with damage_named(path, f"weights of encoder {name}", advice):
        if path.exists() and file_sha256(path) != recipe.encoder.sha256:
            raise UserError(f"{path}: not the weights of encoder {name} (its sha256 is another); {advice}")
        method.encoder.get_submodule("network").load_state_dict(load_file(path), strict=True)


def build_pipeline(ops: Sequence[OpRecipe], side_px: int, normalisation: NormalisationConfig) -> Pipeline:
    """Return the pipeline of a recipe's operations with the normalisation that the encoder wants."""
    settings = [(item.op, build_settings(item.op, item.settings, "recipe")) for item in ops]
    return Pipeline(settings, side_px, mean=normalisation.mean, std=normalisation.std)
