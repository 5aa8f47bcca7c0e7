"""Linear probe on frozen features: multinomial logistic regression, solved to convergence.

The features are extracted once; the official probe (SGD on augmented images, best test epoch) is another protocol and
must not share a column with this one. The l2 penalty is chosen on a held-out part of the training split, the probe is
then fitted to all of it, and the test split is read once, to report.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split

from ddcl.core.errors import UserError
from ddcl.evaluate.store import Features, Outcome
from ddcl.registry import LinearSettings


def fit(
    features: NDArray[np.float64], labels: NDArray[np.int64], l2_weight: float, max_iterations: int
) -> LogisticRegression:
    """Return the minimiser of ``mean cross-entropy + l2_weight / 2 · ‖W‖²`` (biases free), by L-BFGS from zero.

    With two classes scikit-learn has one weight vector in place of two, which makes the same penalty half as strong.
    """
    # scikit-learn minimises C · sum of cross-entropies + ‖W‖² / 2
    probe = LogisticRegression(C=1 / (l2_weight * len(labels)), max_iter=max_iterations, tol=1e-5)
    return probe.fit(features, labels)


def choose_l2(features: NDArray[np.float64], labels: NDArray[np.int64], settings: LinearSettings, seed: int) -> float:
    """Return the candidate with the best accuracy on a stratified hold-out of the training split; ties: the largest."""
    try:
        parts = train_test_split(features, labels, test_size=settings.holdout_frac, stratify=labels, random_state=seed)
    except ValueError as error:
        raise UserError(f"linear: cannot hold out {settings.holdout_frac} of {len(labels)} images ({error})") from None
    fit_x, held_x, fit_y, held_y = parts
    scores = {
        weight: float((fit(fit_x, fit_y, weight, settings.max_iterations).predict(held_x) == held_y).mean())
        for weight in sorted(settings.l2_weights, reverse=True)
    }
    return max(scores, key=lambda weight: scores[weight])


def evaluate(train: Features, tests: Mapping[str, Features], settings: LinearSettings, seed: int) -> Outcome:
    """Predict the class of every test image, by name of the draw, with one probe fitted to clean training features.

    Features are standardised with the training split's mean and standard deviation first, so that one list of
    penalties fits features of any scale.
    """
    x = train.features.astype(np.float64)
    mean, std = x.mean(axis=0), x.std(axis=0)
    scale = np.where(std > 0, std, 1.0)
    x = (x - mean) / scale
    l2_weight = choose_l2(x, train.labels, settings, seed)
    probe = fit(x, train.labels, l2_weight, settings.max_iterations)
    predictions = {
        name: probe.predict((test.features.astype(np.float64) - mean) / scale).astype(np.int64)
        for name, test in tests.items()
    }
    return Outcome(predictions, chosen={"l2_weight": l2_weight, "iterations": float(probe.n_iter_.max())})
