"""SimSiam against Chen and He 2021, eq. 1 and 2, written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from baselines.simsiam import SimSiam
from ddcl.core.method import Method
from ddcl.schema.methods import SimSiamBaselineSettings
from tests.golden import compare, reference

SETTINGS = SimSiamBaselineSettings(projector_dim=6, predictor_hidden_dim=3)


@pytest.fixture
def method() -> Method:
    return compare.tiny(SimSiam, SETTINGS)


def project(w: Any, x: Any) -> Any:
    return reference.simsiam_projector(w, "projector", reference.encoder(w, x))


def loss(w: Any, x1: Any, x2: Any, targets: Any = None) -> Any:
    """-1/2 E[c(p1, z2)] - 1/2 E[c(p2, z1)]; targets: z1, z2 as constants, or None: not stopped."""
    z1, z2 = project(w, x1), project(w, x2)
    p1, p2 = reference.predictor(w, "predictor", z1), reference.predictor(w, "predictor", z2)
    target1, target2 = targets or (z1, z2)
    return -reference.mean_cosine(p1, target2) / 2 - reference.mean_cosine(p2, target1) / 2


def test_loss_is_the_formula(method: Method) -> None:
    compare.assert_loss(method, loss)


def test_gradients_are_those_of_the_formula_with_constant_targets(method: Method) -> None:
    batch = compare.two_views()
    w = compare.arrays(method)
    frozen = tuple(project(w, x) for x in compare.pixels(batch))
    names = ["encoder.1.weight", "projector.3.weight", "projector.1.bias", "predictor.0.weight", "predictor.3.bias"]
    compare.assert_finite_differences(method, batch, lambda w: loss(w, *compare.pixels(batch), frozen), names)
    constants = tuple(torch.from_numpy(z) for z in frozen)
    compare.assert_gradients(method, batch, lambda w: loss(w, batch.x1, batch.x2, constants))


def test_the_gradient_is_stopped(method: Method) -> None:
    batch = compare.two_views()
    unstopped = compare.formula_gradients(method, lambda w: loss(w, batch.x1, batch.x2))["encoder.1.weight"]
    stopped = compare.encoder_gradient(method, batch)
    assert unstopped is not None
    assert (unstopped - stopped).norm() > 0.1 * stopped.norm()


def test_loss_is_minus_one_for_a_perfect_prediction() -> None:
    method = SimSiam(nn.Flatten(), 3, SETTINGS)
    method.projector, method.predictor = nn.Identity(), nn.Identity()
    x = torch.randn(5, 3, 1, 1, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    batch = compare.two_views()
    assert float(method.step(type(batch)(x, 7 * x)).loss) == pytest.approx(-1, rel=1e-12)
    assert float(method.step(type(batch)(x, -x)).loss) == pytest.approx(1, rel=1e-12)


def test_batch_norm_sees_one_view_at_a_time(method: Method) -> None:
    compare.assert_projector_has_one_pass_per_view(method)


def test_last_projector_bias_is_frozen_and_nothing_else(method: Method) -> None:
    assert [name for name, p in method.named_parameters() if not p.requires_grad] == ["projector.6.bias"]


def test_rate_of_the_predictor_is_fixed(method: Method) -> None:
    assert list(method.fixed_lr()) == [method.predictor]


def test_number_of_parameters_at_the_authors_size() -> None:
    """38.20 M with a ResNet-50 of 23.51 M (chen and He: 2048-2048-2048, 2048-512-2048)."""
    with torch.device("meta"):
        method = SimSiam(nn.Identity(), 2048, SimSiamBaselineSettings(projector_dim=2048, predictor_hidden_dim=512))
    assert compare.n_parameters(method.projector) == 3 * 2048 * 2048 + 2 * 2 * 2048 + 2048
    assert compare.n_parameters(method.predictor) == 2 * 2048 * 512 + 2 * 512 + 2048
    assert round((23_508_032 + compare.n_parameters(method)) / 1e6, 2) == 38.20


def test_whole_features_are_the_only_part(method: Method) -> None:
    batch = compare.two_views()
    assert method.parts() == {"full": (0, compare.FEATURE_DIM)}
    assert set(method.step(batch).embeddings) == {"full"}
    torch.testing.assert_close(
        method.step(batch).embeddings["full"].detach().numpy(),
        project(compare.arrays(method), batch.x1.numpy()),
        rtol=1e-11,
        atol=1e-11,
    )


def test_a_projector_of_two_layers() -> None:
    """Linear-BN-ReLU, Linear-BN(affine=False): Chen and He's CIFAR experiment."""
    method = compare.tiny(SimSiam, SETTINGS.model_copy(update={"projector_layers": 2}))
    w, x = compare.arrays(method), compare.two_views().x1
    h = reference.encoder(w, x.numpy())
    hidden = reference.relu(reference.batch_norm(w, "projector.1", reference.matrix(w, "projector.0", h)))
    expected = reference.standardised(reference.affine(w, "projector.3", hidden))
    found = method.step(compare.two_views()).embeddings["full"].detach().numpy()
    torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-11)
    assert [name for name, p in method.named_parameters() if not p.requires_grad] == ["projector.3.bias"]


def test_the_control_of_width_has_only_the_first_features() -> None:
    """round(0.8 · 10) = 8 of 10: nothing of the last two reaches features, loss or gradient."""
    method = compare.tiny(SimSiam, SETTINGS.model_copy(update={"feature_frac": 0.8}))
    batch = compare.two_views()
    assert method.parts() == {"full": (0, 8)}
    torch.testing.assert_close(method.features(batch.x1), method.encoder(batch.x1)[:, :8], rtol=0, atol=0)
    gradient = compare.encoder_gradient(method, batch)
    assert gradient[:8].abs().min() > 0
    assert gradient[8:].abs().max() == 0
