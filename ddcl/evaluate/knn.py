"""Weighted kNN on frozen features (Wu et al. 2018, arXiv 1805.01978, sec. 3.4)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from ddcl.evaluate.store import Features, Outcome
from ddcl.registry import KnnSettings


def knn_predict(
    bank: tuple[Tensor, Tensor], queries: Tensor, k: int, temperature: float, chunk_images: int = 4096
) -> Tensor:
    """Return the predicted class [M] of each query.

    bank: features [N, D] and labels [N] that vote.
    queries: features [M, D].
    Each of the k nearest by cosine votes for its class with weight ``exp(cosine / temperature)``. Ties go to the
    lower class index. The similarity matrix exists `chunk_images` rows at a time.
    """
    features, labels = bank
    k = min(k, len(features))
    bank_normalised = F.normalize(features.float(), dim=1)
    n_classes = int(labels.max()) + 1
    predicted = []
    for chunk in torch.split(queries, chunk_images):
        similarity = F.normalize(chunk.float(), dim=1) @ bank_normalised.T  # [m, N]
        nearest, index = similarity.topk(k, dim=1)  # [m, k]
        # relative to the nearest, so that a small temperature does not overflow; the arg max is the same
        weight = torch.exp((nearest - nearest[:, :1]) / temperature)
        votes = torch.zeros(len(chunk), n_classes, device=chunk.device)
        votes.scatter_add_(1, labels[index], weight)  # [m, classes]
        predicted.append(votes.argmax(dim=1))
    return torch.cat(predicted)


def evaluate(train: Features, tests: Mapping[str, Features], settings: KnnSettings, seed: int) -> Outcome:
    """Predict the class of every test image, by name of the draw: the training features vote.

    Nothing is fitted and nothing drawn (`seed` is not used).
    """
    bank = (torch.from_numpy(train.features), torch.from_numpy(train.labels))
    options = (settings.k, settings.temperature, settings.chunk_images)
    return Outcome(
        {name: knn_predict(bank, torch.from_numpy(test.features), *options).numpy() for name, test in tests.items()}
    )
