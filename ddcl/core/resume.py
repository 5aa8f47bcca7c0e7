"""Training that can be interrupted after any step: when its state is saved, and which state it resumes from."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from tqdm import tqdm

from ddcl.base.errors import TemporaryError, UserError
from ddcl.base.files import rename
from ddcl.base.interrupt import Interruption
from ddcl.core import distributed
from ddcl.core.checkpoint import State, load_checkpoint, save_checkpoint


class SavedStates:
    """The newest state of a training and the one before it, `NAME.pt` and `NAME.previous.pt`.

    At any moment one of them is complete. Use it as a context manager around training: a signal then ends training only
    after a step, in `pause`.

    path: of the newest state. identity: digests that a state must match to be resumed. minutes: longest time without
        saving.
    """

    def __init__(self, path: Path, identity: list[str], minutes: float) -> None:
        self.path, self.identity, self.seconds = path, identity, 60 * minutes
        self.previous, self.next = (path.with_name(f"{path.stem}.{name}.pt") for name in ("previous", "next"))
        self.interruption = Interruption()
        self.newest_is_good = False
        self.saved_at = time.monotonic()

    def __enter__(self) -> Self:
        self.interruption.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.interruption.__exit__()

    def pause(self, state: Callable[[], State], due: bool = False) -> None:
        """Save `state()` if it is due or the last save is `minutes` ago; after a signal, save it and end the process.

        Call it after each step and epoch. Raises `TemporaryError` to end the process.
        """
        signalled = self.interruption.signal
        late = time.monotonic() - self.saved_at >= self.seconds
        wish = distributed.largest(2 if signalled else int(due or late))  # the processes save and end together
        if wish:
            self.save(state())
        if wish == 2:
            by = signalled or "another process"
            raise TemporaryError(
                f"interrupted by {by}; the state is saved in {self.path}; run the same command again to continue"
            )

    def save(self, state: State) -> None:
        """Save `state`; it is complete on disk before any renaming, and only a valid state becomes the previous one."""
        if distributed.rank() == 0:
            save_checkpoint(self.next, {"identity": self.identity, **state})
            if self.newest_is_good:
                rename(self.path, self.previous)
            rename(self.next, self.path)
        self.newest_is_good = True
        self.saved_at = time.monotonic()

    def load(self) -> State | None:
        """Return the newest valid state of this training, or None; print what was found."""
        return distributed.from_first(self._load)

    def _load(self) -> State | None:
        for path in (self.path, self.previous):
            if not path.exists():
                continue
            try:
                state, _ = load_checkpoint(path)
            except UserError as error:
                tqdm.write(f"not resumed: {error}")
                continue
            if state["identity"] != self.identity:
                tqdm.write(f"not resumed: {path} belongs to another recipe, checkpoint, data set or code version")
                continue
            tqdm.write(f"resumed from {path} after {state['epoch']} epochs and {state['step']} steps")
            self.newest_is_good = path == self.path
            return state
        return None
