"""Networks of external encoders, by name and without their classifiers; their weights come from a file."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ddcl.base.errors import UserError, did_you_mean
from ddcl.core.encoders import build_encoder
from ddcl.schema.encoders import GivenEncoder, StemName, library_of
from ddcl.schema.training import BackboneConfig

HEADS = ("fc", "classifier", "heads", "head")  # of torchvision's networks
STEMS: dict[StemName, tuple[int, int, int, bool]]  # side, stride and padding of the first convolution; max-pool
STEMS = {
    "7x7": (7, 2, 3, True),
    "3x3": (3, 1, 1, False),
    "3x3_padding_2": (3, 1, 2, False),
    "3x3_no_relu": (3, 1, 1, False),
}


class GivenNetwork(nn.Module):
    """A network that first resizes its images if they do not have the size that it needs.

    network: maps [B, 3, S, S] to features [B, D]. side_px: S; None: accept any size.
    """

    def __init__(self, network: nn.Module, side_px: int | None) -> None:
        super().__init__()
        self.network, self.side_px = network, side_px

    def forward(self, x: Tensor) -> Tensor:
        """Return features [B, D] of normalised images [B, 3, H, W]."""
        if self.side_px is not None and x.shape[-1] != self.side_px:
            x = F.interpolate(x, (self.side_px, self.side_px), mode="bilinear", align_corners=False, antialias=True)
        features: Tensor = self.network(x)
        return features


def build_given(given: GivenEncoder) -> GivenNetwork:
    """Return the network of an external encoder; its weights are not loaded yet."""
    return GivenNetwork(build_network(given.network, given.stem, given.shape), given.side_px)


def build_network(name: str, stem: StemName | None, shape: BackboneConfig | None = None) -> nn.Module:
    """Return a network that maps [B, 3, H, W] to its pooled features [B, D], without its classifier.

    name, stem, shape: as in `GivenEncoder`. timm defines the pooling of its networks (for a ViT usually the class
    token); for torchvision, the features are the input of the last linear layer. `UserError` for an unknown name, or if
    a stem is given for a network that is not a ResNet.
    """
    if shape is not None:
        return build_encoder(shape)[0]
    library, short = library_of(name)
    network = _of_timm(short) if library == "timm" else _of_torchvision(short)
    if stem is not None:
        _set_stem(network, stem, name)
    return network


def _of_timm(name: str) -> nn.Module:
    import timm

    if not timm.is_model(name):
        raise UserError(f"network timm/{name}: timm has no such network{did_you_mean(name, timm.list_models())}")
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=0)
    return network


def _of_torchvision(name: str) -> nn.Module:
    from torchvision import models

    known = models.list_models(module=models)
    if name not in known:
        raise UserError(f"network torchvision/{name}: torchvision has no such network{did_you_mean(name, known)}")
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    network: nn.Module = models.get_model(name, weights=None, **options)
    head = next((own for own in HEADS if hasattr(network, own)), None)
    found: Any = getattr(network, head) if head else None
    if isinstance(found, nn.Sequential) and isinstance(found[-1], nn.Linear):
        found[-1] = nn.Identity()
    elif isinstance(found, nn.Linear) and head:
        setattr(network, head, nn.Identity())
    else:
        raise UserError(f"network torchvision/{name}: it does not end in a linear layer: where are its features?")
    return network


def _set_stem(network: Any, stem: StemName, name: str) -> None:
    """Replace the first layers of a ResNet."""
    if not isinstance(getattr(network, "conv1", None), nn.Conv2d) or not hasattr(network, "maxpool"):
        raise UserError(f"network {name}: --stem is for ResNets, whose first layers are conv1, bn1 and maxpool")
    side, stride, padding, pool = STEMS[stem]
    network.conv1 = nn.Conv2d(3, network.conv1.out_channels, side, stride, padding, bias=False)
    if not pool:
        network.maxpool = nn.Identity()
    if stem == "3x3_no_relu":
        setattr(network, "act1" if hasattr(network, "act1") else "relu", nn.Identity())


@torch.no_grad()
def measure(network: GivenNetwork, side_px: int) -> tuple[int, float]:
    """Return the width of a network's features, and the 10⁹ floating-point operations for one image of `side_px`."""
    from torch.utils.flop_counter import FlopCounterMode

    network.eval()
    try:
        with FlopCounterMode(display=False) as counter:
            features = network(torch.zeros(1, 3, side_px, side_px))
    except (RuntimeError, AssertionError, ValueError) as error:  # a ViT refuses images of another side
        said = " ".join(str(error).split())[:200]
        raise UserError(
            f"the network does not accept images of {side_px} px ({said}); give its input size with --side"
        ) from None
    if features.ndim != 2:
        raise UserError(
            f"the network returns {list(features.shape)} for one image, expected pooled features [1, width]"
        )
    return int(features.shape[1]), counter.get_total_flops() / 1e9
