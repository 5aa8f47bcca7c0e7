"""Classifiers trained by SGD on augmented images, as in the sources; shared by the online probe and fine-tuning."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm

from ddcl.base.interrupt import MINUTES
from ddcl.build import build_pipeline
from ddcl.core.checkpoint import State
from ddcl.core.method import Method
from ddcl.core.optim import lr_factor
from ddcl.core.resume import SavedStates
from ddcl.core.seeds import derive, generator
from ddcl.data.batches import views
from ddcl.data.images import Images
from ddcl.data.loader import epoch_requests
from ddcl.evaluate.store import Asked
from ddcl.schema.evaluations import SgdSettings
from ddcl.schema.op_recipes import OpRecipe
from ddcl.schema.recipes import Recipe
from ddcl.schema.suites import NormalisationConfig
from ddcl.schema.training import ScheduleConfig

CROP_RATIO = [0.75, 1.3333333333333333]  # width / height: torchvision's, as in the sources
COSINE = ScheduleConfig(per="epoch", warmup_epochs=0, final_lr_frac=0.0)


@dataclass(frozen=True)
class ImageTask:
    """The input of a protocol that uses images.

    method: the run's, with its trained weights, on the device, without gradients. train, test: the data set's splits.
    names: (data set, seed), which determine order and draws; the same for all methods.
    normalisation: mean and std that the encoder was trained with.
    state: file for resuming; identity: digests that a saved state must match; checkpoint_minutes: longest time without
        saving.
    asked: as in `ddcl.evaluate.store.FeatureTask`.
    factors: the true factors [N] of the images of `train` and `test` by name, where they are known.
    """

    recipe: Recipe
    method: Method
    train: Images
    test: Images
    names: tuple[str, int]
    n_classes: int
    normalisation: NormalisationConfig
    state: Path
    identity: list[str]
    checkpoint_minutes: float = MINUTES
    asked: Asked | None = None
    factors: dict[str, dict[str, NDArray[np.float64]]] = field(default_factory=dict)

    def with_train(self, train: Images) -> ImageTask:
        """Return the same task with other training images."""
        return replace(self, train=train)

    @property
    def device(self) -> str:
        """Where the method is."""
        return next(self.method.parameters()).device.type


def new_classifier(width: int, n_classes: int, names: tuple[object, ...]) -> nn.Linear:
    """Return a linear classifier with weights from N(0, 0.01²) and bias 0, as in the official code."""
    classifier = nn.Linear(width, n_classes)
    with torch.no_grad():
        classifier.weight.copy_(0.01 * torch.randn(n_classes, width, generator=generator(*names, "classifier")))
        classifier.bias.zero_()
    return classifier


class SgdTraining:
    """Trains `units`, modules whose test accuracies are tracked separately, and keeps the best state of each.

    loss: (images [B, 3, S, S], labels [B]) -> scalar. scores: () -> accuracy of each unit on the clean test split.
    After `run`, the units have the weights of the last epoch; `best[i]` is the state of unit i in its best epoch on the
    *test* split (the first one in a tie), which the authors report.
    """

    def __init__(
        self,
        units: Sequence[nn.Module],
        optimizer: torch.optim.Optimizer,
        loss: Callable[[Tensor, Tensor], Tensor],
        scores: Callable[[], list[float]],
        settings: SgdSettings,
    ) -> None:
        self.units, self.optimizer, self.loss, self.scores, self.settings = units, optimizer, loss, scores, settings
        self.epoch = self.step = 0  # done: epochs, and steps of the next one
        self.top = [-1.0] * len(units)
        self.best: list[dict[str, Tensor]] = [{} for _ in units]

    def run(self, task: ImageTask) -> None:
        """Train to the last epoch, resuming from `task.state` if it holds a state of the same training."""
        epochs = self.settings.epochs
        with SavedStates(task.state, task.identity, task.checkpoint_minutes) as saved:
            self._resume(saved.load())
            for epoch in tqdm(range(self.epoch, epochs), initial=self.epoch, total=epochs, unit="epoch", disable=None):
                self._train_epoch(task, epoch, saved)
                self._follow()
                self.epoch, self.step = epoch + 1, 0
                if all(self.diverged):
                    break
                saved.pause(self._state, due=self.epoch % self.settings.save_epochs == 0 or self.epoch == epochs)

    @property
    def diverged(self) -> list[bool]:
        """For each unit, whether a weight or a statistic became infinite or NaN; this is permanent."""
        states = [unit.state_dict().values() for unit in self.units]
        return [not all(bool(value.isfinite().all()) for value in state) for state in states]

    def _train_epoch(self, task: ImageTask, epoch: int, saved: SavedStates) -> None:
        """Train one epoch, or the rest of it."""
        ops = [OpRecipe(op="resized_crop", settings={"scale": self.settings.crop_scale, "ratio": CROP_RATIO})]
        ops += [OpRecipe(op="horizontal_flip", settings={"prob": 0.5})] if self.settings.flip else []
        pipeline = build_pipeline(ops, task.recipe.data.image_side_px, task.normalisation)
        names = (*task.names, "probe")
        self._set_rate(epoch)
        requests = epoch_requests(len(task.train), self.settings.batch_size, names, (epoch, epoch), 1, drop_last=False)
        requests = requests[self.step :]
        for request, (x,) in zip(requests, views(task.train, requests, pipeline, task.device), strict=True):
            torch.manual_seed(derive(*names, "step", epoch, self.step))
            loss = self.loss(x, task.train.labels[request.index].to(x.device))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
            self.step += 1
            saved.pause(self._state)

    def _set_rate(self, epoch: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = group["top_lr"] * lr_factor(COSINE, epoch, self.settings.epochs)

    def _follow(self) -> None:
        for i, score in enumerate(self.scores()):
            if score > self.top[i]:
                self.top[i], self.best[i] = score, copy.deepcopy(self.units[i].state_dict())

    def _state(self) -> State:
        return {
            "epoch": self.epoch,
            "step": self.step,
            "units": [unit.state_dict() for unit in self.units],
            "optimizer": self.optimizer.state_dict(),
            "top": self.top,
            "best": self.best,
        }

    def _resume(self, state: State | None) -> None:
        if state is None:
            return
        for unit, weights in zip(self.units, state["units"], strict=True):
            unit.load_state_dict(weights)
        self.optimizer.load_state_dict(state["optimizer"])
        self.epoch, self.step, self.top, self.best = (state[name] for name in ("epoch", "step", "top", "best"))


def cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the mean cross-entropy of logits [B, classes]."""
    return F.cross_entropy(logits.float(), labels)
