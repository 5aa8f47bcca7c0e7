"""Exceptions that are not bugs (wrong input, try again), one-line explanations of others, and "did you mean"."""

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
    """The work is not finished, but nothing is wrong or lost: the same command continues it.

    The process was asked to end, or another one is doing the same work. The command line prints it as one line and
    exits with status 75 (EX_TEMPFAIL of sysexits.h).
    """


def explained(error: Exception) -> str:
    """Return a one-line explanation of an operating-system error or a lack of memory; empty for other errors."""
    if isinstance(error, OSError):
        places = " -> ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
        reason = error.strerror or " ".join(str(error).split()) or type(error).__name__
        return f"{places}: {reason}" if places else reason
    said = " ".join(str(error).split())[:200]
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in said:
        return f"not enough memory ({said or 'no details'}); free some memory, or use a machine or GPU with more"
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
    """Return a value for quoting in a message: on one line, shortened if it is too long."""
    text = repr(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}… ({len(text)} characters)"


def listed(names: Iterable[object], most: int) -> str:
    """Return names as messages list them, the first `most` of them: in one line, each not longer than it should be."""
    texts = [repr(str(name))[1:-1] for name in names]
    more = [f"and {len(texts) - most} more"] if len(texts) > most else []
    return ", ".join([*(each if len(each) <= LONGEST else f"{each[:LONGEST]}…" for each in texts[:most]), *more])


def visible(text: str) -> str:
    """Return a text for people, with what could act on their terminal as codes: names in files may hold anything."""
    return "".join(each if each.isprintable() or each == "\n" else ascii(each)[1:-1] for each in text)


def check_name(kind: str, name: str, allowed: Iterable[str], where: str) -> None:
    """Raise `UserError` unless `name` is one of `allowed`."""
    names = list(allowed)
    if name not in names:
        raise UserError(f"{where}: unknown {kind} {shown(name)}{did_you_mean(name, names)}")
