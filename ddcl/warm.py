"""Jobs that are forked from one process that has all modules loaded: importing torch and timm costs seconds a job.

`start` is called when Snakemake begins to run jobs on this machine; its process ends with Snakemake. A job's command
stays ``python -m ddcl …``: `run` hands its arguments, environment, folder and open files over, passes signals on, and
ends as the forked process does. That process computes as one with a fresh interpreter would: it imports the suite's own
code anew if a file of it has changed. It dies with the command that asked for it. Without a warm process a command runs
as always.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import random
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import FrameType

VARIABLE = "DDCL_WARM"  # of the environment of jobs: where the warm process listens
COMMON = ("pydantic", "yaml", "ddcl.verbs", "ddcl.plan.job_cost")
LEARNING = (*COMMON, "torch", "timm.models.resnet", "numba", "sklearn")
STAGES = (
    "ddcl.training",
    "ddcl.data.fused",
    "ddcl.evaluate.features",
    "ddcl.evaluate.record",
    "ddcl.evaluate.diagnostics",
    "ddcl.evaluate.knn",
)
FRAMES = (*COMMON, "pandas", "pyarrow.parquet", "scipy.stats", "ddcl.report.collect")
DRAWING = (*FRAMES, "matplotlib.figure", "seaborn", "ddcl.report.figures.registry")
# What most jobs of each verb import: loaded before the first fork for it.
LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "write": COMMON,
    **dict.fromkeys(("pretrain", "extract", "evaluate"), (*LEARNING, *STAGES)),
    **dict.fromkeys(("collect", "table", "claims", "tune", "report"), FRAMES),
    "figure": DRAWING,
    "picture": (*LEARNING, *DRAWING),
}
# Libraries read their number of threads when they are loaded, so jobs with another number start by themselves.
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"), "1")
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)
KILLED = 137  # the exit status of what was killed, as the shell says it
ASKING_SECONDS = 10.0
LENGTH = 8  # bytes of the number before the request, and of the process's number in the answer

Handler = Callable[[int, FrameType | None], None]  # of a signal

_kept: list[subprocess.Popen[bytes]] = []  # for as long as this process lives, which is what the warm one goes by


def start() -> None:
    """Start the warm process, and tell jobs of it by the environment.

    Where the machine has no such sockets, or no place for one, every job starts by itself.
    """
    folder = ""
    try:
        folder = tempfile.mkdtemp(prefix="ddcl-")  # nobody else may enter it
        address = f"{folder}/warm"
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(address)
            listener.listen(socket.SOMAXCONN)
            process = subprocess.Popen(
                [sys.executable, "-m", "ddcl.warm", str(listener.fileno()), folder],
                env={**os.environ, **THREADS},
                pass_fds=[listener.fileno()],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C is for Snakemake and its jobs
            )
    except (OSError, AttributeError):
        shutil.rmtree(folder, ignore_errors=True)
        return
    _kept.append(process)
    os.environ[VARIABLE] = address


def run(arguments: Sequence[str]) -> int | None:
    """Run a verb in a process forked from the warm one; return its exit status, or None: nothing was run."""
    address = os.environ.get(VARIABLE)
    if not address or not LIBRARIES.keys() & set(arguments[:1]) or THREADS.items() - os.environ.items():
        return None
    if _of_several_processes(arguments):
        return None
    job = _Job()
    handlers: dict[int, Handler] = {signal.SIGTSTP: job.pause, signal.SIGCONT: job.go_on}
    handlers |= dict.fromkeys(PASSED_ON, job.pass_on)
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(address)
            _ask(connection, arguments)
            job.began(int.from_bytes(_received(connection, LENGTH)))
            return _received(connection, 1)[0]
    except (OSError, EOFError):  # the warm process is gone; or the job, without a last word
        for number, handler in before.items():
            signal.signal(number, handler)
        for passed_on in job.came:  # what ended the job ends this process, too
            signal.raise_signal(passed_on)
        if not job.process:
            return None
        print(f"ddcl: error: process {job.process} of this job was killed (out of memory?)", file=sys.stderr)
        return KILLED


def _of_several_processes(arguments: Sequence[str]) -> bool:
    """Return whether it is a training whose process another program replaces, torchrun: a forked one could not tell."""
    if arguments[0] != "pretrain":
        return False
    with contextlib.suppress(OSError, ValueError, KeyError):
        config = Path(arguments[arguments.index("--run") + 1], "config.json").read_text(encoding="utf-8")
        processes: int = json.loads(config)["training"]["processes"]
        return processes > 1
    return False


class _Job:
    """The forked process, as the command that waits for it knows it. process: its number, 0 before it began."""

    def __init__(self) -> None:
        self.process = 0
        self.came: list[int] = []

    def began(self, process: int) -> None:
        """Take the number of the process, and pass on what came before."""
        self.process = process
        for number in self.came:
            self._send(number)

    def pass_on(self, number: int, _: FrameType | None) -> None:
        """Send a signal on, as soon as there is a process."""
        self.came.append(number)
        self._send(number)

    def pause(self, *_: object) -> None:
        """Stop the process, then this one: Ctrl-Z."""
        self._send(signal.SIGSTOP)
        os.kill(os.getpid(), signal.SIGSTOP)

    def go_on(self, *_: object) -> None:
        """Let the process go on."""
        self._send(signal.SIGCONT)

    def _send(self, number: int) -> None:
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process, number)


def _ask(connection: socket.socket, arguments: Sequence[str]) -> None:
    """Send a request: its length with this process's open files, then arguments, folder and environment."""
    asked = json.dumps([list(arguments), os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(connection, [len(asked).to_bytes(LENGTH)], [0, 1, 2])
    connection.sendall(asked)


def _received(connection: socket.socket, n: int) -> bytes:
    """Return the next n bytes; `EOFError` if they do not come."""
    found = b""
    while len(found) < n:
        more = connection.recv(n - len(found))
        if not more:
            raise EOFError
        found += more
    return found


def serve(listener: socket.socket, folder: str) -> None:
    """Fork a process for each request, until the standard input ends: with Snakemake."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for them
    code = _own_code()
    try:
        while 0 not in select.select([0, listener.fileno()], [], [])[0]:
            connection, _ = listener.accept()
            # who asked may have been killed; whom nobody answers runs by itself
            with connection, contextlib.suppress(OSError, EOFError):
                _answer(listener, connection, code)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _own_code() -> dict[str, int]:
    """Return when each file of the suite's own code was last written, in nanoseconds; empty while one goes."""
    from ddcl.base.fingerprint import PACKAGES, ROOT

    folders = (folder for package in PACKAGES for folder in os.walk(ROOT / package))
    files = (os.path.join(folder, name) for folder, _, names in folders for name in names if name.endswith(".py"))
    with contextlib.suppress(FileNotFoundError):
        return {file: os.stat(file).st_mtime_ns for file in files}
    return {}


def _answer(listener: socket.socket, connection: socket.socket, code: Mapping[str, int]) -> None:
    """Take a request and fork a process for it. code: as the files were before any of them was imported."""
    connection.settimeout(ASKING_SECONDS)  # one that was stopped while it asks must not keep the others waiting
    length, files, *_ = socket.recv_fds(connection, LENGTH, 3)
    try:
        if len(length) < LENGTH:
            raise EOFError
        arguments, cwd, environment = json.loads(_received(connection, int.from_bytes(length)))
        connection.settimeout(None)
        _load(arguments[0])
        if os.fork() == 0:
            try:
                listener.close()
                _become(files, cwd, environment)
                _forget_edited(code)
                _work(connection, arguments)
            finally:
                os._exit(1)  # whatever happens, there is one warm process
    finally:
        for file in files:
            os.close(file)


def _load(verb: str) -> None:
    """Import what a verb imports; what is missing or wrong is the job's to tell."""
    from ddcl.base.fingerprint import closure

    for name in LIBRARIES[verb]:
        with contextlib.suppress(Exception):
            if name == "numba" and name not in sys.modules:  # its compiler is half a second's work, too
                importlib.import_module(name).njit("int64(int64)")(lambda x: x)
            importlib.import_module(name)
            if name in STAGES:
                closure([name])  # it remembers the syntax trees that it reads
    gc.freeze()  # what is never looked at again stays shared


def _forget_edited(code: Mapping[str, int]) -> None:
    """Forget all of the suite's own code that was imported, if a file of it has changed since `code`."""
    from ddcl.base.fingerprint import PACKAGES, package_of

    if _own_code() != code:
        for name in [name for name in sys.modules if package_of(name) in PACKAGES]:
            del sys.modules[name]


def _become(files: Sequence[int], cwd: str, environment: Mapping[str, str]) -> None:
    """Take the open files, the folder and the environment of the command that asked."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = os.fdopen(0, closefd=False)
    sys.stdout = os.fdopen(1, "w", closefd=False, errors=sys.stdout.errors)
    sys.stderr = os.fdopen(2, "w", closefd=False, errors=sys.stderr.errors, buffering=1)
    os.chdir(cwd)
    sys.path[0] = cwd
    os.environ.clear()
    os.environ.update(environment)
    random.seed()


def _work(connection: socket.socket, arguments: Sequence[str]) -> None:
    """Do the verb, say the exit status, and end."""
    connection.sendall(os.getpid().to_bytes(LENGTH))
    threading.Thread(target=_die_with, args=[connection], daemon=True).start()
    status: object = 1
    try:
        sys.argv = ["ddcl", *arguments]
        status = importlib.import_module("ddcl.__main__").main(arguments)
    except SystemExit as error:
        status = error.code
    except BaseException:
        traceback.print_exc()
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    status = status if isinstance(status, int) else int(bool(status))
    with contextlib.suppress(OSError):
        connection.sendall(bytes([status]))
    os._exit(status)


def _die_with(connection: socket.socket) -> None:
    """End this process at once when the command that asked for it is gone."""
    with contextlib.suppress(OSError):
        connection.recv(1)
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])), sys.argv[2])
