"""Jobs forked from a warm process: they end as others do, and nothing outlives the command that asked for it."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from ddcl import verbs, warm
from tests.waiting import until

ROOT = Path(__file__).resolve().parents[2]
STARTER = """
import os, sys
from ddcl import warm
warm.start()
print(os.environ[warm.VARIABLE], flush=True)
sys.stdin.read()
"""
JOB_THREADS = dict.fromkeys(warm.THREADS, "1")


Warmed = tuple[str, psutil.Process]


@pytest.fixture(scope="module")
def warmed() -> Iterator[Warmed]:
    with warmed_in(ROOT) as found:
        yield found


@contextlib.contextmanager
def warmed_in(checkout: Path) -> Iterator[Warmed]:
    """Where a warm process listens, and that process. It ends with the one that started it."""
    command = [sys.executable, "-c", STARTER]
    with subprocess.Popen(command, cwd=checkout, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as starter:
        address = (starter.stdout or sys.stdin).readline().strip()
        (process,) = psutil.Process(starter.pid).children()
        yield address, process
        starter.communicate()
    assert until(lambda: not process.is_running()), "the warm process outlives who started it"
    assert not Path(address).parent.exists()


def start(words: str, address: str, stderr: int = subprocess.PIPE, checkout: Path = ROOT) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "ddcl", *words.split()],
        cwd=checkout,
        env={**os.environ, **JOB_THREADS, warm.VARIABLE: address},
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )


def stuck(warmed: Warmed) -> tuple[subprocess.Popen[str], psutil.Process, int]:
    """Start a job that waits for ever, as nobody reads what it says; return it, its process, and the pipe."""
    address, process = warmed
    assert until(lambda: not process.children()), "a job of another test goes on"
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(write_end, b" " * 4096):
            pass
    os.set_blocking(write_end, True)
    job = start("collect --results Makefile", address, stderr=write_end)
    os.close(write_end)
    assert until(process.children), "no process was forked"
    (forked,) = process.children()
    assert until(lambda: forked.status() == psutil.STATUS_SLEEPING)
    return job, forked, read_end


@pytest.mark.parametrize("words", ["collect --results Makefile", "table --nosuch", "table nosuch", "table --help"])
def test_a_job_ends_as_one_that_started_by_itself(words: str, warmed: Warmed) -> None:
    jobs = [start(words, address) for address in (warmed[0], "")]
    forked, other = (job.communicate() for job in jobs)
    assert (*forked, jobs[0].returncode) == (*other, jobs[1].returncode)


def test_an_edit_takes_effect_in_the_next_job(tmp_path: Path) -> None:
    for package in ("ddcl", "baselines"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    verb = tmp_path / "ddcl/verbs.py"
    with warmed_in(tmp_path) as (address, _):
        said = [start("write --help", address, checkout=tmp_path).communicate()[0]]
        verb.write_text(verb.read_text().replace("Write a recipe, or", "Write an edited recipe, or"))
        said.append(start("write --help", address, checkout=tmp_path).communicate()[0])
    assert ["Write an edited recipe" in each for each in said] == [False, True]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_ends_the_job_and_its_process(number: signal.Signals, warmed: Warmed) -> None:
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip(f"{number.name} is ignored here, as below nohup")
    job, process, pipe = stuck(warmed)
    job.send_signal(number)
    assert job.wait(timeout=20) == -number
    assert until(lambda: not process.is_running()), "the forked process outlives its command"
    os.close(pipe)


def test_a_job_whose_process_is_killed_says_so(warmed: Warmed) -> None:
    job, process, pipe = stuck(warmed)
    process.kill()
    assert until(lambda: not process.is_running())
    with open(pipe) as said:
        assert said.read().strip() == f"ddcl: error: process {process.pid} of this job was killed (out of memory?)"
    assert job.wait(timeout=20) == warm.KILLED


def test_a_job_stops_and_goes_on_with_its_command(warmed: Warmed) -> None:
    job, process, pipe = stuck(warmed)
    command = psutil.Process(job.pid)
    job.send_signal(signal.SIGTSTP)
    assert until(lambda: process.status() == command.status() == psutil.STATUS_STOPPED), "Ctrl-Z stops both"
    job.send_signal(signal.SIGCONT)
    assert until(lambda: process.status() == psutil.STATUS_SLEEPING)
    assert command.status() == psutil.STATUS_SLEEPING
    job.kill()
    job.wait(timeout=20)
    os.close(pipe)


def test_who_dies_before_asking_harms_nobody(warmed: Warmed) -> None:
    address, process = warmed
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
    assert start("table nosuch", address).wait(timeout=60) == 2
    assert process.is_running()


def test_without_a_warm_process_a_job_starts_by_itself(tmp_path: Path) -> None:
    job = start("collect --results Makefile", str(tmp_path / "nobody"))
    assert job.communicate()[1].startswith("ddcl: error: ")
    assert job.returncode == 2


def test_only_jobs_of_one_thread_and_of_stages_are_forked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(warm.VARIABLE, str(tmp_path / "nobody"))
    for name, value in JOB_THREADS.items():
        monkeypatch.setenv(name, value)

    def asked(*_: object) -> None:
        raise AssertionError("asked")

    monkeypatch.setattr(warm.socket, "socket", asked)
    assert warm.run(["status"]) is None
    assert warm.run([]) is None
    with pytest.raises(AssertionError, match="asked"):
        warm.run(["table"])
    for processes in (1, 2):
        (tmp_path / "config.json").write_text(json.dumps({"training": {"processes": processes}}), encoding="utf-8")
        with pytest.raises(AssertionError, match="asked") if processes == 1 else contextlib.nullcontext():
            assert warm.run(["pretrain", "--run", str(tmp_path)]) is None  # torchrun takes its place
    monkeypatch.setenv("OMP_NUM_THREADS", "2")
    assert warm.run(["table"]) is None


def test_what_is_loaded_for_a_verb_is_there() -> None:
    assert all(callable(getattr(verbs, verb)) for verb in warm.LIBRARIES)
    for name in {name for names in warm.LIBRARIES.values() for name in names}:
        assert importlib.util.find_spec(name), name


def test_a_machine_without_room_for_it_has_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(warm.VARIABLE, raising=False)
    monkeypatch.setattr(warm.tempfile, "tempdir", str(tmp_path / "nowhere"))
    warm.start()
    assert warm.VARIABLE not in os.environ


def test_a_machine_without_such_sockets_has_no_warm_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(warm.VARIABLE, raising=False)
    monkeypatch.delattr(warm.socket, "AF_UNIX")
    warm.start()
    assert warm.VARIABLE not in os.environ
