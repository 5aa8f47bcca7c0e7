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
    """Two augmented views of the same B images, and what else the method's settings ask for (`MethodSettings.extras`).

    x1, x2: [B, 3, H, W] float32, normalised.
    labels: [B] int64 class indices; None unless `Method.supervised`, so that no other method can look at them.
    x0: the images as evaluations see them, without augmentation [B, 3, H, W]; of those who ask for `original`.
    x3: a third view [B, 3, S, S] with a crop of its own; of those who ask for `crop`.
    drawn: what was drawn for x1, x2 and, where it is there, x3; of those who ask for `drawn`. The operations have the
        names of the recipe, in its order; where one occurs again it is called `rotation.2`, and so on. Parameters and
        units are those that each operation's `sample` returns (`ddcl.data.ops`), such as angle_deg; `applied` [B] bool
        says which images it changed, the parameters of the others are those that leave an image as it is.
    """

    x1: Tensor
    x2: Tensor
    labels: Tensor | None = None
    x0: Tensor | None = None
    x3: Tensor | None = None
    drawn: tuple[Drawn, ...] = ()


@dataclass(frozen=True)
class Step:
    """What one training step computes.

    loss: scalar to be minimised.
    terms: named scalars for the history (detached by the engine).
    embeddings: named [B, d] projections whose spread goes to the history; `Method.tells_collapse` says which of them
        tell that a run has collapsed.
    """

    loss: Tensor
    terms: dict[str, Tensor] = field(default_factory=dict)
    embeddings: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Task:
    """What a method is trained on, for heads whose size depends on it.

    n_classes: of the data set. side_px: of the square views.
    ops: the operations of the augmentation in their order, each with all its settings (`ddcl.schema.ops`).
    """

    n_classes: int
    side_px: int
    ops: tuple[tuple[str, Mapping[str, Any]], ...]


class Method(nn.Module):
    """Base of all methods: an encoder, heads, and one training step.

    encoder: maps [B, 3, H, W] to features [B, D].
    feature_dim: D.
    settings: the method's own numbers, an instance of its settings model in `ddcl.schema.registry`.
    """

    trains = True  # False: the initial weights are the result (a floor)
    supervised = False  # True: `Batch.labels` are there. A reference, marked as such; the registry says the same

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: BaseModel) -> None:
        super().__init__()
        self.encoder = encoder
        self.feature_dim = feature_dim

    def prepare(self, task: Task) -> None:
        """Build the heads that depend on the task; called once, before anything else, with the heads' random stream."""

    def step(self, batch: Batch) -> Step:
        """Return loss and terms of one batch; gradients must reach the encoder and every head that is not frozen."""
        raise NotImplementedError(f"{type(self).__name__} does not define step(batch) -> Step")

    def features(self, x: Tensor) -> Tensor:
        """Return the representation [B, D] that evaluations see."""
        features: Tensor = self.encoder(x)
        return features

    def parts(self) -> dict[str, tuple[int, int]]:
        """Return the named column ranges [start, stop) of the features; `full` is always there."""
        return {"full": (0, self.feature_dim)}

    def projections(self, h: Tensor) -> dict[str, tuple[Tensor, Tensor]]:
        """Return, by part, what the loss compares between views: prediction and projection [N, d] of features h [N, D].

        Both are the projection where there is no predictor; without heads there are none.
        """
        return {}

    def fixed_lr(self) -> Sequence[nn.Module]:
        """Return the modules whose learning rate stays at its initial value (no decay)."""
        return ()

    def tells_collapse(self) -> Collection[str]:
        """Return the names of embeddings of `Step` whose spread tells collapse; of the others it may be anything."""
        return ("full",)

    def frozen(self) -> Sequence[nn.Module]:
        """Return the modules that no gradient reaches: teachers, made by `ddcl.core.teachers.frozen_copy`.

        They are attributes of the method like any head, so that they are saved and resumed with it. Only `after_step`
        changes their weights; BatchNorm statistics follow the images that pass.
        """
        return ()

    def after_step(self, progress: float) -> None:
        """Run after each optimiser step: teachers follow. Changes nothing but frozen modules.

        progress: share of all training steps that are done, this one included, in (0, 1].
        """
