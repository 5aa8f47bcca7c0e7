"""Saved states: one is whole at any moment, damage is noticed and said, signals end a training after a step only."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from ddcl.base import files
from ddcl.base.errors import TemporaryError, UserError
from ddcl.core.resume import SavedStates

IDENTITY = ["recipe", "code"]


class KilledError(BaseException):
    pass


def state(step: int) -> dict[str, Any]:
    return {"epoch": 0, "step": step, "weights": torch.full((100,), float(step))}


def states(folder: Path, identity: list[str] = IDENTITY, minutes: float = 10.0) -> SavedStates:
    return SavedStates(folder / "resume.pt", identity, minutes)


def found(folder: Path) -> int | None:
    """The step that a new process would go on from."""
    loaded = states(folder).load()
    if loaded is None:
        return None
    assert torch.equal(loaded["weights"], state(loaded["step"])["weights"])
    return int(loaded["step"])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[data.index(torch.full((100,), 3.0).numpy().tobytes()) + 100] ^= 4
    path.write_bytes(bytes(data))


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1000])


@pytest.fixture
def three(tmp_path: Path) -> Path:
    """A folder in which steps 1, 2 and 3 were saved."""
    saved = states(tmp_path)
    for step in (1, 2, 3):
        saved.save(state(step))
    return tmp_path


def test_the_newest_state_is_loaded_and_the_one_before_it_kept(three: Path) -> None:
    assert found(three) == 3
    assert sorted(os.listdir(three)) == ["resume.previous.pt", "resume.pt"]
    (three / "resume.pt").unlink()
    assert found(three) == 2


@pytest.mark.parametrize("damage", [truncate, flip])
def test_a_damaged_state_is_named_and_the_one_before_it_used(
    damage: Any, three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(three / "resume.pt")
    assert found(three) == 2
    out = capsys.readouterr().out
    assert "not resumed: " in out
    assert "resume.pt: damaged checkpoint" in out
    assert "resumed " in out
    assert "resume.previous.pt after 0 epochs and 2 steps" in out


def test_with_both_damaged_the_training_begins_again(three: Path) -> None:
    for name in ("resume.pt", "resume.previous.pt"):
        truncate(three / name)
    assert found(three) is None


def test_a_state_of_another_recipe_or_code_is_not_used(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert states(three, ["recipe", "other"]).load() is None
    assert "another recipe, checkpoint, data set or code version" in capsys.readouterr().out


@pytest.mark.parametrize("damaged", [False, True], ids=["whole", "newest damaged"])
def test_killed_at_any_moment_of_saving_one_whole_state_is_left(
    damaged: bool, three: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Before and after every rename, in the middle of writing; with a damaged newest file, the older is never lost."""
    import shutil

    if damaged:
        truncate(three / "resume.pt")
    outcomes = []
    for moment in range(8):
        folder = tmp_path_factory.mktemp("killed") / "work"
        shutil.copytree(three, folder)
        saved = states(folder)
        saved.load()
        with monkeypatch.context() as patch:
            kill_at(patch, moment)
            try:
                saved.save(state(4))
                outcomes.append("saved")
            except KilledError:
                outcomes.append("killed")
        assert found(folder) in ({2, 4} if damaged else {2, 3, 4}), moment
        if moment == 0:  # half-written: the states are as before
            assert found(folder) == (2 if damaged else 3)
        again = states(folder)
        again.load()
        again.save(state(5))
        assert found(folder) == 5
    assert outcomes.count("killed") >= (3 if damaged else 5)
    assert outcomes[-1] == "saved"


def kill_at(patch: pytest.MonkeyPatch, moment: int) -> None:
    """Make the process "die" at the given one of these moments: half of a file written, before and after a rename."""
    left = [moment]

    def tick() -> None:
        if left[0] == 0:
            raise KilledError
        left[0] -= 1

    save, replace = torch.save, os.replace

    def half(value: Any, path: Path) -> None:
        if left[0] == 0:
            path.write_bytes(b"half")
            raise KilledError
        left[0] -= 1
        save(value, path)

    def renaming(source: Path, target: Path) -> None:
        tick()
        replace(source, target)
        tick()

    patch.setattr(torch, "save", half)
    patch.setattr(files.os, "replace", renaming)


def test_a_full_disk_leaves_the_states_as_they_were(three: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(value: Any, path: Path) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    saved = states(three)
    saved.load()
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match=r"resume\.next\.pt: cannot be written, the disk is full"):
        saved.save(state(4))
    assert found(three) == 3
    assert sorted(os.listdir(three)) == ["resume.previous.pt", "resume.pt"]


# --- when a state is saved


def steps(saved: SavedStates, n: int) -> Iterator[int]:
    for step in range(1, n + 1):
        yield step
        saved.pause(partial(state, step))


def test_saved_when_it_is_due_or_late_and_not_otherwise(tmp_path: Path) -> None:
    with states(tmp_path) as saved:
        for _ in steps(saved, 5):
            pass
        assert found(tmp_path) is None
        saved.pause(lambda: state(6), due=True)
        assert found(tmp_path) == 6
    with states(tmp_path, minutes=0) as saved:
        for _ in steps(saved, 5):
            pass
    assert found(tmp_path) == 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_ends_the_training_after_the_step_with_its_state_saved(number: signal.Signals, tmp_path: Path) -> None:
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)]
    done: list[int] = []

    def train() -> None:
        with states(tmp_path) as saved:
            for step in steps(saved, 5):
                if step == 3:
                    signal.raise_signal(number)
                done.append(step)

    with pytest.raises(TemporaryError, match=number.name):
        train()
    assert done == [1, 2, 3]
    assert found(tmp_path) == 3
    assert [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)] == before


def test_more_signals_do_not_disturb_the_saving_but_a_second_ctrl_c_ends_at_once(tmp_path: Path) -> None:
    with states(tmp_path) as saved:
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGTERM, signal.SIGINT):
            signal.raise_signal(number)
        with pytest.raises(TemporaryError, match="SIGTERM"):
            saved.pause(partial(state, 1))
        assert found(tmp_path) == 1
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
