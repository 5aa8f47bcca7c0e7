"""The paper's recipes, and who is to be cited. Imports no torch.

The paper's recipe of a method is the official code's, quirks included: config/variants/imagenet/METHOD.yaml with its
section `authors`, on ImageNet-100, under the same augmentation.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from ddcl.base.checkout import PROJECT
from ddcl.base.yaml_files import read_yaml
from ddcl.schema.places import existing_files
from ddcl.schema.recipes import Recipe, build_recipe
from ddcl.schema.registry import METHODS

PAPER_DATASET, PAPER_SCALE = "imagenet100", "imagenet"


@cache
def paper_recipe(method: str, augmentation: str) -> Recipe | None:
    """Return the paper's recipe of a method; None where it has none: nothing is trained, or the method is not in it."""
    if not METHODS[method].trains or not existing_files(f"variants/{PAPER_SCALE}/{method}.yaml"):
        return None
    return build_recipe((PAPER_DATASET, method, augmentation), 0, {}, authors=True)


def read_citation() -> dict[str, Any]:
    """Read the project's CITATION.cff, in the Citation File Format."""
    return read_yaml(PROJECT / "CITATION.cff")
