"""Make four checkpoints as others' libraries write them, of networks with random weights: `make_files.py FOLDER`.

They stand in for files that you have. Random weights are no result; they show the way from a file to the page.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

import timm
import torch
from torch import Tensor, nn
from torchvision.models import resnet18


def small_resnet(padding: int) -> nn.Module:
    """Return ResNet-18 for small images: a first convolution of 3 × 3, no max-pool, no classifier."""
    network = resnet18()
    network.conv1 = nn.Conv2d(3, 64, 3, 1, padding, bias=False)
    network.maxpool = network.fc = nn.Identity()
    return network


def named(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return weights whose names begin with a prefix."""
    return {f"{prefix}{name}": value for name, value in state.items()}


def by_index(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the names that lightly's CIFAR benchmark gives: the layers of its own ResNet, counted."""
    order = ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4"]
    counted = {f"{order.index(name.split('.')[0])}.{name.partition('.')[2]}": value for name, value in state.items()}
    return {name.replace(".downsample.", ".shortcut."): value for name, value in counted.items()}


def main(folder: Path) -> None:
    """Write the four files."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    lightly = named(by_index(small_resnet(1).state_dict()), "backbone.")
    lightly |= {"projection_head.layers.0.weight": torch.zeros(4, 512)}
    torch.save({"state_dict": lightly, "epoch": 200}, folder / "lightly.ckpt")
    solo = named(small_resnet(2).state_dict(), "backbone.") | {"classifier.weight": torch.zeros(10, 512)}
    torch.save({"state_dict": solo, "hyper_parameters": Namespace(lr=0.3)}, folder / "solo_learn.ckpt")
    torch.save(resnet18().state_dict(), folder / "torchvision.pth")
    torch.save(timm.create_model("resnet10t").state_dict(), folder / "timm.pth")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
