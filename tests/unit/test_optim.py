"""Learning rates by hand, LARS against the official rule, parameter groups."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from ddcl.base.yaml_files import NoSettings
from ddcl.core.method import Method
from ddcl.core.optim import LARC, LARS, build_optimizer, lr_factor, parameter_groups, scaled_lr, set_lr, set_warmup_lr
from ddcl.evaluate.online import probe_optimizer
from ddcl.schema.evaluations import OnlineSettings
from ddcl.schema.training import OptimizerConfig, ScheduleConfig

SIMSIAM = ScheduleConfig(per="epoch", warmup_epochs=0, final_lr_frac=0.0)
BARLOW = ScheduleConfig(per="step", warmup_epochs=10, final_lr_frac=0.001)


def optimizer_config(**changes: object) -> OptimizerConfig:
    values: dict[str, object] = {
        "name": "sgd",
        "base_lr": 0.05,
        "lr_scaling": "batch/256",
        "momentum": 0.9,
        "weight_decay": 1e-4,
        "decay_1d": True,
    }
    return OptimizerConfig.model_validate(values | changes)


class Toy(Method):
    """An encoder, a projector and a predictor whose rate is fixed."""

    def __init__(self) -> None:
        super().__init__(nn.Linear(3, 2), 2, NoSettings())
        self.projector = nn.Sequential(nn.Linear(2, 4, bias=False), nn.BatchNorm1d(4))
        self.constant = nn.Parameter(torch.ones(2, 2), requires_grad=False)
        self.predictor = nn.Linear(4, 4)

    def fixed_lr(self) -> Sequence[nn.Module]:
        return [self.predictor]


# --- schedules


@pytest.mark.parametrize(
    ("batch_size", "scaling", "expected"),
    [(256, "batch/256", 0.05), (512, "batch/256", 0.1), (128, "batch/256", 0.025), (512, "none", 0.05)],
)
def test_rate_scales_with_the_batch(batch_size: int, scaling: str, expected: float) -> None:
    assert scaled_lr(0.05, optimizer_config(lr_scaling=scaling), batch_size) == pytest.approx(expected, rel=1e-15)


def test_simsiam_and_ddcl_schedule_by_hand() -> None:
    """lr_e = lr0 · (1 + cos(π e / E)) / 2 for e = 0 … E - 1; E = 4: cos 0°, 45°, 90°, 135°."""
    root = math.sqrt(2) / 2
    expected = [1.0, (1 + root) / 2, 0.5, (1 - root) / 2]
    assert [lr_factor(SIMSIAM, e, 4) for e in range(4)] == pytest.approx(expected, rel=1e-12)
    assert [lr_factor(SIMSIAM, e, 3) for e in range(3)] == pytest.approx([1, 0.75, 0.25], rel=1e-12)
    assert lr_factor(SIMSIAM, 499, 500) > 0  # it never reaches 0


def official_barlow_factor(step: int, steps_per_epoch: int, epochs: int) -> float:
    """adjust_learning_rate of the official main.py, relative to the rate at its top."""
    max_steps = epochs * steps_per_epoch
    warmup_steps = 10 * steps_per_epoch
    if step < warmup_steps:
        return step / warmup_steps
    step -= warmup_steps
    max_steps -= warmup_steps
    q = 0.5 * (1 + math.cos(math.pi * step / max_steps))
    return q + 0.001 * (1 - q)


def test_barlow_twins_schedule_is_the_official_one_at_every_step() -> None:
    steps, epochs = 7, 30
    for step in range(steps * epochs):
        epoch = step // steps + (step % steps) / steps
        expected = official_barlow_factor(step, steps, epochs)
        assert lr_factor(BARLOW, epoch, epochs) == pytest.approx(expected, rel=1e-12), step


def test_barlow_twins_schedule_by_hand() -> None:
    """Warm-up from 0: half of it is half the rate; top at epoch 10; the middle of the cosine; towards 0.1 %."""
    assert lr_factor(BARLOW, 0, 1000) == 0
    assert lr_factor(BARLOW, 5, 1000) == pytest.approx(0.5, rel=1e-15)
    assert lr_factor(BARLOW, 10, 1000) == 1
    assert lr_factor(BARLOW, 505, 1000) == pytest.approx(0.5005, rel=1e-12)
    assert lr_factor(BARLOW, 1000, 1000) == pytest.approx(0.001, rel=1e-12)
    rates = [lr_factor(BARLOW, e, 1000) for e in range(10, 1001)]
    assert all(a > b for a, b in itertools.pairwise(rates))


@pytest.mark.parametrize("warmup", [1, 3])
def test_a_warm_up_by_epoch_spends_no_epoch_at_rate_zero(warmup: int) -> None:
    """(e + 1) / (w + 1): 1/2 for one epoch; 1/4, 1/2, 3/4 for three; then the cosine from its top."""
    schedule = ScheduleConfig(per="epoch", warmup_epochs=warmup, final_lr_frac=0.0)
    rates = [lr_factor(schedule, e, 10) for e in range(warmup + 1)]
    assert rates == pytest.approx([(e + 1) / (warmup + 1) for e in range(warmup + 1)], rel=1e-15)


@pytest.mark.parametrize("epochs", [1, 5, 10])
def test_runs_that_are_not_longer_than_the_warm_up_stay_finite(epochs: int) -> None:
    rates = [lr_factor(BARLOW, e, epochs) for e in range(epochs)]
    assert rates == pytest.approx([e / 10 for e in range(epochs)], rel=1e-15)


def test_fixed_rate_of_a_predictor_does_not_decay() -> None:
    optimizer = build_optimizer(Toy(), optimizer_config(), 512)
    assert {group["lr"] for group in optimizer.param_groups} == {0.1}
    seen: dict[bool, list[float]] = {True: [], False: []}
    for epoch in range(3):
        set_lr(optimizer, lr_factor(SIMSIAM, epoch, 3))
        for group in optimizer.param_groups:
            seen[group["fixed_lr"]].append(group["lr"])
    assert seen[True] == [0.1, 0.1, 0.1]
    assert seen[False] == pytest.approx([0.1, 0.075, 0.025], rel=1e-12)


def test_extra_warm_up_of_the_official_code_by_hand() -> None:
    """lr_e = 1e-9 + lr0 · e / 30, e = 0 … 29, for every parameter: the first epoch stands still, the last has 29/30."""
    optimizer = build_optimizer(Toy(), optimizer_config(), 256)
    seen = []
    for epoch in range(30):
        set_warmup_lr(optimizer, epoch, 30)
        rates = {group["lr"] for group in optimizer.param_groups}
        assert len(rates) == 1  # the predictor's rate is not fixed here
        seen += rates
    assert seen[0] == pytest.approx(1e-9, rel=1e-12)
    assert seen[15] == pytest.approx(1e-9 + 0.025, rel=1e-12)
    assert seen[29] == pytest.approx(1e-9 + 0.05 * 29 / 30, rel=1e-12)


def test_one_dimensional_parameters_can_have_a_rate_of_their_own() -> None:
    """Official Barlow Twins: 0.2 · B / 256 for weights, 0.0048 · B / 256 for biases and BatchNorm; B = 2048."""
    method = Toy()
    config = optimizer_config(name="lars", base_lr=0.2, base_lr_1d=0.0048, decay_1d=False)
    optimizer = build_optimizer(method, config, 2048)
    for factor in (1.0, 0.5):
        set_lr(optimizer, factor)
        rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
        own = {name: rates[id(p)] for name, p in method.named_parameters() if p.requires_grad}
        assert own["encoder.weight"] == pytest.approx(1.6 * factor)
        assert own["encoder.bias"] == own["projector.1.weight"] == pytest.approx(0.0384 * factor)
        assert own["predictor.weight"] == pytest.approx(1.6)  # fixed
        assert own["predictor.bias"] == pytest.approx(0.0384)


# --- parameter groups


def names_by_group(method: Method, config: OptimizerConfig) -> dict[tuple[bool, float], set[str]]:
    names = {id(p): name for name, p in method.named_parameters()}
    return {
        (group["fixed_lr"], group["weight_decay"]): {names[id(p)] for p in group["params"]}
        for group in parameter_groups(method, config, 256)
    }


def test_groups_with_decay_on_everything() -> None:
    assert names_by_group(Toy(), optimizer_config()) == {
        (False, 1e-4): {
            "encoder.weight",
            "encoder.bias",
            "projector.0.weight",
            "projector.1.weight",
            "projector.1.bias",
        },
        (True, 1e-4): {"predictor.weight", "predictor.bias"},
    }


def test_groups_without_decay_on_biases_and_batch_norm() -> None:
    assert names_by_group(Toy(), optimizer_config(decay_1d=False)) == {
        (False, 1e-4): {"encoder.weight", "projector.0.weight"},
        (False, 0.0): {"encoder.bias", "projector.1.weight", "projector.1.bias"},
        (True, 1e-4): {"predictor.weight"},
        (True, 0.0): {"predictor.bias"},
    }


@pytest.mark.parametrize("name", ["sgd", "lars", "adam", "adamw"])
def test_every_trainable_parameter_is_optimised_once_and_no_frozen_one(name: str) -> None:
    method = Toy()
    optimizer = build_optimizer(method, optimizer_config(name=name, decay_1d=False), 256)
    found = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert len(found) == len(set(found))
    assert set(found) == {id(p) for p in method.parameters() if p.requires_grad}
    kinds = {"sgd": torch.optim.SGD, "lars": LARS, "adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    assert type(optimizer) is kinds[name]
    for group in optimizer.param_groups:
        decayed = all(p.ndim > 1 for p in group["params"])
        assert group["weight_decay"] == (1e-4 if decayed else 0.0)
        momentum = group["betas"][0] if name.startswith("adam") else group["momentum"]
        assert momentum == 0.9


def test_sgd_step_by_hand() -> None:
    """v = g + wd · w; w = 1 - lr · (0.5 + 0.1 · 1); then with momentum on top."""
    method = Toy()
    config = optimizer_config(base_lr=0.1, weight_decay=0.1, momentum=0.5)
    optimizer = build_optimizer(method, config, 256)
    w = method.encoder.weight
    assert isinstance(w, nn.Parameter)
    w.data.fill_(1.0)
    w.grad = torch.full_like(w, 0.5)
    optimizer.step()
    assert w[0, 0].item() == pytest.approx(1 - 0.1 * 0.6, rel=1e-6)
    optimizer.step()
    assert w[0, 0].item() == pytest.approx(0.94 - 0.1 * (0.5 * 0.6 + 0.5 + 0.1 * 0.94), rel=1e-6)


# --- LARS


def official_lars(p: np.ndarray, grads: list[np.ndarray], lr: float, decay: float, adapted: bool) -> np.ndarray:
    """The rule of the official Barlow Twins main.py in numpy, momentum 0.9, eta 0.001."""
    mu = np.zeros_like(p)
    for grad in grads:
        dp = grad + decay * p
        if adapted:
            p_norm, dp_norm = np.sqrt((p**2).sum()), np.sqrt((dp**2).sum())
            if p_norm > 0 and dp_norm > 0:
                dp = dp * 0.001 * p_norm / dp_norm
        mu = 0.9 * mu + dp
        p = p - lr * mu
    return p


@pytest.mark.parametrize("shape", [(4, 3), (5,), (2, 3, 3, 3)], ids=["matrix", "bias", "convolution"])
@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_lars_is_the_official_rule(shape: tuple[int, ...], decay: float) -> None:
    """1-D parameters are not adapted; weight decay is theirs only if their group says so."""
    rng = np.random.default_rng(0)
    start, grads = rng.normal(size=shape), [rng.normal(size=shape) for _ in range(4)]
    p = nn.Parameter(torch.from_numpy(start.copy()))
    optimizer = LARS([{"params": [p], "weight_decay": decay}], lr=0.2, momentum=0.9, weight_decay=9.0, trust=0.001)
    for grad in grads:
        p.grad = torch.from_numpy(grad.copy())
        optimizer.step()
        assert np.array_equal(p.grad.numpy(), grad)  # the gradient is not changed
    expected = official_lars(start, grads, 0.2, decay, adapted=len(shape) > 1)
    np.testing.assert_allclose(p.detach().numpy(), expected, rtol=1e-13, atol=0)


def test_lars_by_hand() -> None:
    """‖w‖ = 5, ‖g‖ = 10: the step is lr · 0.001 · 5 / 10 · g."""
    p = nn.Parameter(torch.tensor([[3.0, 4.0]], dtype=torch.float64))
    p.grad = torch.tensor([[6.0, -8.0]], dtype=torch.float64)
    LARS([p], lr=2.0, momentum=0.9, weight_decay=0.0, trust=0.001).step()
    assert p.tolist()[0] == pytest.approx([3 - 2 * 0.0005 * 6, 4 + 2 * 0.0005 * 8], rel=1e-14)


def test_lars_does_not_adapt_where_a_norm_is_zero() -> None:
    zero_weight, zero_grad = nn.Parameter(torch.zeros(2, 2)), nn.Parameter(torch.ones(2, 2))
    zero_weight.grad, zero_grad.grad = torch.ones(2, 2), torch.zeros(2, 2)
    without = nn.Parameter(torch.ones(2, 2))
    LARS([zero_weight, zero_grad, without], lr=0.5, momentum=0.9, weight_decay=0.0, trust=0.001).step()
    assert torch.equal(zero_weight.detach(), torch.full((2, 2), -0.5))
    assert torch.equal(zero_grad.detach(), torch.ones(2, 2))
    assert torch.equal(without.detach(), torch.ones(2, 2))  # no gradient, no step


def test_lars_goes_on_from_a_saved_state() -> None:
    grad = torch.tensor([[1.0, 2.0]])
    whole, halves = nn.Parameter(torch.ones(1, 2)), nn.Parameter(torch.ones(1, 2))
    first, second = (LARS([p], lr=0.3, momentum=0.9, weight_decay=0.1, trust=0.001) for p in (whole, halves))
    for _ in range(2):
        whole.grad = grad.clone()
        first.step()
    halves.grad = grad.clone()
    second.step()
    third = LARS([halves], lr=0.1, momentum=0.0, weight_decay=0.0, trust=1.0)
    third.load_state_dict(second.state_dict())
    halves.grad = grad.clone()
    third.step()
    assert torch.equal(whole.detach(), halves.detach())


# --- LARC, of the ImageNet probe

# Three steps of apex's LARC (e13873d, clip=False, trust 0.001) around SGD, lr 1.6, momentum 0.9, in float64.
# By weight decay: a weight [2, 2], a bias [2], and a bias that starts at 0, whose first step is not adapted.
APEX = {
    0.0: [
        *(0.298695950515215, -0.198154196242602, 0.0987183726785779, 0.399005888690883),
        *(-8.5381852361014e-05, 0.0499267474869086),
        *(-0.00866508558730286, 0.00431875492657615),
    ],
    0.5: [
        *(0.298547870807753, -0.198124478411547, 0.098696947734416, 0.398681800619297),
        *(-7.11677455029358e-05, 0.0498923137175938),
        *(-0.00866069230376078, 0.00432129246806663),
    ],
}


@pytest.mark.parametrize("decay", list(APEX))
def test_larc_is_apex_s(decay: float) -> None:
    def double(*values: float) -> torch.Tensor:
        return torch.tensor(values, dtype=torch.float64)

    weight = nn.Parameter(double(0.3, -0.2, 0.1, 0.4).view(2, 2))
    bias, zero = nn.Parameter(double(0.0, 0.05)), nn.Parameter(double(0.0, 0.0))
    optimizer = LARC([weight, bias, zero], 1.6, 0.9, decay, 0.001)
    for of_weight, of_bias in (
        (double(1.0, -2.0, 0.5, 0.25), double(0.2, -0.1)),
        (double(-0.3, 0.1, 2.0, 1.0), double(-0.4, 0.3)),
        (double(0.7, 0.2, -1.0, 0.0), double(0.1, 0.6)),
    ):
        weight.grad, bias.grad, zero.grad = of_weight.view(2, 2), of_bias, 0.01 * of_bias
        optimizer.step()
    found = torch.cat([p.detach().flatten() for p in (weight, bias, zero)]).tolist()
    assert found == pytest.approx(APEX[decay], rel=1e-13, abs=1e-16)


def test_the_imagenet_probe_adapts_its_bias() -> None:
    settings = OnlineSettings(epochs=1, batch_size=4096, weight_decay=0.0, lr_classifier=0.1, lars=True)
    heads = nn.Linear(3, 2)
    optimizer = probe_optimizer(heads, settings)
    assert isinstance(optimizer, LARC)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(1.6)
    assert {id(p) for p in optimizer.param_groups[0]["params"]} == {id(heads.weight), id(heads.bias)}
