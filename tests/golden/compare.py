"""A tiny method in float64, and its comparison with a formula of `tests.golden.reference`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import nn

from ddcl.core.method import Batch, Method, Task

B, FEATURE_DIM = 8, 10
PIXELS = (3, 2, 2)
TASK = Task(n_classes=3, side_px=2, ops=())
Formula = Callable[[Mapping[str, Any]], Any]  # parameters by name -> loss


def tiny(cls: type[Method], settings: BaseModel, seed: int = 0) -> Method:
    """Return a float64 method in training mode with a linear encoder, every parameter drawn anew.

    BatchNorm's scale and shift and all biases are drawn too: at their initial values, mistakes in them are invisible.
    """
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(PIXELS)), FEATURE_DIM))
    method = cls(encoder, FEATURE_DIM, settings)
    method.prepare(TASK)
    method.double().train()
    rng = torch.Generator().manual_seed(seed)
    for name, p in method.named_parameters():
        centre = 1.0 if p.ndim == 1 and name.endswith("weight") else 0.0
        p.data = centre + 0.4 * torch.randn(p.shape, generator=rng, dtype=torch.float64)
    return method


def two_views(seed: int = 1) -> Batch:
    """Return float64 views [8, 3, 2, 2] that resemble each other."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(3, B, *PIXELS, generator=rng, dtype=torch.float64)
    return Batch(x[0] + 0.5 * x[1], x[0] + 0.5 * x[2])


def arrays(method: Method) -> dict[str, Any]:
    """Return copies of the parameters as float64 arrays."""
    return {name: p.detach().numpy().copy() for name, p in method.named_parameters()}


def pixels(batch: Batch) -> tuple[Any, Any]:
    """Return the two views as arrays."""
    return batch.x1.numpy(), batch.x2.numpy()


def formula_gradients(method: Method, formula: Formula) -> dict[str, torch.Tensor | None]:
    """Return the gradient of `formula` for every parameter, by autograd; None where it does not appear."""
    leaves = {name: p.detach().clone().requires_grad_() for name, p in method.named_parameters()}
    formula(leaves).backward()
    return {name: leaf.grad for name, leaf in leaves.items()}


def assert_gradients(method: Method, batch: Batch, formula: Formula, rtol: float = 1e-11) -> None:
    """Every trainable parameter's gradient is that of the formula; `rtol` is relative to the largest gradient."""
    method.zero_grad()
    method.step(batch).loss.backward()
    expected = formula_gradients(method, formula)
    largest = max(float(g.abs().max()) for g in expected.values() if g is not None)
    for name, p in method.named_parameters():
        assert expected[name] is not None, f"{name} stands in the method, not in the formula"
        if p.requires_grad:
            assert p.grad is not None, name
            torch.testing.assert_close(
                p.grad, expected[name], rtol=rtol, atol=rtol * largest, msg=lambda m, n=name: f"{n}: {m}"
            )


def assert_finite_differences(method: Method, batch: Batch, formula: Formula, names: list[str]) -> None:
    """Gradients of all entries of the parameters `names` are central differences of the formula in numpy."""
    method.zero_grad()
    method.step(batch).loss.backward()
    parameters = dict(method.named_parameters())
    w = arrays(method)
    step = 1e-5
    for name in names:
        grad = parameters[name].grad
        assert grad is not None, name
        expected = np.zeros_like(w[name])
        for index in np.ndindex(w[name].shape):
            value = w[name][index]
            w[name][index] = value + step
            above = formula(w)
            w[name][index] = value - step
            below = formula(w)
            w[name][index] = value
            expected[index] = (above - below) / (2 * step)
        assert np.abs(expected).max() > 1e-4, f"{name}: a gradient of zero proves nothing"
        np.testing.assert_allclose(grad.numpy(), expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max(), err_msg=name)


def encoder_gradient(method: Method, batch: Batch) -> torch.Tensor:
    """Return the gradient of the step's loss for the encoder's weight."""
    method.zero_grad()
    method.step(batch).loss.backward()
    grad = method.encoder[1].weight.grad  # type: ignore[index]
    assert isinstance(grad, torch.Tensor)
    return grad.clone()


def assert_one_pass_per_view(method: Method, batch: Batch, norm: str, inputs: Callable[[Any], Any]) -> None:
    """The running statistics of the BatchNorm `norm` moved twice: by view 1 and then by view 2, each on its own.

    inputs: what this BatchNorm sees of a view.
    """
    state = method.state_dict()
    mean, variance = state[f"{norm}.running_mean"].numpy().copy(), state[f"{norm}.running_var"].numpy().copy()
    method.step(batch)
    for x in pixels(batch):
        seen = inputs(x)
        mean = 0.9 * mean + 0.1 * seen.mean(0)
        variance = 0.9 * variance + 0.1 * seen.var(0, ddof=1)
    state = method.state_dict()
    assert int(state[f"{norm}.num_batches_tracked"]) == 2
    np.testing.assert_allclose(state[f"{norm}.running_mean"].numpy(), mean, rtol=1e-12, atol=1e-14)
    np.testing.assert_allclose(state[f"{norm}.running_var"].numpy(), variance, rtol=1e-12)


def n_parameters(module: nn.Module) -> int:
    """Return the number of parameters, frozen ones included."""
    return sum(p.numel() for p in module.parameters())
