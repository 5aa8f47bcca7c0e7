"""Optimisers, parameter groups and learning-rate schedules."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import nn
from torch.optim import Optimizer

from ddcl.core.method import Method
from ddcl.schema.training import OptimizerConfig, ScheduleConfig


class LARS(Optimizer):
    """SGD with momentum, each tensor's step scaled by ‖w‖ / ‖g‖ (You, Gitman, Ginsburg 2017, arXiv 1708.03888).

    As in the official Barlow Twins code: 1-D parameters (biases, BatchNorm) are not adapted.
    """

    def __init__(self, params: Iterable[Any], lr: float, momentum: float, weight_decay: float, trust: float) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "trust": trust})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                update = p.grad.add(p, alpha=group["weight_decay"])
                if p.ndim > 1:
                    weight_norm, update_norm = torch.linalg.vector_norm(p), torch.linalg.vector_norm(update)
                    ratio = group["trust"] * weight_norm / update_norm
                    adapted = (weight_norm > 0) & (update_norm > 0)
                    update = update * torch.where(adapted, ratio, torch.ones_like(ratio))
                state = self.state[p]
                if "mu" not in state:
                    state["mu"] = torch.zeros_like(p)
                state["mu"].mul_(group["momentum"]).add_(update)
                p.add_(state["mu"], alpha=-group["lr"])


class LARC(torch.optim.SGD):
    """SGD with gradients scaled per tensor by ‖w‖ / ‖g‖, biases included: apex's LARC without clipping.

    The official SimSiam code wraps it around the SGD of its ImageNet probe. If a norm is 0, the plain gradient is used
    without weight decay. Tests compare it with values computed by apex's own code.
    """

    def __init__(self, params: Iterable[Any], lr: float, momentum: float, weight_decay: float, trust: float) -> None:
        super().__init__(params, lr=lr, momentum=momentum)  # the decay is in the gradient, before it is scaled
        self.decay, self.trust = weight_decay, trust

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for p in (p for group in self.param_groups for p in group["params"] if p.grad is not None):
            weight_norm, grad_norm = torch.linalg.vector_norm(p), torch.linalg.vector_norm(p.grad)
            ratio = self.trust * weight_norm / (grad_norm + self.decay * weight_norm + 1e-8)
            adapted = (weight_norm > 0) & (grad_norm > 0)
            p.grad = torch.where(adapted, ratio * p.grad.add(p, alpha=self.decay), p.grad)
        super().step()


def scaled_lr(base_lr: float, config: OptimizerConfig, batch_size: int) -> float:
    """Return the peak learning rate of the schedule for `base_lr`."""
    return base_lr * (batch_size / 256 if config.lr_scaling == "batch/256" else 1.0)


def lr_factor(config: ScheduleConfig, epoch: float, epochs: int) -> float:
    """Return the share of the initial learning rate at `epoch` (0-based, fractional when the schedule is per step).

    Linear over the warm-up, then ``f + (1 − f) · (1 + cos(π · t)) / 2`` with t from 0 towards 1 over the rest. Per
    epoch and without warm-up this is the official SimSiam and DDCL schedule: e = 0 … E − 1, never reaching 0. Per step
    the warm-up is that of official Barlow Twins, from 0 in the first step. Per epoch it is our choice,
    (e + 1) / (w + 1), so that no epoch is spent at rate 0.
    """
    if epoch < config.warmup_epochs:
        by_epoch = config.per == "epoch"
        return (epoch + 1) / (config.warmup_epochs + 1) if by_epoch else epoch / config.warmup_epochs
    progress = (epoch - config.warmup_epochs) / max(1, epochs - config.warmup_epochs)
    return config.final_lr_frac + (1 - config.final_lr_frac) * 0.5 * (1 + math.cos(math.pi * progress))


def warmup_lr(top_lr: float, epoch: int, epochs: int) -> float:
    """Return the rate in epoch `epoch` (0-based) of the official DDCL code's `epochs` extra warm-up epochs.

    As in that code, the first epoch has a rate of 1e-9, practically zero.
    """
    return 1e-9 + top_lr * epoch / epochs


def parameter_groups(method: Method, config: OptimizerConfig, batch_size: int) -> list[dict[str, Any]]:
    """Return groups by (fixed rate, decayed, 1-D).

    Each has `params`, `weight_decay`, the rate at the top of the schedule `top_lr`, and the flag `fixed_lr`.
    """
    fixed = {id(p) for module in method.fixed_lr() for p in module.parameters()}
    own_1d = config.base_lr_1d is not None
    groups: dict[tuple[bool, bool, bool], list[nn.Parameter]] = {}
    for p in method.parameters():
        if p.requires_grad:
            flat = p.ndim <= 1
            groups.setdefault((id(p) in fixed, config.decay_1d or not flat, own_1d and flat), []).append(p)
    lr, lr_1d = (scaled_lr(base, config, batch_size) for base in (config.base_lr, config.base_lr_1d or config.base_lr))
    return [
        {
            "params": params,
            "weight_decay": config.weight_decay if decayed else 0.0,
            "fixed_lr": is_fixed,
            "top_lr": lr_1d if is_1d else lr,
        }
        for (is_fixed, decayed, is_1d), params in groups.items()
    ]


def build_optimizer(method: Method, config: OptimizerConfig, batch_size: int) -> Optimizer:
    """Return the optimiser of all trainable parameters, at its initial rate."""
    groups, lr = parameter_groups(method, config, batch_size), scaled_lr(config.base_lr, config, batch_size)
    if config.name == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=config.momentum, fused=True)
    if config.name == "lars":
        return LARS(groups, lr, config.momentum, config.weight_decay, config.lars_trust_coefficient)
    adam: type[torch.optim.Adam] = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.name]
    return adam(groups, lr=lr, betas=(config.momentum, 0.999), fused=True)


def set_lr(optimizer: Optimizer, factor: float) -> None:
    """Set the rate of each group to its top rate times `factor`, or to its top rate where the rate is fixed."""
    for group in optimizer.param_groups:
        group["lr"] = group["top_lr"] * (1.0 if group["fixed_lr"] else factor)


def set_warmup_lr(optimizer: Optimizer, epoch: int, epochs: int) -> None:
    """Set the rate of each group to `warmup_lr`, including groups whose rate is fixed afterwards."""
    for group in optimizer.param_groups:
        group["lr"] = warmup_lr(group["top_lr"], epoch, epochs)
