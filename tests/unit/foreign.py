"""Checkpoints as others make them, in the form that each documents, of networks with known weights.

The originals are in `docs/parity.md`: each form was made once with the original code, and read back.
"""

from __future__ import annotations

import copy
from argparse import Namespace
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

State = dict[str, Tensor]


def planted(network: nn.Module, side_px: int = 32) -> nn.Module:
    """Give norms weights and statistics that matter: fresh ones are 0 and 1. Features then vary with the image."""
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.LayerNorm):
            for name, value in module.named_parameters():
                noise = 0.1 * torch.randn(value.shape, generator=generator)
                value.data.copy_(1 + noise if name == "weight" else noise)
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        network.train()(torch.randn(8, 3, side_px, side_px, generator=generator))
    return network.eval()


@cache
def _resnet(stem: str) -> nn.Module:
    network = resnet18()
    network.fc = nn.Identity()
    if stem != "7x7":
        network.conv1 = nn.Conv2d(3, 64, 3, 1, 2 if stem == "3x3_padding_2" else 1, bias=False)
        network.maxpool = nn.Identity()
    if stem == "3x3_no_relu":
        network.relu = nn.Identity()
    return planted(network)


def resnet(stem: str = "7x7") -> nn.Module:
    """torchvision's ResNet-18 without its classifier, with the first layers of CIFAR where asked for."""
    return copy.deepcopy(_resnet(stem))


def named(state: State, prefix: str, **others: Tensor) -> State:
    """Return weights with a prefix, and others beside them."""
    return {f"{prefix}{name}": value for name, value in state.items()} | others


def head(name: str, width: int = 512) -> State:
    """A linear head."""
    return {f"{name}.weight": torch.ones(4, width), f"{name}.bias": torch.zeros(4)}


def shortcut(state: State) -> State:
    """The names of the official DDCL's own ResNet, and of lightly's."""
    return {name.replace(".downsample.", ".shortcut."): value for name, value in state.items()}


def indexed(state: State, layers: tuple[str, ...]) -> State:
    """The names of an nn.Sequential."""
    places = {layer: str(place) for place, layer in enumerate(layers)}
    return {".".join([places[name.split(".")[0]], *name.split(".")[1:]]): value for name, value in state.items()}


TORCHVISION = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool")
LIGHTLY = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4", "avgpool")
OPTIMIZER: dict[str, Any] = {"state": {}, "param_groups": [{"lr": 0.1}]}


def _official(state: State, **others: Tensor) -> dict[str, Any]:
    return {"epoch": 2, "arch": "resnet18", "state_dict": named(state, "module.", **others), "optimizer": OPTIMIZER}


def _ddcl(state: State) -> dict[str, Any]:
    heads = {"module.projector_img.0.weight": torch.ones(8, 410), "module.projector_aug.0.weight": torch.ones(8, 102)}
    heads |= head("module.predictor_img.0", 8) | head("module.predictor_aug.0", 8)
    return _official(named(shortcut(state), "encoder."), **heads)


def _dino(state: State) -> dict[str, Any]:
    teacher = named(state, "backbone.", **head("head.mlp.0"))
    student = {f"module.{name}": torch.zeros_like(value) for name, value in teacher.items()}
    return {"student": student, "teacher": teacher, "optimizer": OPTIMIZER, "epoch": 1, "args": Namespace(lr=0.1)}


def _lightning(state: State) -> dict[str, Any]:
    callbacks = {"ModelCheckpoint": {"best_model_score": np.float64(0.5)}}
    return {"epoch": 1, "pytorch-lightning_version": "2.5", "state_dict": state, "callbacks": callbacks}


# by name: layout, first layers, and from the network's weights to what the file holds
FORMS: dict[str, tuple[str, str, Callable[[State], Any]]] = {
    "torchvision": ("torchvision", "7x7", lambda state: state | head("fc")),
    "timm": ("torchvision", "7x7", lambda state: {"state_dict": state | head("fc"), "epoch": 3}),
    "SimSiam": ("simsiam", "7x7", lambda s: _official(named(s | head("fc.0"), "encoder.", **head("predictor.0")))),
    "DDCL": ("ddcl", "7x7", _ddcl),
    "MoCo v2": ("moco_v2", "7x7", lambda s: _official(
        named(s | head("fc.0"), "encoder_q.") | named(s, "encoder_k.") | {"queue": torch.ones(2, 2)})),
    "MoCo v3": ("moco_v3", "7x7", lambda s: _official(
        named(s | head("fc.0"), "base_encoder.") | named(s, "momentum_encoder.") | head("predictor.0"))),
    "Barlow Twins, final": ("torchvision", "7x7", lambda state: state),
    "Barlow Twins, full": ("barlow_twins", "7x7", lambda s: {
        "epoch": 1, "model": named(s, "module.backbone.", **head("module.projector.0"), **head("module.bn")),
        "optimizer": OPTIMIZER}),
    "DINO, full": ("dino", "7x7", _dino),
    "solo-learn": ("solo_learn", "7x7", lambda s: _lightning(
        named(s, "backbone.") | named(s, "momentum_backbone.") | head("classifier") | head("projector.0"))),
    "solo-learn, CIFAR": ("solo_learn", "3x3_padding_2", lambda s: _lightning(
        named(s, "backbone.") | head("classifier") | head("projector.0"))),
    "solo-learn, old": ("solo_learn_old", "7x7", lambda s: _lightning(
        named(s, "encoder.") | head("classifier") | head("projector.0"))),
    "lightly": ("lightly", "7x7", lambda s: _lightning(
        named(s, "backbone._orig_mod.") | head("projection_head.layers.0") | head("online_classifier.linear"))),
    "lightly, by index": ("lightly", "7x7", lambda s: _lightning(
        named(indexed(s, TORCHVISION), "backbone.") | head("projection_head.layers.0"))),
    "lightly, CIFAR": ("lightly", "3x3_no_relu", lambda s: _lightning(
        named(indexed(shortcut(s), LIGHTLY), "backbone.") | head("projection_head.layers.0"))),
    "VISSL": ("vissl", "7x7", lambda s: {"classy_state_dict": {"base_model": {"model": {
        "trunk": named(s, "_feature_blocks."), "heads": head("0.clf")}}}}),
    "VISSL, released": ("vissl", "7x7", lambda s: {"model_state_dict": named(s, "_feature_blocks.")}),
}  # fmt: skip


def write(name: str, path: Path) -> nn.Module:
    """Write a file of a form; return the network whose weights are in it."""
    _, stem, make = FORMS[name]
    network = resnet(stem)
    torch.save(make(dict(network.state_dict())), path)
    return network
