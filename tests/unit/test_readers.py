"""Every reader on a tiny archive in the official layout; what is missing or damaged is named, with the way out."""

from __future__ import annotations

import errno
import gzip
import hashlib
import io
import os
import shutil
import threading
import time
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.response import addinfourl

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits
from torchvision import datasets
from torchvision.datasets import imagenet, utils
from torchvision.transforms.v2 import functional as tv

from ddcl.__main__ import main
from ddcl.base.errors import UserError
from ddcl.base.yaml_files import NoSettings
from ddcl.data.prepare import prepare
from ddcl.data.readers import arrays, files, texture_files
from ddcl.data.readers.source import ArraySplit, FileSplit, Request
from ddcl.plan.addresses import data_folder
from ddcl.plan.datasets import is_there
from ddcl.schema.places import CONFIG_DIR
from ddcl.schema.recipes import data_recipe, read_dataset, reader_settings
from ddcl.schema.registry import READERS
from tests.unit import archives
from tests.unit.archives import BUILDERS, Built

DATASETS = sorted(path.stem for path in (CONFIG_DIR / "datasets").glob("*.yaml"))
PATCHED: list[tuple[Any, str]] = [
    *((cls, name) for cls in (datasets.CIFAR10, datasets.CIFAR100) for name in ("tgz_md5", "train_list", "test_list")),
    *((cls, "meta") for cls in (datasets.CIFAR10, datasets.CIFAR100)),
    *((datasets.STL10, name) for name in ("tgz_md5", "train_list", "test_list")),
    (datasets.FashionMNIST, "resources"),
    (imagenet, "ARCHIVE_META"),
    (datasets.Imagenette, "_ARCHIVES"),
    (datasets.Flowers102, "_file_dict"),
    (datasets.Food101, "_MD5"),
    (datasets.OxfordIIITPet, "_RESOURCES"),
]


def request_of(name: str, root: Path, **changes: Any) -> Request:
    config = read_dataset(name)
    values: dict[str, Any] = {"side_px": config.image_side_px, "settings": reader_settings(name, config)}
    values |= {"dataset": name, "root": root, "download": False, "obtain": config.obtain}
    values |= {"background": config.background} | changes
    return Request(**values)


def read(name: str, root: Path, **changes: Any) -> dict[str, Any]:
    splits: dict[str, Any] = READERS[read_dataset(name).reader].load()(request_of(name, root, **changes))
    return splits


def replaced(value: Any, known: dict[str, str], official: dict[str, str]) -> Any:
    """Return a constant with the official checksum of each file that the tiny archive has replaced by its own."""
    if isinstance(value, dict):
        return {key: replaced(item, known, official) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(replaced(item, known, official) for item in value)
    return known.get(official.get(value, ""), value) if isinstance(value, str) else value


@pytest.fixture
def built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Built]:
    """Write a tiny archive below tmp_path and put its checksums in place of the official ones; nothing else."""
    monkeypatch.setattr(arrays, "DEBIAN_FASHION", tmp_path / "no such folder")

    def build(name: str) -> Built:
        found = BUILDERS[name](tmp_path)
        official = official_md5()
        for owner, attribute in PATCHED:
            monkeypatch.setattr(owner, attribute, replaced(getattr(owner, attribute), found.md5, official))
        for module, attribute in ((arrays, "TINY_IMAGENET"), (files, "CUB")):
            archive = getattr(module, attribute)
            known = type(archive)(archive.url, found.md5.get(archive.name, archive.md5))
            monkeypatch.setattr(module, attribute, known)
        return found

    return build


