"""Class folders of one's own: odd ones, as people have them. Each is read as it is meant, or refused in one line."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets.folder import IMG_EXTENSIONS

from ddcl.__main__ import main
from ddcl.base.errors import UserError
from ddcl.base.files import write_json, write_text
from ddcl.base.yaml_files import parse
from ddcl.data.images import ArrayImages, chunks
from ddcl.data.prepare import describe, prepare
from ddcl.data.readers.folders import EXTENSIONS, list_image_folder, listed_counts
from ddcl.data.stored import read_images
from ddcl.plan.addresses import data_folder
from ddcl.plan.counted import counted
from ddcl.plan.datasets import missing_message
from ddcl.plan.suite import Suite
from ddcl.schema.manifest import Manifest
from ddcl.schema.places import CONFIG_DIR
from ddcl.schema.readers import ImageFolderSettings
from ddcl.schema.recipes import data_recipe, read_dataset
from ddcl.schema.suites import suite_path

CLASSES = ("across", "down", "slanted")
RNG = np.random.default_rng(0)


@pytest.fixture
def birds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A healthy data set: 3 classes of 6 images for training and 3 for testing; `birds.yaml` names it."""
    monkeypatch.setenv("DDCL_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("DDCL_DATA", str(tmp_path / "data"))
    folder = tmp_path / "data/birds"
    for split, n in (("train", 6), ("val", 3)):
        for name in CLASSES:
            for i in range(n):
                save(folder / split / name / f"{i}.png")
    say()
    return folder


def save(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (10, 12, 3), dtype=np.uint8)).save(path)


def say(**changes: Any) -> None:
    """Write the data set's YAML."""
    values = {"label": "Birds", "reader": "image_folder", "scale": "small", "image_side_px": 8, "n_classes": 3}
    values |= {"settings": {"folder": "birds"}} | changes
    write_json(Path(os.environ["DDCL_CONFIG"]) / "datasets/birds.yaml", values)  # JSON is YAML


def made(folder: Path) -> Manifest:
    return prepare("birds", folder.parents[1] / "out", folder.parent)


def refused(folder: Path, words: str) -> None:
    """Check that it is refused before anything is prepared, and by `prepare`, in the same line."""
    lines = []
    for look in (lambda: listed_counts({"birds": read_dataset("birds")}, folder.parent), lambda: made(folder)):
        with pytest.raises(UserError, match=words) as error:
            look()
        lines.append(str(error.value))
    assert lines[0] == lines[1]
    assert "\n" not in lines[0]


def test_all_that_torchvision_reads_is_read() -> None:
    assert set(IMG_EXTENSIONS) <= set(EXTENSIONS)


def test_a_healthy_folder(birds: Path) -> None:
    manifest = made(birds)
    train, test = manifest.splits["train"], manifest.splits["test"]
    assert (train.n_per_class, test.n_per_class, train.classes) == ((6, 6, 6), (3, 3, 3), CLASSES)
    assert (train.ignored, test.n_in_train) == ({}, 0)
    assert "train: 18 images; across 6, down 6, slanted 6" in describe(manifest)
    assert listed_counts({"birds": read_dataset("birds")}, birds.parent) == {"birds": {"train": 18, "test": 9}}
    assert min(manifest.normalisation.std) > 0


# --- cases of folders: what is done to a healthy one, and the images and ignored files that are found then


def litter(birds: Path) -> None:
    for folder in (birds / "train", birds / "train/down", birds / "val/down"):
        for name in ("._0.png", ".DS_Store", "Thumbs.db"):
            (folder / name).write_bytes(b"x")
        for name in (".ipynb_checkpoints", "__MACOSX"):
            (folder / name).mkdir()
            shutil.copy(birds / "val/down/0.png", folder / name / "0-checkpoint.png")


def other_formats(birds: Path) -> None:
    for i, path in enumerate(sorted(birds.rglob("*.png"))):
        with Image.open(path) as image:
            image.save(path.with_suffix((".webp", ".bmp", ".tif", ".tiff", ".ppm", ".gif", ".JPEG", ".Png")[i % 8]))
        path.unlink(missing_ok=i % 8 == 7)


def nested(birds: Path) -> None:
    for i, path in enumerate(sorted(birds.rglob("*.png"))):
        if i % 2:
            (path.parent / "more/and more").mkdir(parents=True, exist_ok=True)
            path.rename(path.parent / "more/and more" / path.name)


def names(birds: Path) -> None:
    for split in ("train", "val"):
        (birds / split / "down").rename(birds / split / "down Größe 下 🐦")
        (birds / split / "down Größe 下 🐦/0.png").rename(birds / split / "down Größe 下 🐦/a\tb é 'q\" $x.png")


