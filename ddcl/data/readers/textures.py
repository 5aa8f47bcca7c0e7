"""Textures: which texture does a patch show? Classes are single textures; one half is for training, one for testing.

The textures are those of a game (`texture_files`). A second reader gives classes by name (bricks, grass, …), whose
training and test patches are of different textures: too few for a verdict, so they are for transfer only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddcl.base.errors import UserError
from ddcl.core.streams import derive
from ddcl.data.readers.source import NO_LABEL, ArraySplit, Request
from ddcl.data.readers.texture_files import Texture, is_even, near_duplicates, read_textures
from ddcl.schema.readers import TextureNamesSettings, TexturesSettings

BANDS = 4  # of a texture's left half: patches of two of them share no pixel
LEAST_GROUPS = 4  # of near-duplicates of a class by name: for training, of which one is held out, and for testing
Box = tuple[int, int, int, int]  # left, top, right, bottom, pixels: where the pixels of a patch may be
Groups = dict[str, list[Texture]]  # near-duplicates, by the smallest of their names


def read_texture_identity(request: Request) -> dict[str, ArraySplit]:
    """Return patches of 2 · n textures that are classes, of which the settings' `part` says which n, and of others.

    One texture of each group of near-duplicates can be a class, if it is even (`is_even`) and large enough. Training
    patches are of its left half, in four bands that are the groups of `train`: no pixel is in two of them. Test patches
    are of its right half, and all of one texture are one group. `pretrain` is the training patches, and patches without
    a label of all textures that are no near-duplicate of a class of either part.
    """
    settings: TexturesSettings = request.settings
    groups = _groups(request, 2 * settings.patch_px)
    least_px = BANDS * settings.patch_px
    even = {
        name: [each for each in own if min(each.size) >= least_px and is_even(each)] for name, own in groups.items()
    }
    names = _shuffled([name for name, own in even.items() if own], settings.seed)
    n = settings.n_textures
    if len(names) < 2 * n:
        raise UserError(
            f"data set {request.dataset}: {2 * n} textures are needed as classes; the archive has {len(names)} suitable"
        )
    mine = names[:n] if settings.part == "study" else names[n : 2 * n]
    classes = [_shuffled_first(even[name], settings.seed) for name in sorted(mine)]
    cut = _Cutter(request.side_px, settings.patch_px, settings.seed)
    train, test = cut.left_bands(classes, settings.train_patches), cut.right_half(classes, settings.test_patches)
    others = [own for name, own in sorted(groups.items()) if name not in names[: 2 * n]]
    images = cut.anywhere(others, settings.other_patches) if settings.other_patches else train.images[:0]
    labels = np.concatenate((train.labels, np.full(len(images), NO_LABEL)))
    return {
        "train": train,
        "test": test,
        "pretrain": ArraySplit(np.concatenate((train.images, images)), labels),
    }


def read_texture_names(request: Request) -> dict[str, ArraySplit]:
    """Return patches of textures whose names say what they show; near-duplicates are all in `train` or all in `test`.

    Patches of near-duplicates are a group of their split; near-duplicates whose names are of two classes are left out.
    """
    settings: TextureNamesSettings = request.settings
    groups, taken = _groups(request, 2 * settings.patch_px), dict[str, list[list[Texture]]]()
    for word in settings.names:
        found = {
            name: [each for each in own if _word(each) == word]
            for name, own in groups.items()
            if {_word(each) for each in own} & {*settings.names} == {word}
        }
        taken[word] = [found[name] for name in _shuffled(found, settings.seed)][: settings.most_groups]
        if len(found) < LEAST_GROUPS:
            raise UserError(
                f"data set {request.dataset}: {len(found)} textures named {word!r} that are not near-duplicates; "
                f"{LEAST_GROUPS} are needed"
            )
    cut, splits = _Cutter(request.side_px, settings.patch_px, settings.seed), {}
    for split in ("test", "train"):
        numbered = [
            (label, own)
            for label, several in enumerate(taken.values())
            for own in _share(several, settings.test_frac, split)
        ]
        images = [cut.anywhere([own], settings.group_patches) for _, own in numbered]
        each = np.full(len(numbered), settings.group_patches)
        labels = np.array([label for label, _ in numbered], np.int64).repeat(each)
        splits[split] = ArraySplit(np.concatenate(images), labels, groups=np.arange(len(numbered)).repeat(each))
    return {"train": splits["train"], "test": splits["test"]}


def _groups(request: Request, least_px: int) -> Groups:
    textures = read_textures(request, least_px)
    found: dict[int, list[Texture]] = {}
    for texture, group in zip(textures, near_duplicates(textures).tolist() if textures else [], strict=True):
        found.setdefault(group, []).append(texture)
    return {min(texture.name for texture in own): own for own in found.values()}


def _shuffled(names: Iterable[str], seed: int) -> list[str]:
    """Return the names in an order by a hash of each: one more texture moves few others."""
    return sorted(names, key=lambda name: derive("textures", seed, name))


def _shuffled_first(textures: Sequence[Texture], seed: int) -> Texture:
    return min(textures, key=lambda texture: derive("textures", seed, texture.name))


def _word(texture: Texture) -> str:
    """Return the letters that a texture's file name begins with."""
    found = re.match("[a-z]+", texture.name.rsplit("/", 1)[-1])
    return found.group() if found else ""


