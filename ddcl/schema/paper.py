"""The paper's recipe of a method: the official code's, quirks included, on ImageNet-100. Imports no torch.

It is config/variants/imagenet/METHOD.yaml with its section `authors`, under the augmentation asked for.
"""

from __future__ import annotations

from functools import cache

from ddcl.schema.recipes import CONFIG_DIR, Recipe, build_recipe
from ddcl.schema.registry import METHODS

DATASET, SCALE = "imagenet100", "imagenet"


@cache
def paper_recipe(method: str, augmentation: str) -> Recipe | None:
    """Return the paper's recipe of a method; None where it has none: nothing is trained, or the method is not in it."""
    known = (CONFIG_DIR / "variants" / SCALE / f"{method}.yaml").exists()
    if not known or not METHODS[method].trains:
        return None
    return build_recipe((DATASET, method, augmentation), 0, {}, authors=True)
