"""Backbones, from timm."""

from __future__ import annotations

from typing import Any

from torch import nn

from ddcl.schema.training import BackboneConfig


def build_encoder(config: BackboneConfig) -> tuple[nn.Module, int]:
    """Return a ResNet that maps [B, 3, H, W] to globally averaged features [B, D], and D.

    Widths that differ from 64 in the first stage and fewer than four stages are not among the arguments of timm's
    ResNet, so the stem and the unused stages are set here.
    """
    import timm.models.resnet as timm_resnet  # seconds of imports, so only where a backbone is built

    block: Any = {"basic": timm_resnet.BasicBlock, "bottleneck": timm_resnet.Bottleneck}[config.block]
    first_width = config.widths[0]
    net: Any = timm_resnet.ResNet(
        block,
        layers=tuple(config.blocks),
        channels=tuple(config.widths),
        num_classes=0,
        # timm derives the first stage's input width from a "deep" stem (2 · stem_width); the stem is replaced below
        stem_type="deep",
        stem_width=first_width // 2,
        zero_init_last=config.zero_init_last,
    )
    side_px = int(config.stem[0])
    net.conv1 = nn.Conv2d(3, first_width, side_px, config.stem_stride, side_px // 2, bias=False)
    if not config.max_pool:
        net.maxpool = nn.Identity()
    for index in range(len(config.blocks) + 1, 5):
        setattr(net, f"layer{index}", nn.Identity())
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            if config.init == "torch":
                module.reset_parameters()
            else:
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return net, int(net.num_features)
