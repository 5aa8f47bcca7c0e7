"""EquiMod, SIE and IE-SSL against their papers' formulas, written out."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from baselines.equimod import EquiMod
from baselines.ie_ssl import IESSL
from baselines.sie import SIE
from ddcl.core.method import Batch, Method, Task
from ddcl.schema.methods import EquiModSettings, IESSLSettings, SIESettings
from tests.golden import compare, reference

TASK = Task(3, 2, compare.OPS)


def batch() -> Batch:
    return replace(compare.two_views(), x0=compare.two_views(7).x1, drawn=(compare.drawn(5), compare.drawn(6)))


def told(x: Any) -> list[Any]:
    """What was drawn for the two views, as x is: in numpy or torch."""
    rows = [compare.all_that_is_told(own) for own in batch().drawn]
    return rows if isinstance(x, np.ndarray) else [torch.from_numpy(own) for own in rows]


def cat(*rows: Any, axis: int = 0) -> Any:
    return np.concatenate(rows, axis) if isinstance(rows[0], np.ndarray) else torch.cat(rows, axis)


def equimod(w: Any, x1: Any, x2: Any) -> Any:
    """NT-Xent of SimCLR, and NT-Xent between embeddings of the views and those predicted from x0 and ω."""
    x0 = batch().x0.numpy() if isinstance(x1, np.ndarray) else batch().x0  # type: ignore[union-attr]
    h = [reference.encoder(w, x) for x in (x0, x1, x2)]
    z1, z2 = (reference.two_layers(w, "projector", own) for own in h[1:])
    y = reference.standardised(reference.three_layers(w, "equivariant.0", cat(*h)))
    omega = reference.batch_norm(w, "teller.1", reference.matrix(w, "teller.0", cat(*told(x1))))
    joint = cat(cat(y[:8], y[:8]), omega, axis=1)
    guess = reference.standardised(reference.matrix(w, "predictor.0", joint))
    return reference.nt_xent(z1, z2, 0.4) + 0.9 * reference.nt_xent(y[8:], guess, 0.3)


def sie(w: Any, x1: Any, x2: Any) -> Any:
    parts = []
    for x in (x1, x2):
        h = reference.encoder(w, x)
        own = [reference.barlow_projector(w, f"projector_{part}", h[:, columns]) for part, columns in COLUMNS.items()]
        parts.append(own)
    (dir1, dvr1), (dir2, dvr2) = parts
    first, second = told(x1)
    maps = reference.affine(w, "hypernetwork", second - first)
    moved = []
    for i in range(compare.B):  # row by row: the map of image i times its equivariant part
        moved.append((maps[i].reshape(4, 4) * dvr1[i][None]).sum(1)[None])
    spread = reference.vicreg(cat(dir1, dvr1, axis=1), cat(dir2, dvr2, axis=1), (0.0, 5.0, 0.7))
    return spread + 3 * ((dir1 - dir2) ** 2).mean() + 1.4 * ((cat(*moved) - dvr2) ** 2).mean()


def ie_ssl(w: Any, x1: Any, x2: Any) -> Any:
    def project(h: Any, name: str) -> Any:
        hidden = reference.relu(reference.batch_norm(w, f"{name}.1", reference.matrix(w, f"{name}.0", h)))
        return reference.standardised(reference.affine(w, f"{name}.3", hidden))

    (dir1, dvr1), (dir2, dvr2) = (
        [project(h[:, columns], f"projector_{part}") for part, columns in COLUMNS.items()]
        for h in (reference.encoder(w, x) for x in (x1, x2))
    )
    same = (reference.info_nce(dir1, dir2, 0.4) + reference.info_nce(dir2, dir1, 0.4)) / 2
    moves = dvr1 - dvr2
    return same + reference.info_nce(moves[[0, 2, 4, 6]], moves[[1, 3, 5, 7]], 0.4)


COLUMNS = {"dir": slice(0, 6), "dvr": slice(6, 10)}
SIE_WEIGHTS: Any = {"invariance_weight": 3.0, "equivariance_weight": 1.4, "std_weight": 5.0, "covariance_weight": 0.7}
EQUIMOD: Any = {"equivariant_dim": 6, "told_dim": 3, "equivariant_weight": 0.9, "equivariant_temperature": 0.3}
CASES: dict[str, Any] = {
    "equimod": (EquiMod, EquiModSettings(hidden_dim=7, projector_dim=5, temperature=0.4, **EQUIMOD), equimod),
    "sie": (SIE, SIESettings(dir_frac=0.6, projector_dim=4, **SIE_WEIGHTS), sie),
    "ie_ssl": (
        IESSL,
        IESSLSettings(dir_frac=0.6, dir_projector_dim=5, dvr_projector_dim=4, temperature=0.4),
        ie_ssl,
    ),
}


def made(name: str) -> Method:
    return compare.tiny(CASES[name][0], CASES[name][1], task=TASK)


@pytest.mark.parametrize("name", CASES)
def test_loss_is_the_formula(name: str) -> None:
    method = made(name)
    found = float(method.step(batch()).loss.detach())
    expected = CASES[name][2](compare.arrays(method), *compare.pixels(batch()))
    assert found == pytest.approx(expected, rel=1e-6)  # what was drawn is told in float32


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_of_the_formula(name: str) -> None:
    method, own = made(name), batch()
    compare.assert_gradients(method, own, lambda w: CASES[name][2](w, own.x1, own.x2), rtol=2e-6)


@pytest.mark.parametrize("name", ["sie", "ie_ssl"])
def test_parts_are_named_as_those_of_ddcl(name: str) -> None:
    method = made(name)
    assert method.parts() == {"full": (0, 10), "dir": (0, 6), "dvr": (6, 10)}
    assert set(method.step(batch()).embeddings) == {"dir", "dvr"}


def test_a_pair_of_images_that_move_alike_is_found() -> None:
    """IE-SSL: with moves at right angles between pairs and alike within, only the temperature is left of the loss."""
    method = made("ie_ssl")
    method.projector_dir, method.projector_dvr = torch.nn.Identity(), torch.nn.Identity()
    method.encoder = torch.nn.Flatten()
    method.dir_dim = 6
    move = torch.eye(4, dtype=torch.float64).repeat_interleave(2, dim=0)  # [8, 4]
    still = torch.eye(8, 6, dtype=torch.float64) + 0.1
    views = [torch.cat([still, own], dim=1)[:, :, None, None] for own in (move, torch.zeros_like(move))]
    expected = -np.log(np.exp(1 / 0.4) / (np.exp(1 / 0.4) + 3))
    assert float(method.step(Batch(*views)).terms["dvr_loss"]) == pytest.approx(expected, rel=1e-12)
