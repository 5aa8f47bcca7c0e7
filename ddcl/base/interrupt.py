"""Signals that ask a process to end: remembered until a step is done and the state is saved.

Slurm sends SIGTERM before a time limit (`--signal=TERM@120`), at preemption, requeue and scancel; some sites SIGUSR1;
a terminal SIGINT.
"""

from __future__ import annotations

import signal
from types import FrameType
from typing import Self

MINUTES = 10.0  # of training that an abrupt end may cost, unless something else is said
SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT)


class Interruption:
    """While it is entered, `SIGNALS` no longer end the process. Enter it in the main thread.

    signal: the name of the first signal that came, or nothing. A second SIGINT (Ctrl-C) is a KeyboardInterrupt again.
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

    Slurm signals every process of a step. Without its workers the training could not finish its step; it ends them
    itself. The second signal ends a worker, so that one that hangs can still be removed.
    """
    for number in SIGNALS:
        signal.signal(number, lambda came, _: signal.signal(came, signal.SIG_DFL))
