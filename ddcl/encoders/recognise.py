"""Recognises the network of a set of weights, for common ResNets and ViTs, by the shapes of the weights."""

from __future__ import annotations

import re

from torch import nn

from ddcl.base.errors import UserError, check_name, listed
from ddcl.core.networks import STEMS
from ddcl.encoders.layouts import Found, State
from ddcl.schema.encoders import StemName

RESNETS: dict[tuple[bool, tuple[int, ...]], str] = {  # by bottleneck and blocks per stage
    (False, (2, 2, 2, 2)): "resnet18",
    (False, (3, 4, 6, 3)): "resnet34",
    (True, (3, 4, 6, 3)): "resnet50",
    (True, (3, 4, 23, 3)): "resnet101",
    (True, (3, 8, 36, 3)): "resnet152",
}
VITS = {(192, 12): "tiny", (384, 12): "small", (768, 12): "base", (1024, 24): "large"}  # by width and blocks
SOME = 3  # names that a message lists
SMALL_STEMS = "3x3, 3x3_padding_2 (solo-learn) or 3x3_no_relu (lightly's CIFAR benchmark)"


def network_of(found: Found) -> str | None:
    """Return the name of the network that the weights seem to belong to; None: none of the common ones."""
    state = found.state
    if "patch_embed.proj.weight" in state:
        width, _, patch_px, _ = state["patch_embed.proj.weight"].shape
        name = VITS.get((width, _count(state, r"blocks\.(\d+)\.")))
        side_px = patch_px * round((state["pos_embed"].shape[1] - 1) ** 0.5) if "pos_embed" in state else 224
        return f"timm/vit_{name}_patch{patch_px}_{side_px}" if name else None
    blocks = tuple(_count(state, rf"layer{stage}\.(\d+)\.") for stage in range(1, 5))
    bottleneck = "layer1.0.conv3.weight" in state
    name = RESNETS.get((bottleneck, blocks))
    inner = state.get("layer1.0.conv2.weight")
    usual = inner is not None and inner.shape[:2] == (64, 64)  # not one of the wide ones or of groups
    return f"torchvision/{name}" if name and usual and "conv1.weight" in state else None


def stem_of(found: Found, network: str, given: str | None) -> StemName | None:
    """Return the first layers of a network: the given ones, or those that origin and weights determine.

    `UserError` if a ResNet begins with a 3 × 3 convolution and its padding and the layers after it are unknown.
    """
    if given is not None:
        check_name("stem", given, STEMS, "--stem")
        return next(name for name in STEMS if name == given)
    first = found.state.get("conv1.weight")
    if first is None or not network.rpartition("/")[2].startswith("resnet"):
        return None
    if first.shape[-1] == 3 and found.stem is None:
        raise UserError(
            f"the first convolution is 3 × 3, and layout {found.layout} does not determine its padding and the layers "
            f"after it; give --stem {SMALL_STEMS}"
        )
    return found.stem


def fitted(found: Found, name: str, network: nn.Module) -> State:
    """Return the weights of a network, all of them and no others; `UserError` that says which are missing or left over.

    name: of the network, for the message. Heads within the encoder may be left over. Batch counters, which do not
    affect features, may be missing.
    """
    wanted = network.state_dict()
    state = {key: value for key, value in found.state.items() if key in wanted}
    state |= {key: own for key, own in wanted.items() if key not in state and key.endswith("num_batches_tracked")}
    missing = [key for key in wanted if key not in state]
    left = [key for key in found.state if key not in wanted and not key.startswith(found.inner or "\0")]
    shapes = [key for key in state if state[key].shape != wanted[key].shape]
    said = [f"{len(missing)} of its tensors are missing ({listed(missing, SOME)})"] if missing else []
    said += [f"{len(left)} are left over ({listed(left, SOME)})"] if left else []
    if shapes:
        first, found_shape, shape = shapes[0], list(state[shapes[0]].shape), list(wanted[shapes[0]].shape)
        said += [f"{len(shapes)} have another shape ({first}: {found_shape}, expected {shape})"]
    if said:
        raise UserError(f"not the weights of network {name}: {'; '.join(said)}")
    return {key: state[key].to(wanted[key].dtype).contiguous() for key in wanted}


def _count(state: State, pattern: str) -> int:
    """Return how many numbers the names of weights have at the group of a pattern."""
    return len({match[1] for name in state if (match := re.match(pattern, name))})
