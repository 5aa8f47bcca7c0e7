"""The nearest neighbours by cosine, and their weighted vote (Wu et al. 2018, arXiv 1805.01978, sec. 3.4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

BANK_BYTES = 2**29  # of voting features that are float32 at once
BLOCK_BYTES = 2**28  # of similarities that exist at once; smaller blocks take longer
LARGE = 128  # times as many voters as neighbours: from there on, candidates are worth their search on a CPU
SMALL = 64  # times as many: below that, `topk` takes another way, and on one thread numpy's is faster

Columns: TypeAlias = Tensor | slice
ALL = slice(None)


def nearest(bank: Tensor, queries: Tensor, k: int, columns: Columns = ALL) -> tuple[Tensor, Tensor]:
    """Return the cosines [M, k] of the k nearest of the bank [N, D] to each query [M, D], falling, and their rows.

    Bank and queries are processed in blocks, so that memory is bounded; both may be of any float type. columns: those
    of the features that are used.
    """
    n, width = bank.shape
    found: list[tuple[Tensor, Tensor]] = []  # of each block of queries, among the bank so far
    bank_rows = max(k, BANK_BYTES // (4 * width))
    query_blocks = torch.split(queries, max(1, BLOCK_BYTES // (4 * min(n, bank_rows))))
    for start in range(0, n, bank_rows):
        voters = F.normalize(bank[start : start + bank_rows, columns].float(), dim=1)
        room = torch.empty(len(query_blocks[0]), len(voters), device=bank.device)  # one for all: new memory is slow
        for number, block in enumerate(query_blocks):
            unit = F.normalize(block[:, columns].float(), dim=1)
            similarity = torch.mm(unit, voters.T, out=room[: len(block)])  # [m, n]
            cosine, row = _top(similarity, min(k, len(voters)))
            row += start
            if start == 0:
                found.append((cosine, row))
                continue
            cosine, row = (torch.cat(pair, dim=1) for pair in zip(found[number], (cosine, row), strict=True))
            cosine, order = cosine.topk(min(k, cosine.shape[1]), dim=1)
            found[number] = cosine, row.gather(1, order)
    return torch.cat([cosine for cosine, _ in found]), torch.cat([row for _, row in found])


def _top(similarity: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return what `similarity.topk(k, dim=1)` does."""
    if similarity.device.type == "cpu" and similarity.shape[1] >= LARGE * k:
        from ddcl.evaluate.largest import largest  # here: numba takes a second to import

        return largest(similarity, k)
    if similarity.device.type == "cpu" and k < similarity.shape[1] < SMALL * k and torch.get_num_threads() == 1:
        return partitioned(similarity, k)
    cosine, row = similarity.topk(k, dim=1)
    return cosine, row


def partitioned(x: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return what `x.topk(k, dim=1)` does on one thread, in half of its time; k is below the number of columns.

    `topk` gets all rows in which some of the largest values are equal, or not a number.
    """
    values = x.numpy()
    columns = np.argpartition(values, values.shape[1] - k - 1, axis=1)[:, -k - 1 :]  # with the next one, for ties
    falling = np.argsort(-np.take_along_axis(values, columns, axis=1), axis=1)
    row = torch.from_numpy(np.take_along_axis(columns, falling, axis=1))
    cosine = x.gather(1, row)
    tied = (~(cosine[:, 1:] < cosine[:, :-1]).all(dim=1)).nonzero()[:, 0]
    cosine, row = cosine[:, :k].contiguous(), row[:, :k].contiguous()
    cosine[tied], row[tied] = x[tied].topk(k, dim=1)
    return cosine, row


def knn_predict(
    bank: tuple[Tensor, Tensor], queries: Tensor, ks: Sequence[int], temperature: float, columns: Columns = ALL
) -> list[Tensor]:
    """Return, for each number of neighbours, the predicted class [M] of each query.

    bank: features [N, D] and labels [N] that vote.
    queries: features [M, D]. columns: those of the features that are used.
    Each of the k nearest by cosine votes for its class with weight ``exp(cosine / temperature)``. Ties go to the
    lower class index. A k above N counts as N.
    """
    features, labels = bank
    cosine, row = nearest(features, queries, min(max(ks), len(features)), columns)
    # relative to the nearest, so that a small temperature does not overflow; the arg max is the same
    weight = torch.exp((cosine - cosine[:, :1]) / temperature)
    label = labels[row]
    blank = torch.zeros(len(queries), int(labels.max()) + 1, device=weight.device)
    return [blank.scatter_add(1, label[:, :k], weight[:, :k]).argmax(dim=1) for k in ks]
