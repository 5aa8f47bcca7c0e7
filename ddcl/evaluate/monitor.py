"""The monitor of a training run: kNN and effective rank on training images that are held out for it.

The test split is not touched, so a curve can be looked at as often as one likes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ddcl.core.config import MonitorConfig
from ddcl.core.losses import effective_rank
from ddcl.core.method import Method
from ddcl.core.seeds import generator
from ddcl.data.views import Pipeline
from ddcl.evaluate.encode import encode
from ddcl.evaluate.knn import knn_predict


class Monitor:
    """Call it with a method: returns `knn_top1` in [0, 1] and `effective_rank` of the features.

    images: uint8 [N, 3, S, S]; labels: int64 [N]; the clean training split.
    names: (dataset, seed), from which the hold-out derives: the same images for every method.
    """

    def __init__(
        self, data: tuple[Tensor, Tensor], pipeline: Pipeline, config: MonitorConfig, names: tuple[str, int]
    ) -> None:
        images, labels = data
        order = torch.randperm(len(images), generator=generator(*names, "monitor"))
        self.n_queries = max(1, round(config.holdout_frac * len(images)))
        self.images, self.labels = images[order], labels[order]
        self.pipeline = pipeline
        self.config = config

    def __call__(self, method: Method) -> dict[str, float]:
        features = encode(method, self.images, self.pipeline, stream=0)
        n = self.n_queries
        predicted = knn_predict((features[n:], self.labels[n:]), features[:n], self.config.k, self.config.temperature)
        return {
            "knn_top1": float((predicted == self.labels[:n]).float().mean()),
            "effective_rank": float(effective_rank(features[:n])),
        }
