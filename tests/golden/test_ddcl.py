"""Asymmetric DDCL against the loss that the authors' code computes, written out.

L = -1/2 E[c(p_I1, sg z_I2)] - 1/2 E[c(p_I2, sg z_I1)] + w · |1/2 E[c(p_V1, sg z_V2)] + 1/2 E[c(p_V2, sg z_V1)]|
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from ddcl.core.method import Batch, Method
from ddcl.method import DDCL
from ddcl.schema.methods import DDCLSettings
from tests.golden import compare, reference

WEIGHT = 0.7
SETTINGS = DDCLSettings(projector_dim=6, predictor_hidden_dim=3, dir_frac=0.8, dvr_weight=WEIGHT)


@pytest.fixture(params=[1, -1], ids=["cosine as drawn", "cosine negated"])
def method(request: pytest.FixtureRequest) -> Method:
    """With both signs of the DVR cosine: negating the predictor's last layer negates p_V."""
    method = compare.tiny(DDCL, SETTINGS)
    assert isinstance(method, DDCL)
    for p in method.predictor_dvr[3].parameters():
        p.data *= request.param
    return method


def forward(w: Any, x: Any) -> dict[str, Any]:
    """z and p of both parts; DIR is the first 8 of the 10 features."""
    h = reference.encoder(w, x)
    result = {}
    for part, columns in (("dir", h[:, :8]), ("dvr", h[:, 8:])):
        z = reference.simsiam_projector(w, f"projector_{part}", columns)
        result[f"z_{part}"], result[f"p_{part}"] = z, reference.predictor(w, f"predictor_{part}", z)
    return result


def targets(w: Any, x: Any) -> dict[str, Any]:
    return {name: value for name, value in forward(w, x).items() if name.startswith("z")}


def terms(w: Any, x1: Any, x2: Any, frozen: Any = None) -> tuple[Any, Any]:
    """DIR loss and signed DVR cosine; frozen: the z of both views as constants, or None: not stopped."""
    one, two = forward(w, x1), forward(w, x2)
    target1, target2 = frozen or (one, two)
    cosine = {
        part: (
            reference.mean_cosine(one[f"p_{part}"], target2[f"z_{part}"])
            + reference.mean_cosine(two[f"p_{part}"], target1[f"z_{part}"])
        )
        / 2
        for part in ("dir", "dvr")
    }
    return -cosine["dir"], cosine["dvr"]


def loss(w: Any, x1: Any, x2: Any, frozen: Any = None) -> Any:
    dir_loss, dvr_cosine = terms(w, x1, x2, frozen)
    return dir_loss + WEIGHT * abs(dvr_cosine)


def test_loss_and_terms_are_the_formula(method: Method) -> None:
    batch = compare.two_views()
    step = method.step(batch)
    w = compare.arrays(method)
    dir_loss, dvr_cosine = terms(w, *compare.pixels(batch))
    assert step.loss.dtype == torch.float64
    assert float(step.loss.detach()) == pytest.approx(loss(w, *compare.pixels(batch)), rel=1e-12)
    assert float(step.terms["dir_loss"].detach()) == pytest.approx(dir_loss, rel=1e-12)
    assert float(step.terms["dvr_cosine"].detach()) == pytest.approx(dvr_cosine, rel=1e-12)
    assert set(step.embeddings) == {"dir", "dvr"}
    for part, z in step.embeddings.items():
        expected = forward(w, batch.x1.numpy())[f"z_{part}"]
        torch.testing.assert_close(z.detach().numpy(), expected, rtol=1e-11, atol=1e-11)


def test_gradients_are_those_of_the_formula_with_constant_targets(method: Method) -> None:
    batch = compare.two_views()
    w = compare.arrays(method)
    frozen = tuple(targets(w, x) for x in compare.pixels(batch))
    names = ["encoder.1.weight"]
    names += [f"{head}_{part}.0.weight" for head in ("projector", "predictor") for part in ("dir", "dvr")]
    compare.assert_finite_differences(method, batch, lambda w: loss(w, *compare.pixels(batch), frozen), names)
    constants = tuple({name: torch.from_numpy(z) for name, z in view.items()} for view in frozen)
    compare.assert_gradients(method, batch, lambda w: loss(w, batch.x1, batch.x2, constants))


@pytest.mark.parametrize("part", ["dir", "dvr"])
def test_all_targets_are_stopped(method: Method, part: str) -> None:
    """The gradient differs from that of the loss in which the targets of this part are let through."""
    batch = compare.two_views()

    def let_through(w: Any) -> Any:
        views = [targets(w, x) for x in (batch.x1, batch.x2)]
        mixed = [{name: z if name.endswith(part) else z.detach() for name, z in view.items()} for view in views]
        return loss(w, batch.x1, batch.x2, tuple(mixed))

    stopped = compare.encoder_gradient(method, batch)
    unstopped = compare.formula_gradients(method, let_through)["encoder.1.weight"]
    assert unstopped is not None
    assert (unstopped - stopped).norm() > 0.05 * stopped.norm()


