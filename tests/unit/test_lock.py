"""Locks: a second process is refused at once and told who is there; the lock of a dead process is none."""

from __future__ import annotations

import errno
import fcntl
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ddcl.base.errors import TemporaryError
from ddcl.base.lock import locked
from tests.workflow.commands import ROOT

HOLD = """
import os, sys, time
from pathlib import Path
from ddcl.base.lock import locked
with locked(Path(sys.argv[1]), "run r"):
    child = os.fork()  # a worker that outlives its parent
    if child:
        print(child, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that holds tmp_path/lock as Slurm job 77, and the id of its child."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SLURM_JOB_ID": "77"}
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    child = int(process.stdout.readline())
    yield process, child
    process.kill()
    process.wait()
    os.kill(child, 9)


def test_the_second_process_is_refused_at_once_and_told_who_holds_it(
    tmp_path: Path, holder: tuple[subprocess.Popen[str], int]
) -> None:
    start = time.monotonic()
    with pytest.raises(TemporaryError) as error, locked(tmp_path / "lock", "run r"):
        pytest.fail("two holders")
    assert time.monotonic() - start < 1
    assert f"run r: process {holder[0].pid} on {platform.node()}, Slurm job 77 is writing it" in str(error.value)


def test_the_lock_of_a_killed_process_is_free_though_a_child_of_it_lives(
    tmp_path: Path, holder: tuple[subprocess.Popen[str], int]
) -> None:
    process, child = holder
    process.kill()
    process.wait()
    os.kill(child, 0)
    with locked(tmp_path / "lock", "run r"):
        assert (tmp_path / "lock").read_text() == f"process {os.getpid()} on {platform.node()}\n"


def test_a_lock_can_be_taken_again_and_makes_its_folder(tmp_path: Path) -> None:
    for _ in range(2):
        with locked(tmp_path / "new" / "lock", "run r"):
            pass


def test_without_locks_the_work_is_done_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def unsupported(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "lockf", unsupported)
    with locked(tmp_path / "lock", "run r"):
        pass
    assert "no file locks here (No locks available)" in capsys.readouterr().err
