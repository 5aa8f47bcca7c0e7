"""Teachers: the contract takes one that is made right, and tells each way to make one wrong."""

from __future__ import annotations

import copy
import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from baselines.simsiam import SimSiam
from ddcl.build import build_method
from ddcl.core.losses import mean_cosine
from ddcl.core.method import Batch, Method, Step
from ddcl.core.pretrain import Pretraining
from ddcl.core.teachers import follow, frozen_copy
from ddcl.schema.methods import SimSiamBaselineSettings
from tests.contract.checks import check_frozen, check_resumed, check_step
from tests.contract.toy import ToyLoader, recipe_of, train

BATCH = next(ToyLoader().epoch(0, 0))


class Taught(SimSiam):
    """SimSiam's student, whose targets are those of a teacher."""

    def __init__(self, encoder: nn.Module, feature_dim: int, settings: SimSiamBaselineSettings) -> None:
        super().__init__(encoder, feature_dim, settings)
        self.make_teacher()

    def make_teacher(self) -> None:
        self.teacher = frozen_copy(nn.Sequential(self.encoder, self.projector))

    def frozen(self) -> list[nn.Module]:
        return [self.teacher]

    def step(self, batch: Batch) -> Step:
        z1, p1 = self.embed(self.encoder(batch.x1))
        return Step(-mean_cosine(p1, self.target(batch.x2)), embeddings={"full": z1})

    def target(self, x: Tensor) -> Tensor:
        z: Tensor = self.teacher(x)
        return z

    def after_step(self, progress: float) -> None:
        momentum = 1 - 0.1 * (math.cos(math.pi * progress) + 1) / 2  # from 0.9 to 1
        follow(self.teacher, nn.Sequential(self.encoder, self.projector), momentum)


def made(kind: type[SimSiam]) -> Method:
    """A method of this class with the weights and numbers of the small SimSiam recipe."""
    recipe = recipe_of("simsiam")
    plain = build_method(recipe)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return kind(plain.encoder, plain.feature_dim, SimSiamBaselineSettings.model_validate(recipe.settings))


def training(kind: type[SimSiam] = Taught) -> Pretraining:
    return train(made(kind), recipe_of("simsiam"))


def test_a_teacher_made_right_passes() -> None:
    check_step(made(Taught), BATCH)
    check_frozen(made(Taught))


@pytest.mark.parametrize("by", ["a kill", "a signal"])
def test_a_training_with_a_teacher_is_resumed_bit_for_bit(
    by: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    method = check_resumed(training, by, tmp_path, monkeypatch).method
    fresh, own = made(Taught).state_dict(), method.state_dict()
    assert not torch.equal(own["teacher.0.conv1.weight"], fresh["teacher.0.conv1.weight"])  # it followed
    assert not torch.equal(own["teacher.0.conv1.weight"], own["encoder.conv1.weight"])  # and is not the student


def test_after_step_is_told_how_far_the_training_is(tmp_path: Path) -> None:
    told: list[float] = []

    class Listening(Taught):
        def after_step(self, progress: float) -> None:
            told.append(progress)

    training(Listening).run(tmp_path)
    assert told == pytest.approx([(step + 1) / 24 for step in range(24)])


def test_the_history_has_norms_of_heads_and_not_of_teachers(tmp_path: Path) -> None:
    run = training()
    run.run(tmp_path)
    norms = {name for name in run.history[-1] if name.startswith("squared_norm_")}
    assert norms == {"squared_norm_projector", "squared_norm_predictor"}


def test_following_by_hand() -> None:
    teacher, student = nn.Linear(1, 1), nn.Linear(1, 1)
    for module, value in ((teacher, 1.0), (student, 3.0)):
        for p in module.parameters():
            nn.init.constant_(p, value)
    follow(teacher, student, 0.75)  # 0.75 · 1 + 0.25 · 3
    assert [p.item() for p in teacher.parameters()] == [1.5, 1.5]
    assert [p.item() for p in student.parameters()] == [3.0, 3.0]


def test_a_frozen_copy_shares_nothing_and_is_not_trained() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    own = frozen_copy(module)
    assert not {t.data_ptr() for t in own.state_dict().values()} & {t.data_ptr() for t in module.state_dict().values()}
    assert not any(p.requires_grad for p in own.parameters())
    assert all(p.requires_grad for p in module.parameters())


# --- teachers that are made wrong


class Trained(Taught):
    """Its weights would be moved by the optimiser, too."""

    def make_teacher(self) -> None:
        self.teacher = copy.deepcopy(nn.Sequential(self.encoder, self.projector))


class Undeclared(Taught):
    """Nobody knows that it is one."""

    def frozen(self) -> list[nn.Module]:
        return []


class UndeclaredAndTrained(Trained):
    def frozen(self) -> list[nn.Module]:
        return []


class Hidden(Taught):
    """It is in a list, where torch does not see it."""

    def make_teacher(self) -> None:
        self.hidden = [frozen_copy(nn.Sequential(self.encoder, self.projector))]

    def frozen(self) -> list[nn.Module]:
        return self.hidden

    def target(self, x: Tensor) -> Tensor:
        z: Tensor = self.hidden[0](x)
        return z

    def after_step(self, progress: float) -> None:
        follow(self.hidden[0], nn.Sequential(self.encoder, self.projector), 0.9)


class HiddenAndUndeclared(Hidden):
    def frozen(self) -> list[nn.Module]:
        return []


class StudentFollows(Taught):
    """The wrong way round."""

    def after_step(self, progress: float) -> None:
        follow(nn.Sequential(self.encoder, self.projector), self.teacher, 0.9)


def test_a_teacher_that_is_trained_is_told() -> None:
    with pytest.raises(AssertionError, match="frozen, and trained"):
        check_frozen(made(Trained))


def test_a_teacher_that_is_not_declared_is_told() -> None:
    with pytest.raises(AssertionError, match="no gradient in teacher"):
        check_step(made(Undeclared), BATCH)
    with pytest.raises(AssertionError, match="changed by after_step, and not frozen"):
        check_frozen(made(UndeclaredAndTrained))


def test_a_teacher_that_is_not_in_the_state_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AssertionError, match="frozen, and not in the state"):
        check_frozen(made(Hidden))
    check_step(made(HiddenAndUndeclared), BATCH)
    check_frozen(made(HiddenAndUndeclared))
    with pytest.raises(AssertionError):  # a resumed training has a new one
        check_resumed(lambda: training(HiddenAndUndeclared), "a signal", tmp_path, monkeypatch)


def test_a_student_that_follows_its_teacher_is_told() -> None:
    with pytest.raises(AssertionError, match="changed by after_step, and not frozen"):
        check_frozen(made(StudentFollows))
