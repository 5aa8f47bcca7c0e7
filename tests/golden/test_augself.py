"""AugSelf against Lee et al. 2021, eq. 2 and 3, with the targets of the official code, written out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from baselines.augself import AugSelfBarlowTwins, AugSelfSimSiam
from ddcl.core.method import Batch, Method, Task
from ddcl.schema.methods import AugSelfBarlowTwinsSettings, AugSelfSimSiamSettings
from tests.golden import compare, reference, test_barlow_twins, test_simsiam

WEIGHTS = {"resized_crop": 0.9, "color_jitter": 0.7, "gaussian_blur": 0.6, "horizontal_flip": 0.5, "rotation": 0.8}
OWN: Any = {"weights": WEIGHTS, "hidden_dim": 7}
CASES: dict[str, Any] = {
    "simsiam": (AugSelfSimSiam, AugSelfSimSiamSettings(**test_simsiam.SETTINGS.model_dump(), **OWN)),
    "barlow_twins": (AugSelfBarlowTwins, AugSelfBarlowTwinsSettings(**test_barlow_twins.SETTINGS.model_dump(), **OWN)),
}
TASK = Task(3, 2, compare.OPS)


def batch() -> Batch:
    return replace(compare.two_views(), drawn=(compare.drawn(5), compare.drawn(6)))


def made(base: str, task: Task = TASK) -> Method:
    cls, settings = CASES[base]
    return compare.tiny(cls, settings, task=task)


def differences(a: int, b: int) -> dict[str, Any]:
    """View a minus view b, along x as view a has it, which may be mirrored; of the flip, whether both are alike."""
    views = [compare.all_that_is_told(own) for own in batch().drawn]
    rows = []
    for one, other in zip(views[a], views[b], strict=True):
        rows.append(one - other)
        if one[9]:  # both centres in the mirrored image: (1 - x) - (1 - x')
            rows[-1][0] = (1 - one[0]) - (1 - other[0])
    change = np.array(rows)
    return {
        "resized_crop": change[:, :4],
        "color_jitter": change[:, 4:8],
        "gaussian_blur": change[:, 8:9],
        "horizontal_flip": (change[:, 9:10] == 0).astype(float),
        "rotation": change[:, 10:],
    }


def base_loss(base: str, w: Any, x1: Any, x2: Any, targets: Any) -> Any:
    return test_simsiam.loss(w, x1, x2, targets) if base == "simsiam" else test_barlow_twins.loss(w, x1, x2)


def loss(base: str, w: Any, x1: Any, x2: Any, targets: Any = None) -> Any:
    h1, h2 = reference.encoder(w, x1), reference.encoder(w, x2)
    total = base_loss(base, w, x1, x2, targets)
    stack = np.concatenate if isinstance(x1, np.ndarray) else torch.cat
    both = stack([stack([h1, h2], 1), stack([h2, h1], 1)], 0)
    for op in WEIGHTS:
        target = np.concatenate([differences(0, 1)[op], differences(1, 0)[op]])
        target = target if isinstance(x1, np.ndarray) else torch.from_numpy(target)
        guess = reference.three_layers(w, f"predictors.{op}", both)
        if op == "horizontal_flip":
            share = 1 / (1 + 2.718281828459045 ** (-guess))
            own = -(target * reference.log(share) + (1 - target) * reference.log(1 - share)).mean()
        else:
            own = ((reference.tanh(guess) - target) ** 2).mean()
        total = total + WEIGHTS[op] * own
    return total


def targets_of(base: str, method: Method) -> Any:
    """SimSiam's stopped projections, as constants."""
    w = compare.arrays(method)
    return tuple(test_simsiam.project(w, x) for x in compare.pixels(batch())) if base == "simsiam" else None


@pytest.mark.parametrize("base", CASES)
def test_loss_is_the_formula(base: str) -> None:
    method = made(base)
    found = float(method.step(batch()).loss.detach())
    assert found == pytest.approx(
        loss(base, compare.arrays(method), *compare.pixels(batch())), rel=1e-6
    )  # drawn: float32


@pytest.mark.parametrize("base", CASES)
def test_gradients_are_those_of_the_formula(base: str) -> None:
    method, own = made(base), batch()
    stopped = targets_of(base, method)
    constants = None if stopped is None else tuple(torch.from_numpy(z) for z in stopped)
    compare.assert_gradients(method, own, lambda w: loss(base, w, own.x1, own.x2, constants), rtol=1e-6)


def test_only_what_the_augmentation_has_is_predicted() -> None:
    method = made("simsiam", Task(3, 2, compare.OPS[:2]))
    assert set(method.predictors) == {"resized_crop", "color_jitter"}
    step = method.step(
        replace(batch(), drawn=tuple({op: own[op] for op in method.predictors} for own in batch().drawn))
    )
    assert set(step.terms) == {"resized_crop", "color_jitter"}
