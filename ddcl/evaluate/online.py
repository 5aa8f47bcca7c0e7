"""The linear probe as the authors run it: SGD on augmented images through the frozen encoder.

Official code: main_lincls.py. Classifiers on all parts are trained in one pass; they share only the images and the
encoder. There are two results: the accuracy of the last epoch, and that of the best epoch on the clean test images,
which is what the authors report.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ddcl.base.errors import UserError
from ddcl.core.optim import LARC
from ddcl.evaluate.sgd import ImageTask, SgdTraining, cross_entropy, new_classifier
from ddcl.evaluate.store import ColumnSets, Outcome, Predictions, TestFeatures, by_part, predict_all
from ddcl.schema.evaluations import OnlineSettings
from ddcl.schema.feature_index import CLEAN_DRAW
from ddcl.schema.names import CLEAN
from ddcl.schema.registry import TOP1, TOP1_BEST_TEST

TRUST = 0.001  # official SimSiam: apex's LARC with this trust coefficient


def evaluate(
    task: ImageTask, sets: ColumnSets, tests: TestFeatures, settings: OnlineSettings
) -> dict[str, list[Outcome]]:
    """Return, per part and column set, the predicted class of every test image, by draw; none if a probe diverged.

    sets: the columns of the features that each classifier sees. tests: test features, which must
    include the clean ones: the best epoch is chosen on them. `UserError` without them.
    """
    if CLEAN_DRAW not in tests:
        names = ", ".join(dict.fromkeys(draw.perturbation for draw in tests))
        raise UserError(
            f"online: needs the clean test images for the best epoch, found {names}; add {CLEAN} to --perturbations"
        )
    probes, clean = Probes(task, sets), tests[CLEAN_DRAW]
    features = torch.from_numpy(clean.features).to(task.device).float()
    labels = torch.from_numpy(clean.labels).to(task.device)

    def all_predictions(metric: str) -> list[Predictions]:
        def predict(features: NDArray[np.floating], numbers: list[int]) -> list[dict[str, NDArray[np.int64]]]:
            h = torch.from_numpy(features).to(task.device).float()
            return [{metric: probes.classes(h, number).cpu().numpy()} for number in numbers]

        return predict_all(tests, sets, predict, task.asked)

    task.method.eval()
    optimizer = probe_optimizer(probes.heads, settings)
    training = SgdTraining(
        list(probes.heads), optimizer, probes.loss, lambda: probes.accuracies(features, labels), settings
    )
    training.run(task)
    diverged = training.diverged
    last = all_predictions(TOP1)
    for head, state in zip(probes.heads, training.best, strict=True):
        head.load_state_dict(state)
    best = all_predictions(TOP1_BEST_TEST)
    both = zip(last, best, diverged, strict=True)
    return by_part(sets, [Outcome({} if lost else own | own_best) for own, own_best, lost in both])


class Probes:
    """One linear classifier for each column set of each part, in order, on the features of the task's encoder."""

    def __init__(self, task: ImageTask, sets: ColumnSets) -> None:
        self.encoder = task.method
        self.columns = [torch.from_numpy(own).to(task.device) for part in sets.values() for own in part]
        names = (*task.names, "probe")
        self.heads = nn.ModuleList(
            new_classifier(len(own), task.n_classes, (*names, len(own))) for own in self.columns
        ).to(task.device)

    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        """Return the sum of the classifiers' losses on images [B, 3, S, S]: each gets its own gradient."""
        with torch.no_grad():
            h = self.encoder.features(x).float()  # [B, D]; evaluation mode, no gradients
        both = zip(self.heads, self.columns, strict=True)
        return torch.stack([cross_entropy(head(h[:, own]), labels) for head, own in both]).sum()

    @torch.no_grad()
    def classes(self, features: Tensor, number: int) -> Tensor:
        """Return the classes [N] that one classifier predicts from features [N, D]."""
        predicted: Tensor = self.heads[number](features[:, self.columns[number]]).argmax(dim=1)
        return predicted

    def accuracies(self, features: Tensor, labels: Tensor) -> list[float]:
        """Return the accuracy of each classifier."""
        return [float((self.classes(features, i) == labels).float().mean()) for i in range(len(self.heads))]


def probe_optimizer(heads: nn.Module, settings: OnlineSettings) -> torch.optim.Optimizer:
    """Return SGD over weights and biases of the classifiers, wrapped in LARC if the settings say so."""
    lr = settings.lr_classifier * settings.batch_size / 256
    groups = [{"params": list(heads.parameters()), "top_lr": lr}]
    if settings.lars:
        return LARC(groups, lr, settings.momentum, settings.weight_decay, TRUST)
    return torch.optim.SGD(groups, lr=lr, momentum=settings.momentum, weight_decay=settings.weight_decay)
