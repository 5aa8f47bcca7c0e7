"""Files are whole or not there: arrays written chunk by chunk, and what killed processes leave beside a file."""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from ddcl.base.errors import UserError
from ddcl.base.files import STALE_SECONDS, ArrayWriter, write_text

ROWS = np.arange(24, dtype=np.float32).reshape(6, 4)


def test_chunks_make_the_file_that_numpy_writes(tmp_path: Path) -> None:
    np.save(tmp_path / "whole.npy", ROWS.astype(np.float16))
    with ArrayWriter(tmp_path / "chunks.npy", (6, 4), "float16") as writer:
        for start in (0, 1, 4):
            writer.write(ROWS[start : {0: 1, 1: 4, 4: 6}[start]])
    data = (tmp_path / "chunks.npy").read_bytes()
    assert data == (tmp_path / "whole.npy").read_bytes()
    assert writer.digest == hashlib.sha256(data).hexdigest()


def test_an_error_leaves_the_file_before_it_and_no_rest(tmp_path: Path) -> None:
    path = tmp_path / "a.npy"
    np.save(path, ROWS)
    before = path.read_bytes()
    with pytest.raises(ValueError, match="3 rows were written, expected 6"), ArrayWriter(path, (6, 4), "f4") as writer:
        writer.write(ROWS[:3])
    with pytest.raises(ValueError, match="could not convert"), ArrayWriter(path, (6, 4), "f4") as writer:
        writer.write(np.array([["x"]]))
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.iterdir()] == ["a.npy"]


def test_a_full_disk_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(UserError, match="the disk is full"), ArrayWriter(tmp_path / "a.npy", (6, 4), "f4") as writer:
        writer.write(ROWS)
    assert not list(tmp_path.iterdir())


def left(folder: Path, node: str, process: int, name: str = "a.json", age_seconds: float = 0.0) -> Path:
    path = folder / f".{name}.{node}.{process}.tmp.json"
    path.write_text("half")
    then = time.time() - age_seconds
    os.utime(path, (then, then))
    return path


def test_leftovers_of_dead_processes_are_removed_and_nothing_else(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    here = platform.node()
    dead = left(tmp_path, here, ended.pid)
    ancient = left(tmp_path, "another.node", 1, age_seconds=STALE_SECONDS + 60)
    kept = [
        left(tmp_path, here, os.getppid()),
        left(tmp_path, "another.node", ended.pid),
        left(tmp_path, here, ended.pid, name="b.json"),
    ]
    write_text(tmp_path / "a.json", "{}")
    assert not dead.exists()
    assert not ancient.exists()
    assert all(path.exists() for path in kept)
    assert (tmp_path / "a.json").read_text() == "{}"