def links(birds: Path) -> None:
    (birds / "train/down").rename(birds.parent / "elsewhere")
    (birds / "train/down").symlink_to(birds.parent / "elsewhere")
    (birds / "train/across/again").symlink_to(birds / "train")  # a circle: read once


def others(birds: Path) -> None:
    for name in ("notes.txt", "a.heic", "b.HEIC", "labels"):
        (birds / "train/down" / name).write_text("x")
    save(birds / "train/stray.png")


CASES: dict[str, tuple[Callable[[Path], None], int, dict[str, int]]] = {
    "what systems leave": (litter, 6, {}),
    "formats": (other_formats, 6, {}),
    "subfolders": (nested, 6, {}),
    "names": (names, 6, {}),
    "links": (links, 6, {}),
    "other files": (others, 6, {".txt": 1, ".heic": 2, "without extension": 1, ".png in no class folder": 1}),
}


@pytest.mark.parametrize("case", CASES)
def test_odd_folders_are_read_as_they_are_meant(case: str, birds: Path) -> None:
    change, n, ignored = CASES[case]
    change(birds)
    manifest = made(birds)
    down = manifest.splits["train"].n_per_class[1]
    assert (down, manifest.splits["train"].ignored) == (n, ignored)
    assert manifest.splits["test"].n == 9
    images = read_images(birds.parents[1] / "out/manifest.json", manifest, "train", 8)
    assert sum(1 for _ in images.load([], None)) == 0
    assert len(images) == manifest.splits["train"].n
    if ignored:
        text = "left out files that are not images: 2 .heic, 1 .png in no class folder, 1 .txt, 1 without exte"
        assert text in describe(manifest)


def one_folder(birds: Path) -> None:
    shutil.rmtree(birds / "val")
    (birds / "val").symlink_to("train")


def classes_differ(birds: Path) -> None:
    (birds / "val/down").rename(birds / "val/up")


def empty_class(birds: Path) -> None:
    for path in (birds / "val/down").iterdir():
        path.rename(path.with_suffix(".heic"))


def single(birds: Path) -> None:
    for path in list((birds / "train/down").iterdir())[1:]:
        path.unlink()


def extra_class(birds: Path) -> None:
    for split in ("train", "val"):
        shutil.copytree(birds / split / "down", birds / split / "up")


def line_break(birds: Path) -> None:
    (birds / "train/down/0.png").rename(birds / "train/down/a\nb.png")


def latin1(birds: Path) -> None:
    os.rename(birds / "train/down/0.png", os.fsencode(birds / "train/down") + b"/caf\xe9.png")


def no_split(birds: Path) -> None:
    for name in CLASSES:
        (birds / "train" / name).rename(birds / name)
    shutil.rmtree(birds / "train")
    shutil.rmtree(birds / "val")


def nowhere(birds: Path) -> None:
    (birds / "train/down/0.png").unlink()
    (birds / "train/down/0.png").symlink_to("nowhere.png")


