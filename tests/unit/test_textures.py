"""Textures of a small archive that is made up here: which are used, which are near-duplicates, where patches lie."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from pydantic import ValidationError

from ddcl.base.errors import UserError
from ddcl.data.readers import texture_files
from ddcl.data.readers.source import NO_LABEL, ArraySplit, Request
from ddcl.data.readers.texture_files import ARCHIVE, Texture, is_even, near_duplicates, read_textures
from ddcl.data.readers.textures import read_texture_identity, read_texture_names
from ddcl.schema.readers import TEXTURE_BANDS, TextureNamesSettings, TexturesSettings
from ddcl.schema.recipes import read_dataset, reader_settings

Pixels = NDArray[np.uint8]
SIDE, PATCH = 64, 16
STUDY = {
    "part": "study",
    "n_textures": 3,
    "patch_px": PATCH,
    "train_patches": 8,
    "test_patches": 5,
    "other_patches": 40,
}


def noise(seed: int, height: int = SIDE, width: int = SIDE, colour: tuple[int, ...] = (120, 90, 60)) -> Pixels:
    """A texture of one kind all over: [H, W, 3]."""
    grain = np.random.default_rng(seed).normal(0, 40, (height, width, 1))
    return (np.array(colour) + grain).clip(0, 255).astype(np.uint8)


def archive() -> dict[str, Pixels]:
    """By name: textures, near-duplicates of the first three, and what is left out for one reason each."""
    found = {f"textures/tex_a/kind{i:03}.png": noise(i) for i in range(8)}
    first, second, third = (found[f"textures/tex_a/kind{i:03}.png"] for i in range(3))
    found["textures/tex_a/copy.png"] = first
    found["textures/tex_b/recoloured.png"] = (255 - (255 - first) // 2)[..., ::-1]
    found["textures/tex_b/shifted.png"] = np.roll(second, (20, 34), axis=(0, 1))  # whole pixels of thumbnails
    found["textures/tex_a/kind002b.png"] = noise(99)  # by its name a version of the third
    found["textures/tex_a/kind003_nm.png"] = noise(100)
    found["textures/tex_a/small.png"] = noise(101, 31, 64)
    found["textures/tex_a/plain.png"] = np.full((SIDE, SIDE, 3), 77, np.uint8)
    found["textures/tex_a/transparent.png"] = np.dstack((third[::-1], np.zeros((SIDE, SIDE), np.uint8)))
    found["textures/tex_a/twice.png"] = np.tile(noise(102, SIDE, SIDE // 2), (1, 2, 1))
    found["textures/tex_a/mirrored.png"] = np.concatenate((h := noise(103, SIDE, SIDE // 2), h[:, ::-1]), axis=1)
    found["textures/tex_a/shaded.png"] = np.concatenate((noise(104, 32), noise(105, 32, colour=(200, 90, 60))))
    found["textures/tex_a/uneven.png"] = np.concatenate((noise(106, 32), noise(107, 32) // 4 + 70))
    found["textures/tex_pics/painting.png"] = noise(108)
    return found


def write(root: Path, images: dict[str, Pixels]) -> Path:
    path = root / ARCHIVE
    with zipfile.ZipFile(path, "w") as out:
        for name, image in images.items():
            data = io.BytesIO()
            Image.fromarray(image).save(data, "PNG")
            out.writestr(name, data.getvalue())
        out.writestr("textures/readme.txt", "no picture")
    return path


def request_of(root: Path, settings: Any, side_px: int = PATCH) -> Request:
    return Request("t", root, side_px, settings, download=False, obtain="get it")


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(texture_files, "DEBIAN", tmp_path / "nowhere")


def read(root: Path, **changes: Any) -> dict[str, ArraySplit]:
    return read_texture_identity(request_of(root, TexturesSettings.model_validate(STUDY | {"seed": 0} | changes)))


def test_the_pictures_of_the_archive_that_can_be_used_each_once(tmp_path: Path) -> None:
    images = archive()
    write(tmp_path, images)
    names = [texture.name.rsplit("/", 1)[1] for texture in read_textures(request_of(tmp_path, None), 32)]
    left_out = {"kind000", "kind003_nm", "small", "plain", "transparent"}  # kind000: equal to copy, which comes first
    assert set(names) == {Path(name).stem for name in images} - left_out


def test_near_duplicates_are_one_group(tmp_path: Path) -> None:
    write(tmp_path, archive())
    textures = read_textures(request_of(tmp_path, None), 32)
    group = dict(zip((each.name.rsplit("/", 1)[1] for each in textures), near_duplicates(textures), strict=True))
    assert group["copy"] == group["recoloured"]
    assert group["kind001"] == group["shifted"]
    assert group["kind002"] == group["kind002b"]
    assert len(set(group.values())) == len(group) - 3


def test_names_that_go_on_with_another_number_are_of_two_textures() -> None:
    textures = [
        Texture(name, noise(i).transpose(2, 0, 1)) for i, name in enumerate(("a/wall1", "a/wall12", "a/wall1b"))
    ]
    groups = near_duplicates(textures)
    assert groups[0] == groups[2] != groups[1]


@pytest.mark.parametrize("name", ["tex_a/twice", "tex_a/mirrored", "tex_a/shaded", "tex_a/uneven", "tex_pics/painting"])
def test_what_is_no_class(name: str) -> None:
    own = f"textures/{name}"
    image = archive()[f"{own}.png"].transpose(2, 0, 1)
    assert not is_even(Texture(own, image))
    assert not is_even(Texture(own, image.swapaxes(1, 2)))
    assert is_even(Texture("textures/tex_a/kind000", noise(0).transpose(2, 0, 1)))


def place_of(patch: Pixels, image: Pixels) -> tuple[int, int] | None:
    """Where a patch [3, P, P] lies in an image [H, W, 3], as (left, top)."""
    windows = np.lib.stride_tricks.sliding_window_view(image, (PATCH, PATCH), axis=(0, 1))
    found = np.argwhere((windows == patch).all(axis=(2, 3, 4)))
    return (int(found[0][1]), int(found[0][0])) if len(found) else None


def places(split: ArraySplit, image: Pixels) -> dict[int, tuple[int, int]]:
    """Of the patches of a split that are of the image, by number, where each lies."""
    found = ((i, place_of(patch, image)) for i, patch in enumerate(split.images))
    return {i: place for i, place in found if place}


def test_training_and_test_patches_are_of_two_halves_and_training_groups_of_bands(tmp_path: Path) -> None:
    images = archive()
    write(tmp_path, images)
    splits = read(tmp_path)
    train, test = splits["train"], splits["test"]
    assert (len(train.images), len(test.images)) == (24, 15)
    assert train.labels.tolist() == np.repeat([0, 1, 2], 8).tolist()
    assert test.groups is not None
    assert test.groups.tolist() == test.labels.tolist() == np.repeat([0, 1, 2], 5).tolist()
    assert train.groups is not None
    n_found = 0
    for image in images.values():
        if image.shape[2] == 4:
            continue
        for i, (left, top) in places(train, image).items():
            assert left + PATCH <= SIDE // 2
            assert top // (SIDE // TEXTURE_BANDS) == (top + PATCH - 1) // (SIDE // TEXTURE_BANDS)  # inside one band
            assert train.groups[i] == TEXTURE_BANDS * train.labels[i] + top // (SIDE // TEXTURE_BANDS)
            n_found += 1
        for left, _ in places(test, image).values():
            assert left >= SIDE // 2
            n_found += 1
    assert n_found >= 39


def test_pretraining_sees_no_near_duplicate_of_a_class_of_the_other_part(tmp_path: Path) -> None:
    images = archive()
    write(tmp_path, images)
    found = {part: read(tmp_path, part=part) for part in ("study", "tuning")}
    for splits in found.values():
        pretrain = splits["pretrain"]
        assert pretrain.labels.tolist() == [*splits["train"].labels.tolist(), *[NO_LABEL] * 40]
        assert (pretrain.images[:24] == splits["train"].images).all()
    study, tuning = (found[part]["pretrain"].images[24:] for part in ("study", "tuning"))
    assert (study == tuning).all()  # of the textures that are classes of neither
    for part in ("study", "tuning"):
        for patches in (found[part]["train"].images, found[part]["test"].images):
            assert not {patch.tobytes() for patch in patches} & {patch.tobytes() for patch in study}
    of_study, of_tuning = ({p.tobytes() for s in ("train", "test") for p in found[part][s].images} for part in found)
    assert not of_study & of_tuning


def test_the_patches_depend_on_the_seed_only(tmp_path: Path) -> None:
    write(tmp_path, archive())
    first, again, other = (read(tmp_path, seed=seed)["train"].images for seed in (0, 0, 1))
    assert (first == again).all()
    assert not (first == other).all()


def test_patches_are_reduced_to_the_side(tmp_path: Path) -> None:
    write(tmp_path, archive())
    settings = TexturesSettings.model_validate(STUDY | {"seed": 0})
    whole, half = (read_texture_identity(request_of(tmp_path, settings, side))["test"].images for side in (PATCH, 8))
    means = whole.reshape(-1, 3, 8, 2, 8, 2).astype(float).mean(axis=(3, 5))
    assert np.abs(half - means).max() <= 1


def test_classes_by_name_have_near_duplicates_on_one_side_only(tmp_path: Path) -> None:
    images = {f"textures/t/{word}{i:02}.png": noise(10 * i + len(word)) for word in ("grass", "roof") for i in range(6)}
    both = noise(999)
    images |= {"textures/t/grass90.png": both, "textures/t/roof90.png": both[..., ::-1]}  # of two classes: of none
    images |= {"textures/t/grasshopper01.png": noise(888), "textures/t/roof01b.png": noise(777)}
    write(tmp_path, images)
    given = {"names": ["grass", "roof"], "patch_px": PATCH, "group_patches": 6, "test_frac": 0.4, "most_groups": 5}
    settings = TextureNamesSettings.model_validate(given | {"seed": 0})
    splits = read_texture_names(request_of(tmp_path, settings))
    for split, n in (("train", 3), ("test", 2)):
        assert splits[split].labels.tolist() == [0] * 6 * n + [1] * 6 * n
        assert splits[split].groups is not None
        assert splits[split].groups.tolist() == np.arange(2 * n).repeat(6).tolist()
    used = {s: {name for name, image in images.items() if places(splits[s], image)} for s in ("train", "test")}
    assert not used["train"] & used["test"]
    assert not any("hopper" in name or "90" in name for own in used.values() for name in own)
    versions = {"textures/t/roof01.png", "textures/t/roof01b.png"}
    assert not (versions & used["train"] and versions & used["test"])
    few = TextureNamesSettings.model_validate(given | {"names": ["grass", "grasshopper"], "seed": 0})
    with pytest.raises(UserError, match="1 textures named 'grasshopper' that are not near-duplicates; 4 are needed"):
        read_texture_names(request_of(tmp_path, few))


def test_what_is_missing_damaged_or_too_little_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=rf"not found \(looked for {tmp_path}/{ARCHIVE} or .*\); get it: get it"):
        read(tmp_path)
    path = write(tmp_path, archive())
    with pytest.raises(UserError, match=r"data set t: 80 textures are needed as classes; the archive has \d+ suitable"):
        read(tmp_path, n_textures=40)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match=rf"{path}: damaged or incomplete .*delete it and run the command again"):
        read(tmp_path)
    with pytest.raises(ValidationError, match="expected a multiple of 4, found 6"):
        TexturesSettings.model_validate(STUDY | {"seed": 0, "train_patches": 6})


def test_debians_archive_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "debian").mkdir()
    monkeypatch.setattr(texture_files, "DEBIAN", tmp_path / "debian")
    write(tmp_path / "debian", archive())
    assert read(tmp_path)["train"].images.shape == (24, 3, PATCH, PATCH)


@pytest.mark.parametrize("name", ["textures", "textures_tuning", "texture_names"])
def test_the_yaml_counts_what_its_settings_say(name: str) -> None:
    config = read_dataset(name)
    settings = reader_settings(name, config)
    if isinstance(settings, TexturesSettings):
        n = settings.n_textures
        assert config.n_images["train"] == n * settings.train_patches
        assert config.n_images["test"] == n * settings.test_patches
        assert config.n_images["pretrain"] == config.n_images["train"] + settings.other_patches
        assert config.n_groups == {"train": n * TEXTURE_BANDS, "test": n}
        assert config.for_tuning == (settings.part == "tuning")
    else:
        assert isinstance(settings, TextureNamesSettings)
        assert config.n_classes == len(settings.names)
