"""Readout: how well a known factor of an image can be predicted, linearly, from features of the image.

Fitted to some images, scored on others. Numbers by ridge regression (Hoerl and Kennard 1970), classes by the linear
probe (`ddcl.evaluate.linear`). The l2 penalty of each is chosen on a held-out share of the images that it is fitted to.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddcl.core.seeds import generator
from ddcl.data.groups import leading_groups
from ddcl.evaluate import linear
from ddcl.evaluate.store import ColumnSets, Features, FeatureTask
from ddcl.schema.evaluations import LinearSettings
from ddcl.schema.feature_index import CLEAN_DRAW
from ddcl.schema.registry import TOP1


@dataclass(frozen=True)
class FactorData:
    """Features of images of which a factor is known.

    features: [N, D]. factor: [N, k] float, or classes [N, 1]. groups: [N], of images that are not independent;
    None: all are independent.
    """

    features: Tensor
    factor: Tensor
    groups: Tensor | None = None

    def shuffled(self, seed: int) -> FactorData:
        """Return the same features with shuffled factors: a control from which nothing can be read."""
        order = torch.randperm(len(self.factor), generator=generator(seed, "shuffled"))
        return FactorData(self.features, self.factor[order.to(self.factor.device)], self.groups)


@dataclass(frozen=True)
class ReadoutResult:
    """The readout of one part: scores [column sets], and the predicted factor [column sets, M, k]."""

    scores: NDArray[np.float64]
    predicted: NDArray[np.float32]


class Ridge:
    """Ridge regression of y [N, k] on any columns of x [N, D], float64, from one Gram matrix.

    Minimises the mean over images of ‖y − W x‖², plus l2 · ‖W‖²; the intercept is free.
    """

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.mean_x, self.mean_y = x.mean(dim=0), y.mean(dim=0)
        centred = x - self.mean_x
        self.gram = centred.T @ centred / len(x)
        self.cross = centred.T @ (y - self.mean_y) / len(x)

    def predict(self, x: Tensor, columns: Tensor, l2: Tensor, of: Tensor | None = None) -> Tensor:
        """Return the predictions [L, M, k] of x [M, D] from the columns `columns`, one for each penalty [L].

        of: which columns of y are predicted; None: all k.
        """
        wanted = slice(None) if of is None else of
        cross = self.cross[columns][:, wanted].expand(len(l2), -1, -1)
        penalised = self.gram[columns[:, None], columns].repeat(len(l2), 1, 1)
        penalised.diagonal(dim1=1, dim2=2).add_(l2[:, None])
        weights = torch.cholesky_solve(cross, torch.linalg.cholesky(penalised))  # [L, w, k]
        predicted: Tensor = (x[:, columns] - self.mean_x[columns]) @ weights + self.mean_y[wanted]
        return predicted


def r2(true: Tensor, predicted: Tensor) -> float:
    """Return R² = 1 − Σ (y − ŷ)² / Σ (y − mean y)² of [M, k], the mean over k; 0 for a column that does not vary."""
    left = (true - predicted).square().sum(dim=0)
    total = (true - true.mean(dim=0)).square().sum(dim=0)
    return float(torch.where(total > 0, 1 - left / total.clamp_min(torch.finfo(total.dtype).tiny), 0.0).mean())


def read_numbers(
    train: FactorData, test: FactorData, sets: ColumnSets, settings: LinearSettings, seed: int
) -> dict[str, ReadoutResult]:
    """Return, by part, the R² on `test` and the predictions of ridge regressions that were fitted to `train`.

    Features are standardised with the mean and standard deviation of `train`. Each of several numbers has its own
    penalty. Images of one group are held out together.
    """
    (x, y), (test_x, true) = (_double(known, train) for known in (train, test))
    held, kept = (rows.to(x.device) for rows in held_out(len(x), train.groups, settings.holdout_frac, seed))
    tried, final, held_x, held_y = Ridge(x[kept], y[kept]), Ridge(x, y), x[held], y[held]
    l2 = torch.tensor(settings.l2_weights, dtype=x.dtype, device=x.device).sort(descending=True).values
    results = {}
    for part, columns in sets.items():
        scores, predicted = [], []
        for chosen in (torch.from_numpy(each).to(x.device) for each in columns):
            errors = (tried.predict(held_x, chosen, l2) - held_y).square().sum(dim=1)  # [L, k]
            best = errors.argmin(dim=0)  # of equals, the largest penalty
            all_k = final.predict(test_x, chosen, l2[best])  # [k, M, k]: the penalty of each number
            guess = torch.diagonal(all_k, dim1=0, dim2=2)  # [M, k]
            scores.append(r2(true, guess))
            predicted.append(guess.float().cpu().numpy())
        results[part] = ReadoutResult(np.array(scores), np.stack(predicted))
    return results


def held_out(n: int, groups: Tensor | None, frac: float, seed: int) -> tuple[Tensor, Tensor]:
    """Return which of n rows are held out to choose a penalty on, a share `frac` of them, and which are not.

    Rows of one group are held out together.
    """
    order = torch.randperm(n, generator=generator(seed, "readout"))
    order, n_held = leading_groups(groups, order, min(n - 1, max(1, round(frac * n))))
    return order[:n_held], order[n_held:]


def _double(known: FactorData, train: FactorData) -> tuple[Tensor, Tensor]:
    """Return features, standardised as `train`'s are, and factor, both float64."""
    x = train.features.double()
    std = x.std(dim=0, correction=0)
    std = torch.where(std > 0, std, 1.0)
    return (known.features.double() - x.mean(dim=0)) / std, known.factor.double()


def read_classes(
    train: FactorData, test: FactorData, sets: ColumnSets, settings: LinearSettings, seed: int
) -> dict[str, ReadoutResult]:
    """Return, by part, the balanced accuracy on `test` and the classes that linear probes on `train` predict."""
    fitted, held = (
        Features(
            known.features.cpu().numpy(),
            known.factor[:, 0].long().cpu().numpy(),
            None if known.groups is None else known.groups.numpy(),
        )
        for known in (train, test)
    )
    task = FeatureTask(fitted, {CLEAN_DRAW: held}, sets, seed, train.features.device.type)
    results = {}
    for part, outcomes in linear.evaluate(task, settings).items():
        classes = np.stack([outcome.predictions[TOP1][CLEAN_DRAW] for outcome in outcomes])
        scores = np.array([balanced_accuracy(held.labels, each) for each in classes])
        results[part] = ReadoutResult(scores, classes[..., None].astype(np.float32))
    return results


def balanced_accuracy(true: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    """Return the mean over the classes in `true` of the share predicted correctly; chance is 1 / classes."""
    return float(np.mean([(predicted[true == label] == label).mean() for label in np.unique(true)]))