def _share(groups: Sequence[list[Texture]], test_frac: float, split: str) -> Sequence[list[Texture]]:
    n_test = min(max(1, round(test_frac * len(groups))), len(groups) - 2)
    return groups[:n_test] if split == "test" else groups[n_test:]


class _Cutter:
    """Cuts patches at places that depend on seed, texture, use and number only. side_px: of what comes out."""

    def __init__(self, side_px: int, patch_px: int, seed: int) -> None:
        self.side_px, self.patch_px, self.seed = side_px, patch_px, seed

    def left_bands(self, textures: Sequence[Texture], n: int) -> ArraySplit:
        """Return n patches of each texture, of the bands of its left half in turn, each band a group."""
        images, bands = [], np.tile(np.arange(n) % BANDS, len(textures))
        for texture in textures:
            height, width = texture.size
            edges = [height * band // BANDS for band in range(BANDS + 1)]
            boxes = [(0, top, width // 2, bottom) for top, bottom in pairwise(edges)]
            images += self._patches(texture, "left", [boxes[i % BANDS] for i in range(n)])
        labels = np.arange(len(textures)).repeat(n)
        return ArraySplit(np.stack(images), labels, groups=labels * BANDS + bands)

    def right_half(self, textures: Sequence[Texture], n: int) -> ArraySplit:
        """Return n patches of the right half of each texture, which is a group."""
        images = []
        for texture in textures:
            height, width = texture.size
            images += self._patches(texture, "right", [(width - width // 2, 0, width, height)] * n)
        labels = np.arange(len(textures)).repeat(n)
        return ArraySplit(np.stack(images), labels, groups=labels)

    def anywhere(self, groups: Sequence[Sequence[Texture]], n: int) -> NDArray[np.uint8]:
        """Return n patches [n, 3, S, S]: of every group as many, but for one, and inside it of every texture."""
        images: list[NDArray[np.uint8]] = []
        for place, own in enumerate(groups):
            n_own = n // len(groups) + (place < n % len(groups))
            for number, texture in enumerate(own):
                height, width = texture.size
                n_here = n_own // len(own) + (number < n_own % len(own))
                images += self._patches(texture, "anywhere", [(0, 0, width, height)] * n_here)
        return np.stack(images)

    def _patches(self, texture: Texture, use: str, boxes: Sequence[Box]) -> list[NDArray[np.uint8]]:
        """Return a patch somewhere in each of the boxes, reduced to the side (box filter)."""
        rng = np.random.Generator(np.random.PCG64(derive("textures", self.seed, texture.name, use)))
        rgb, side = Image.fromarray(texture.image.transpose(1, 2, 0)), (self.side_px, self.side_px)
        found = []
        for (left, top, right, bottom), (u, v) in zip(boxes, rng.random((len(boxes), 2)), strict=True):
            x = left + int(u * (right - left - self.patch_px + 1))
            y = top + int(v * (bottom - top - self.patch_px + 1))
            box = (x, y, x + self.patch_px, y + self.patch_px)
            found.append(np.asarray(rgb.resize(side, Image.Resampling.BOX, box=box)).transpose(2, 0, 1))
        return found