REFUSED: dict[str, tuple[Callable[[Path], None], str]] = {
    "one folder for both": (one_folder, "train and .*val are the same folder: training images would be test images"),
    "other classes": (classes_differ, r"in only one of train, val: down \(train\), up \(val\)"),
    "empty class": (
        empty_class,
        r"val/down: contains no image \(looked for .jpg, .*; found 3 .heic\); each folder",
    ),
    "one image": (single, "train/down: 1 image; a class needs 2, .*; add images, or move the folder away"),
    "extra class": (extra_class, r"4 class folders \(across, down, slanted, up\); n_classes in config/datasets says 3"),
    "line break": (line_break, r"a\\nb.png': its name contains a line break or is not UTF-8; rename it"),
    "latin1": (latin1, r"caf\\udce9.png': its name contains a line break or is not UTF-8; rename it"),
    "broken link": (
        nowhere,
        r"down/0\.png: a broken link, as are 0 more of class down; remove them, o",
    ),
    "no split": (no_split, r"looked for the folder .*birds/train; .*birds has across, down, slanted; .*test_frac: 0.2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_folders_that_are_no_data_set_are_refused_before_anything_is_prepared(case: str, birds: Path) -> None:
    change, words = REFUSED[case]
    change(birds)
    refused(birds, words)


def truncated(birds: Path) -> None:
    path = birds / "train/down/0.png"
    path.write_bytes(path.read_bytes()[:-100])
    (birds / "train/down/2.jpg").write_bytes(b"")
    (birds / "train/down/3.jpg").write_text("<html>404</html>")


def test_damaged_files_are_named_together(birds: Path) -> None:
    truncated(birds)
    words = r"3 images of split train cannot be used: .*down/0\.png \(.*\); .*2\.jpg \(empty file\); .*3\.jpg \(no"
    with pytest.raises(UserError, match=words):
        made(birds)


def test_pictures_of_unknown_range_and_giants_are_named(birds: Path) -> None:
    Image.fromarray(np.ones((8, 8), np.float32)).save(birds / "train/down/float.tif")
    Image.new("1", (20000, 10000)).save(birds / "train/down/giant.png")
    with pytest.raises(UserError, match=r"2 images .*float\.tif \(pixels of mode F .*giant\.png \(image too large"):
        made(birds)


def test_byte_copies_of_training_images_are_counted(birds: Path) -> None:
    for path in sorted((birds / "val").rglob("[01].png")):
        shutil.copy(path, birds / "train" / path.parent.name / f"copy{path.name}")
    manifest = made(birds)
    assert manifest.splits["test"].n_in_train == 6
    assert "warning: 6 of 9 test images are also training images" in describe(manifest)


def test_an_image_that_was_replaced_by_one_of_equal_size_is_noticed(birds: Path) -> None:
    manifest = made(birds)
    path = birds / "train/down/0.png"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    images = read_images(birds.parents[1] / "out/manifest.json", manifest, "train", 8)
    with pytest.raises(UserError, match=r"down/0\.png: its content has changed since it was prepared"):
        list(images.load(chunks(len(images), 4), None))


def test_what_is_not_there_says_what_was_looked_for_and_what_is_there(birds: Path) -> None:
    say(settings={"folder": "brids"})
    config, root = read_dataset("birds"), birds.parent
    assert f"put its class folders there, or say in settings.folder of {os.environ['DDCL_CONFIG']}" in missing_message(
        {"birds": config}, root
    )
    words = (
        rf"looked for the folder {root}/brids, which does not exist; {root} has birds; put it there, or name another"
    )
    with pytest.raises(UserError, match=words):
        made(birds)
    shutil.make_archive(str(root / "brids"), "zip", birds)
    with pytest.raises(UserError, match=r"which does not exist, but brids\.zip: unpack it; put it there"):
        made(birds)
    say(settings={"folder": str(birds.parents[1] / "nowhere/birds")})
    with pytest.raises(UserError, match=r"nowhere/birds, which does not exist; put it there, or name another one"):
        made(birds)


def test_files_can_become_one_array_of_the_squares_that_evaluation_sees(birds: Path) -> None:
    path = birds.parents[1] / "out/manifest.json"
    say(resize_px=9)
    as_files = made(birds)
    (squares,) = next(read_images(path, as_files, "test", 8).load(chunks(9, 9), None))
    say(resize_px=9, one_array=True)
    as_array = made(birds)
    images = read_images(path, as_array, "test", 8)
    assert (as_files.kind, as_array.kind) == ("files", "arrays")
    assert isinstance(images, ArrayImages)
    assert torch.equal(images.images, squares)
    assert as_array.normalisation == as_files.normalisation
    assert as_array.splits["test"].files_sha256 == as_files.splits["test"].files_sha256
    assert as_array.data.digest != as_files.data.digest


@pytest.mark.parametrize("folder", ["~/own birds", "$OWN/own birds", "{root}/own birds"])
def test_a_folder_may_lie_anywhere(folder: str, birds: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = birds.parents[1]
    birds.rename(root / "own birds")
    monkeypatch.setenv("HOME", str(root))
    monkeypatch.setenv("OWN", str(root))
    say(settings={"folder": folder.format(root=root)})
    assert made(birds).splits["train"].n == 18
    assert missing_message({"birds": read_dataset("birds")}, birds.parent) == ""


# --- one folder of classes


def drawn(birds: Path, **settings: Any) -> dict[str, dict[str, list[str]]]:
    wanted = parse(ImageFolderSettings, {"folder": "birds/train", "test_frac": 0.25} | settings, "test")
    lists = list_image_folder("birds", wanted, birds.parent)
    return {
        split: {name: [Path(path).name for path in paths] for name, paths in each.images.items()}
        for split, each in lists.items()
    }


def test_test_images_are_drawn_from_each_class(birds: Path) -> None:
    for i in range(6, 20):
        save(birds / "train/down" / f"{i}.png")
    found = drawn(birds)
    assert {name: len(paths) for name, paths in found["test"].items()} == {"across": 2, "down": 5, "slanted": 2}
    for name in CLASSES:
        train, test = set(found["train"][name]), set(found["test"][name])
        assert not train & test
        assert train | test == {path.name for path in (birds / "train" / name).iterdir()}
    assert drawn(birds) == found
    assert drawn(birds, seed=1) != found
    save(birds / "train/down/20.png")
    assert len({*drawn(birds)["test"]["down"]} ^ {*found["test"]["down"]}) <= 2  # a new image moves few others


def test_a_drawn_split_is_in_the_manifest_and_another_seed_is_another_data_set(birds: Path) -> None:
    say(settings={"folder": "birds/train", "test_frac": 0.4, "seed": 3})
    manifest = made(birds)
    assert manifest.data.settings["seed"] == 3
    assert [manifest.splits[split].n_per_class for split in ("train", "test")] == [(4, 4, 4), (2, 2, 2)]
    lines = (birds.parents[1] / "out/splits/test_files.tsv").read_text().splitlines()
    assert all(line.split("\t")[1].startswith("birds/train/") for line in lines)
    digests = {data_recipe("birds").digest}
    for changes in ({"seed": 4}, {"test_frac": 0.3}):
        say(settings={"folder": "birds/train", "test_frac": 0.4, "seed": 3} | changes)
        digests.add(data_recipe("birds").digest)
    assert len(digests) == 3
    for path in (birds / "train/down").glob("[2-5].png"):
        path.unlink()
    refused(birds, "down: 2 images; a class needs 3, one of them for testing")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"test_frac": 0.2, "test": "t"}, "either train and test, or test_frac"),
        ({"seed": 1}, "seed is that of test_frac"),
        ({"train": "a", "test": "a"}, "train and test are one folder, 'a'"),
        ({"test_frac": 1.0}, "test_frac: .*less than 1"),
        ({"folder": ""}, "folder: .*at least 1"),
    ],
)
def test_settings_that_cannot_be(settings: dict[str, Any], words: str, birds: Path) -> None:
    say(settings={"folder": "birds"} | settings)
    with pytest.raises(UserError, match=rf"birds\.yaml: settings: .*{words}"):
        read_dataset("birds")


