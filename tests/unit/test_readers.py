"""Every reader on a tiny archive in the official layout; what is missing or damaged is named, with the way out."""

from __future__ import annotations

import gzip
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision import datasets
from torchvision.datasets import imagenet

from ddcl.core.errors import UserError
from ddcl.data.prepare import prepare
from ddcl.data.readers import arrays, files
from ddcl.data.source import ArraySplit, FileSplit, Request
from ddcl.recipes import CONFIG_DIR, read_dataset, reader_settings
from ddcl.registry import READERS, NoSettings
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
    values |= {"dataset": name, "root": root, "download": False, "obtain": config.obtain} | changes
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
    assert set(READERS) == {*BUILDERS, "digits", "image_folder"}


@pytest.mark.parametrize("name", BUILDERS)
def test_the_official_archive_is_read_and_afterwards_the_unpacked_copy(
    name: str, built: Callable[[str], Built], tmp_path: Path
) -> None:
    expected = built(name)
    check(read(name, tmp_path), expected)
    if name in ("flowers102", "fashion_mnist"):  # two of the archives' files are used as they are
        return
    for archive in expected.archives:
        (tmp_path / archive).unlink()
    check(read(name, tmp_path), expected)


def test_digits_are_scikit_learns() -> None:
    splits = READERS["digits"].load()(request_of("digits", Path(), settings=NoSettings()))
    assert (len(splits["train"].labels), len(splits["test"].labels)) == (1347, 450)
    assert splits["train"].images.shape == (1347, 3, 16, 16)
    assert np.array_equal(splits["train"].images[:, 0], splits["train"].images[:, 2])


def test_other_sides_are_resized(built: Callable[[str], Built], tmp_path: Path) -> None:
    expected = built("cifar10")
    small: ArraySplit = read("cifar10", tmp_path, side_px=16)["train"]
    assert small.images.shape == (10, 3, 16, 16)
    whole = expected.splits["train"][1].astype(float)
    assert np.abs(small.images.mean((2, 3)) - whole.mean((2, 3))).max() < 2


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


def test_a_changed_class_list_is_refused(tmp_path: Path) -> None:
    archives.class_folders(tmp_path, "imagenet", {"train": "train", "test": "val"}, archives.WNIDS)
    request = request_of("imagenet100", tmp_path)
    settings = request.settings.model_copy(update={"classes_sha256": "0" * 64})
    with pytest.raises(UserError, match=r"imagenet100_classes\.txt: sha256 .*, expected 0000"):
        read("imagenet100", tmp_path, settings=settings)


def test_a_missing_class_folder_is_named(tmp_path: Path) -> None:
    classes = shipped_classes()
    archives.class_folders(tmp_path, "imagenet", {"train": "train", "test": "val"}, classes)
    shutil.rmtree(tmp_path / "imagenet/val" / classes[3])
    with pytest.raises(UserError, match=rf"imagenet/val: 1 of 100 class folders are missing: {classes[3]}"):
        read("imagenet100", tmp_path)


def test_an_empty_class_folder_is_named(tmp_path: Path) -> None:
    archives.class_folders(tmp_path, "imagenet", {"train": "train", "test": "val"}, archives.WNIDS)
    next((tmp_path / "imagenet/train" / archives.WNIDS[1]).iterdir()).unlink()
    with pytest.raises(UserError, match=rf"train/{archives.WNIDS[1]}: no image in it \(looked for \.jpg"):
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


def test_image_folder_from_anywhere(tmp_path: Path) -> None:
    expected = archives.class_folders(tmp_path / "elsewhere", "birds", {"train": "tr", "test": "te"}, ["owl", "auk"])
    settings = READERS["image_folder"].settings.model_validate(
        {"folder": str(tmp_path / "elsewhere/birds"), "train": "tr", "test": "te"}
    )
    request = request_of("imagenet", tmp_path / "data", dataset="birds", settings=settings)
    found = READERS["image_folder"].load()(request)
    for split, (labels, names) in expected.splits.items():
        assert found[split].labels.tolist() == labels
        assert [(request.root / name).resolve() for name in found[split].names] == [
            (tmp_path / "elsewhere" / name).resolve() for name in names
        ]
    shutil.rmtree(tmp_path / "elsewhere/birds/te/owl")
    with pytest.raises(UserError, match="class folders that only one of tr, te has: owl"):
        READERS["image_folder"].load()(request)
    shutil.rmtree(tmp_path / "elsewhere/birds/te")
    with pytest.raises(UserError, match=r"data set birds: not found \(looked for .*birds/te"):
        READERS["image_folder"].load()(request)


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


