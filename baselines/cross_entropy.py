"""Cross-entropy with the labels: a supervised reference, not a competing method."""

from __future__ import annotations

from torch import nn
from torch.nn import functional as F

from ddcl.core.losses import full_precision
from ddcl.core.method import Batch, Method, Step, Task


class CrossEntropy(Method):
    """Predict the class of both views with a linear classifier."""

    supervised = True
    classifier: nn.Linear

    def prepare(self, task: Task) -> None:
        self.classifier = nn.Linear(self.feature_dim, task.n_classes)

    def step(self, batch: Batch) -> Step:
        assert batch.labels is not None
        first, second = (full_precision(self.classifier(self.encoder(x))) for x in (batch.x1, batch.x2))  # [B, classes]
        loss = 0.5 * (F.cross_entropy(first, batch.labels) + F.cross_entropy(second, batch.labels))
        return Step(loss, embeddings={"full": first})

    def tells_collapse(self) -> tuple[str, ...]:
        return ()  # its loss draws the images of a class together to one point