def test_both_signs_of_the_cosine_occur_and_cost_the_same() -> None:
    """|m|: the negated cosine has the same loss and pulls the encoder the same way."""
    batch = compare.two_views()
    found = []
    for sign in (1, -1):
        method = compare.tiny(DDCL, SETTINGS)
        assert isinstance(method, DDCL)
        for p in method.predictor_dvr[3].parameters():
            p.data *= sign
        step = method.step(batch)
        found.append((float(step.terms["dvr_cosine"].detach()), step.loss, compare.encoder_gradient(method, batch)))
    assert found[0][0] == -found[1][0] != 0
    torch.testing.assert_close(found[0][1], found[1][1], rtol=1e-13, atol=0)
    torch.testing.assert_close(found[0][2], found[1][2], rtol=1e-11, atol=1e-13)


def bare() -> DDCL:
    """Features are the pixels, 8 + 2; projectors and DIR predictor pass through; the DVR predictor mirrors.

    It maps (1, 0) to (0.6, 0.8), cosine 0.6, and (0, 1) to (0.8, -0.6), cosine -0.6.
    """
    method = DDCL(nn.Flatten(), 10, SETTINGS).double()
    method.projector_dir, method.projector_dvr, method.predictor_dir = nn.Identity(), nn.Identity(), nn.Identity()
    method.predictor_dvr = nn.Linear(2, 2, bias=False, dtype=torch.float64)
    method.predictor_dvr.weight.data = torch.tensor([[0.6, 0.8], [0.8, -0.6]], dtype=torch.float64)
    return method


def images(*dvr: tuple[float, float]) -> torch.Tensor:
    """Images whose first 8 pixels are 1 and whose last two are given."""
    rows = [[1.0] * 8 + list(pair) for pair in dvr]
    return torch.tensor(rows, dtype=torch.float64)[:, :, None, None]


def test_opposite_cosines_of_two_images_cancel() -> None:
    """The absolute value is taken of the batch mean, not of each image's cosine (whose mean would be 0.6)."""
    x = images((1, 0), (0, 1))
    step = bare().step(Batch(x, x))
    assert float(step.terms["dvr_cosine"].detach()) == pytest.approx(0, abs=1e-15)
    assert float(step.loss.detach()) == pytest.approx(-1, rel=1e-14)


@pytest.mark.parametrize(("pair", "cosine"), [((1.0, 0.0), 0.6), ((0.0, 1.0), -0.6)])
def test_equal_cosines_do_not_cancel(pair: tuple[float, float], cosine: float) -> None:
    x = images(pair, pair)
    step = bare().step(Batch(x, x))
    assert float(step.terms["dvr_cosine"].detach()) == pytest.approx(cosine, rel=1e-14)
    assert float(step.loss.detach()) == pytest.approx(-1 + WEIGHT * 0.6, rel=1e-14)


@pytest.mark.parametrize(
    ("feature_dim", "dir_dim"), [(512, 410), (2048, 1638), (64, 51), (10, 8)], ids=lambda value: str(value)
)
def test_split_is_rounded(feature_dim: int, dir_dim: int) -> None:
    """512 · 0.8 = 409.6: round() gives 410, int() would give 409."""
    with torch.device("meta"):
        method = DDCL(nn.Identity(), feature_dim, SETTINGS)
    assert method.parts() == {"full": (0, feature_dim), "dir": (0, dir_dim), "dvr": (dir_dim, feature_dim)}
    assert method.projector_dir[0].in_features == dir_dim
    assert method.projector_dvr[0].in_features == feature_dim - dir_dim


@pytest.mark.parametrize("dir_frac", [0.01, 0.99])
def test_an_empty_part_is_refused(dir_frac: float) -> None:
    with pytest.raises(ValueError, match="leaves DIR or DVR empty"):
        DDCL(nn.Identity(), 10, SETTINGS.model_copy(update={"dir_frac": dir_frac}))


def test_batch_norm_sees_one_view_at_a_time() -> None:
    for part, columns in (("dir", slice(0, 8)), ("dvr", slice(8, 10))):
        method = compare.tiny(DDCL, SETTINGS)
        w = compare.arrays(method)
        compare.assert_one_pass_per_view(
            method,
            compare.two_views(),
            f"projector_{part}.1",
            lambda x, w=w, part=part, columns=columns: reference.matrix(
                w, f"projector_{part}.0", reference.encoder(w, x)[:, columns]
            ),
        )


