"""The contract between a method and the engine.

A method owns the networks and the loss. The engine owns optimiser, schedule, precision, devices, checkpoints,
logging and seeds, and knows no method by name.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pydantic import BaseModel
from torch import Tensor, nn

Drawn: TypeAlias = Mapping[str, Mapping[str, Tensor]]  # by operation, its parameters by name, each [B, …]


@dataclass(frozen=True)
class Batch:
    """Two augmented views of the same B images, and whatever else the method requests (`MethodSettings.extras`).

    x1, x2: [B, 3, H, W] float32, normalised.
    labels: [B] int64 class indices; None unless `Method.supervised`, so that other methods cannot use them.
    x0: the images as evaluations see them, without augmentation [B, 3, H, W]; if the method requests `original`.
    x3: a third view [B, 3, S, S] with a crop of its own; if the method requests `crop`.
    drawn: the augmentation parameters of x1, x2 and, if present, x3; if the method requests `drawn`. Operations have
        the names and the order of the recipe; a repeated one is called `rotation.2`, and so on. Parameters and units
        are those that each operation's `sample` returns (`ddcl.data.ops`), such as angle_deg. `applied` [B] bool says
        which images were changed; for the others, the parameters are those that leave an image unchanged.
    """

    x1: Tensor
    x2: Tensor
    labels: Tensor | None = None
    x0: Tensor | None = None
    x3: Tensor | None = None
    drawn: tuple[Drawn, ...] = ()


@dataclass(frozen=True)
class Step:
    """The result of one training step.

    loss: scalar to be minimised.
    terms: named scalars for the history (detached by the engine).
    embeddings: named [B, d] projections whose spread is recorded in the history; `Method.tells_collapse` names those
        that indicate a collapsed run.
    """

    loss: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    embeddings: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """The data and augmentation that a method is trained with, for heads whose size depends on them.

    n_classes: of the data set. side_px: side of the square views.
    ops: the operations of the augmentation in order, each with all its settings (`ddcl.schema.ops`).
    """

    n_classes: int
    side_px: int
    ops: tuple[tuple[str, Mapping[str, Any]], ...]


class Method(nn.Module):
    """Base of all methods: an encoder, heads, and one training step.

    encoder: maps [B, 3, H, W] to features [B, D].
    feature_dim: D.
    settings: the method's own settings, an instance of its model in `ddcl.schema.registry`.
    """

    trains = True  # False: the initial weights are the result (a lower bound)
    supervised = False  # True: `Batch.labels` is set. Marked as a reference, as in the registry

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: BaseModel) -> None:
        super().__init__()
        self.encoder = encoder
        self.feature_dim = feature_dim

    def prepare(self, task: Task) -> None:
        """Build the heads that depend on the task; called once and first, under the heads' random stream."""

    def step(self, batch: Batch) -> Step:
        """Return loss and terms of one batch; gradients must reach the encoder and every head that is not frozen."""
        raise NotImplementedError(f"{type(self).__name__} does not define step(batch) -> Step")

    def features(self, x: Tensor) -> Tensor:
        """Return the representation [B, D] that is evaluated."""
        features: Tensor = self.encoder(x)
        return features

    def parts(self) -> dict[str, tuple[int, int]]:
        """Return the named column ranges [start, stop) of the features; always includes `full`."""
        return {"full": (0, self.feature_dim)}

    def projections(self, h: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Return, by part, what the loss compares between views: prediction and projection [N, d] of features h [N, D].

        Without a predictor, both are the projection; without heads, the result is empty.
        """
        return {}

    def fixed_lr(self) -> Sequence[nn.Module]:
        """Return the modules whose learning rate stays at its initial value (no decay)."""
        return ()

    def tells_collapse(self) -> Collection[str]:
        """Return the names of those embeddings of `Step` whose low spread means collapse."""
        return ("full",)

    def frozen(self) -> Sequence[nn.Module]:
        """Return the modules that receive no gradients: teachers, made by `ddcl.core.teachers.frozen_copy`.

        They are attributes of the method like any head, so they are saved and resumed with it. Only `after_step`
        changes their weights; their BatchNorm statistics are updated by the images that pass through them.
        """
        return ()

    def after_step(self, progress: float) -> None:
        """Update the teachers after each optimiser step. Must change only frozen modules.

        progress: share of all training steps done so far, including this one, in (0, 1].
        """
