"""Symmetric DDCL: Barlow Twins' loss on DIR plus |batch mean of the cosine| of the standardised DVR projections."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from ddcl.core.method import Batch, Method
from ddcl.method import DDCLSymmetric
from ddcl.schema.methods import DDCLSymmetricSettings
from tests.golden import compare, reference

WEIGHT, OFFDIAG_WEIGHT = 1.7, 0.25
SETTINGS = DDCLSymmetricSettings(projector_dim=6, offdiag_weight=OFFDIAG_WEIGHT, dir_frac=0.8, dvr_weight=WEIGHT)


@pytest.fixture
def method() -> Method:
    return compare.tiny(DDCLSymmetric, SETTINGS)


def project(w: Any, x: Any) -> tuple[Any, Any]:
    h = reference.encoder(w, x)
    z_dir = reference.barlow_projector(w, "projector_dir", h[:, :8])
    z_dvr = reference.barlow_projector(w, "projector_dvr", h[:, 8:])
    return z_dir, reference.standardised(z_dvr)


def terms(w: Any, x1: Any, x2: Any) -> tuple[Any, Any]:
    (z1_dir, z1_dvr), (z2_dir, z2_dvr) = project(w, x1), project(w, x2)
    return reference.barlow_twins(z1_dir, z2_dir, OFFDIAG_WEIGHT), reference.mean_cosine(z1_dvr, z2_dvr)


def loss(w: Any, x1: Any, x2: Any) -> Any:
    dir_loss, dvr_cosine = terms(w, x1, x2)
    return dir_loss + WEIGHT * abs(dvr_cosine)


def mismatched(batch: Batch) -> Batch:
    """The second views moved on by three images, which gives a DVR cosine below 0 here."""
    return Batch(batch.x1, batch.x2.roll(3, 0))


VIEWS = [compare.two_views(), mismatched(compare.two_views())]


def test_both_signs_of_the_cosine_occur(method: Method) -> None:
    cosines = [float(method.step(batch).terms["dvr_cosine"].detach()) for batch in VIEWS]
    assert min(cosines) < -0.01
    assert max(cosines) > 0.01


@pytest.mark.parametrize("batch", VIEWS, ids=["alike", "mismatched"])
def test_loss_and_terms_are_the_formula(method: Method, batch: Batch) -> None:
    step = method.step(batch)
    w = compare.arrays(method)
    dir_loss, dvr_cosine = terms(w, *compare.pixels(batch))
    assert step.loss.dtype == torch.float64
    assert float(step.loss.detach()) == pytest.approx(loss(w, *compare.pixels(batch)), rel=1e-12)
    assert float(step.terms["dir_loss"].detach()) == pytest.approx(dir_loss, rel=1e-12)
    assert float(step.terms["dvr_cosine"].detach()) == pytest.approx(dvr_cosine, rel=1e-12)
    for part, z in step.embeddings.items():
        expected = project(w, batch.x1.numpy())[("dir", "dvr").index(part)]
        torch.testing.assert_close(z.detach().numpy(), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("batch", VIEWS, ids=["alike", "mismatched"])
def test_gradients_are_those_of_the_formula(method: Method, batch: Batch) -> None:
    names = ["encoder.1.weight", "projector_dir.3.weight", "projector_dvr.3.weight", "projector_dvr.6.weight"]
    compare.assert_all_gradients(method, loss, names, batch)


@pytest.mark.parametrize("part", ["dir", "dvr"])
def test_nothing_is_stopped(method: Method, part: str) -> None:
    """The gradient differs from that of the loss in which the second view's projection of this part is a constant."""
    batch = VIEWS[0]

    def one_sided(w: Any) -> Any:
        (z1_dir, z1_dvr), (z2_dir, z2_dvr) = project(w, batch.x1), project(w, batch.x2)
        z2_dir, z2_dvr = (z2_dir.detach(), z2_dvr) if part == "dir" else (z2_dir, z2_dvr.detach())
        dir_loss = reference.barlow_twins(z1_dir, z2_dir, OFFDIAG_WEIGHT)
        return dir_loss + WEIGHT * abs(reference.mean_cosine(z1_dvr, z2_dvr))

    half = compare.formula_gradients(method, one_sided)["encoder.1.weight"]
    assert half is not None
    whole = compare.encoder_gradient(method, batch)
    assert (whole - half).norm() > 0.01 * whole.norm()


def test_opposite_cosines_of_images_cancel() -> None:
    """DVR (1, 1), (-1, 1), (1, -1), (-1, -1) is standardised already; in view 2 the last two are negated.

    Cosines 1, 1, -1, -1: mean 0, where the mean of absolute values is 1. The two columns of DIR are decorrelated and
    equal in both views, so Barlow Twins' loss is 0.
    """
    method = DDCLSymmetric(nn.Flatten(), 4, SETTINGS.model_copy(update={"dir_frac": 0.5})).double()
    method.projector_dir, method.projector_dvr = nn.Identity(), nn.Identity()
    rows = torch.tensor([[1, 1], [-1, 1], [1, -1], [-1, -1]], dtype=torch.float64)
    turned = rows * torch.tensor([[1.0], [1.0], [-1.0], [-1.0]])
    views = [torch.cat([rows, dvr], dim=1)[:, :, None, None] for dvr in (rows, turned)]
    step = method.step(Batch(views[0], views[1]))
    assert float(step.terms["dvr_cosine"]) == pytest.approx(0, abs=1e-15)
    assert float(step.loss) == pytest.approx(0, abs=1e-9)  # BatchNorm's eps: (C_ii - 1)^2 = 1e-10 each
    alike = method.step(Batch(views[0], views[0]))
    assert float(alike.loss) == pytest.approx(WEIGHT, rel=1e-8)


@pytest.mark.parametrize(("feature_dim", "dir_dim"), [(512, 410), (2048, 1638)])
def test_split_is_rounded(feature_dim: int, dir_dim: int) -> None:
    with torch.device("meta"):
        method = DDCLSymmetric(nn.Identity(), feature_dim, SETTINGS)
    assert method.parts() == {"full": (0, feature_dim), "dir": (0, dir_dim), "dvr": (dir_dim, feature_dim)}


def test_batch_norm_sees_one_view_at_a_time() -> None:
    for part, columns in (("dir", slice(0, 8)), ("dvr", slice(8, 10))):
        method = compare.tiny(DDCLSymmetric, SETTINGS)
        w = compare.arrays(method)
        compare.assert_one_pass_per_view(
            method,
            VIEWS[0],
            f"projector_{part}.1",
            lambda x, w=w, part=part, columns=columns: reference.matrix(
                w, f"projector_{part}.0", reference.encoder(w, x)[:, columns]
            ),
        )


def test_there_is_no_predictor(method: Method) -> None:
    assert [name for name, _ in method.named_children()] == ["encoder", "projector_dir", "projector_dvr"]
    assert list(method.fixed_lr()) == []
    assert all(p.requires_grad for p in method.parameters())
