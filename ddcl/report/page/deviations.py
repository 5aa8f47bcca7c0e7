"""A run's recipe as a flat list of numbers, and where it departs from the paper's (`ddcl.schema.paper`)."""

from __future__ import annotations

from typing import Any, NamedTuple

from ddcl.schema.recipes import Recipe

# what the engine adds and no result of the paper depends on
OURS: tuple[str, ...] = ("training.monitor.", "training.collapse.", "training.checkpoint_epochs", "training.processes")
OURS += ("training.channels_last", "training.compile")
ABSENT = "–"


class Setting(NamedTuple):
    """One number of a recipe. paper: the paper's, or `ABSENT` where it has none; differs: whether that matters."""

    name: str
    value: str
    paper: str
    differs: bool


def settings(recipe: Recipe, paper: Recipe | None) -> list[Setting]:
    """Return every number of a recipe beside the paper's, in the order of the recipe, then what only the paper has."""
    own, theirs = _flat(recipe), _flat(paper) if paper else {}
    found = []
    for name in dict.fromkeys((*own, *theirs)):
        value, other = own.get(name, ABSENT), theirs.get(name, ABSENT)
        differs = paper is not None and value != other and not name.startswith(OURS)
        found.append(Setting(name, value, other if paper else "", differs))
    return found


def _flat(recipe: Recipe) -> dict[str, str]:
    """Return the numbers of a recipe by dotted name."""
    flat = {
        "data set": recipe.dataset,
        "image side (px)": str(recipe.data.image_side_px),
        "training.backbone": recipe.network.name,
    }
    _flatten("method", recipe.settings, flat)
    if recipe.encoder:
        _flatten("encoder", recipe.encoder.model_dump(), flat)
        _flatten("training.monitor", recipe.training.monitor.model_dump(), flat)
    else:
        _flatten("training", recipe.training.model_dump(), flat)
    for item in recipe.ops:
        _flatten(f"augmentation.{item.op}", item.settings, flat)
    return flat


def _flatten(name: str, value: Any, flat: dict[str, str]) -> None:
    """Add the leaves of nested mappings to `flat`; a list is one leaf."""
    if isinstance(value, dict):
        for key, item in value.items():
            _flatten(f"{name}.{key}", item, flat)
    else:
        flat[name] = _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
