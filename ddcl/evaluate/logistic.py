"""Many multinomial logistic regressions on the same rows at once, each on its own columns and with its own penalty.

Batched L-BFGS (Nocedal and Wright, Numerical Optimization, algorithm 7.4): all problems share one matrix product per
evaluation, and each has its own curvature, step length and end. Rows are processed in chunks, so that memory is
bounded.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

HISTORY = 10  # pairs of steps and gradient changes that the curvature is made of
GRADIENT_TOLERANCE = 1e-5  # of the largest entry
ARMIJO = 1e-4
ROUNDING = 1e-7  # of a value, relative: what float32 cannot tell from no change
SHORTEST_STEP = 1e-6
MOST_LIVE = 0.8  # share; until then, problems that have ended run on, unread: to drop them copies the rest
KEPT_BYTES = 2**30  # rows up to this size are converted once and kept; more are converted at each pass
CHUNK_BYTES = 2**24  # of what one chunk of rows and its logits take


@dataclass(frozen=True)
class Problems:
    """M problems: minimise ``mean cross-entropy + l2 / 2 · ‖W‖²`` over the weights of their columns; biases are free.

    columns: bool [D, M]. l2: [M]. n_classes: K.
    """

    columns: Tensor
    l2: Tensor
    n_classes: int

    def only(self, kept: Tensor) -> Problems:
        """Return those of the problems that `kept` (bool or index [m]) names."""
        return Problems(self.columns[:, kept], self.l2[kept], self.n_classes)


@dataclass
class Rows:
    """Rows of a feature array, standardised and with a last column of ones, in chunks.

    features: [N, D], of any float type, also memory-mapped. index: which rows. mean, std: [D], on the device to compute
    on; a std of 0 counts as 1.
    """

    features: NDArray[np.floating]
    index: NDArray[np.int64]
    mean: Tensor
    std: Tensor
    kept: list[Tensor] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.index)

    def chunks(self, n_logits: int) -> Iterator[Tensor]:
        """Yield float32 [n, D + 1]; n_logits: of each row, that the memory of a chunk has room for."""
        if self.kept:
            yield from self.kept
            return
        width = self.features.shape[1] + 1
        size = max(64, CHUNK_BYTES // (4 * (width + n_logits)))
        keep = 4 * width * len(self) <= KEPT_BYTES
        for start in range(0, len(self), size):
            chunk = self._standardised(self.index[start : start + size])
            if keep:
                self.kept.append(chunk)
            yield chunk

    def _standardised(self, index: NDArray[np.int64]) -> Tensor:
        x = torch.from_numpy(self.features[index]).to(self.mean.device).float()
        scale = torch.where(self.std > 0, self.std, torch.ones_like(self.std))
        return torch.cat([(x - self.mean) / scale, x.new_ones(len(x), 1)], dim=1)


def moments(features: NDArray[np.floating], device: str) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation [D] of the rows, float32, from sums in float64."""
    total = torch.zeros(features.shape[1], dtype=torch.float64, device=device)
    squares, shift = total.clone(), torch.from_numpy(features[:1].astype(np.float64)).to(device)
    size = max(64, CHUNK_BYTES // (8 * features.shape[1]))
    for start in range(0, len(features), size):
        x = torch.from_numpy(features[start : start + size]).to(device).double() - shift
        total += x.sum(dim=0)
        squares += x.square_().sum(dim=0)
    mean = total / len(features)
    variance = (squares / len(features) - mean.square()).clamp_(min=0)
    return (mean + shift[0]).float(), variance.sqrt_().float()


def value_and_gradient(rows: Rows, labels: Tensor, problems: Problems, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Return the objective [M], float64, and its gradient [D + 1, K, M] at `weights` [D + 1, K, M].

    labels: [N], from 0 to K − 1.
    """
    width, n_classes, m = weights.shape
    flat = weights.reshape(width, -1)
    loss = torch.zeros(m, dtype=torch.float64, device=weights.device)
    gradient = torch.zeros_like(flat)
    start = 0
    for x in rows.chunks(n_classes * m):
        own = labels[start : start + len(x), None, None].expand(-1, 1, m)  # [n, 1, M]
        start += len(x)
        log_p = torch.log_softmax((x @ flat).view(len(x), n_classes, m), dim=1)
        loss -= log_p.gather(1, own).sum(dim=0, dtype=torch.float64)[0]
        residual = log_p.exp_()
        residual.scatter_add_(1, own, residual.new_full((1, 1, 1), -1.0).expand_as(own))
        gradient.addmm_(x.T, residual.view(len(x), -1))
    gradient = gradient.view_as(weights) / len(rows)
    penalised = weights[:-1]
    loss = loss / len(rows) + 0.5 * problems.l2 * penalised.square().sum(dim=(0, 1), dtype=torch.float64)
    gradient[:-1] += problems.l2 * penalised
    gradient[:-1] *= problems.columns[:, None]
    return loss, gradient


@dataclass
class _State:
    """Where each of the problems still running stands; the last dimension of every tensor is theirs."""

    weights: Tensor
    value: Tensor
    gradient: Tensor
    step: Tensor  # length of the next trial
    scale: Tensor  # of the first Hessian: sᵀy / yᵀy of the last accepted step
    pairs: deque[tuple[Tensor, Tensor, Tensor]]  # s, y, 1 / sᵀy; the last is 0 where nothing was accepted

    def direction(self) -> Tensor:
        """Return the quasi-Newton direction (the two-loop recursion) of each problem."""
        q, alphas = self.gradient.clone(), []
        for s, y, rho in reversed(self.pairs):
            alpha = rho * _dot(s, q)
            q -= alpha * y
            alphas.append(alpha)
        q *= self.scale
        for (s, y, rho), alpha in zip(self.pairs, reversed(alphas), strict=True):
            q += (alpha - rho * _dot(y, q)) * s
        return -q

    def only(self, kept: Tensor) -> _State:
        pairs = deque(((s[..., kept], y[..., kept], rho[kept]) for s, y, rho in self.pairs), maxlen=HISTORY)
        weights, gradient = self.weights[..., kept], self.gradient[..., kept]
        return _State(weights, self.value[kept], gradient, self.step[kept], self.scale[kept], pairs)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum(dim=(0, 1))


def minimise(
    rows: Rows, labels: Tensor, problems: Problems, max_iterations: int, start: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Return the minimisers [D + 1, K, M] and the iterations [M] that each took, from `start` or from 0.

    A problem is finished when no entry of its gradient exceeds 1e-5, or when no step lowers its value.
    """
    shape = (problems.columns.shape[0] + 1, problems.n_classes, len(problems.l2))
    weights = torch.zeros(shape, device=problems.l2.device) if start is None else start.clone()
    found, iterations = weights.clone(), torch.zeros(shape[2], dtype=torch.int64)
    running = torch.arange(shape[2], device=weights.device)
    value, gradient = value_and_gradient(rows, labels, problems, weights)
    norm = _dot(gradient, gradient).sqrt().clamp_(min=1e-12)
    state = _State(weights, value, gradient, (1 / norm).clamp_(max=1.0), torch.ones_like(norm), deque(maxlen=HISTORY))
    live = torch.ones_like(running, dtype=torch.bool)  # which of those running have not ended
    for iteration in range(max_iterations + 1):
        ended = live & ((state.gradient.abs().amax(dim=(0, 1)) <= GRADIENT_TOLERANCE) | (state.step < SHORTEST_STEP))
        if iteration == max_iterations:
            ended = live
        if ended.any():
            found[..., running[ended]] = state.weights[..., ended]
            iterations[running[ended].cpu()] = iteration
            live = live & ~ended
            if not live.any():
                break
            if live.sum() <= MOST_LIVE * len(live):
                state, problems, running, live = state.only(live), problems.only(live), running[live], live[live]
        _iterate(state, rows, labels, problems)
    return found, iterations


def _iterate(state: _State, rows: Rows, labels: Tensor, problems: Problems) -> None:
    """Try one step of every problem; if it does not lower the value enough, the next trial is half as long."""
    direction = state.direction()
    slope = _dot(state.gradient, direction)
    step = state.step * direction
    trial = state.weights + step
    value, gradient = value_and_gradient(rows, labels, problems, trial)
    accepted = value <= state.value * (1 + ROUNDING) + ARMIJO * state.step * slope
    change = gradient - state.gradient
    curvature = _dot(step, change)
    usable = accepted & (curvature > 0)
    rho = torch.where(usable, 1 / curvature, torch.zeros_like(curvature))
    state.scale = torch.where(usable, curvature / _dot(change, change), state.scale)
    state.pairs.append((step, change, rho))
    state.weights = torch.where(accepted, trial, state.weights)
    state.value = torch.where(accepted, value, state.value)
    state.gradient = torch.where(accepted, gradient, state.gradient)
    state.step = torch.where(accepted, torch.ones_like(state.step), 0.5 * state.step)
