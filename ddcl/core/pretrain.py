"""The engine: one training loop for all methods.

It owns optimiser, schedule, precision, checkpoints, history and the end of a run: `ok`, `collapsed` or `diverged`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor
from torch.optim import Optimizer
from tqdm import tqdm

from ddcl.core.checkpoint import load_checkpoint, save_checkpoint
from ddcl.core.devices import native_bf16
from ddcl.core.errors import UserError
from ddcl.core.losses import effective_rank, std_ratio
from ddcl.core.method import Batch, Method, Step
from ddcl.core.optim import build_optimizer, lr_factor, set_lr, set_warmup_lr
from ddcl.core.seeds import derive
from ddcl.core.training_config import TrainingConfig

Row = dict[str, float]


class Loader(Protocol):
    """What the engine asks of a loader."""

    @property
    def steps(self) -> int:
        """Steps per epoch."""

    def epoch(self, epoch: int, order: int) -> Iterable[Batch]:
        """Yield the batches of a 0-based epoch, in the order of epoch `order`; the same at every call."""


class Pretraining:
    """The training of one run.

    method: with its initial weights, on the device to train on.
    loader: batches of two views.
    monitor: called with the method in every `monitor.every_epochs`-th epoch, before the first and after the last.
    identity: (recipe digest, code digest); a saved state with another one is not resumed.
    seed: of the run; global draws of a method (dropout) are seeded from it per epoch.
    """

    def __init__(
        self,
        method: Method,
        loader: Loader | None,
        monitor: Callable[[Method], Row],
        config: TrainingConfig,
        identity: tuple[str, str],
        seed: int,
    ) -> None:
        self.method, self.loader, self.monitor, self.config = method, loader, monitor, config
        self.identity, self.seed = list(identity), seed
        self.warmup = config.schedule.extra_warmup_epochs if loader else 0
        self.epochs = self.warmup + config.epochs if loader else 0  # in all
        self.epoch = 0
        self.status, self.message = "ok", ""
        self.history: list[Row] = []
        self.device = next(method.parameters()).device
        self.optimizer = self._new_optimizer() if loader else None
        native = config.precision == "auto" and native_bf16(self.device.type)
        self.precision = "bf16" if native or config.precision == "bf16" else "fp32"

    def _new_optimizer(self) -> Optimizer:
        return build_optimizer(self.method, self.config.optimizer, self.config.batch_size)

    def run(self, work: Path, progress: Callable[[int], None] = lambda epoch: None) -> None:
        """Train to the end, resuming from the state in `work` if there is one.

        progress: called with the number of epochs done, before the first one and after each.
        """
        self._resume(work)
        progress(self.epoch)
        if not self.history:
            self.history.append({"epoch": 0, "seconds": 0.0, **self.monitor(self.method)})
        bar = tqdm(range(self.epoch, self.epochs), initial=self.epoch, total=self.epochs, unit="epoch", disable=None)
        for epoch in bar:
            if self.status == "diverged":
                break
            row = self._train_epoch(epoch)
            self.history.append(row)
            self.epoch = epoch + 1
            progress(self.epoch)
            bar.set_postfix(loss=f"{row['loss']:.4f}")
            if "knn_top1" in row:
                tqdm.write(f"epoch {self.epoch}/{self.epochs}  loss {row['loss']:.4f}  kNN {row['knn_top1']:.4f}")
            if self.epoch % self.config.checkpoint_epochs == 0 and self.epoch < self.epochs:
                self._save(work)
        self._judge()

    def _train_epoch(self, epoch: int) -> Row:
        """Train one epoch; return its history row: means of loss and terms over the steps."""
        assert self.loader is not None
        started = time.perf_counter()
        self.method.train()
        torch.manual_seed(derive(self.seed, "epoch", epoch))
        if epoch == self.warmup and self.warmup:
            self.optimizer = self._new_optimizer()  # that of the extra warm-up is thrown away
        sums: dict[str, Tensor] = {}
        step = None
        for index, batch in enumerate(self.loader.epoch(epoch, max(0, epoch - self.warmup))):
            self._set_rate(epoch, index / self.loader.steps)
            step = self._train_step(batch)
            for name, value in {"loss": step.loss, **step.terms}.items():
                sums[name] = sums.get(name, torch.zeros((), device=self.device)) + value.detach()
        assert step is not None
        row: Row = {"epoch": epoch + 1, "lr": self.optimizer.param_groups[0]["lr"] if self.optimizer else 0.0}
        row |= {name: float(value) / self.loader.steps for name, value in sums.items()}
        row["seconds"] = self.history[-1]["seconds"] + time.perf_counter() - started
        return row | self._measure(epoch, row["loss"], step)

    def _measure(self, epoch: int, loss: float, step: Step) -> Row:
        """Return the spread of the last batch's projections and, when it is due, what the monitor says.

        Nothing is measured once the run has diverged.
        """
        if not math.isfinite(loss):
            self.status, self.message = "diverged", f"the loss became {loss} in epoch {epoch + 1}"
        elif not all(torch.isfinite(value).all() for value in self.method.state_dict().values()):
            self.status, self.message = "diverged", f"weights became infinite or nan in epoch {epoch + 1}"
        if self.status == "diverged":
            return {}
        row: Row = {}
        for name, z in step.embeddings.items():
            row[f"std_ratio_{name}"] = float(std_ratio(z.detach()))
            row[f"effective_rank_{name}"] = float(effective_rank(z.detach()))
        if (epoch + 1) % self.config.monitor.every_epochs == 0 or epoch + 1 == self.epochs:
            row |= self.monitor(self.method)
        return row

    def _set_rate(self, epoch: int, done: float) -> None:
        """Set the learning rates for the step that comes after the share `done` of `epoch`."""
        assert self.optimizer is not None
        if epoch < self.warmup:
            set_warmup_lr(self.optimizer, epoch, self.warmup)
            return
        time = epoch - self.warmup + (done if self.config.schedule.per == "step" else 0.0)
        set_lr(self.optimizer, lr_factor(self.config.schedule, time, self.config.epochs))

    def _train_step(self, batch: Batch) -> Step:
        assert self.optimizer is not None
        layout = torch.channels_last if self.config.channels_last else torch.contiguous_format
        batch = Batch(
            batch.x1.contiguous(memory_format=layout), batch.x2.contiguous(memory_format=layout), batch.labels
        )
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.precision == "bf16"):
            step = self.method.step(batch)
        self.optimizer.zero_grad(set_to_none=True)
        step.loss.backward()  # type: ignore[no-untyped-call]
        if self.config.grad_clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.method.parameters(), self.config.grad_clip_norm)
        self.optimizer.step()
        self.method.after_step()
        return step

    def _judge(self) -> None:
        """Call the run collapsed if its last spread or effective rank is below the limits. DVR may be anything."""
        if self.status == "diverged" or not self.epochs:
            return
        last, limits = self.history[-1], self.config.collapse
        for name, value in last.items():
            if name.startswith("std_ratio_") and name != "std_ratio_dvr" and value < limits.min_std_ratio:
                self.status, self.message = "collapsed", f"{name} {value:.3f} is below {limits.min_std_ratio}"
        if last["effective_rank"] < limits.min_effective_rank:
            rank = last["effective_rank"]
            self.status, self.message = (
                "collapsed",
                f"effective rank {rank:.2f} is below {limits.min_effective_rank}",
            )

    def _save(self, work: Path) -> None:
        """Save the state for resuming; the one before it stays until the new one is whole."""
        state = {
            "identity": self.identity,
            "epoch": self.epoch,
            "history": self.history,
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict() if self.optimizer else {},
        }
        current = work / "resume.pt"
        if current.exists():
            current.replace(work / "resume.previous.pt")
        save_checkpoint(current, state)

    def _resume(self, work: Path) -> None:
        """Load the newest whole state in `work` that belongs to this run; say what was found."""
        for path in (work / "resume.pt", work / "resume.previous.pt"):
            if not path.exists():
                continue
            try:
                state, _ = load_checkpoint(path)
            except UserError as error:
                tqdm.write(f"not resumed: {error}")
                continue
            if state["identity"] != self.identity:
                tqdm.write(f"not resumed: {path} is of another recipe or code")
                continue
            self.method.load_state_dict(state["method"])
            if self.optimizer:  # built anew before a main epoch, so a state of the warm-up never reaches one
                self.optimizer.load_state_dict(state["optimizer"])
            self.epoch, self.history = state["epoch"], state["history"]
            tqdm.write(f"resumed {path} at epoch {self.epoch}/{self.epochs}")
            return
