"""Readers: from a data set's own files to splits of uint8 images.

A reader takes the side in pixels and returns ``{split: (images, labels)}`` with images uint8 [N, 3, S, S] and labels
int64 [N]; splits are `train` and `test`. `prepare` is the only caller.
"""

from __future__ import annotations

import numpy as np

from ddcl.data.source import ArraySplit, Request


def read_digits(request: Request) -> dict[str, ArraySplit]:
    """Return scikit-learn's digits (1,797 real 8×8 scans, in its wheel), drawn larger, as three equal channels.

    A fixed, stratified quarter is the test split: the wheel's file has no official one. Enlarged bilinearly.
    Source: Alpaydin and Kaynak 1998, UCI "Optical Recognition of Handwritten Digits", its test part.
    """
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from torch.nn import functional as F

    digits = load_digits()
    grey = torch.from_numpy(digits.images)[:, None] * (255 / 16)  # [N, 1, 8, 8], from levels 0 … 16
    drawn = F.interpolate(grey, size=(request.side_px, request.side_px), mode="bilinear", align_corners=False)
    images = drawn.round().clamp(0, 255).to(torch.uint8).expand(-1, 3, -1, -1).numpy()
    labels = digits.target.astype(np.int64)
    train, test = train_test_split(np.arange(len(labels)), test_size=0.25, stratify=labels, random_state=0)
    return {
        "train": ArraySplit(images[train], labels[train]),
        "test": ArraySplit(images[test], labels[test]),
    }


def read_fashion_mnist(request):
    import gzip
    from pathlib import Path
    root = Path("/usr/share/datasets/fashion-mnist")
    def idx(name, offset):
        return np.frombuffer(gzip.open(root / name).read(), np.uint8, offset=offset)
    out = {}
    for split, stem in (("train", "train"), ("test", "t10k")):
        x = idx(f"{stem}-images-idx3-ubyte.gz", 16).reshape(-1, 1, 28, 28)
        y = idx(f"{stem}-labels-idx1-ubyte.gz", 8).astype(np.int64)
        if split == "train" and request.settings.n_train:
            keep = np.sort(np.concatenate([np.flatnonzero(y == c)[: request.settings.n_train // 10] for c in range(10)]))
            x, y = x[keep], y[keep]
        out[split] = ArraySplit(np.ascontiguousarray(np.repeat(x, 3, axis=1)), y)
    return out
