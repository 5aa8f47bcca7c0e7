"""A reader: noisy stripes, across or upright."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from ddcl.base.yaml_files import Model
from ddcl.data.readers.source import ArraySplit, Request
from ddcl.schema.plugins import plugin
from ddcl.schema.registry import ReaderEntry


class StripesSettings(Model):
    """Settings of the reader."""

    n: int = Field(ge=4, description="images of each split")


@plugin(ReaderEntry, StripesSettings)
def read_stripes(request: Request) -> dict[str, ArraySplit]:
    """Return stripes of two classes."""
    found = {}
    for place, split in enumerate(("train", "test")):
        rng = np.random.default_rng(place)
        labels = np.arange(request.settings.n) % 2
        wave = np.sin(np.arange(request.side_px) / 2 + rng.uniform(0, 6, (len(labels), 1))) * 80 + 128
        images = np.repeat(wave[:, None, :], request.side_px, axis=1)
        images[labels == 1] = images[labels == 1].transpose(0, 2, 1)
        noisy = images[:, None] + rng.normal(0, 10, (len(labels), 3, *images.shape[1:]))
        found[split] = ArraySplit(noisy.clip(0, 255).astype(np.uint8), labels.astype(np.int64))
    return found
