"""The engine: one training loop for all methods.

It owns the optimiser, schedule, precision, checkpoints and history, and decides how a run ended: `ok`, `collapsed` or
`diverged`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Literal, Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer
from tqdm import tqdm

from ddcl.base.interrupt import MINUTES
from ddcl.core import distributed
from ddcl.core.checkpoint import State
from ddcl.core.devices import native_bf16
from ddcl.core.losses import effective_rank, squared_norm, std_ratio
from ddcl.core.method import Batch, Method, Step
from ddcl.core.optim import build_optimizer, lr_factor, set_lr, set_warmup_lr
from ddcl.core.resume import SavedStates
from ddcl.core.seeds import derive
from ddcl.schema.training import Status, TrainingConfig

Row = dict[str, float]


class Loader(Protocol):
    """The interface that the engine needs of a loader."""

    @property
    def steps(self) -> int:
        """Steps per epoch."""

    def epoch(self, epoch: int, order: int, start: int = 0) -> Iterable[Batch]:
        """Yield the batches of a 0-based epoch from `start` on, in the order of epoch `order`; the same at every call.

        With several processes, each gets its share of every batch.
        """


class Pretraining:
    """The training of one run.

    method: with its initial weights, on the device to train on.
    loader: batches of two views.
    monitor: called with the method in every `monitor.every_epochs`-th epoch, before the first and after the last.
    identity: digests of recipe, code and data; a saved state with a different identity is not resumed.
    seed: of the run; it seeds a method's global random draws (dropout) in every step, so that they do not depend on
        where training was interrupted.
    """

    def __init__(
        self,
        method: Method,
        loader: Loader | None,
        monitor: Callable[[Method], Row],
        config: TrainingConfig,
        identity: Sequence[str],
        seed: int,
    ) -> None:
        self.method, self.loader, self.monitor, self.config = method, loader, monitor, config
        self.identity, self.seed = list(identity), seed
        self.warmup = config.schedule.extra_warmup_epochs if loader else 0
        self.epochs = self.warmup + config.epochs if loader else 0  # in all
        self.epoch = self.step = 0  # done: epochs, and steps of the next one
        self.sums: dict[str, Tensor] = {}  # of the loss and terms of these steps
        self.seconds = 0.0  # that these steps took
        self.status: Status = "ok"
        self.message = ""
        self.history: list[Row] = []
        self.spread: dict[str, float] = {}  # std ratio of the last batch's projections, by embedding
        self.device = next(method.parameters()).device
        self.optimizer = self._new_optimizer() if loader else None
        self.method_step = distributed.data_parallel(method) if loader else method.step
        native = config.precision == "auto" and native_bf16(self.device.type)
        self.precision: Literal["bf16", "fp32"] = "bf16" if native or config.precision == "bf16" else "fp32"
        if config.compile:
            method.encoder.compile()  # in place: names of weights stay

    def _new_optimizer(self) -> Optimizer:
        return build_optimizer(self.method, self.config.optimizer, self.config.batch_size)

    def run(
        self,
        work: Path,
        checkpoint_minutes: float = MINUTES,
        progress: Callable[[int], None] = lambda epoch: None,
    ) -> None:
        """Train until the last epoch, resuming from the state in `work` if there is one.

        The state is saved every `config.checkpoint_epochs` epochs and, in long epochs, every `checkpoint_minutes`.
        progress: called with the number of epochs done, before the first one and after each.
        """
        with SavedStates(work / "resume.pt", self.identity, checkpoint_minutes) as saved:
            self._resume(saved.load())
            progress(self.epoch)
            if not self.history:
                self.history.append({"epoch": 0, "seconds": 0.0, **self._monitor()})
            self._train(saved, progress)
        self._judge()

    @property
    def diverged(self) -> bool:
        """Whether the loss or the weights became infinite or NaN."""
        return self.status == "diverged"

    def _train(self, saved: SavedStates, progress: Callable[[int], None]) -> None:
        bar = tqdm(range(self.epoch, self.epochs), initial=self.epoch, total=self.epochs, unit="epoch", disable=None)
        for epoch in bar:
            if self.diverged:
                break
            row = self._train_epoch(epoch, saved)
            self.history.append(row)
            self.epoch, self.step, self.sums, self.seconds = epoch + 1, 0, {}, 0.0
            progress(self.epoch)
            bar.set_postfix(loss=f"{row['loss']:.4f}")
            if "knn_top1" in row:
                tqdm.write(f"epoch {self.epoch}/{self.epochs}  loss {row['loss']:.4f}  kNN {row['knn_top1']:.4f}")
            if self.epoch < self.epochs and not self.diverged:
                saved.pause(self._state, due=self.epoch % self.config.checkpoint_epochs == 0)

    def _train_epoch(self, epoch: int, saved: SavedStates) -> Row:
        """Train one epoch, or the rest of it; return its history row: means of loss and terms over the steps."""
        assert self.loader is not None
        started = time.perf_counter() - self.seconds
        self.method.train()
        if epoch == self.warmup and self.warmup and self.step == 0:
            self.optimizer = self._new_optimizer()  # the optimiser of the extra warm-up is discarded
        step = None
        for batch in self.loader.epoch(epoch, max(0, epoch - self.warmup), self.step):
            self._set_rate(epoch, self.step / self.loader.steps)
            torch.manual_seed(derive(self.seed, "step", epoch, self.step, distributed.rank()))
            step = self.train_step(batch)
            for name, value in {"loss": step.loss, **step.terms}.items():
                self.sums[name] = self.sums.get(name, torch.zeros((), device=self.device)) + value.detach()
            self.step += 1
            self.seconds = time.perf_counter() - started
            if self.step < self.loader.steps:
                saved.pause(self._state)
        assert step is not None
        row: Row = {"epoch": epoch + 1, "lr": self.optimizer.param_groups[0]["lr"] if self.optimizer else 0.0}
        row |= {name: float(value) / self.loader.steps for name, value in self._mean_sums().items()}
        row["seconds"] = self.history[-1]["seconds"] + time.perf_counter() - started
        return row | self._measure(epoch, row["loss"], step)

    def _mean_sums(self) -> dict[str, Tensor]:
        """Return the processes' mean of the sums."""
        return dict(zip(self.sums, distributed.mean(torch.stack(list(self.sums.values()))), strict=True))

    def _monitor(self) -> Row:
        """Return the monitor's values from the first process; not compiled, as evaluation mode is another program."""
        stance = torch.compiler.set_stance("force_eager") if self.config.compile else nullcontext()
        with stance:
            return distributed.from_first(lambda: self.monitor(self.method))

    def _measure(self, epoch: int, loss: float, step: Step) -> Row:
        """Return the spread of the last batch's projections, the heads' norms and, when due, the monitor's values.

        Nothing is measured once the run has diverged.
        """
        if not math.isfinite(loss):
            self.status, self.message = "diverged", f"the loss became {loss} in epoch {epoch + 1}"
        elif not all(torch.isfinite(value).all() for value in self.method.state_dict().values()):
            self.status, self.message = "diverged", f"weights became infinite or NaN in epoch {epoch + 1}"
        if self.diverged:
            return {}
        row: Row = {}
        for name, z in step.embeddings.items():
            z = distributed.rows(z)
            self.spread[name] = row[f"std_ratio_{name}"] = float(std_ratio(z))
            row[f"effective_rank_{name}"] = float(effective_rank(z))
        for name, head in self.method.named_children():
            if head not in {self.method.encoder, *self.method.frozen()} and list(head.parameters()):
                row[f"squared_norm_{name}"] = float(squared_norm(head).detach())
        if (epoch + 1) % self.config.monitor.every_epochs == 0 or epoch + 1 == self.epochs:
            row |= self._monitor()
        return row

    def _set_rate(self, epoch: int, done: float) -> None:
        """Set the learning rates for the step after the fraction `done` of `epoch`."""
        assert self.optimizer is not None
        if epoch < self.warmup:
            set_warmup_lr(self.optimizer, epoch, self.warmup)
            return
        time = epoch - self.warmup + (done if self.config.schedule.per == "step" else 0.0)
        set_lr(self.optimizer, lr_factor(self.config.schedule, time, self.config.epochs))

    def train_step(self, batch: Batch) -> Step:
        """Update the weights with one batch, which is already on the device."""
        assert self.optimizer is not None
        layout = torch.channels_last if self.config.channels_last else torch.contiguous_format
        images = {name: x for name in ("x0", "x1", "x2", "x3") if (x := getattr(batch, name)) is not None}
        batch = replace(batch, **{name: x.contiguous(memory_format=layout) for name, x in images.items()})
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            step = self.method_step(batch)
        self.optimizer.zero_grad(set_to_none=True)
        step.loss.backward()  # type: ignore[no-untyped-call]
        if self.config.grad_clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.method.parameters(), self.config.grad_clip_norm)
        self.optimizer.step()
        self.method.after_step(self._progress())
        return step

    def _progress(self) -> float:
        """Return the share of all steps that will be done after the current one."""
        steps = self.loader.steps if self.loader else 1
        return (self.epoch * steps + self.step + 1) / (self.epochs * steps)

    def _judge(self) -> None:
        """Mark the run as collapsed if a last spread that indicates it, or the effective rank, is below its limit."""
        if self.diverged or not self.epochs:
            return
        limits, rank, telling = self.config.collapse, self.history[-1]["effective_rank"], self.method.tells_collapse()
        for name, ratio in self.spread.items():
            if name in telling and ratio < limits.min_std_ratio:
                self.status, self.message = (
                    "collapsed",
                    f"std ratio of {name} {ratio:.3f} is below {limits.min_std_ratio}",
                )
        if rank < limits.min_effective_rank:
            self.status, self.message = "collapsed", f"effective rank {rank:.2f} is below {limits.min_effective_rank}"

    def _state(self) -> State:
        """Return everything that the rest of training depends on; no random state, because draws depend on counters."""
        return {
            "epoch": self.epoch,
            "step": self.step,
            "sums": self._mean_sums() if self.sums else {},
            "seconds": self.seconds,
            "history": self.history,
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict() if self.optimizer else {},
        }

    def _resume(self, state: State | None) -> None:
        """Continue from `state`, if there is one."""
        if state is None:
            return
        self.method.load_state_dict(state["method"])
        if self.optimizer:  # built anew before the first main epoch, so a state of the warm-up never reaches it
            self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step, self.history = state["epoch"], state["step"], state["history"]
        self.sums = {name: value.to(self.device) for name, value in state["sums"].items()}
        self.seconds = state["seconds"]
