"""How a command may end: with its status and a line, whatever the machine or the user does to it."""

from __future__ import annotations

import argparse
import errno
import importlib
import shutil
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from types import FrameType

import pytest

from ddcl import verbs
from ddcl.__main__ import main
from ddcl.base.errors import TemporaryError, UserError
from tests.unit.test_damaged_files import CASES, said, whole

__all__ = ["whole"]  # a fixture
ROOT = Path(__file__).parents[2]
# imported beforehand: what was interrupted in the middle of an import cannot be imported again in this process
IMPORTED = (
    "ddcl.training",
    "ddcl.pictures.render",
    "ddcl.render",
    "ddcl.report.page.write",
    "ddcl.report.claims.judge",
)
IMPORTED += ("ddcl.report.figures.registry", "ddcl.evaluate.external", "ddcl.report.claims.planner", "ddcl.doctor")
IMPORTED += (
    "ddcl.report.exchange.trace",
    "ddcl.report.exchange.archive",
    "ddcl.evaluate.features",
    "ddcl.evaluate.knn",
)


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (UserError("a: b"), 2, "ddcl: error: a: b"),
        (TemporaryError("later"), 75, "ddcl: later"),
        (KeyboardInterrupt(), 130, "ddcl: interrupted; rerun the command to start from its beginning"),
        (PermissionError(errno.EACCES, "Permission denied", "f"), 2, "ddcl: error: f: Permission denied"),
        (
            OSError(errno.EROFS, "Read-only file system", "f", None, "g"),
            2,
            "ddcl: error: f -> g: Read-only file system",
        ),
        (OSError(errno.ENAMETOOLONG, "File name too long", "f"), 2, "ddcl: error: f: File name too long"),
        (MemoryError(), 2, "ddcl: error: not enough memory"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: 9"), 2, "ddcl: error: not enough memory (Default"),
    ],
    ids=repr,
)
def test_a_verb_ends_in_one_line(
    error: BaseException,
    status: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def schema(_: argparse.Namespace) -> None:
        raise error

    monkeypatch.setattr(verbs, "schema", schema)
    assert main(["schema"]) == status
    assert capsys.readouterr().err.startswith(line)


def test_a_defect_keeps_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def schema(_: argparse.Namespace) -> None:
        raise RuntimeError("a defect")

    monkeypatch.setattr(verbs, "schema", schema)
    with pytest.raises(RuntimeError, match="a defect"):
        main(["schema"])


@pytest.mark.parametrize(
    ("option", "allowed"),
    [
        ("doctor --threads 100000000000000000000", "a whole number from 1 to 1024"),
        ("doctor --threads ²", "a whole number from 1 to 1024"),
        ("diagnose f.npz --subsets -1", "a whole number from 0 to 1024"),
        ("diagnose f.npz --seed -1", "a whole number from 0 to 9223372036854775807"),
        ("subset digits --name x --per-class 0 --available 1", "a whole number from 1"),
        ("extract --run r --perturbations none --draws 99999", "a whole number from 1 to 1024"),
    ],
)
def test_numbers_that_nobody_can_mean(option: str, allowed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(option.split())
    assert ended.value.code == 2
    assert f"expected {allowed}, found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            "cifar10 --name x --per-class 1 --available 5001",
            "cifar10 has 50000 training images of 10 classes, so at mo",
        ),
        ("digits --name x --per-class 9 --available 8", "--per-class 9: allowed are 1 to 8 (--available)"),
    ],
)
def test_more_images_than_there_are(words: str, line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["subset", *words.split()]) == 2
    assert line in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("flags", [[], ["-OO"]])
def test_a_closed_pipe_a_full_disk_and_python_without_docstrings(flags: list[str], tmp_path: Path) -> None:
    def run(words: str) -> subprocess.CompletedProcess[str]:
        ddcl = f"{sys.executable} {' '.join(flags)} -m ddcl"
        command = ["bash", "-c", f"set -o pipefail; {words.replace('DDCL', ddcl)}"]
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    for words, status in {
        "DDCL schema | true": 141,
        "DDCL --help | head -1": 0,
        "DDCL schema > /dev/full": 2,
        "DDCL schema >&-": 0,
        f"DDCL resolve --check --suite smoke --results {tmp_path}": 0,
        f"DDCL status --suite smoke --results {tmp_path}": 0,
        f"DDCL resolve --suite smoke --results {tmp_path / ('x' * 300)}": 2,
        "DDCL resolve --suite smoke --results /proc/nowhere": 2,
        "DDCL collect --results Makefile": 2,
    }.items():
        done = run(words)
        assert done.returncode == status, (words, done.stderr)
        assert "Traceback" not in done.stderr, words
        assert len(done.stderr.splitlines()) <= 1, (words, done.stderr)


def interrupt_the_verb(_: int, frame: FrameType | None) -> None:
    """Press Ctrl-C while a verb's own function runs; a moment before or after it, look again in a millisecond."""
    while frame and frame.f_globals.get("__name__") != verbs.__name__:
        frame = frame.f_back
    if frame:
        signal.raise_signal(signal.SIGINT)
    else:
        signal.setitimer(signal.ITIMER_REAL, 0.001)


@pytest.mark.slow
def test_ctrl_c_at_any_moment_of_any_verb(
    whole: dict[bool, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    for module in IMPORTED:
        importlib.import_module(module)
    ends = Counter[int]()
    before = signal.signal(signal.SIGALRM, interrupt_the_verb)
    ctrl_c = signal.signal(signal.SIGINT, signal.default_int_handler)  # whatever a shell in the background made of it
    try:
        for case in CASES:
            for seconds in (0.003, 0.03, 0.1):
                results = tmp_path / "results"
                shutil.rmtree(results, ignore_errors=True)
                shutil.copytree(whole[case.made], results)
                signal.setitimer(signal.ITIMER_REAL, seconds)
                status, _, err = said(case, results)
                signal.setitimer(signal.ITIMER_REAL, 0)
                ends[status] += 1
                assert status in (0, 75, 130) or (case.command.startswith("pretrain") and status == 2), (case, err)
                assert "Traceback" not in err
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        signal.signal(signal.SIGINT, ctrl_c)
    print(dict(ends))
    assert ends[130] >= len(CASES)
