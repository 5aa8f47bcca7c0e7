"""Losses that the official code computed, step by step, while it trained tiny networks like these (docs/parity.md).

Official: main_simsiam.py of SifanSong/DDCL (b65159d) and of facebookresearch/simsiam (a7bc177), main.py of
facebookresearch/barlowtwins (8e8d284): their modules, losses, optimisers, parameter groups and schedules, in float64,
on the same initial weights and views, two steps per epoch. The loss of a step depends on all updates before it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ddcl.core.method import Batch, Method, Step
from ddcl.core.pretrain import Pretraining
from ddcl.schema.recipes import build_recipe
from ddcl.schema.registry import METHODS
from tests.golden import compare

# (variant, extra warm-up epochs): the losses, then the norm of all trained parameters at the end. With extra warm-up
# epochs it is the DDCL repository's script, of SimSiam too.
OFFICIAL = {
    ("ddcl", 2): [
        *(-0.0143611674282039, -0.0335709798609914, -0.0143611680691375, -0.034321429578141, -0.0153608787128747),
        *(-0.0358181523381413, 0.11643955617351, -0.0101282322377102, 0.119198543040263, 0.043499308518508),
        14.1892795560988,
    ],
    ("ddcl_preg", 2): [
        *(-0.008572874171082, -0.0277826866040363, -0.00857287481252268, -0.0285334814447435, -0.00957341883412672),
        *(-0.0300309003711373, 0.122227047887207, -0.00434194455332888, 0.124982826955778, 0.0492849891560971),
        14.1892619299373,
    ],
    ("simsiam", 2): [
        *(0.00854649895228168, -0.00726297723338123, 0.00854649831529916, -0.00742574353978399, 0.00763428412267202),
        *(-0.00775422766688818, -0.0363830989973313, 0.00850121413458732, 0.0160046505920462, -0.0688352347715233),
        11.0975940464277,
    ],
    ("simsiam", 0): [
        *(0.00854649895228168, -0.00720883106906945, -0.0356263394370858, 0.00879104415594708, 0.0163034216557776),
        -0.0687749077132112,
        11.0975905361545,
    ],
    ("barlow_twins", 0): [
        *(0.309920426627058, 0.354037033352915, 3.32127142986686, 1.73265852400655, 0.713587213396227),
        *(0.118059461702103, 1.38360159879631, 0.546936362513655, 0.442303414509829, 1.25831943969831),
        *(1.04958278013946, 0.666156220116191, 3.14265637132865, 2.23109824663756, 2.29375255030324),
        *(0.606619842339005, 0.80394847238692, 0.566036113297172, 0.073807782348152, 1.70294572391784),
        *(1.78127399455948, 6.48884752087599, 0.628943007082706, 2.23580665261256, 2.25808809017784),
        1.25164318439028,
        7.57401992464102,
    ],
}
EPOCHS = {"barlow_twins": 13}  # more than its 10 epochs of warm-up; of all others 3


class Views:
    """Two batches per epoch, in the order of the epoch that is asked for."""

    steps = 2

    def epoch(self, epoch: int, order: int, start: int = 0) -> Iterator[Batch]:
        yield from [compare.two_views(seed=10 * order + step) for step in range(self.steps)][start:]


def train(variant: str, warmup: int, folder: Path) -> tuple[list[float], Method]:
    """Train the variant's ImageNet recipe at tiny widths; return the loss of every step, and the method."""
    overrides = {"batch_size": compare.B, "epochs": EPOCHS.get(variant, 3), "precision": "fp32", "channels_last": False}
    schedule = {"schedule": {"extra_warmup_epochs": warmup}}
    recipe = build_recipe(("imagenet100", variant, "caug"), 0, overrides | schedule)
    barlow = variant == "barlow_twins"
    widths = {"projector_dim": 6} if barlow else {"projector_dim": 10, "predictor_hidden_dim": 3}
    entry = METHODS[recipe.method]
    method = compare.tiny(entry.load(), entry.settings.model_validate(recipe.settings | widths))
    losses: list[float] = []

    class Followed(Pretraining):
        def train_step(self, batch: Batch) -> Step:
            step = super().train_step(batch)
            losses.append(step.loss.item())
            return step

    healthy = {"effective_rank": 9.0, "knn_top1": 0.0}
    Followed(method, Views(), lambda _: healthy, recipe.training, ["test"], 0).run(folder)
    return losses, method


@pytest.mark.parametrize(("variant", "warmup"), list(OFFICIAL))
def test_training_is_the_official_one(variant: str, warmup: int, tmp_path: Path) -> None:
    losses, method = train(variant, warmup, tmp_path)
    norm = sum(float(p.detach().square().sum()) for p in method.parameters()) ** 0.5
    assert [*losses, norm] == pytest.approx(OFFICIAL[variant, warmup], rel=1e-11, abs=1e-14)
