"""Preparing a data set: counts, checksums, moments, and errors that say what is wrong with which file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddcl.base.errors import UserError
from ddcl.base.files import read_json, write_json
from ddcl.base.yaml_files import NoSettings
from ddcl.data import prepare as stage
from ddcl.data.images import chunks
from ddcl.data.manifest import read_manifest
from ddcl.data.readers.source import ArraySplit, FileSplit
from ddcl.data.stored import read_images
from ddcl.schema.manifest import Manifest
from ddcl.schema.recipes import read_dataset
from ddcl.schema.registry import Entry, ReaderEntry
from ddcl.schema.suites import DatasetConfig, NormalisationConfig

RNG = np.random.default_rng(0)


def arrays(n: int, classes: int = 2) -> ArraySplit:
    return ArraySplit(RNG.integers(0, 256, (n, 3, 8, 8), dtype=np.uint8), np.arange(n) % classes)


@pytest.fixture
def prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Manifest]:
    """Prepare made-up splits as the data set `toy`; keywords change its YAML."""

    def run(splits: dict[str, Any], **changes: Any) -> Manifest:
        values = {"label": "Toy", "reader": "toy", "scale": "small", "image_side_px": 8, "n_classes": 2} | changes
        config = DatasetConfig.model_validate(values)
        entry = ReaderEntry("", NoSettings, keeps_files=isinstance(splits["train"], FileSplit))
        monkeypatch.setattr(Entry, "load", lambda self: lambda request: splits)
        monkeypatch.setitem(stage.READERS, "toy", entry)
        write_json(tmp_path / "config/datasets/toy.yaml", config.model_dump(mode="json"))  # JSON is YAML
        monkeypatch.setenv("DDCL_CONFIG", str(tmp_path / "config"))
        monkeypatch.setenv("DDCL_DATA", str(tmp_path))
        return stage.prepare("toy", tmp_path / "out", tmp_path)

    return run


def test_manifest_of_arrays_by_hand(prepared: Callable[..., Manifest], tmp_path: Path) -> None:
    splits = {"train": arrays(6), "test": arrays(4), "pretrain": ArraySplit(arrays(9).images, np.full(9, -1))}
    splits["pretrain"].labels[:2] = [0, 1]
    manifest = prepared(splits, n_images={"train": 6, "test": 4, "pretrain": 9})
    assert manifest.kind == "arrays"
    assert manifest.splits["train"].n_per_class == (3, 3)
    assert manifest.splits["pretrain"].n == 9
    assert manifest.splits["pretrain"].n_per_class == (1, 1)
    pixels = splits["train"].images / 255
    assert manifest.normalisation.mean == pytest.approx(pixels.mean(axis=(0, 2, 3)), rel=1e-12)
    assert manifest.normalisation.std == pytest.approx(pixels.std(axis=(0, 2, 3)), rel=1e-12)
    path = tmp_path / "out" / "manifest.json"
    assert read_manifest(path, "toy", manifest.data) == manifest
    images = read_images(path, manifest, "pretrain", 8)
    assert len(images) == 9
    assert (images.labels == -1).sum() == 7


def test_pretraining_is_on_the_training_images_where_there_are_no_others(
    prepared: Callable[..., Manifest], tmp_path: Path
) -> None:
    manifest = prepared({"train": arrays(6), "test": arrays(4)})
    assert len(read_images(tmp_path / "out/manifest.json", manifest, "pretrain", 8)) == 6
    with pytest.raises(UserError, match="no split 'validation'; there are train, test"):
        read_images(tmp_path / "out/manifest.json", manifest, "validation", 8)


@pytest.mark.parametrize(
    ("train", "changes", "message"),
    [
        (arrays(6), {"n_images": {"train": 7}}, "split train has 6 images; config/datasets says 7"),
        (arrays(6), {"n_images": {"pretrain": 7}}, "gives n_images for pretrain, but it has no such split"),
        (arrays(6, classes=1), {}, r"split train has 1 classes, \[1\] missing; config/datasets says 2"),
        (arrays(6, classes=3), {}, "split train has labels up to 2; config/datasets says 2"),
        (ArraySplit(arrays(6).images, np.array([0, 1, 0, 1, 0, -1])), {}, "1 images of split train have no label"),
    ],
)
def test_wrong_counts_are_refused(
    train: ArraySplit, changes: dict[str, Any], message: str, prepared: Callable[..., Manifest]
) -> None:
    with pytest.raises(UserError, match=message):
        prepared({"train": train, "test": arrays(4)}, **changes)


NORMALISATION = NormalisationConfig(mean=[0.5] * 3, std=[0.2] * 3)


def jpegs(root: Path, n: int = 4) -> FileSplit:
    names = [f"{'ab'[i % 2]}/{i}.jpg" for i in range(n)]
    for name in names:
        (root / name).parent.mkdir(exist_ok=True)
        Image.fromarray(RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(root / name)
    return FileSplit(names, np.arange(n) % 2)


def test_manifest_of_files(prepared: Callable[..., Manifest], tmp_path: Path) -> None:
    split = jpegs(tmp_path)
    manifest = prepared({"train": split, "test": split}, normalisation=NORMALISATION, resize_px=10)
    digests = [hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()[:16] for name in split.names]
    lines = "".join(f"{digest}\t{name}\n" for digest, name in zip(digests, split.names, strict=True))
    assert manifest.splits["train"].files_sha256 == hashlib.sha256(lines.encode()).hexdigest()
    assert (manifest.kind, manifest.normalisation.mean) == ("files", [0.5] * 3)
    images = read_images(tmp_path / "out/manifest.json", manifest, "test", 8)
    assert len(images) == 4
    table = tmp_path / "out/splits/test_files.tsv"
    whole = table.read_bytes()
    for place, byte in enumerate(whole):
        table.write_bytes(whole[:place] + bytes([byte ^ 1]) + whole[place + 1 :])
        with pytest.raises(UserError, match=r"test_files\.tsv: does not match manifest\.json"):
            read_images(tmp_path / "out/manifest.json", manifest, "test", 8)
    table.write_bytes(whole)
    first, second, *rest = whole.splitlines(keepends=True)
    table.write_bytes(b"".join([second, first, *rest]))  # labels are in order: these two images would have swapped them
    with pytest.raises(UserError, match=r"test_files\.tsv: does not match manifest\.json"):
        read_images(tmp_path / "out/manifest.json", manifest, "test", 8)
    table.write_bytes(whole)
    table.write_text(table.read_text().replace("a/0.jpg", "a/9.jpg"))
    with pytest.raises(UserError, match=r"test_files\.tsv: does not match manifest\.json"):
        read_images(tmp_path / "out/manifest.json", manifest, "test", 8)


def test_every_damaged_file_is_named_in_one_message(prepared: Callable[..., Manifest], tmp_path: Path) -> None:
    split = jpegs(tmp_path)
    data = (tmp_path / "a/0.jpg").read_bytes()
    (tmp_path / "a/0.jpg").write_bytes(data[: len(data) // 2])
    (tmp_path / "b/1.jpg").write_text("no image")
    with pytest.raises(UserError, match=r"2 images of split train cannot be used: .*a/0\.jpg .*b/1\.jpg"):
        prepared({"train": split, "test": split}, normalisation=NORMALISATION)


def test_files_without_a_normalisation_have_that_of_the_squares_that_evaluation_sees(
    prepared: Callable[..., Manifest], tmp_path: Path
) -> None:
    split = jpegs(tmp_path)
    manifest = prepared({"train": split, "test": split}, resize_px=10)
    images = read_images(tmp_path / "out/manifest.json", manifest, "train", 8)
    ((seen,),) = images.load(chunks(4, 4), None)
    pixels = seen.numpy() / 255
    assert manifest.normalisation.mean == pytest.approx(pixels.mean(axis=(0, 2, 3)), rel=1e-12)
    assert manifest.normalisation.std == pytest.approx(pixels.std(axis=(0, 2, 3)), rel=1e-9)


def test_images_that_are_all_of_one_colour_are_refused(prepared: Callable[..., Manifest]) -> None:
    black = ArraySplit(np.zeros((6, 3, 8, 8), np.uint8), np.arange(6) % 2)
    with pytest.raises(UserError, match="data set toy: in one channel, all pixels of all training images are e"):
        prepared({"train": black, "test": arrays(4)})


def test_test_images_that_are_training_images_are_counted(prepared: Callable[..., Manifest], tmp_path: Path) -> None:
    train = arrays(6)
    test = ArraySplit(np.concatenate([train.images[:2], arrays(3).images]), np.arange(5) % 2)
    manifest = prepared({"train": train, "test": test})
    assert manifest.splits["test"].n_in_train == 2
    assert "warning: 2 of 5 test images are also training images" in stage.describe(manifest)
    (tmp_path / "copies").mkdir()
    split = jpegs(tmp_path)
    copy = tmp_path / "copies/1.jpg"
    copy.write_bytes((tmp_path / split.names[1]).read_bytes())
    manifest = prepared({"train": split, "test": FileSplit([split.names[0], "copies/1.jpg"], np.arange(2))})
    assert manifest.splits["test"].n_in_train == 2


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"n_images": {"trian": 7}}, "n_images.trian.*'train', 'test' or 'pretrain'"),
        ({"resize_px": 10, "image_side_px": 16}, "resize_px 10 is below image_side_px 16: .* black frame"),
        ({"resize_px": 10}, "resize_px is for images in files; reader toy makes arrays"),
        ({"one_array": True}, "one_array is for images in files; reader toy makes arrays"),
        ({"background": [255, 255]}, "background: .*at least 3"),
        ({"background": [0, 0, 256]}, "background.2: .*less than or equal to 255"),
    ],
)
def test_what_a_data_sets_yaml_cannot_say(
    changes: dict[str, Any], words: str, prepared: Callable[..., Manifest], tmp_path: Path
) -> None:
    splits = {"train": arrays(6), "test": arrays(4)}
    prepared(splits)
    path = tmp_path / "config/datasets/toy.yaml"
    write_json(path, read_json(path, "data set") | changes)
    with pytest.raises(UserError, match=rf"{path}: .*{words}"):
        read_dataset("toy")


def test_a_manifest_of_other_settings_is_refused(prepared: Callable[..., Manifest], tmp_path: Path) -> None:
    manifest = prepared({"train": arrays(6), "test": arrays(4)})
    path = tmp_path / "out/manifest.json"
    with pytest.raises(UserError, match="the manifest has n_classes 2, the run needs 3; run `ddcl prepare` again"):
        read_manifest(path, "toy", manifest.data.model_copy(update={"n_classes": 3}))
    with pytest.raises(UserError, match="the manifest has dataset 'toy', the run needs 'other'"):
        read_manifest(path, "other", manifest.data)
    write_json(path, manifest.content() | {"schema": 1})
    with pytest.raises(UserError, match="manifest of schema 1, this version reads 5; run `ddcl prepare` again"):
        read_manifest(path, "toy", manifest.data)
