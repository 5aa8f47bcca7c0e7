"""Loops in Python that numba compiles; importing this takes a second."""

from __future__ import annotations

from collections.abc import Callable, Set
from functools import partial
from typing import Any, TypeAlias

import numba

Function: TypeAlias = Callable[..., Any]


def compiled(fastmath: Set[str] = frozenset()) -> Callable[[Function], Function]:
    """Return a decorator that compiles a function with numba.

    The result is cached on disk for all processes, or kept for this process only if no folder is writable. fastmath:
    names of LLVM's fast-math flags. Compiled functions release the GIL, and x / 0 is infinite.
    """
    jit = partial(numba.njit, nogil=True, error_model="numpy", fastmath=set(fastmath))

    def decorate(function: Function) -> Function:
        try:
            result: Function = jit(cache=True)(function)
        except RuntimeError:  # neither the code's folder nor HOME, nor NUMBA_CACHE_DIR: a read-only installation
            result = jit()(function)
        return result

    return decorate