# --- a changed YAML


@pytest.mark.parametrize(
    "change",
    [
        {"settings": {"folder": "birds/train", "test_frac": 0.5}},
        {"settings": {"folder": "birds", "train": "val", "test": "train"}},
        {"image_side_px": 9},
        {"resize_px": 10},
        {"one_array": True},
        {"n_classes": 4},
        {"normalisation": {"mean": [0.5] * 3, "std": [0.5] * 3}},
        {"background": [0, 0, 0]},
    ],
)
def test_whatever_moves_an_image_is_another_address_so_it_is_prepared_by_itself(
    change: dict[str, Any], birds: Path
) -> None:
    before = data_folder("birds", data_recipe("birds"))
    say(label="Other words", n_images={"train": 18}, found_by=["birds"])
    assert data_folder("birds", data_recipe("birds")) == before
    say(**change)
    assert data_folder("birds", data_recipe("birds")) != before


def test_prepare_says_all_this_on_the_command_line(birds: Path, capsys: pytest.CaptureFixture[str]) -> None:
    others(birds)
    assert main(["prepare", "birds", "--results", str(birds.parents[1] / "results")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].endswith("manifest.json: files")
    assert lines[1] == "  train: 18 images; across 6, down 6, slanted 6"
    assert lines[2].startswith("  train: left out files that are not images: 2 .heic")
    say(settings={"folder": "nothing"})
    assert main(["prepare", "birds", "--results", str(birds.parents[1] / "results")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "--" not in error


# --- what the documents say


def test_the_documented_example_is_a_suite_that_can_be_run(birds: Path) -> None:
    documented(Path(os.environ["DDCL_CONFIG"]))
    suite = Suite.load(suite_path("clipart"))
    root = birds.parent
    assert "clipart (Clip art): put its class folders there" in missing_message(suite.dataset_configs, root)
    for name in ("animals", "food", "people", "plants", "tools", "transport"):
        for i in range(16):
            save(root / "clipart" / name / f"{i}.png")
    assert missing_message(suite.dataset_configs, root) == ""
    lister = partial(listed_counts, root=root)
    images = counted(suite, root, lister).dataset_configs["clipart"].n_images
    assert images == {"train": 72, "test": 24}
    (root / "clipart/seventh").mkdir()
    with pytest.raises(UserError, match=r"clipart/seventh: contains no image"):
        counted(suite, root, lister)
    assert main(["resolve", "--check", "--suite", "clipart", "--results", str(root)]) == 2


def documented(config: Path) -> None:
    """Write the example of docs/datasets.md into a folder of configuration."""
    text = (CONFIG_DIR.parent / "docs/datasets.md").read_text(encoding="utf-8")
    for kind in ("datasets", "suites"):
        found = re.search(rf"```\n# config/{kind}/clipart\.yaml\n(.*?)```", text, re.DOTALL)
        assert found
        write_text(config / kind / "clipart.yaml", found[1])