# --- what is damaged, in archives and copies


@pytest.mark.parametrize("name", [name for name in BUILDERS if name != "fashion_mnist"])
def test_a_damaged_archive_is_named_and_kept(name: str, built: Callable[[str], Built], tmp_path: Path) -> None:
    archive = tmp_path / built(name).archives[0]
    archive.write_bytes(archive.read_bytes()[:-10])
    with pytest.raises(UserError, match=rf"{archive.name}: damaged \(md5 [0-9a-f]+, expected [0-9a-f]+\)"):
        read(name, tmp_path)
    assert archive.exists()


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
        UserError, match=rf"{folder.name}/{file}: {what}.*delete .*{folder.name} and run the command again"
    ):
        read(name, tmp_path)


def test_an_unpacking_that_was_interrupted_is_not_taken_for_the_whole(
    built: Callable[[str], Built], tmp_path: Path
) -> None:
    expected = built("cub200")
    (tmp_path / "CUB_200_2011").mkdir()
    (tmp_path / ".CUB_200_2011.unpacking").touch()
    check(read("cub200", tmp_path), expected)
    assert not (tmp_path / ".CUB_200_2011.unpacking").exists()


def test_a_missing_class_of_tiny_imagenet_is_named(built: Callable[[str], Built], tmp_path: Path) -> None:
    built("tiny_imagenet")
    read("tiny_imagenet", tmp_path)
    shutil.rmtree(tmp_path / "tiny-imagenet-200/train/n10000037")
    with pytest.raises(UserError, match="tiny-imagenet-200/train: 1 class folders are missing: n10000037"):
        read("tiny_imagenet", tmp_path)


@pytest.mark.parametrize(
    ("content", "words"), [(b"no image", "cannot identify"), (archives.jpeg(3), "40 × 30 px, expected 64")]
)
def test_an_image_of_tiny_imagenet_that_is_none_is_named(
    content: bytes, words: str, built: Callable[[str], Built], tmp_path: Path
) -> None:
    built("tiny_imagenet")
    read("tiny_imagenet", tmp_path)
    (tmp_path / "tiny-imagenet-200/val/images/val_1.JPEG").write_bytes(content)
    with pytest.raises(UserError, match=rf"images/val_1\.JPEG: damaged or incomplete \({words}"):
        read("tiny_imagenet", tmp_path)


def test_images_that_a_list_names_must_be_there(built: Callable[[str], Built], tmp_path: Path) -> None:
    built("food101")
    read("food101", tmp_path)
    (tmp_path / "food-101/images/dish_007/17.jpg").unlink()
    with pytest.raises(UserError, match=r"dish_007/17\.jpg: missing, and 0 more images of food101"):
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
        with pytest.raises(UserError, match=rf"1 damaged images in split train: .*{image.name}.*get them again"):
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


@pytest.mark.parametrize("name", [name for name in DATASETS if name != "digits"])
def test_what_is_missing_says_what_to_get_and_into_which_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(arrays, "DEBIAN_FASHION", tmp_path / "nowhere")
    with pytest.raises(UserError) as error:
        read(name, tmp_path)
    message, config = str(error.value), read_dataset(name)
    assert message.startswith(f"data set {name}: not found (looked for {tmp_path}/")
    assert config.obtain
    assert message.endswith(f"get it: {config.obtain.strip()}")
    assert any(str(tmp_path / place) in message for place in config.found_by)


def test_images_can_be_opened_after_reading(built: Callable[[str], Built], tmp_path: Path) -> None:
    built("pets")
    splits = read("pets", tmp_path)
    with Image.open(tmp_path / splits["test"].names[5]) as image:
        assert image.getpixel((3, 3)) == (5, 5, 5)
