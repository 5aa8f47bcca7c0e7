"""Exceptions that do not indicate a bug, "the user can fix this" and "try again"; others in a line; did-you-mean."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

LONGEST = 120  # characters of a quoted value
MOST_NAMES = 40  # that are listed


class UserError(Exception):
    """Wrong input. The message says what was asked, what was found, what is allowed, and where.

    The command line prints it as one line and exits with status 2; it never comes with a traceback.
    """


class TemporaryError(Exception):
    """Nothing is wrong and nothing is lost, but the work is not done: the same command will go on with it.

    The process was asked to end, or another one is at the same work. The command line prints it as one line and exits
    with status 75 (EX_TEMPFAIL of sysexits.h).
    """


def explained(error: Exception) -> str:
    """Return in one line what the operating system, or the lack of memory, kept a command from doing; else nothing."""
    if isinstance(error, OSError):
        places = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
        reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
        return f"{places}: {reason}" if places else reason
    said = " ".join(str(error).split())[:200]
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in said:
        return f"not enough memory ({said or 'nothing more is known'}); free some, or use a machine or a GPU with more"
    return ""


def did_you_mean(name: str, allowed: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest allowed name, else the list of allowed names."""
    names = sorted(set(allowed))
    near = difflib.get_close_matches(name, names, n=1)
    if near:
        return f"; did you mean {near[0]!r}?"
    more = f", and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"; allowed: {', '.join(names[:MOST_NAMES])}{more}" if names else ""


def shown(value: object) -> str:
    """Return a value as messages quote it: in one line, and not longer than a message should be."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def check_name(kind: str, name: str, allowed: Iterable[str], where: str) -> None:
    """Raise `UserError` unless `name` is one of `allowed`."""
    names = list(allowed)
    if name not in names:
        raise UserError(f"{where}: unknown {kind} {shown(name)}{did_you_mean(name, names)}")