def official_md5() -> dict[str, str]:
    """Return the file name of each official checksum."""
    tv = datasets
    found = {tv.CIFAR10.tgz_md5: tv.CIFAR10.filename, tv.CIFAR100.tgz_md5: tv.CIFAR100.filename}
    found[tv.STL10.tgz_md5] = tv.STL10.filename
    for cls in (tv.CIFAR10, tv.CIFAR100, tv.STL10):
        found |= {md5: name for name, md5 in (*cls.train_list, *cls.test_list)}
    found |= {cls.meta["md5"]: cls.meta["filename"] for cls in (tv.CIFAR10, tv.CIFAR100)}
    found |= {md5: name for name, md5 in tv.FashionMNIST.resources}
    found |= {md5: name for name, md5 in imagenet.ARCHIVE_META.values()}
    found |= {md5: url.rsplit("/", 1)[1] for url, md5 in tv.Imagenette._ARCHIVES.values()}
    found |= {md5: name for name, md5 in tv.Flowers102._file_dict.values()}
    found |= {md5: url.rsplit("/", 1)[1] for url, md5 in tv.OxfordIIITPet._RESOURCES}
    return found | {tv.Food101._MD5: "food-101.tar.gz"}


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The whole network: what it answers to a request for a file of this name; anything else fails the test."""
    files: dict[str, bytes] = {}

    def answer(request: urllib.request.Request, timeout: float) -> addinfourl:
        return addinfourl(io.BytesIO(files.pop(request.full_url.rsplit("/", 1)[1])), Message(), request.full_url, 200)

    monkeypatch.setattr(urllib.request, "urlopen", answer)
    return files


def check(found: dict[str, Any], expected: Built) -> None:
    assert set(found) == set(expected.splits)
    for split, (labels, content) in expected.splits.items():
        assert found[split].labels.tolist() == labels, split
        if isinstance(found[split], FileSplit):
            assert found[split].names == content
        else:
            assert found[split].images.dtype == np.uint8
            assert found[split].images.shape == content.shape
            assert int(np.abs(found[split].images.astype(int) - content).max()) <= tolerance(expected.folder)


def tolerance(folder: str) -> int:
    return 1 if folder == "tiny-imagenet-200" else 0  # one grey level of a JPEG file


def test_every_reader_is_tested() -> None:
    elsewhere = {"shapes", "textures", "texture_names", "emoji", "image_folder"}  # tests/unit/test_shapes.py, …
    assert set(READERS) == {*BUILDERS, "digits", *elsewhere}


@pytest.mark.parametrize("name", READERS)
def test_the_registry_says_which_readers_keep_files(name: str) -> None:
    """As `prepare` decides it: by the kind of the splits."""
    returned = {True: "dict[str, FileSplit]", False: "dict[str, ArraySplit]"}[READERS[name].keeps_files]
    assert READERS[name].load().__annotations__["return"] == returned


@pytest.mark.parametrize("name", BUILDERS)
def test_the_official_archive_is_read_and_afterwards_the_unpacked_copy(
    name: str, built: Callable[[str], Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = built(name)
    assert is_there(read_dataset(name), tmp_path)
    check(read(name, tmp_path), expected)
    for archive in expected.archives:
        if not archive.endswith((".mat", "-ubyte.gz")):  # those are used as they are
            (tmp_path / archive).unlink()
    assert is_there(read_dataset(name), tmp_path)
    monkeypatch.chdir(tmp_path.parent)
    check(read(name, Path(tmp_path.name)), expected)  # the default data_root is relative too


@pytest.mark.parametrize("name", [name for name in BUILDERS if name != "imagenet"])
def test_what_is_not_there_is_downloaded_if_asked(
    name: str, built: Callable[[str], Built], site: dict[str, bytes], tmp_path: Path
) -> None:
    expected = built(name)
    for archive in expected.archives:
        site[Path(archive).name] = (tmp_path / archive).read_bytes()
        (tmp_path / archive).unlink()
    check(read(name, tmp_path, download=True), expected)
    assert not site
    assert all((tmp_path / archive).exists() for archive in expected.archives)


def test_digits_are_scikit_learns() -> None:
    splits = READERS["digits"].load()(request_of("digits", Path(), settings=NoSettings()))
    assert (len(splits["train"].labels), len(splits["test"].labels)) == (898, 899)
    assert splits["train"].images.shape == (898, 3, 16, 16)
    digits = load_digits()
    for split in splits.values():
        assert np.array_equal(split.images[:, 0], split.images[:, 1])
        assert np.array_equal(split.images[:, 0], split.images[:, 2])
        # enlarged twofold, four pixels are nearly one of the scan's: the nearest scan has the same label
        small = split.images[::10, 0].reshape(-1, 8, 2, 8, 2).mean((2, 4))
        distance = ((small[:, None] - digits.images[None] * (255 / 16)) ** 2).sum((2, 3))
        assert np.array_equal(digits.target[distance.argmin(1)], split.labels[::10])


@pytest.mark.parametrize("side", [16, 48])
@pytest.mark.parametrize("name", ["cifar10", "stl10", "fashion_mnist", "tiny_imagenet"])
def test_other_sides_are_resized(name: str, side: int, built: Callable[[str], Built], tmp_path: Path) -> None:
    expected = built(name)
    found: ArraySplit = read(name, tmp_path, side_px=side)["test"]
    whole = torch.from_numpy(expected.splits["test"][1])
    resized = tv.resize(whole, [side, side], antialias=True).numpy()
    assert found.images.shape == resized.shape
    assert np.abs(found.images.astype(int) - resized).max() <= 1
    assert found.labels.tolist() == expected.splits["test"][0]


# --- ImageNet and its relatives


def shipped_classes() -> list[str]:
    lines = (CONFIG_DIR / "datasets/imagenet100_classes.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_imagenet100_is_the_shipped_classes_in_sorted_order(tmp_path: Path) -> None:
    classes = shipped_classes()
    assert len(set(classes)) == 100
    splits = {"train": "train", "test": "val"}
    archives.class_folders(tmp_path, "imagenet", splits, [*classes, "n00000001", "n99999999"])
    found = read("imagenet100", tmp_path)
    for split, place in splits.items():
        assert found[split].labels.tolist() == list(range(100))
        assert [Path(name).parent.name for name in found[split].names] == sorted(classes)
        assert all(name.startswith(f"imagenet/{place}/") for name in found[split].names)


def test_a_class_list_is_sorted_and_a_changed_or_missing_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archives.class_folders(tmp_path, "imagenet", {"train": "train", "test": "val"}, archives.WNIDS)
    monkeypatch.setenv("DDCL_CONFIG", str(tmp_path / "config"))
    path = tmp_path / "config/datasets/few.txt"
    path.parent.mkdir(parents=True)
    path.write_text(f"# a list\n{archives.WNIDS[2]}\n\n{archives.WNIDS[0]}  # a fish\n")
    given = {"classes": path.name, "classes_sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    settings = READERS["imagenet"].settings.model_validate(given)
    found = read("imagenet100", tmp_path, settings=settings)["train"]
    assert [Path(name).parent.name for name in found.names] == [archives.WNIDS[0], archives.WNIDS[2]]
    path.write_text(path.read_text().replace(archives.WNIDS[2], archives.WNIDS[1]))
    with pytest.raises(UserError, match=rf"{path}: sha256 [0-9a-f]+, expected {given['classes_sha256']}"):
        read("imagenet100", tmp_path, settings=settings)
    path.unlink()
    with pytest.raises(UserError, match=r"datasets/few.txt: no such file in .*; the data set imagenet100 names it"):
        read("imagenet100", tmp_path, settings=settings)


def test_the_checksum_of_the_shipped_class_list_is_that_of_its_yaml() -> None:
    settings = read_dataset("imagenet100").settings
    content = (CONFIG_DIR / "datasets" / settings["classes"]).read_bytes()
    assert hashlib.sha256(content).hexdigest() == settings["classes_sha256"]


def test_a_missing_class_folder_is_named(tmp_path: Path) -> None:
    classes = shipped_classes()
    archives.class_folders(tmp_path, "imagenet", {"train": "train", "test": "val"}, classes)
    shutil.rmtree(tmp_path / "imagenet/val" / classes[3])
    with pytest.raises(UserError, match=rf"imagenet/val: 1 of 100 class folders are missing: {classes[3]}; complete"):
        read("imagenet100", tmp_path)


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    archives.class_folders(tmp_path, "imagenet", {"train": "train", "test": "val"}, archives.WNIDS)
    next((tmp_path / "imagenet/train" / archives.WNIDS[1]).iterdir()).unlink()
    with pytest.raises(
        UserError, match=rf"train/{archives.WNIDS[1]}: contains no image \(looked for \.jpg.*\); complete"
    ):
        read("imagenet", tmp_path)


def test_unpacking_of_imagenet_that_was_interrupted_starts_over(
    built: Callable[[str], Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = built("imagenet")
    unpack = imagenet.parse_val_archive

    def interrupted(root: Any, **options: Any) -> None:
        unpack(root, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr(imagenet, "parse_val_archive", interrupted)
    with pytest.raises(KeyboardInterrupt):
        read("imagenet", tmp_path)
    assert (tmp_path / "imagenet/train").is_dir()
    assert not (tmp_path / "imagenet/val").exists()
    monkeypatch.setattr(imagenet, "parse_val_archive", unpack)
    check(read("imagenet", tmp_path), expected)


@pytest.mark.parametrize("kind", ["train", "val"])
def test_of_imagenet_only_what_is_missing_is_unpacked(
    kind: str, built: Callable[[str], Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = built("imagenet")
    read("imagenet", tmp_path)
    shutil.rmtree(tmp_path / "imagenet" / kind)
    other = {"train": "val", "val": "train"}[kind]
    for unneeded in [other, "devkit"] if kind == "train" else [other]:
        (tmp_path / "imagenet" / imagenet.ARCHIVE_META[unneeded][0]).unlink()
    check(read("imagenet", tmp_path), expected)
    shutil.rmtree(tmp_path / "imagenet" / kind)
    archive = tmp_path / "imagenet" / imagenet.ARCHIVE_META[kind][0]
    archive.unlink()
    looked = rf"looked for {tmp_path}/imagenet/{kind} or {archive}"
    with pytest.raises(UserError, match=rf"imagenet: not found \({looked}\); get it: ILSVRC2012"):
        read("imagenet", tmp_path)


# --- Fashion-MNIST


@pytest.mark.parametrize("place", ["FashionMNIST/raw", "fashion-mnist", "debian"])
@pytest.mark.parametrize("packed", [False, True])
def test_fashion_mnist_is_found_in_each_place(
    place: str, packed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "DEBIAN_FASHION", tmp_path / "debian")
    content, splits = archives.idx_files()
    for name, data in content.items():
        archives.write(tmp_path / place / (name + ".gz" * packed), gzip.compress(data) if packed else data)
    check(read("fashion_mnist", tmp_path), Built([], place, splits))


def test_a_place_that_lacks_one_of_the_four_idx_files_is_passed_over(
    built: Callable[[str], Built], tmp_path: Path
) -> None:
    built("fashion_mnist")
    (tmp_path / "FashionMNIST/raw/t10k-labels-idx1-ubyte.gz").unlink()
    content, splits = archives.idx_files(1)
    for name, data in content.items():
        archives.write(tmp_path / "fashion-mnist" / name, data)
    check(read("fashion_mnist", tmp_path), Built([], "fashion-mnist", splits))


def test_fashion_mnist_is_prepared_from_the_environments_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(arrays, "DEBIAN_FASHION", tmp_path / "no such folder")
    monkeypatch.setenv("DDCL_DATA", str(tmp_path / "data"))
    content, splits = archives.idx_files()
    for name, data in content.items():
        archives.write(tmp_path / "data/fashion-mnist" / name, data)
    command = ["prepare", "fashion_mnist", "--no-download", "--results", str(tmp_path / "results")]
    assert main(command) == 2
    assert "split train has 20 images; config/datasets says 60000" in capsys.readouterr().err
    tiny = read_dataset("fashion_mnist").model_copy(update={"n_images": {"train": 20, "test": 20}})
    monkeypatch.setattr("ddcl.data.prepare.read_dataset", lambda name: tiny)
    assert main(command) == 0
    prepared = tmp_path / "results" / data_folder("fashion_mnist", data_recipe("fashion_mnist"))
    assert np.array_equal(np.load(prepared / "splits/test_images.npy"), splits["test"][1])


def test_ten_thousand_means_the_first_of_each_class(tmp_path: Path, built: Callable[[str], Built]) -> None:
    labels, images = built("fashion_mnist").splits["train"]
    settings = READERS["fashion_mnist"].settings.model_validate({"n_train": 10})
    found = read("fashion_mnist", tmp_path, settings=settings)
    first = [labels.index(label) for label in range(10)]
    assert np.array_equal(found["train"].images, images[sorted(first)])
    assert len(found["test"].labels) == 20


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda data: data[: len(data) // 2], "damaged or incomplete"),
        (lambda data: b"\x00\x00\x0d" + data[3:], "not an idx file"),
    ],
)
def test_a_damaged_idx_file_is_named(
    damage: Callable[[bytes], bytes], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "DEBIAN_FASHION", tmp_path / "nowhere")
    for name, data in archives.idx_files()[0].items():
        archives.write(tmp_path / "fashion-mnist" / name, damage(data) if name.startswith("t10k-images") else data)
    with pytest.raises(UserError, match=rf"t10k-images-idx3-ubyte: .*{words}"):
        read("fashion_mnist", tmp_path)


def test_a_damaged_packed_idx_file_is_named_and_after_its_deletion_downloaded(
    built: Callable[[str], Built], site: dict[str, bytes], tmp_path: Path
) -> None:
    expected = built("fashion_mnist")
    path = tmp_path / "FashionMNIST/raw/train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    for damaged in (whole[:-100], whole[:-5] + b"\x00" + whole[-4:]):  # the second: a wrong checksum in it
        path.write_bytes(damaged)
        with pytest.raises(UserError, match=rf"{path}: damaged or incomplete .*; delete it and run the command again"):
            read("fashion_mnist", tmp_path, download=True)
    path.unlink()
    with pytest.raises(UserError, match=rf"fashion_mnist: not found \(looked for {path}\); get it: downloaded by"):
        read("fashion_mnist", tmp_path)
    site[path.name] = whole
    check(read("fashion_mnist", tmp_path, download=True), expected)


def test_idx_files_that_do_not_fit_each_other_are_refused(built: Callable[[str], Built], tmp_path: Path) -> None:
    built("fashion_mnist")
    path = tmp_path / "FashionMNIST/raw/train-labels-idx1-ubyte.gz"
    path.write_bytes(gzip.compress(np.array([2049, 19], ">i4").tobytes() + bytes(19)))
    with pytest.raises(UserError, match=rf"{path.parent}: 20 train images with 19 labels"):
        read("fashion_mnist", tmp_path)


# --- what is damaged, in archives and copies

ARCHIVES = {
    "cifar10": ["cifar-10-python.tar.gz"],
    "cifar100": ["cifar-100-python.tar.gz"],
    "stl10": ["stl10_binary.tar.gz"],
    "tiny_imagenet": ["tiny-imagenet-200.zip"],
    "imagenet": [f"imagenet/ILSVRC2012_{name}" for name in ("img_train.tar", "img_val.tar", "devkit_t12.tar.gz")],
    "imagenette": ["imagenette2-320.tgz"],
    "cub200": ["CUB_200_2011.tgz"],
    "flowers102": [f"flowers-102/{name}" for name in ("102flowers.tgz", "imagelabels.mat", "setid.mat")],
    "food101": ["food-101.tar.gz"],
    "pets": [f"oxford-iiit-pet/{name}" for name in ("images.tar.gz", "annotations.tar.gz")],
}
EACH_ARCHIVE = [(name, archive) for name, own in ARCHIVES.items() for archive in own]
UNPACKED_BY_US = [name for name in ARCHIVES if name != "imagenet"]


@pytest.mark.parametrize(("name", "archive"), EACH_ARCHIVE)
def test_an_archive_with_a_wrong_checksum_is_named_and_kept(
    name: str, archive: str, built: Callable[[str], Built], tmp_path: Path
) -> None:
    assert built(name).archives == ARCHIVES[name]
    path = tmp_path / archive
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(
        UserError, match=rf"{path}: damaged \(md5 [0-9a-f]+, expected [0-9a-f]+\); (delete it and run|get it again)"
    ):
        read(name, tmp_path)
    assert path.exists()


@pytest.mark.parametrize(("name", "archive"), EACH_ARCHIVE)
def test_of_several_archives_the_missing_one_is_named(
    name: str, archive: str, built: Callable[[str], Built], tmp_path: Path
) -> None:
    built(name)
    (tmp_path / archive).unlink()
    with pytest.raises(UserError, match=rf"data set {name}: not found \(looked for .*{tmp_path / archive}\); get it: "):
        read(name, tmp_path)


def test_an_archive_that_is_cut_with_the_right_checksum_is_named_and_its_half_not_taken_for_the_whole(
    built: Callable[[str], Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = built("cub200")
    path = tmp_path / "CUB_200_2011.tgz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with monkeypatch.context() as patch:
        patch.setattr(files, "CUB", type(files.CUB)(files.CUB.url, archives.md5(path.read_bytes())))
        with pytest.raises(UserError, match=rf"{path}: damaged or incomplete \(.*\); delete it and run"):
            read("cub200", tmp_path)
    assert (tmp_path / "CUB_200_2011").is_dir()
    path.unlink()
    with pytest.raises(UserError, match=rf"CUB_200_2011: unpacking was interrupted, and {path} no longer"):
        read("cub200", tmp_path)
    path.write_bytes(whole)
    check(read("cub200", tmp_path), expected)


@pytest.mark.parametrize("name", UNPACKED_BY_US)
def test_an_unpacking_that_was_interrupted_is_not_taken_for_the_whole(
    name: str, built: Callable[[str], Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = built(name)
    before = {path for path in tmp_path.rglob("*") if path.is_file()}
    unpack = utils.extract_archive

    def interrupted(*arguments: Any) -> None:
        unpack(*arguments)
        for path in {path for path in tmp_path.rglob("*") if path.is_file()} - before:
            if path.name != ".prepare.lock" and not path.name.endswith(".unpacking"):
                path.unlink()
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(utils, "extract_archive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            read(name, tmp_path)
    check(read(name, tmp_path), expected)
    assert not list(tmp_path.rglob(".*.unpacking"))


@pytest.mark.parametrize("name", ["stl10", "imagenet"])
def test_a_full_disk_is_not_called_a_damaged_archive(
    name: str, built: Callable[[str], Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = ARCHIVES[name][-1]
    built(name)

    def full(*arguments: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(utils, "extract_archive", full)
    monkeypatch.setattr(imagenet, "extract_archive", full)
    with pytest.raises(UserError, match=rf"{tmp_path / archive}: cannot be .* No space left") as error:
        read(name, tmp_path)
    assert "delete" not in str(error.value)


@pytest.mark.parametrize("name", ["cub200", "imagenet"])
def test_two_that_are_prepared_side_by_side_unpack_once(
    name: str, built: Callable[[str], Built], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """imagenet and imagenet100 are two jobs of one suite."""
    expected = built(name)
    owner, unpack = (utils, "extract_archive") if name == "cub200" else (imagenet, "parse_train_archive")
    original, calls = getattr(owner, unpack), []

    def slow(*arguments: Any, **options: Any) -> None:
        calls.append(unpack)
        time.sleep(0.2)
        original(*arguments, **options)

    monkeypatch.setattr(owner, unpack, slow)
    found: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: found.append(read(name, tmp_path))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert calls == [unpack]
    assert len(found) == 2
    for splits in found:
        check(splits, expected)


@pytest.mark.parametrize(
    ("name", "file"), [("cifar10", "data_batch_3"), ("cifar100", "test"), ("stl10", "train_y.bin")]
)
@pytest.mark.parametrize("gone", [False, True])
def test_a_damaged_or_missing_file_of_an_unpacked_copy_is_named(
    name: str, file: str, gone: bool, built: Callable[[str], Built], tmp_path: Path
) -> None:
    folder = tmp_path / built(name).folder
    read(name, tmp_path)
    if gone:
        (folder / file).unlink()
    else:
        (folder / file).write_bytes((folder / file).read_bytes() + b"x")
    what = "missing" if gone else "damaged"
    with pytest.raises(
        UserError, match=rf"{folder.name}/{file}: {what}.*move .*{folder.name} away and run the command again"
    ):
        read(name, tmp_path)


@pytest.mark.parametrize("empty", [False, True])
def test_a_missing_or_empty_class_of_tiny_imagenet_is_named_and_the_advice_helps(
    empty: bool, built: Callable[[str], Built], tmp_path: Path
) -> None:
    expected = built("tiny_imagenet")
    read("tiny_imagenet", tmp_path)
    folder = tmp_path / "tiny-imagenet-200"
    shutil.rmtree(folder / "train/n10000037")
    if empty:
        (folder / "train/n10000037/images").mkdir(parents=True)
    with pytest.raises(
        UserError,
        match=rf"{folder}/train: 1 class folders are missing or empty: n10000037; move {folder} away and run",
    ):
        read("tiny_imagenet", tmp_path)
    shutil.rmtree(folder)
    check(read("tiny_imagenet", tmp_path), expected)


@pytest.mark.parametrize("name", ["wnids.txt", "val/val_annotations.txt"])
def test_a_missing_list_of_tiny_imagenet_is_named(name: str, built: Callable[[str], Built], tmp_path: Path) -> None:
    built("tiny_imagenet")
    read("tiny_imagenet", tmp_path)
    folder = tmp_path / "tiny-imagenet-200"
    (folder / name).unlink()
    with pytest.raises(UserError, match=rf"{folder / name}: damaged or incomplete .*; move {folder} away and run"):
        read("tiny_imagenet", tmp_path)


def test_a_list_of_cub200_that_is_cut_names_its_folder(built: Callable[[str], Built], tmp_path: Path) -> None:
    built("cub200")
    read("cub200", tmp_path)
    table = tmp_path / "CUB_200_2011/image_class_labels.txt"
    table.write_text("".join(table.read_text().splitlines(keepends=True)[:20]))
    with pytest.raises(UserError, match=rf"{table.parent}: damaged or incomplete .*; move {table.parent} away and run"):
        read("cub200", tmp_path)
    table.write_text("1")
    with pytest.raises(UserError, match=rf"{table}: damaged or incomplete .*; move {table.parent} away and run"):
        read("cub200", tmp_path)


def test_an_empty_folder_of_imagenette_is_named(built: Callable[[str], Built], tmp_path: Path) -> None:
    folder = tmp_path / built("imagenette").folder
    folder.mkdir()
    with pytest.raises(UserError, match=rf"{folder}: has no folder train; move it away and run"):
        read("imagenette", tmp_path)


@pytest.mark.parametrize("file", ["imagelabels.mat", "setid.mat"])
def test_a_damaged_list_of_flowers102_is_named_and_after_its_deletion_downloaded(
    file: str, built: Callable[[str], Built], site: dict[str, bytes], tmp_path: Path
) -> None:
    expected = built("flowers102")
    read("flowers102", tmp_path)
    path = tmp_path / "flowers-102" / file
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with pytest.raises(UserError, match=rf"{path}: damaged \(md5 .*; delete it and run the command again"):
        read("flowers102", tmp_path, download=True)
    path.unlink()
    with pytest.raises(UserError, match=rf"flowers102: not found \(looked for {path}\); get it: .*{file}"):
        read("flowers102", tmp_path)
    site[file] = whole
    (tmp_path / "flowers-102/102flowers.tgz").unlink()  # not needed, so not downloaded
    check(read("flowers102", tmp_path, download=True), expected)


def test_images_of_pets_that_are_gone_are_unpacked_again(built: Callable[[str], Built], tmp_path: Path) -> None:
    expected = built("pets")
    read("pets", tmp_path)
    shutil.rmtree(tmp_path / "oxford-iiit-pet/images")
    check(read("pets", tmp_path), expected)
    (tmp_path / "oxford-iiit-pet/annotations/test.txt").unlink()
    with pytest.raises(
        UserError, match=r"oxford-iiit-pet/annotations: damaged or incomplete .*; move .*annotations away"
    ):
        read("pets", tmp_path)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"no image", "not an image in a known format"), (archives.jpeg(3), "40 × 30 px, expected 64")],
)
def test_an_image_of_tiny_imagenet_that_is_none_is_named(
    content: bytes, words: str, built: Callable[[str], Built], tmp_path: Path
) -> None:
    built("tiny_imagenet")
    read("tiny_imagenet", tmp_path)
    (tmp_path / "tiny-imagenet-200/val/images/val_1.JPEG").write_bytes(content)
    with pytest.raises(
        UserError,
        match=rf"images/val_1\.JPEG: damaged or incomplete \({words}.*; move {tmp_path}/tiny-imagenet-200 away and run",
    ):
        read("tiny_imagenet", tmp_path)


def test_transparent_images_of_tiny_imagenet_are_drawn_on_the_background(
    built: Callable[[str], Built], tmp_path: Path
) -> None:
    built("tiny_imagenet")
    read("tiny_imagenet", tmp_path)
    out = io.BytesIO()
    Image.new("RGBA", (64, 64), (250, 0, 0, 0)).save(out, "PNG")
    (tmp_path / "tiny-imagenet-200/val/images/val_1.JPEG").write_bytes(out.getvalue())
    for background in ([255, 255, 255], [1, 2, 3]):
        images = read("tiny_imagenet", tmp_path, background=background)["test"].images
        assert any((image == np.array(background)[:, None, None]).all() for image in images)


def test_images_that_a_list_names_must_be_there(built: Callable[[str], Built], tmp_path: Path) -> None:
    built("food101")
    read("food101", tmp_path)
    (tmp_path / "food-101/images/dish_007/17.jpg").unlink()
    with pytest.raises(
        UserError,
        match=r"dish_007/17\.jpg: missing, as are 0 more images of food101; complete the copy",
    ):
        read("food101", tmp_path)


def test_a_corrupt_jpeg_is_named_when_it_is_prepared(built: Callable[[str], Built], tmp_path: Path) -> None:
    archives.class_folders(tmp_path, "imagenet", {"train": "train", "test": "val"}, shipped_classes())
    image = next((tmp_path / "imagenet/train").glob("*/*.JPEG"))
    image.write_bytes(image.read_bytes()[:200])
    config = read_dataset("imagenet100")
    with pytest.raises(UserError, match="split train has 100 images; config/datasets says 126689"):
        prepare("imagenet100", tmp_path / "out", tmp_path, download=False)
    with pytest.MonkeyPatch.context() as patch:
        small = config.model_copy(update={"n_images": {"train": 100, "test": 100}})
        patch.setattr("ddcl.data.prepare.read_dataset", lambda name: small)
        with pytest.raises(UserError, match=rf"1 image of split train cannot be used: .*{image.name}.*get them again"):
            prepare("imagenet100", tmp_path / "out", tmp_path, download=False)
    assert not (tmp_path / "out/manifest.json").exists()


@pytest.mark.parametrize("name", ["cifar10", "stl10", "pets", "imagenette"])
def test_a_wrong_number_of_images_is_refused(name: str, built: Callable[[str], Built], tmp_path: Path) -> None:
    expected = built(name)
    config = read_dataset(name)
    n = len(expected.splits["train"][0])
    wanted = rf"data set {name}: split train has {n} images; config/datasets says {config.n_images['train']}"
    with pytest.raises(UserError, match=wanted):
        prepare(name, tmp_path / "out", tmp_path, download=False)
    assert not (tmp_path / "out/manifest.json").exists()


@pytest.mark.parametrize("name", [name for name in DATASETS if read_dataset(name).found_by])
def test_what_is_missing_says_what_to_get_and_into_which_folder(
    name: str, tmp_path: Path, site: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "DEBIAN_FASHION", tmp_path / "nowhere")
    monkeypatch.setattr(texture_files, "DEBIAN", tmp_path / "nowhere")
    with pytest.raises(UserError) as error:
        read(name, tmp_path)
    message, config = str(error.value), read_dataset(name)
    assert message.startswith(f"data set {name}: not found (looked for {tmp_path}/")
    assert config.obtain
    assert message.endswith(f"get it: {config.obtain.strip()}")
    named = [str(tmp_path / place) in message for place in config.found_by]
    assert all(named) or (name.startswith(("fashion_mnist", "texture")) and named[0])
    assert not list(tmp_path.iterdir())


def test_imagenet_is_never_downloaded(tmp_path: Path, site: dict[str, bytes]) -> None:
    with pytest.raises(UserError, match=r"imagenet: not found .*get it: ILSVRC2012 from image-net\.org, after"):
        read("imagenet", tmp_path, download=True)


def test_images_can_be_opened_after_reading(built: Callable[[str], Built], tmp_path: Path) -> None:
    built("pets")
    splits = read("pets", tmp_path)
    with Image.open(tmp_path / splits["test"].names[5]) as image:
        assert image.getpixel((3, 3)) == (5, 5, 5)
