"""The glossary of the page: each of its words is explained, and its views are what the augmentations make.

`python -m tests.unit.test_glossary` makes the pictures again.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from ddcl.build import build_pipeline
from ddcl.core.seeds import Draws
from ddcl.data.readers.shapes import draw_split
from ddcl.pictures.material import PLAIN
from ddcl.report.page.glossary import FOLDER, VIEWS, glossary
from ddcl.schema.recipes import build_recipe

SIDE_PX, N_VIEWS, CHOSEN = 32, 5, 3


def strip(augmentation: str) -> NDArray[np.uint8]:
    """A shape and five views of it, side by side, [32, 192, 3]."""
    pixels = torch.from_numpy(draw_split(CHOSEN + 1, SIDE_PX, 0, "train").images[CHOSEN:])
    ops = build_recipe(("shapes", "ddcl", augmentation), 0, {}).ops
    pipeline = build_pipeline(ops, SIDE_PX, PLAIN)
    draws = [Draws(0, torch.tensor([CHOSEN]), epoch) for epoch in range(N_VIEWS)]
    views = [(255 * pipeline(pixels, each)[0].clamp(0, 1)).round().byte() for each in draws]
    return torch.cat([pixels[0], *views], dim=2).permute(1, 2, 0).numpy()


def write() -> None:
    for augmentation, name in VIEWS.items():
        buffer = io.BytesIO()
        Image.fromarray(strip(augmentation)).save(buffer, "png", optimize=True)
        Path(str(FOLDER / name)).write_bytes(buffer.getvalue())


@pytest.mark.parametrize("augmentation", VIEWS)
def test_the_views_are_those_that_the_augmentation_makes(augmentation: str) -> None:
    with Image.open(str(FOLDER / VIEWS[augmentation])) as picture:
        shown = np.asarray(picture.convert("RGB")).astype(int)
    assert np.abs(shown - strip(augmentation)).max() <= 2  # another CPU rounds otherwise


def test_each_word_is_explained_and_the_pictures_are_small() -> None:
    words = glossary()
    assert [each.word for each in words] == ["BAug", "CAug", "CAug+", "DIR", "DVR", "PReg"]
    assert all(len(each.meaning) > 20 for each in words)
    assert [bool(each.picture) for each in words] == [True, True, True, False, False, False]
    assert sum(len(each.picture) for each in words) < 60_000


if __name__ == "__main__":
    write()
