"""Layouts: where other projects store an encoder in their files, and how they name its weights; one entry per origin.

First ``module.`` (several GPUs) and ``_orig_mod.`` (torch.compile) are removed from every name. The encoder is then
everything that begins with the layout's prefix. All other tensors must be heads that the layout knows: a file of
another origin is rejected rather than partly read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import Tensor

from ddcl.base.errors import UserError, check_name, shown
from ddcl.encoders.reading import Weights, described, tensors_in
from ddcl.schema.encoders import StemName

State = dict[str, Tensor]
CLASSIFIERS = ("fc.", "head.", "heads.", "classifier.", "linear.")  # of the usual networks, within the encoder
BY_INDEX = {  # of a ResNet in nn.Sequential: torchvision's (with ReLU and pool), and lightly's of its CIFAR benchmark
    True: {"0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4"},
    False: {"0": "conv1", "1": "bn1", "2": "layer1", "3": "layer2", "4": "layer3", "5": "layer4"},
}


def shortcuts(state: State) -> State:
    """Return a ResNet's weights whose shortcuts are called as in torchvision."""
    return {name.replace(".shortcut.", ".downsample."): value for name, value in state.items()}


def by_index(state: State) -> State:
    """Return a ResNet's weights with names, where it was an nn.Sequential; others as they are."""
    if not all(name[:1].isdigit() for name in state):
        return shortcuts(state)
    names = BY_INDEX[not any(name.startswith("2.") for name in state)]
    renamed: State = {}
    for name, value in state.items():
        index, _, rest = name.partition(".")
        renamed[f"{names.get(index, index)}.{rest}"] = value
    return shortcuts(renamed)


@dataclass(frozen=True)
class Layout:
    """The structure of the files of one origin.

    what: name of the origin, for messages. places: where the weights can be in the file, as keys to follow; the first
    that exists is used. prefix: of the encoder's names. heads: prefixes of all names outside the encoder. needs:
    prefixes of which at least one must occur, to distinguish this origin from others. inner: heads within the encoder.
    rename: converts names to torchvision's or timm's. small_stem: of a ResNet with a 3 × 3 first convolution, if the
    origin determines it. split: name of a weight of the head on DIR; its second axis is the number of DIR columns.
    """

    what: str
    places: tuple[tuple[str, ...], ...]
    prefix: str = ""
    heads: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    inner: tuple[str, ...] = CLASSIFIERS
    rename: Callable[[State], State] = field(default=dict)
    small_stem: StemName | None = None
    split: str = ""


PADDED: StemName = "3x3_padding_2"  # solo-learn's first convolution for CIFAR, by its own mistake or not
SOLO = ("classifier.", "projector.", "predictor.", "prototypes.", "queue", "momentum_", "multi_classifier")
LIGHTLY_NEEDS = ("projection_head", "online_classifier.", "prediction_head", "criterion.")
LIGHTLY = (
    *LIGHTLY_NEEDS,
    *("prototypes", "momentum_", "backbone_momentum.", "queue", "memory_bank", "classification_head."),
)
TRUNK = ("classy_state_dict", "base_model", "model", "trunk")
LAYOUTS = {
    "torchvision": Layout("torchvision, timm, or any file with only an encoder", ((), ("state_dict",), ("model",))),
    "simsiam": Layout("official SimSiam", (("state_dict",),), "encoder.", ("predictor.",), ("predictor.",)),
    "ddcl": Layout(
        "official DDCL",
        (("state_dict",),),
        "encoder.",
        ("projector_img.", "projector_aug.", "predictor_img.", "predictor_aug."),
        ("projector_img.",),
        rename=shortcuts,
        split="projector_img.0.weight",
    ),
    "moco_v2": Layout("MoCo v1 and v2", (("state_dict",),), "encoder_q.", ("encoder_k.", "queue")),
    "moco_v3": Layout("MoCo v3", (("state_dict",),), "base_encoder.", ("momentum_encoder.", "predictor.")),
    "barlow_twins": Layout("official Barlow Twins", (("model",),), "backbone.", ("projector.", "bn."), ("projector.",)),
    "dino": Layout("DINO", (("teacher",), ("student",)), "backbone.", ("head.",)),
    "clever": Layout(
        "CLeVER on DINO",
        (("teacher",), ("student",)),
        "backbone.",
        ("head.", "head2."),
        ("head2.",),
        split="head.mlp.0.weight",
    ),
    "solo_learn": Layout("solo-learn", (("state_dict",),), "backbone.", SOLO, ("classifier.",), small_stem=PADDED),
    "solo_learn_old": Layout(
        "solo-learn before 1.0.3", (("state_dict",),), "encoder.", SOLO, ("classifier.",), small_stem=PADDED
    ),
    "lightly": Layout("lightly", (("state_dict",), ()), "backbone.", LIGHTLY, LIGHTLY_NEEDS, rename=by_index),
    "vissl": Layout("VISSL", (TRUNK, ("model_state_dict",)), "_feature_blocks."),
    "suite": Layout("this suite: checkpoint.pt of a run", (("content", "method"),), "encoder.", ("",)),
}
PREFIXES = tuple(layout.prefix for layout in LAYOUTS.values() if layout.prefix)


