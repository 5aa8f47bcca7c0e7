"""An evaluation: the nearest class mean, on stored features."""

from __future__ import annotations

import numpy as np

from ddcl.evaluate.store import FeatureTask, Measured
from ddcl.schema.evaluations import EvaluationSettings, TaskSize, Work
from ddcl.schema.metrics import Metric
from ddcl.schema.plugins import plugin
from ddcl.schema.registry import EvaluationEntry

NEAREST = Metric(name="nearest_mean", label="nearest mean", unit="%", decimals=1, better="higher")


class MeansSettings(EvaluationSettings):
    """No numbers."""

    def work(self, size: TaskSize) -> Work:
        """Next to none."""
        return Work(flops=1.0)


@plugin(EvaluationEntry, MeansSettings, metrics=(NEAREST,), predicts=False)
def evaluate(task: FeatureTask, settings: MeansSettings) -> Measured:
    """Return the share of test images that are nearest to the mean of their class."""
    values: dict[tuple[str, str, str], list[list[float]]] = {}
    x, y = task.train.features.astype(np.float64), task.train.labels
    classes = np.unique(y)
    for draw, test in task.tests.items():
        for part, sets in task.sets.items():
            right = []
            for own in sets:
                means = np.stack([x[y == label][:, own].mean(0) for label in classes])
                far = np.square(test.features[:, own].astype(np.float64)[:, None] - means).sum(-1)
                right.append(float((classes[far.argmin(1)] == test.labels).mean()))
            values.setdefault((draw.perturbation, part, NEAREST.name), []).append(right)
    return Measured({address: np.array(own).T for address, own in values.items()}, len(test.labels))
