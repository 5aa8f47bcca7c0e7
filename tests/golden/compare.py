"""A tiny method in float64, and its comparison with a formula of `tests.golden.reference`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import BaseModel
from torch import nn

from ddcl.core.method import Batch, Method, Task
from tests.golden import reference

B, FEATURE_DIM = 8, 10
PIXELS = (3, 2, 2)
TASK = Task(n_classes=3, side_px=2, ops=())
Formula = Callable[[Mapping[str, Any]], Any]  # parameters by name -> loss


def tiny(cls: type[Method], settings: BaseModel, seed: int = 0, task: Task = TASK) -> Method:
    """Return a float64 method in training mode with a linear encoder, every parameter drawn anew.

    BatchNorm's scale and shift and all biases are drawn too: at their initial values, mistakes in them are invisible.
    """
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(PIXELS)), FEATURE_DIM))
    method = cls(encoder, FEATURE_DIM, settings)
    method.prepare(task)
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


OPS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("resized_crop", {"scale": [0.2, 1.0], "ratio": [0.75, 1.33]}),
    ("color_jitter", {"brightness": 0.4, "contrast": 0.4, "saturation": 0.2, "hue": 0.1, "prob": 0.8}),
    ("gaussian_blur", {"sigma_px": [0.1, 2.0], "prob": 0.5}),
    ("horizontal_flip", {"prob": 0.5}),
    ("rotation", {"degrees_max": 90.0, "prob": 0.5}),
)


def drawn(seed: int) -> dict[str, dict[str, torch.Tensor]]:
    """Return parameters of the operations `OPS` for 8 images of 10 × 20 px; the last two are not changed by any."""
    rng = torch.Generator().manual_seed(seed)
    u = torch.rand(12, B, generator=rng, dtype=torch.float64)
    crop = {"image_height_px": torch.full((B,), 10), "image_width_px": torch.full((B,), 20)}
    crop |= {"height_px": (4 + 6 * u[0]).long(), "width_px": (8 + 12 * u[1]).long()}
    crop |= {"top_px": ((10 - crop["height_px"]) * u[2]).long(), "left_px": ((20 - crop["width_px"]) * u[3]).long()}
    on = torch.arange(B) < B - 2
    jitter = {
        f"{name}_factor": 1 + on * (u[4 + i] - 0.5) for i, name in enumerate(("brightness", "contrast", "saturation"))
    }
    jitter |= {"applied": on, "hue_turns": on * (u[7] - 0.5) / 5}
    return {
        "resized_crop": crop,
        "color_jitter": jitter,
        "gaussian_blur": {"applied": on, "sigma_px": on * 2 * u[8]},
        "horizontal_flip": {"applied": on & (u[9] < 0.5)},
        "rotation": {"applied": on, "angle_deg": on * (u[10] - 0.5) * 180},
    }


def all_that_is_told(params: dict[str, dict[str, torch.Tensor]]) -> Any:
    """Return what is drawn as numbers [8, 11], written out: crop, jitter, blur, flip and rotation in their order."""
    crop, jitter = params["resized_crop"], params["color_jitter"]
    rows = []
    for i in range(B):
        height, width = float(crop["image_height_px"][i]), float(crop["image_width_px"][i])
        row = [(float(crop["left_px"][i]) + float(crop["width_px"][i]) / 2) / width]
        row += [(float(crop["top_px"][i]) + float(crop["height_px"][i]) / 2) / height]
        row += [float(crop["width_px"][i]) / width, float(crop["height_px"][i]) / height]
        row += [(float(jitter["brightness_factor"][i]) - 1) / 0.8, (float(jitter["contrast_factor"][i]) - 1) / 0.8]
        row += [(float(jitter["saturation_factor"][i]) - 1) / 0.4, float(jitter["hue_turns"][i]) / 0.2]
        row += [float(params["gaussian_blur"]["sigma_px"][i]) / 2, float(params["horizontal_flip"]["applied"][i])]
        rows.append([*row, float(params["rotation"]["angle_deg"][i]) / 180])
    return np.array(rows)


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


Loss = Callable[[Any, Any, Any], Any]  # parameters, x1, x2 -> loss


def assert_loss(method: Method, loss: Loss, batch: Batch | None = None) -> None:
    """The loss of a step on two views is loss(parameters, x1, x2), in float64."""
    batch = batch or two_views()
    step = method.step(batch)
    assert step.loss.dtype == torch.float64
    assert float(step.loss.detach()) == pytest.approx(loss(arrays(method), *pixels(batch)), rel=1e-12)


def assert_all_gradients(method: Method, loss: Loss, names: list[str], batch: Batch | None = None) -> None:
    """Every gradient of a step on two views is that of loss(parameters, x1, x2); of `names` in numpy, too."""
    batch = batch or two_views()
    assert_finite_differences(method, batch, lambda w: loss(w, *pixels(batch)), names)
    assert_gradients(method, batch, lambda w: loss(w, batch.x1, batch.x2))


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


def assert_projector_has_one_pass_per_view(method: Method) -> None:
    """The first BatchNorm of the method's only projector sees one view at a time."""
    w = arrays(method)
    first = partial(reference.matrix, w, "projector.0")
    assert_one_pass_per_view(method, two_views(), "projector.1", lambda x: first(reference.encoder(w, x)))


def n_parameters(module: nn.Module) -> int:
    """Return the number of parameters, frozen ones included."""
    return sum(p.numel() for p in module.parameters())
