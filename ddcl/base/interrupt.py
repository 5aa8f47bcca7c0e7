"""Signals that ask a process to end: remembered until a step is done and the state is saved.

Slurm sends SIGTERM before a time limit (`--signal=TERM@120`), at preemption, requeue and scancel; some sites send
SIGUSR1; a terminal sends SIGINT.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Self

MINUTES = 10.0  # default for the most training time that can be lost if the process is killed
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Interruption:
    """A context manager inside which `SIGNALS` do not end the process. Use it in the main thread.

    signal: name of the first signal received, or empty. A second SIGINT (Ctrl-C) raises KeyboardInterrupt as usual.
    """

    def __init__(self) -> None:
        self.signal = ""

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._remember) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _remember(self, number: int, _: FrameType | None) -> None:
        self.signal = self.signal or signal.Signals(number).name
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def survive_first_signal(_: int) -> None:
    """Let a worker that decodes images outlive one signal that was meant for the whole job.

    Slurm signals every process of a job step, but training needs its workers to finish the current step, and ends them
    itself. A second signal ends a worker, so that one that hangs can still be stopped.
    """
    for number in SIGNALS:
        signal.signal(number, lambda came, _: signal.signal(came, signal.SIG_DFL))
