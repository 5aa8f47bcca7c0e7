"""The largest values of each row of a large matrix on a CPU, as `topk` finds them, in a third of its time."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddcl.core.compiled import compiled

GROUP = 64  # columns per group, whose largest value bounds the k-th largest of the row
ROOM = 2  # candidates for each of the k values; a row with more is left to `topk`


def largest(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return what `x.topk(k, dim=1)` does: the k largest values [M, k] of each row of x, falling, and their columns.

    x: float32 [M, N], N at least GROUP * k. Of equal values, too, come those that `topk` takes, in its order: it gets
    all rows in which some of the largest are equal.
    """
    values = torch.full((len(x), ROOM * k), -torch.inf)
    columns = torch.zeros(values.shape, dtype=torch.int64)
    counts = torch.zeros(len(x), dtype=torch.int64)
    threads = min(torch.get_num_threads(), len(x))
    edges = [len(x) * part // threads for part in range(threads + 1)]
    arrays = [tensor.numpy() for tensor in (x, values, columns, counts)]
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(_candidates, *arrays, k, start, stop) for start, stop in pairwise(edges)]:
            done.result()
    top, order = values[:, : max(k + 1, int(counts.max()))].topk(k + 1, dim=1)
    top_columns = columns.gather(1, order[:, :k])
    strictly = (top[:, 1:] < top[:, :-1]).all(dim=1)  # not where values are equal, nan, or fewer than k
    rest = (~strictly | (counts > values.shape[1])).nonzero()[:, 0]
    top = top[:, :k].contiguous()
    top[rest], top_columns[rest] = x[rest].topk(k, dim=1)
    return top, top_columns


@compiled()
def _candidates(
    x: NDArray[np.float32],
    values: NDArray[np.float32],
    columns: NDArray[np.int64],
    counts: NDArray[np.int64],
    k: int,
    start: int,
    stop: int,
) -> None:
    """Write the values of rows start … stop - 1 that may be among the k largest, their columns, and how many they are.

    At least k groups have a maximum that reaches the k-th largest maximum, so the k-th largest value reaches it, too.
    """
    n, room = x.shape[1], values.shape[1]
    groups = n // GROUP
    maxima = np.empty(groups, np.float32)
    for i in range(start, stop):
        maxima[:] = -np.inf
        for first in range(0, n - groups + 1, groups):  # a group: every groups-th column; what is left over has none
            part = x[i, first : first + groups]
            for j in range(groups):
                maxima[j] = part[j] if part[j] > maxima[j] else maxima[j]  # never nan
        bound = np.partition(maxima, groups - k)[groups - k]
        count = 0
        for column in range(n):
            value = x[i, column]
            if not value < bound:  # nan, too
                if count < room:
                    values[i, count], columns[i, count] = value, column
                count += 1
        counts[i] = count
