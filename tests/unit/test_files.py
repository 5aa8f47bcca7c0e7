"""What killed processes leave beside a file is removed; what living ones are writing is not."""

from __future__ import annotations

import os
import platform
import subprocess
import time
from pathlib import Path

from ddcl.core.files import STALE_SECONDS, write_text


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