@dataclass(frozen=True)
class Found:
    """An encoder's weights in a file, under torchvision's or timm's names.

    state: includes heads within the encoder, whose names begin with one of `inner`. left_out: prefixes of heads outside
    it. stem: if the origin determines it. dir_width: columns of DIR, if the origin has such a part.
    """

    layout: str
    state: State
    inner: tuple[str, ...]
    left_out: tuple[str, ...]
    stem: StemName | None = None
    dir_width: int | None = None


def layouts_of(weights: Weights) -> dict[str, Found]:
    """Return the encoder that each layout finds in a file, by layout; only layouts that fit."""
    found = ((name, _try(name, weights.content)) for name in LAYOUTS)
    return {name: own for name, own in found if isinstance(own, Found)}


def find(path: Path, weights: Weights, layout: str | None) -> Found:
    """Return the encoder in a file. layout: its name; None: the only one that fits.

    `UserError`, with the content of the file, if no layout fits, several do, or the given one does not.
    """
    if layout is not None:
        check_name("layout", layout, LAYOUTS, f"{path}: --layout")
        found = _try(layout, weights.content, told=True)
        if isinstance(found, str):
            raise UserError(f"{path}: does not have layout {layout}: {found}")
        return found
    fitting = layouts_of(weights)
    if len(fitting) == 1:
        return next(iter(fitting.values()))
    known = ", ".join(fitting) if fitting else ", ".join(LAYOUTS)
    said = "several layouts fit" if fitting else f"holds {described(weights.content)}, which fits no layout"
    raise UserError(f"{path}: {said}; name it with --layout: {known}")


def _try(name: str, content: Any, told: bool = False) -> Found | str:
    """Return the encoder that a layout finds in a file's content; else the reason why the layout does not fit.

    told: the user named this layout, so it need not be distinguished from others.
    """
    layout = LAYOUTS[name]
    places = [tensors_in(inner) for place in layout.places if (inner := _at(content, place)) is not None]
    state = next((_plain(own) for own in places if own), None)
    if state is None:
        wanted = " or ".join(".".join(place) or "the file itself" for place in layout.places)
        return f"no tensors in {wanted}; it holds {described(content)}"
    own = {key.removeprefix(layout.prefix): value for key, value in state.items() if key.startswith(layout.prefix)}
    rest = [key for key in state if not key.startswith(layout.prefix)]
    if not own:
        return f"no names that begin with {layout.prefix!r}; the first is {shown(next(iter(state)))}"
    unknown = [key for key in rest if not key.startswith(layout.heads)] if layout.prefix else []
    if unknown:
        heads = ", ".join(layout.heads)
        return f"{shown(unknown[0])} is neither in the encoder ({layout.prefix}…) nor in a head ({heads})"
    if layout.needs and not told and not any(key.startswith(layout.needs) for key in state):
        return f"no names that begin with {' or '.join(layout.needs)}"
    if not layout.prefix and any(key.startswith(PREFIXES) for key in own):
        return f"{shown(next(key for key in own if key.startswith(PREFIXES)))} is a name from another layout"
    encoder, split = layout.rename(own), state.get(layout.split)
    return Found(
        name,
        encoder,
        layout.inner,
        tuple(dict.fromkeys(key.partition(".")[0] for key in rest)),
        _stem(layout, own, encoder),
        None if split is None else split.shape[1],
    )


def _at(content: Any, place: tuple[str, ...]) -> Any:
    for key in place:
        content = content.get(key) if isinstance(content, Mapping) else None
    return content


def _plain(state: State) -> State:
    """Return weights without the prefixes that several GPUs and torch.compile add to their names."""
    return {re.sub(r"(^|\.)_orig_mod\.", r"\1", re.sub(r"^module\.", "", name)): own for name, own in state.items()}


def _stem(layout: Layout, own: State, encoder: State) -> StemName | None:
    """Return the first layers of a ResNet, if the file and its origin determine them."""
    first = encoder.get("conv1.weight")
    if first is None or first.shape[-1] != 3:
        return None
    if layout is LAYOUTS["lightly"] and "0.weight" in own and any(key.startswith("2.") for key in own):
        return "3x3_no_relu"
    return layout.small_stem