def test_number_of_parameters_at_the_authors_size() -> None:
    """11.75 M, 9.24 M and twice 2.10 M; 48.70 M with a ResNet-50 of 23.51 M."""
    settings = DDCLSettings(projector_dim=2048, predictor_hidden_dim=512, dir_frac=0.8, dvr_weight=1.0)
    with torch.device("meta"):
        method = DDCL(nn.Identity(), 2048, settings)
    for part, width, millions in (("dir", 1638, 11.75), ("dvr", 410, 9.24)):
        projector, predictor = getattr(method, f"projector_{part}"), getattr(method, f"predictor_{part}")
        assert compare.n_parameters(projector) == width * 2048 + 2 * 2048 * 2048 + 2 * 2 * 2048 + 2048
        assert round(compare.n_parameters(projector) / 1e6, 2) == millions
        assert compare.n_parameters(predictor) == 2 * 2048 * 512 + 2 * 512 + 2048
        assert round(compare.n_parameters(predictor) / 1e6, 2) == 2.10
    assert round((23_508_032 + compare.n_parameters(method)) / 1e6, 2) == 48.70


def test_rates_of_both_predictors_are_fixed_and_everything_is_trained() -> None:
    method = compare.tiny(DDCL, SETTINGS)
    assert isinstance(method, DDCL)
    assert list(method.fixed_lr()) == [method.predictor_dir, method.predictor_dvr]
    assert all(p.requires_grad for p in method.parameters())


def test_parts_have_weights_of_their_own() -> None:
    method = DDCL(nn.Identity(), 10, SETTINGS)
    assert not torch.equal(method.predictor_dir[0].weight, method.predictor_dvr[0].weight)
    assert not torch.equal(method.projector_dir[3].weight, method.projector_dvr[3].weight)


# --- the variants of the loss: PReg, mean |cos|, and the absolute value per group of the batch

PREG = 1.3


def squared_norm(w: Any, head: str) -> Any:
    """Sum of squares of every parameter whose name starts with the head's."""
    return sum((value**2).sum() for name, value in w.items() if name.startswith(f"{head}."))


def preg(w: Any) -> Any:
    """(|‖g_I‖² − ‖g_V‖²| + |‖q_I‖² − ‖q_V‖²|) / 2, main_simsiam.py lines 489-498."""
    return (
        sum(abs(squared_norm(w, f"{head}_dir") - squared_norm(w, f"{head}_dvr")) for head in ("projector", "predictor"))
        / 2
    )


def test_preg_loss_and_gradients_are_the_formula() -> None:
    batch = compare.two_views()
    method = compare.tiny(DDCL, SETTINGS.model_copy(update={"preg_weight": PREG}))
    w = compare.arrays(method)
    step = method.step(batch)
    expected = loss(w, *compare.pixels(batch)) + PREG * preg(w)
    assert float(step.loss.detach()) == pytest.approx(expected, rel=1e-12)
    assert float(step.terms["preg"].detach()) == pytest.approx(preg(w), rel=1e-12)
    frozen = tuple(targets(w, x) for x in compare.pixels(batch))
    names = ["encoder.1.weight", "projector_dir.0.weight", "predictor_dvr.1.weight", "projector_dvr.6.bias"]
    compare.assert_finite_differences(
        method, batch, lambda w: loss(w, *compare.pixels(batch), frozen) + PREG * preg(w), names
    )
    constants = tuple({name: torch.from_numpy(z) for name, z in view.items()} for view in frozen)
    compare.assert_gradients(method, batch, lambda w: loss(w, batch.x1, batch.x2, constants) + PREG * preg(w), 1e-12)


def test_preg_at_the_authors_size_starts_near_zero() -> None:
    """Squared norms at initialisation, measured on the official module: 6145 and 6143 (projectors), 1367 and 1367."""
    settings = DDCLSettings(projector_dim=2048, predictor_hidden_dim=512, dir_frac=0.8, dvr_weight=1.0)
    torch.manual_seed(0)
    method = DDCL(nn.Identity(), 2048, settings)
    for part in ("dir", "dvr"):
        norms = [
            float(sum(p.detach().square().sum() for p in head.parameters()))
            for head in (getattr(method, f"projector_{part}"), getattr(method, f"predictor_{part}"))
        ]
        assert norms == pytest.approx([6144, 1366.5], rel=2e-3)
    assert method.parameter_regularisation().item() < 10


def per_image(w: Any, x1: Any, x2: Any, frozen: Any) -> list[tuple[Any, Any]]:
    """The DVR cosines of each image, in both directions."""
    one, two = forward(w, x1), forward(w, x2)
    return [
        tuple(
            reference.mean_cosine(p["p_dvr"][i : i + 1], z["z_dvr"][i : i + 1])
            for p, z in ((one, frozen[1]), (two, frozen[0]))
        )
        for i in range(len(x1))
    ]


