"""Distributed training: several processes, started by torchrun, train one run; each takes its share of every batch.

Each process computes a loss, and the objective is the mean of these losses, because DDP averages their gradients. A
loss that is a mean over images needs nothing more. Any other loss (Barlow Twins' cross-correlation, the absolute value
of a mean, BatchNorm) computes its statistics over the whole batch with `total` or `mean`. Their backward pass sums the
gradients from all processes; without that sum, gradients would be too small by the number of processes.

With a single process nothing here uses torch.distributed, and `total` and `mean` return their input.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from ddcl.base.errors import UserError
from ddcl.core.method import Batch, Method, Step

T = TypeVar("T")
LONGEST_WAIT = timedelta(hours=1)  # for process 0, which monitors and saves; after that, it is considered dead


def processes() -> int:
    """Return how many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """Return this process's rank, from 0; process 0 writes files and runs the monitor."""
    return dist.get_rank() if dist.is_initialized() else 0


def relaunch(wanted: int) -> None:
    """Restart this command under torchrun with `wanted` processes on this node, unless torchrun already started it.

    torchrun replaces this process, so signals reach it and it passes them on. For several nodes, start torchrun
    yourself.
    """
    if wanted > 1 and "WORLD_SIZE" not in os.environ:
        options = ["--standalone", f"--nproc-per-node={wanted}", "--signals-to-handle=SIGTERM,SIGINT,SIGUSR1"]
        torchrun = [sys.executable, "-m", "torch.distributed.run", *options, "-m", "--", "ddcl", *sys.argv[1:]]
        os.execv(sys.executable, torchrun)


@contextmanager
def joined(wanted: int, device: str) -> Iterator[None]:
    """Join the group of `wanted` processes inside the context; on `cuda` each uses the GPU of its local rank."""
    found = int(os.environ.get("WORLD_SIZE", "1"))
    if found != wanted:
        raise UserError(f"training.processes is {wanted}, but torchrun started {found} (WORLD_SIZE)")
    if wanted == 1:
        yield
        return
    if device == "cuda":
        local, gpus = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
        if local >= gpus:
            raise UserError(
                f"training.processes is {wanted}, but this node has {gpus} visible GPUs; each process needs its own"
            )
        torch.cuda.set_device(local)
    if int(os.environ["RANK"]):
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 -- open until the process ends, so that only process 0 prints
    dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo", timeout=LONGEST_WAIT)
    try:
        yield
    finally:
        dist.destroy_process_group()


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x = x.contiguous().clone()
        dist.all_reduce(x)
        return x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        gradient = gradient.contiguous().clone()
        dist.all_reduce(gradient)
        return gradient


def total(x: Tensor) -> Tensor:
    """Return the sum of the processes' x; differentiable."""
    return x if processes() == 1 else _Total.apply(x)


def mean(x: Tensor) -> Tensor:
    """Return the mean of the processes' x; differentiable."""
    return x if processes() == 1 else total(x) / processes()


def moments(x: Tensor, dims: list[int]) -> tuple[Tensor, Tensor]:
    """Return mean and biased variance of x over `dims` and all processes, whose shares are equal; differentiable."""
    var, own_mean = torch.var_mean(x, dims, correction=0)
    whole_mean = mean(own_mean)
    return whole_mean, mean(var + (own_mean - whole_mean).square())


def all_rows(x: Tensor) -> Tensor:
    """Return the rows of all processes' x [B, d] in the order of the batch; differentiable."""
    if processes() == 1:
        return x
    whole = x.new_zeros(processes() * len(x), *x.shape[1:])
    whole[rank() * len(x) : (rank() + 1) * len(x)] = x
    return total(whole)


def rows(x: Tensor) -> Tensor:
    """Return the rows of all processes' x [B, d] in the order of the batch, without gradient."""
    if processes() == 1:
        return x.detach()
    parts = [torch.empty_like(x) for _ in range(processes())]
    dist.all_gather(parts, x.detach().contiguous())
    return torch.cat(parts)


def largest(value: int) -> int:
    """Return the largest of the processes' values."""
    if processes() == 1:
        return value
    box = torch.tensor(value)  # on the CPU: no GPU waits for it
    dist.all_reduce(box, dist.ReduceOp.MAX)
    return int(box)


def from_first(call: Callable[[], T]) -> T:
    """Call `call` in process 0 only, and return its result in every process."""
    if processes() == 1:
        return call()
    box: list[Any] = [call() if rank() == 0 else None]
    dist.broadcast_object_list(box)
    result: T = box[0]
    return result


class _BatchNormOfAll(_BatchNorm):
    """BatchNorm whose statistics in training are those of all processes' images."""

    def _check_input_dim(self, x: Tensor) -> None: ...

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        shape, dtype = [1, -1, *(1 for _ in x.shape[2:])], x.dtype
        x = x.to(torch.promote_types(dtype, torch.float32))  # bf16 has too few digits for statistics
        mean, var = moments(x, [0, *range(2, x.ndim)])
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            n = processes() * x.numel() / x.shape[1]
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.detach(), self.momentum or 0.0)
            self.running_var.lerp_(var.detach() * n / (n - 1), self.momentum or 0.0)
        scale = (var + self.eps).rsqrt() * (self.weight if self.affine else 1.0)
        out = (x - mean.view(shape)) * scale.view(shape)
        return (out + self.bias.view(shape) if self.affine else out).to(dtype)


class _Stepper(nn.Module):
    """Calls `step` where DDP calls `forward`."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, batch: Batch) -> Step:
        return self.method.step(batch)


def data_parallel(method: Method) -> Callable[[Batch], Step]:
    """Return `method.step`; with several processes its BatchNorms are synchronised and its gradients averaged.

    On GPUs BatchNorm is torch's SyncBatchNorm, as in the official codes; torch has none for the CPU.
    """
    if processes() == 1:
        return method.step
    if next(method.parameters()).is_cuda:
        nn.SyncBatchNorm.convert_sync_batchnorm(method)  # type: ignore[no-untyped-call]
    else:
        for module in method.modules():
            if isinstance(module, _BatchNorm):
                module.__class__ = _BatchNormOfAll
    return DistributedDataParallel(_Stepper(method))
