"""Emoji: is an emoji recognised in another drawing? Training pictures are in one style, test pictures in another."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddcl.base.errors import UserError
from ddcl.core.streams import derive
from ddcl.data.readers.decode import content_digest, open_image, pixels, upright_rgb
from ddcl.data.readers.fetch import damaged_is_named, missing
from ddcl.data.readers.source import NO_LABEL, ArraySplit, Request
from ddcl.schema.readers import EMOJI_STYLES, EmojiSettings

ARCHIVE = "emoji-datasource-{}-16.0.0.tgz"  # as `npm pack` names it
LIST = "package/emoji.json"
PICTURE = "package/img/{}/64/{}"  # 64 px
LEAST_GROUPS = 4  # of a class: two for each part, of which one is held out where settings are chosen
GREY = 8  # levels between a pixel's channels, at most, in a picture without colour
# Man, woman and person doing the same, to the left or to the right, are drawn alike: by their code points, one group.
SIGNS = re.compile("-FE0F|-200D-(2640|2642|27A1)(?=-|$)")  # how to show it, ♀, ♂, facing right
MAN_WOMAN, PERSON = re.compile(r"\b1F46[89]\b"), "1F9D1"


@dataclass(frozen=True)
class Emoji:
    """Its subcategory, its group (emoji of one group are drawn alike), and both its pictures, uint8 [3, S, S]."""

    subcategory: str
    group: str
    train: NDArray[np.uint8]
    test: NDArray[np.uint8]


def read_emoji(request: Request) -> dict[str, ArraySplit]:
    """Return the pictures of a part's emoji: `train` in one style, `test` the same emoji, in order, in the other.

    Classes are subcategories with enough groups of emoji, or else the single emoji of these. Emoji of one group are a
    group of their split; if classes are single emoji, only of `test`, as each has one training image. `pretrain` is the
    training images, and those of all other emoji without a label: no picture in the style of testing.
    """
    settings: EmojiSettings = request.settings
    emoji = _read(request)
    rows, labels = _labelled(request.dataset, emoji, settings)
    groups = np.unique([emoji[row].group for row in rows], return_inverse=True)[1].astype(np.int64)
    by_subcategory = settings.classes == "subcategory"
    labels = labels if by_subcategory else np.arange(len(rows))
    train, test = np.stack([each.train for each in emoji]), np.stack([emoji[row].test for row in rows])
    others = np.setdiff1d(np.arange(len(emoji)), rows)
    return {
        "train": ArraySplit(train[rows], labels, groups=groups if by_subcategory else None),
        "test": ArraySplit(test, labels, groups=groups),
        "pretrain": ArraySplit(
            train[np.concatenate((rows, others))], np.concatenate((labels, np.full(len(others), NO_LABEL)))
        ),
    }


def _labelled(
    dataset: str, emoji: Sequence[Emoji], settings: EmojiSettings
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which emoji are of the settings' part [n], and the number of each one's subcategory [n]."""
    found: dict[str, set[str]] = {}
    for each in emoji:
        found.setdefault(each.subcategory, set()).add(each.group)
    if unknown := sorted({*settings.leave_out} - found.keys()):
        raise UserError(
            f"data set {dataset}: leave_out: {unknown[0]!r} is no subcategory; there are {', '.join(sorted(found))}"
        )
    classes = sorted(name for name in found.keys() - {*settings.leave_out} if len(found[name]) >= settings.least_groups)
    if not classes:
        raise UserError(
            f"data set {dataset}: least_groups: no subcategory has {settings.least_groups} groups of emoji; the "
            f"largest has {max(map(len, found.values()))}"
        )
    mine = set().union(*(_of_part(found[name], settings) for name in classes))
    rows = [row for row, each in enumerate(emoji) if each.subcategory in classes and each.group in mine]
    return np.array(rows), np.array([classes.index(emoji[row].subcategory) for row in rows])


def _of_part(groups: set[str], settings: EmojiSettings) -> set[str]:
    """Return the groups of a class that are of the settings' part, by a hash of each: one more moves few others."""
    order = sorted(groups, key=lambda group: derive("emoji", settings.seed, group))
    least = LEAST_GROUPS // 2
    n_tuning = min(max(least, round(settings.tuning_frac * len(order))), len(order) - least)
    return set(order[:n_tuning] if settings.part == "tuning" else order[n_tuning:])


def _read(request: Request) -> list[Emoji]:
    """Return the emoji, sorted by code points, that have in both styles a picture with colours that none before has."""
    styles = sorted(EMOJI_STYLES, key=lambda style: style != request.settings.train_style)
    train, test = (_pictures(request, style) for style in styles)
    seen: set[str] = set()
    emoji = []
    for code, subcategory in sorted(train.keys() & test.keys()):
        pair = train[code, subcategory], test[code, subcategory]
        digests = {content_digest(bytes([place]) + image.tobytes()) for place, image in enumerate(pair)}
        if all(np.ptp(image, axis=0).max() > GREY for image in pair) and not digests & seen:
            seen |= digests
            emoji.append(Emoji(subcategory, MAN_WOMAN.sub(PERSON, SIGNS.sub("", code)), *pair))
    return emoji


def _pictures(request: Request, style: str) -> dict[tuple[str, str], NDArray[np.uint8]]:
    """Return the pictures of a style's package by (code points, subcategory), reduced to the side (box filter)."""
    path = request.root / ARCHIVE.format(style)
    if not path.exists():
        missing(request, path)
    found, side = {}, (request.side_px, request.side_px)
    with damaged_is_named(path), tarfile.open(path) as archive:
        wanted = (member for member in archive if member.name.startswith((LIST, PICTURE.format(style, ""))))
        files = {member.name: file.read() for member in wanted if (file := archive.extractfile(member))}
        for entry in json.loads(files[LIST]):
            if entry[f"has_img_{style}"]:
                with open_image(files[PICTURE.format(style, entry["image"])]) as image:
                    rgb = upright_rgb(image, request.background).resize(side, Image.Resampling.BOX)
                found[entry["unified"], entry["subcategory"]] = pixels(rgb)
    return found
