"""Loops in Python that numba compiles; importing this takes a second."""

from __future__ import annotations

from collections.abc import Callable, Set
from functools import partial
from typing import Any, TypeAlias

import numba

Function: TypeAlias = Callable[..., Any]


def compiled(fastmath: Set[str] = frozenset()) -> Callable[[Function], Function]:
    """Return what compiles a function, once for all processes; for this one alone where no folder can be written.

    fastmath: freedoms of LLVM's floating point, by name. A compiled function holds no GIL, and x / 0 is infinite.
    """
    jit = partial(numba.njit, nogil=True, error_model="numpy", fastmath=set(fastmath))

    def decorate(function: Function) -> Function:
        try:
            result: Function = jit(cache=True)(function)
        except RuntimeError:  # neither the code's folder nor HOME, nor NUMBA_CACHE_DIR: a read-only installation
            result = jit()(function)
        return result

    return decorate
