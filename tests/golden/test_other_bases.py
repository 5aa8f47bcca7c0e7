"""DDCL on VICReg and on BYOL: the base's loss on DIR plus |batch mean of the cosine| of DVR, written out."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from ddcl.core.method import Batch, Method
from ddcl.other_bases import DDCLOnBYOL, DDCLOnVICReg
from ddcl.schema.methods import DDCLBYOLSettings, DDCLVICRegSettings
from tests.golden import compare, reference

WEIGHT, BASE = 1.7, (3.0, 5.0, 0.7)
SPLIT = {"dir_frac": 0.8, "dvr_weight": WEIGHT}
VICREG = DDCLVICRegSettings(projector_dim=6, invariance_weight=3.0, std_weight=5.0, covariance_weight=0.7, **SPLIT)
BYOL = DDCLBYOLSettings(hidden_dim=7, projector_dim=5, momentum=0.9, **SPLIT)


def on_vicreg(w: Any, x1: Any, x2: Any) -> tuple[Any, Any]:
    """The loss on DIR, and the mean cosine of DVR."""
    (dir1, dvr1), (dir2, dvr2) = (
        (
            reference.barlow_projector(w, "projector_dir", h[:, :8]),
            reference.standardised(reference.barlow_projector(w, "projector_dvr", h[:, 8:])),
        )
        for h in (reference.encoder(w, x) for x in (x1, x2))
    )
    return reference.vicreg(dir1, dir2, BASE), reference.mean_cosine(dvr1, dvr2)


def predicted(w: Any, x: Any, part: str) -> Any:
    h = reference.encoder(w, x)[:, slice(8) if part == "dir" else slice(8, None)]
    return reference.two_layers(w, f"predictor_{part}", reference.two_layers(w, f"projector_{part}", h))


def taught(w: Any, x: Any, part: str) -> Any:
    """The teacher is the encoder and the projectors of DIR and DVR, in this order."""
    h = reference.affine(w, "teacher.0.1", x.reshape(len(x), -1))
    return reference.two_layers(w, *(("teacher.1", h[:, :8]) if part == "dir" else ("teacher.2", h[:, 8:])))


def on_byol(w: Any, x1: Any, x2: Any) -> tuple[Any, Any]:
    """The loss on DIR, and the mean of both directions' cosines of DVR."""
    both = {
        part: [reference.mean_cosine(predicted(w, a, part), taught(w, b, part)) for a, b in ((x1, x2), (x2, x1))]
        for part in ("dir", "dvr")
    }
    return sum(2 - 2 * cosine for cosine in both["dir"]), sum(both["dvr"]) / 2


CASES = {"vicreg": (DDCLOnVICReg, VICREG, on_vicreg), "byol": (DDCLOnBYOL, BYOL, on_byol)}
HEADS = {"vicreg": ["projector_dvr.6.weight"], "byol": ["projector_dvr.0.weight", "predictor_dir.3.weight"]}
ALIKE = compare.two_views()
VIEWS = {"alike": ALIKE, "mismatched": Batch(ALIKE.x1, ALIKE.x2.roll(3, 0))}


def made(base: str) -> Method:
    cls, settings, _ = CASES[base]
    return compare.tiny(cls, settings)


def loss(base: str, w: Any, x1: Any, x2: Any) -> Any:
    dir_loss, dvr_cosine = CASES[base][2](w, x1, x2)
    return dir_loss + WEIGHT * abs(dvr_cosine)


@pytest.mark.parametrize("views", VIEWS)
@pytest.mark.parametrize("base", CASES)
def test_loss_and_terms_are_the_formula(base: str, views: str) -> None:
    method, batch = made(base), VIEWS[views]
    step, w = method.step(batch), compare.arrays(method)
    dir_loss, dvr_cosine = CASES[base][2](w, *compare.pixels(batch))
    assert float(step.loss.detach()) == pytest.approx(loss(base, w, *compare.pixels(batch)), rel=1e-12)
    assert float(step.terms["dir_loss"].detach()) == pytest.approx(dir_loss, rel=1e-12)
    assert float(step.terms["dvr_cosine"].detach()) == pytest.approx(dvr_cosine, rel=1e-12)
    assert abs(dvr_cosine) > 0.01


@pytest.mark.parametrize("views", VIEWS)
@pytest.mark.parametrize("base", CASES)
def test_gradients_are_those_of_the_formula(base: str, views: str) -> None:
    method, batch = made(base), VIEWS[views]
    names = ["encoder.1.weight", *HEADS[base]]
    compare.assert_finite_differences(method, batch, lambda w: loss(base, w, *compare.pixels(batch)), names)
    compare.assert_gradients(method, batch, lambda w: loss(base, w, batch.x1, batch.x2))


def test_the_teacher_follows_encoder_and_both_projectors() -> None:
    method = made("byol")
    student = [*method.encoder.parameters(), *method.projector_dir.parameters(), *method.projector_dvr.parameters()]
    method.after_step(0.0)  # τ = 0.9
    before = [p.clone() for p in method.teacher.parameters()]
    method.after_step(0.0)
    for old, own, other in zip(before, method.teacher.parameters(), student, strict=True):
        torch.testing.assert_close(own, 0.9 * old + 0.1 * other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("base", CASES)
def test_collapse_is_told_by_dir_and_parts_are_those_of_ddcl(base: str) -> None:
    method = made(base)
    assert list(method.tells_collapse()) == ["dir"]
    assert method.parts() == {"full": (0, 10), "dir": (0, 8), "dvr": (8, 10)}
