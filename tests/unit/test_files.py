"""Arrays that are written chunk by chunk: the file numpy would have written, whole or not there."""

from __future__ import annotations

import errno
import hashlib
from pathlib import Path

import numpy as np
import pytest

from ddcl.core.errors import UserError
from ddcl.core.files import ArrayWriter

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
    with pytest.raises(ValueError, match="3 rows were written, 6 announced"), ArrayWriter(path, (6, 4), "f4") as writer:
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
