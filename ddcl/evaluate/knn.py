"""Weighted kNN on frozen features."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ddcl.evaluate.neighbours import knn_predict
from ddcl.evaluate.store import FeatureTask, Outcome, by_part, predict_all
from ddcl.schema.evaluations import KnnSettings
from ddcl.schema.metrics import knn_accuracy
from ddcl.schema.registry import TOP1


def evaluate(task: FeatureTask, settings: KnnSettings) -> dict[str, list[Outcome]]:
    """Predict the class of every test image by a vote of clean training images. Nothing is fitted or random."""
    bank = torch.from_numpy(task.train.features).to(task.device)
    labels = torch.from_numpy(task.train.labels).to(task.device)
    columns = [torch.from_numpy(own).to(task.device) for part in task.sets.values() for own in part]
    ks = {TOP1: settings.k, **{knn_accuracy(k).name: k for k in settings.also_k}}

    def predict(features: NDArray[np.floating], numbers: list[int]) -> list[dict[str, NDArray[np.int64]]]:
        queries = torch.from_numpy(features).to(task.device)
        found = []
        for own in (columns[number] for number in numbers):
            predicted = knn_predict((bank, labels), queries, list(ks.values()), settings.temperature, own)
            found.append({metric: classes.cpu().numpy() for metric, classes in zip(ks, predicted, strict=True)})
        return found

    return by_part(task.sets, [Outcome(own) for own in predict_all(task.tests, task.sets, predict, task.asked)])