@pytest.mark.parametrize(
    ("changes", "combine"),
    [
        # mean over images and directions of |cos|
        ({"dvr_form": "mean_of_abs"}, lambda c: sum(abs(a) + abs(b) for a, b in c) / 16),
        # two groups of four images: the mean of the two |means|
        ({"dvr_groups": 2}, lambda c: (abs(sum(a + b for a, b in c[:4])) + abs(sum(a + b for a, b in c[4:]))) / 16),
    ],
    ids=["mean of abs", "per group"],
)
def test_other_forms_of_the_loss_are_their_formulas(changes: dict[str, Any], combine: Any) -> None:
    batch = compare.two_views()
    method = compare.tiny(DDCL, SETTINGS.model_copy(update=changes))
    w = compare.arrays(method)
    frozen = tuple(targets(w, x) for x in compare.pixels(batch))

    def formula(w: Any, x1: Any, x2: Any, frozen: Any) -> Any:
        return terms(w, x1, x2, frozen)[0] + WEIGHT * combine(per_image(w, x1, x2, frozen))

    expected = formula(w, *compare.pixels(batch), frozen)
    assert float(method.step(batch).loss.detach()) == pytest.approx(expected, rel=1e-12)
    assert expected != pytest.approx(loss(w, *compare.pixels(batch), frozen), rel=1e-3)  # it is not the default form
    constants = tuple({name: torch.from_numpy(z) for name, z in view.items()} for view in frozen)
    compare.assert_gradients(method, batch, lambda w: formula(w, batch.x1, batch.x2, constants), 1e-12)


def softmax(x: Any, temperature: float) -> Any:
    e = (x / temperature - (x / temperature).max()).exp() if torch.is_tensor(x) else np.exp((x - x.max()) / temperature)
    return e / e.sum()


@pytest.mark.parametrize("temperature", [1.0, 0.3])
def test_the_form_with_softmaxes_is_its_formula(temperature: float) -> None:
    batch, changes = compare.two_views(), {"dvr_form": "softmax", "dvr_temperature": temperature}
    method = compare.tiny(DDCL, SETTINGS.model_copy(update=changes))
    w = compare.arrays(method)
    frozen = tuple(targets(w, x) for x in compare.pixels(batch))

    def formula(w: Any, x1: Any, x2: Any, frozen: Any) -> Any:
        total: Any = 0.0
        for own, other in ((forward(w, x1), frozen[1]), (forward(w, x2), frozen[0])):
            for p, z in zip(own["p_dvr"], other["z_dvr"], strict=True):
                a, b = softmax(p, temperature), softmax(z, temperature)
                total = total + (a * b).sum() / ((a * a).sum() * (b * b).sum()) ** 0.5 / (2 * len(x1))
        return terms(w, x1, x2, frozen)[0] + WEIGHT * total

    assert float(method.step(batch).loss.detach()) == pytest.approx(
        formula(w, *compare.pixels(batch), frozen), rel=1e-12
    )
    constants = tuple({name: torch.from_numpy(z) for name, z in view.items()} for view in frozen)
    compare.assert_gradients(method, batch, lambda w: formula(w, batch.x1, batch.x2, constants))


@pytest.mark.parametrize(("temperature", "expected"), [(1.0, 0.688182056677442), (0.1, 0.21801122813652)])
def test_the_form_with_softmaxes_is_clever_s(temperature: float, expected: float) -> None:
    """CLeVER_DINOLoss of SifanSong/CLeVER (71772da), both temperatures alike, centre 0, on the same outputs."""
    changes = {"dvr_form": "softmax", "dvr_temperature": temperature}
    method = compare.tiny(DDCL, SETTINGS.model_copy(update=changes))
    assert isinstance(method, DDCL)
    rng = torch.Generator().manual_seed(5)
    p1, p2, z1, z2 = (torch.randn(8, 6, generator=rng, dtype=torch.float64) for _ in range(4))
    loss = method.disentangling_loss(method.dvr_cosine(p1, z2), method.dvr_cosine(p2, z1))
    assert float(loss) == pytest.approx(expected, rel=1e-12)


def test_a_batch_that_has_no_equal_groups_is_refused() -> None:
    method = compare.tiny(DDCL, SETTINGS.model_copy(update={"dvr_groups": 3}))
    with pytest.raises(ValueError, match="a batch of 8 cannot be divided into 3 equal groups"):
        method.step(compare.two_views())


def test_the_predictors_rate_can_be_let_decay() -> None:
    method = compare.tiny(DDCL, SETTINGS.model_copy(update={"fix_predictor_lr": False}))
    assert list(method.fixed_lr()) == []
