"""Emoji of two small packages that are made up here: which are used, in which part, and in which style."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ddcl.base.errors import UserError
from ddcl.data.readers.emoji import ARCHIVE, LIST, PICTURE, read_emoji
from ddcl.data.readers.source import NO_LABEL, ArraySplit, Request
from ddcl.schema.readers import EMOJI_STYLES, EmojiSettings
from ddcl.schema.recipes import read_dataset, reader_settings

Pixels = NDArray[np.uint8]
Entries = dict[str, dict[str, Any]]  # by code points
SIDE = 8  # of 16
SETTINGS = {
    "train_style": "google",
    "classes": "subcategory",
    "part": "study",
    "tuning_frac": 0.25,
    "least_groups": 8,
    "leave_out": ["flag"],
    "seed": 0,
}
KINDS = {"fruit": 0x1F340, "bird": 0x1F400, "flag": 0x1F500}  # eight emoji each
RUNNERS = ["1F468", "1F469", "1F9D1", "1F9D1-200D-2642-FE0F", "1F9D1-200D-2640-FE0F-200D-27A1-FE0F"]


def drawn(code: str, style: str) -> Pixels:
    """A picture of an emoji in a style, of four colours: [16, 16, 4]."""
    colours = np.random.default_rng([*code.encode(), len(style)]).integers(0, 200, (2, 2, 3))
    colours[0, 0] = (200, 0, 0)
    return np.dstack((colours, np.full((2, 2), 255))).astype(np.uint8).repeat(8, axis=0).repeat(8, axis=1)


def entry(code: str, subcategory: str) -> dict[str, Any]:
    found = {"unified": code, "subcategory": subcategory, "image": f"{code.lower()}.png"}
    return found | {f"has_img_{style}": True for style in EMOJI_STYLES}


def entries() -> Entries:
    """Eight emoji of each kind, five that are versions of one and are birds here, and one of a small kind."""
    found = {f"{first + i:X}": kind for kind, first in KINDS.items() for i in range(8)}
    found |= dict.fromkeys(RUNNERS, "bird") | {"1F600": "face"}
    return {code: entry(code, kind) for code, kind in found.items()}


def write(root: Path, listed: Entries, changed: dict[tuple[str, str], Pixels] | None = None) -> None:
    """Write both packages. changed: pictures by style and code points."""
    for style in EMOJI_STYLES:
        files = {LIST: json.dumps(list(listed.values())).encode()}
        for code, own in listed.items():
            data = io.BytesIO()
            Image.fromarray((changed or {}).get((style, code), drawn(code, style))).save(data, "PNG")
            files[PICTURE.format(style, own["image"])] = data.getvalue()
        with tarfile.open(root / ARCHIVE.format(style), "w:gz") as out:
            for name, content in files.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                out.addfile(member, io.BytesIO(content))


def read(root: Path, **changes: Any) -> dict[str, ArraySplit]:
    settings = EmojiSettings.model_validate(SETTINGS | changes)
    return read_emoji(Request("e", root, SIDE, settings, download=False, obtain="get it"))


def codes(images: Pixels, style: str) -> list[str]:
    """Which emoji the images [N, 3, S, S] show, all in one style."""
    known = {drawn(code, style)[::2, ::2, :3].transpose(2, 0, 1).tobytes(): code for code in entries()}
    return [known[image.tobytes()] for image in images]


@pytest.mark.parametrize(("style", "other"), [EMOJI_STYLES, EMOJI_STYLES[::-1]])
def test_the_same_emoji_are_in_both_splits_each_in_one_style(tmp_path: Path, style: str, other: str) -> None:
    write(tmp_path, entries())
    splits = read(tmp_path, train_style=style)
    train, test, pretrain = (splits[name] for name in ("train", "test", "pretrain"))
    shown = codes(train.images, style)
    assert codes(test.images, other) == shown
    assert train.labels.tolist() == test.labels.tolist()
    assert [entries()[code]["subcategory"] for code in shown] == [("bird", "fruit")[i] for i in train.labels]
    assert codes(pretrain.images, style)[: len(shown)] == shown
    assert sorted(codes(pretrain.images, style)) == sorted(entries())
    others = len(entries()) - len(shown)
    assert pretrain.labels.tolist() == [*train.labels.tolist(), *[NO_LABEL] * others]


def test_the_parts_share_no_emoji_and_no_versions_of_one(tmp_path: Path) -> None:
    write(tmp_path, entries())
    found = {part: read(tmp_path, part=part) for part in ("study", "tuning")}
    study, tuning = ({*codes(found[part]["test"].images, "twitter")} for part in found)
    assert not study & tuning
    assert study | tuning == {code for code, own in entries().items() if own["subcategory"] in ("fruit", "bird")}
    assert any(set(RUNNERS) <= part for part in (study, tuning))
    assert sum(code.startswith("1F34") for code in tuning) == 2  # a quarter of eight


def test_versions_of_one_emoji_are_a_group(tmp_path: Path) -> None:
    write(tmp_path, entries())
    for part in ("study", "tuning"):
        splits = read(tmp_path, part=part)
        for split, style in zip(("train", "test"), EMOJI_STYLES, strict=True):
            groups = splits[split].groups
            assert groups is not None
            shown = codes(splits[split].images, style)
            of_runners = {group for code, group in zip(shown, groups.tolist(), strict=True) if code in RUNNERS}
            assert len(set(groups.tolist())) == len({*shown} - {*RUNNERS}) + len(of_runners)
            assert len(of_runners) == (RUNNERS[0] in shown)


def test_single_emoji_as_classes_are_those_of_the_subcategories(tmp_path: Path) -> None:
    write(tmp_path, entries())
    by_kind, single = read(tmp_path), read(tmp_path, classes="identity")
    for split in ("train", "test"):
        assert (single[split].images == by_kind[split].images).all()
        assert single[split].labels.tolist() == list(range(len(single[split].images)))
    assert single["train"].groups is None
    assert single["test"].groups is not None


def test_grey_blank_repeated_and_missing_pictures_are_left_out(tmp_path: Path) -> None:
    listed = entries()
    grey = drawn("1F340", "google")
    grey[..., :3] = grey[..., 1:2]
    blank = np.zeros((16, 16, 4), np.uint8)  # transparent
    repeated = drawn("1F403", "twitter")
    listed["1F342"]["has_img_google"] = False
    changed = {("google", "1F340"): grey, ("twitter", "1F341"): blank, ("twitter", "1F404"): repeated}
    write(tmp_path, listed, changed)
    shown = codes(read(tmp_path, least_groups=4)["pretrain"].images, "google")
    assert {*listed} - {*shown} == {"1F340", "1F341", "1F342", "1F404"}


def test_transparent_pixels_are_drawn_on_the_background(tmp_path: Path) -> None:
    half = drawn("1F340", "google")
    half[:, 8:, 3] = 0
    write(tmp_path, entries(), {("google", "1F340"): half})
    images = read(tmp_path)["pretrain"].images
    left = half[::2, :8:2, :3].transpose(2, 0, 1)
    mine = images[(images[..., :4] == left).all(axis=(1, 2, 3))]
    assert len(mine) == 1
    assert (mine[..., 4:] == 255).all()


def test_what_is_missing_damaged_or_unknown_is_said(tmp_path: Path) -> None:
    google, twitter = (tmp_path / ARCHIVE.format(style) for style in EMOJI_STYLES)
    with pytest.raises(UserError, match=rf"data set e: not found \(looked for {google}\); get it: get it"):
        read(tmp_path)
    write(tmp_path, entries())
    with pytest.raises(UserError, match="leave_out: 'fish' is no subcategory; there are bird, face, flag, fruit"):
        read(tmp_path, leave_out=["fish"])
    with pytest.raises(UserError, match="least_groups: no subcategory has 10 groups of emoji; the largest has 9"):
        read(tmp_path, least_groups=10)
    twitter.write_bytes(twitter.read_bytes()[:-100])
    with pytest.raises(UserError, match=rf"{twitter}: damaged or incomplete .*delete it and run the command again"):
        read(tmp_path)
    twitter.unlink()
    with pytest.raises(UserError, match=rf"data set e: not found \(looked for {twitter}\); get it: get it"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["emoji", "emoji_tuning", "emoji_identity"])
def test_the_yaml_says_what_its_settings_say(name: str) -> None:
    config = read_dataset(name)
    settings = reader_settings(name, config)
    assert isinstance(settings, EmojiSettings)
    assert config.n_images["train"] == config.n_images["test"]
    assert config.for_tuning == (settings.part == "tuning")
    assert (config.n_classes == config.n_images["train"]) == (settings.classes == "identity")
