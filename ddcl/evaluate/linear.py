"""Linear probe on frozen features: multinomial logistic regression, solved to convergence.

The features are extracted once. The official probe (SGD on augmented images, best test epoch) is another protocol and
must not share a column with this one. The l2 penalty is chosen on a held-out part of the training split, and the probe
is then fitted to all of it. The test split is used once, to report. All parts and penalties are solved together.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddcl.base.errors import UserError
from ddcl.data.groups import held_groups
from ddcl.evaluate.logistic import Problems, Rows, minimise, moments
from ddcl.evaluate.store import FeatureTask, Outcome, by_part, predict_all
from ddcl.schema.evaluations import LinearSettings
from ddcl.schema.registry import TOP1


def hold_out(
    labels: NDArray[np.int64], share: float, seed: int, groups: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the indices to fit to and those held out: of each class ``round(share · n)`` images, at least one.

    groups: [N]; images of one group are not independent and stay together (`ddcl.data.groups`); None: no groups.
    """
    try:
        held = held_groups(labels, groups, share, np.random.Generator(np.random.PCG64(seed)))
    except UserError as error:
        raise UserError(f"linear: {error}") from None
    return np.flatnonzero(~held), np.flatnonzero(held)


def predict(rows: Rows, weights: Tensor) -> Tensor:
    """Return the class [N, M] that each of the probes [D + 1, K, M] gives each row."""
    width, n_classes, m = weights.shape
    flat = weights.reshape(width, -1)
    return torch.cat([(x @ flat).view(-1, n_classes, m).argmax(dim=1) for x in rows.chunks(n_classes * m)])


def choose(scores: Tensor, l2_weights: Tensor) -> Tensor:
    """Return, for each part, the candidate with the best score [parts, candidates]; in a tie, the largest penalty."""
    best = scores == scores.amax(dim=1, keepdim=True)
    return torch.where(best, l2_weights, torch.zeros_like(l2_weights)).argmax(dim=1)


@dataclass(frozen=True)
class Probes:
    """Fitted probes, one for each column set.

    weights: [D + 1, K, M] for features standardised with mean and std [D]. classes: [K], their labels.
    l2_weights, iterations: of each probe.
    """

    weights: Tensor
    classes: NDArray[np.int64]
    mean: Tensor
    std: Tensor
    l2_weights: list[float]
    iterations: list[int]

    def predict(self, features: NDArray[np.floating], numbers: list[int]) -> NDArray[np.int64]:
        """Return the classes [N, m] that the probes `numbers` give features [N, D]."""
        rows = Rows(features, np.arange(len(features)), self.mean, self.std)
        predicted: NDArray[np.int64] = self.classes[predict(rows, self.weights[..., numbers]).cpu().numpy()]
        return predicted


def fit(task: FeatureTask, settings: LinearSettings) -> Probes:
    """Fit a probe to each column set of the clean training features.

    Features are standardised with the training split's mean and standard deviation first, so that one list of
    penalties fits features of any scale.
    """
    features, candidates = task.train.features, settings.l2_weights
    classes, labels = np.unique(task.train.labels, return_inverse=True)
    mean, std = moments(features, task.device)
    own_sets = [own for part in task.sets.values() for own in part]
    columns = torch.zeros(features.shape[1], len(own_sets), dtype=torch.bool)
    for number, own in enumerate(own_sets):
        columns[torch.from_numpy(own), number] = True
    l2_weights = torch.tensor(candidates, device=task.device)
    target = torch.from_numpy(labels).to(task.device)

    kept, held = hold_out(task.train.labels, settings.holdout_frac, task.seed, task.train.groups)
    every_columns = columns.to(task.device).repeat_interleave(len(candidates), dim=1)
    tried = Problems(every_columns, l2_weights.repeat(len(own_sets)), len(classes))
    weights, _ = minimise(Rows(features, kept, mean, std), target[kept], tried, settings.max_iterations)
    right = predict(Rows(features, held, mean, std), weights) == target[held, None]
    chosen = choose(right.sum(dim=0).view(len(own_sets), -1), l2_weights)

    best = torch.arange(len(own_sets), device=task.device) * len(candidates) + chosen
    rows, start = Rows(features, np.arange(len(features)), mean, std), weights[..., best]
    weights, iterations = minimise(rows, target, tried.only(best), settings.max_iterations, start)
    return Probes(weights, classes, mean, std, [candidates[i] for i in chosen.tolist()], iterations.tolist())


def evaluate(task: FeatureTask, settings: LinearSettings) -> dict[str, list[Outcome]]:
    """Predict the class of every test image, by draw, with the probe of each column set."""
    probes = fit(task, settings)

    def predictions(features: NDArray[np.floating], numbers: list[int]) -> list[dict[str, NDArray[np.int64]]]:
        return [{TOP1: own} for own in probes.predict(features, numbers).T]

    predicted = predict_all(task.tests, task.sets, predictions, task.asked)
    numbers = zip(probes.l2_weights, probes.iterations, strict=True)
    chosen = ({"l2_weight": l2_weight, "iterations": float(n)} for l2_weight, n in numbers)
    return by_part(task.sets, [Outcome(*each) for each in zip(predicted, chosen, strict=True)])
