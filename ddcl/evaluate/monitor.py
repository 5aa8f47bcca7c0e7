"""The monitor of a training run: kNN and effective rank on training images that are held out for it.

It does not use the test split, so its curves may be looked at as often as you like.
"""

from __future__ import annotations

import torch

from ddcl.core.losses import effective_rank
from ddcl.core.method import Method
from ddcl.core.seeds import generator
from ddcl.data.groups import leading_groups
from ddcl.data.images import Images
from ddcl.data.views import Pipeline
from ddcl.evaluate.encode import encode
from ddcl.evaluate.neighbours import knn_predict
from ddcl.schema.training import MonitorConfig


class Monitor:
    """Call it with a method: returns `knn_top1` in [0, 1] and `effective_rank` of the features.

    images: the clean training split.
    names: (dataset, seed), which determine the held-out images: the same for every method. Images of one group stay
    together, either as queries or as neighbours.
    """

    def __init__(self, images: Images, pipeline: Pipeline, config: MonitorConfig, names: tuple[str, int]) -> None:
        order = torch.randperm(len(images), generator=generator(*names, "monitor"))[: config.max_images]
        order, self.n_queries = leading_groups(images.groups, order, max(1, round(config.holdout_frac * len(order))))
        self.images = images.subset(order)
        self.pipeline = pipeline
        self.config = config

    def __call__(self, method: Method) -> dict[str, float]:
        n, features = self.n_queries, encode(method, self.images, (self.pipeline, 0, 0))
        labels = self.images.labels.to(features.device)
        bank = (features[n:], labels[n:])
        (predicted,) = knn_predict(bank, features[:n], [self.config.k], self.config.temperature)
        return {
            "knn_top1": float((predicted == labels[:n]).float().mean()),
            "effective_rank": float(effective_rank(features[:n])),
        }
