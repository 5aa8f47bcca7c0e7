"""The linear probe as the authors run it: SGD on augmented images through the frozen encoder.

Official code: main_lincls.py. Classifiers on all parts are trained in one pass: they share the images and the encoder,
and nothing else. Two numbers come out of it: the last epoch's, and that of the best epoch on the test split, which is
what the authors report.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ddcl.core.optim import LARS
from ddcl.evaluate.sgd import ImageTask, SgdTraining, cross_entropy, new_classifier
from ddcl.evaluate.store import ColumnSets, Outcome, Predictions, TestFeatures, by_part, predict_all
from ddcl.schema.evaluations import OnlineSettings
from ddcl.schema.registry import TOP1, TOP1_BEST_TEST

LARS_TRUST = 0.001  # official SimSiam: apex's LARC with this trust coefficient


def evaluate(
    task: ImageTask, sets: ColumnSets, tests: TestFeatures, settings: OnlineSettings
) -> dict[str, list[Outcome]]:
    """Return, per part and column set, the predicted class of every test image, by draw.

    sets: the columns of the features that each classifier sees. tests: test features; the first are the clean ones.
    """
    columns = [torch.from_numpy(own).to(task.device) for part in sets.values() for own in part]
    names = (*task.names, "probe")
    heads = nn.ModuleList(new_classifier(len(own), task.n_classes, (*names, len(own))) for own in columns)
    heads.to(task.device)
    clean = tests[tests.draws[0]]
    clean_features = torch.from_numpy(clean.features).to(task.device).float()
    clean_labels = torch.from_numpy(clean.labels).to(task.device)

    def loss(x: Tensor, labels: Tensor) -> Tensor:
        with torch.no_grad():
            h = task.method.features(x).float()  # [B, D]; evaluation mode, no gradients
        terms = [cross_entropy(head(h[:, own]), labels) for head, own in zip(heads, columns, strict=True)]
        return torch.stack(terms).sum()  # of independent parameters: each head gets its own gradient

    @torch.no_grad()
    def classes(features: Tensor, number: int) -> Tensor:
        predicted: Tensor = heads[number](features[:, columns[number]]).argmax(dim=1)
        return predicted

    def scores() -> list[float]:
        return [float((classes(clean_features, i) == clean_labels).float().mean()) for i in range(len(heads))]

    def all_predictions(metric: str) -> list[Predictions]:
        def predict(features: NDArray[np.floating], numbers: list[int]) -> list[dict[str, NDArray[np.int64]]]:
            h = torch.from_numpy(features).to(task.device).float()
            return [{metric: classes(h, number).cpu().numpy()} for number in numbers]

        return predict_all(tests, sets, predict, task.asked)

    task.method.eval()
    training = SgdTraining(list(heads), _optimizer(heads, settings), loss, scores, settings)
    training.run(task)
    last = all_predictions(TOP1)
    for head, state in zip(heads, training.best, strict=True):
        head.load_state_dict(state)
    best = all_predictions(TOP1_BEST_TEST)
    return by_part(sets, [Outcome(own | own_best) for own, own_best in zip(last, best, strict=True)])


def _optimizer(heads: nn.Module, settings: OnlineSettings) -> torch.optim.Optimizer:
    lr = settings.lr_classifier * settings.batch_size / 256
    groups = [{"params": list(heads.parameters()), "top_lr": lr}]
    if settings.lars:
        return LARS(groups, lr, settings.momentum, settings.weight_decay, LARS_TRUST)
    return torch.optim.SGD(groups, lr=lr, momentum=settings.momentum, weight_decay=settings.weight_decay)
