"""The benchmarks start: what they import of the project is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MISSING = "this benchmark needs lightly, which is not installed"  # no dependency of the project


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "benchmarks").glob("*.py")))
def test_a_benchmark_starts(name: str) -> None:
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, 'benchmarks'); import {name}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0 or MISSING in done.stderr, done.stderr
