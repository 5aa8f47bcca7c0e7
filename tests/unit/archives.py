"""Tiny copies of the official archives: their names, their inner layout, images whose contents are known.

Each builder writes the archives below a folder (`data_root`) and returns the checksums that a test must put in place of
the official ones, by file name, and what the reader must find, by split: labels, and pixels or file names in order.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat

Pixels = NDArray[np.uint8]


@dataclass
class Built:
    """What a builder wrote, and what a reader must find.

    archives: files below the root. md5: by name, of archives and of the inner files that are checked.
    folder: where the unpacked copy lies. splits: (labels, pixels or file names).
    """

    archives: list[str]
    folder: str
    splits: dict[str, tuple[list[int], Any]]
    md5: dict[str, str] = field(default_factory=dict)


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


def pixels(n: int, side: int, seed: int = 0) -> Pixels:
    """Images [n, 3, side, side] that any wrong transposition changes: ramps along columns, rows and channels."""
    y, x = np.mgrid[:side, :side]
    ramp = np.stack([3 * x + y, x + 2 * y + 40, np.maximum(x, 2 * y)])
    return (ramp[None] + 7 * np.arange(n)[:, None, None, None] + 31 * seed).astype(np.uint8)


def jpeg(number: int, width: int = 40, height: int = 30) -> bytes:
    """A JPEG file of one grey level."""
    out = io.BytesIO()
    Image.new("RGB", (width, height), (number % 256,) * 3).save(out, "JPEG")
    return out.getvalue()


def tar(path: Path, files: dict[str, bytes]) -> str:
    """Write a tar archive, packed if its name says so; return its md5."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return md5(path.read_bytes())


def write(path: Path, data: bytes) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return md5(data)


def mat(**values: Any) -> bytes:
    out = io.BytesIO()
    savemat(out, values)
    return out.getvalue()


class Python2Pickler(pickle._Pickler):
    """Writes all strings as Python 2 wrote them: the keys of the official CIFAR files are bytes."""

    dispatch = pickle._Pickler.dispatch.copy()

    def save_string(self, value: str | bytes) -> None:
        data = value.encode("latin1") if isinstance(value, str) else value
        self.write(pickle.BINSTRING + struct.pack("<i", len(data)) + data)
        self.memoize(value)

    dispatch[str] = dispatch[bytes] = save_string


def python2_pickle(value: Any) -> bytes:
    out = io.BytesIO()
    Python2Pickler(out, 2).dump(value)
    return out.getvalue()


def cifar10(root: Path) -> Built:
    """Two images per batch file; rows of 3072 values, channels first."""
    names = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    images, labels = pixels(12, 32), [(3 * i) % 10 for i in range(10)] + [4, 7]
    files = {"batches.meta": python2_pickle({"label_names": [f"c{i}" for i in range(10)]})}
    for i, name in enumerate(names):
        own = slice(2 * i, 2 * i + 2)
        batch = {"data": images[own].reshape(2, 3072), "labels": labels[own]}
        files[name] = python2_pickle(batch | {"batch_label": name, "filenames": ["a.png", "b.png"]})
    built = Built(["cifar-10-python.tar.gz"], "cifar-10-batches-py", {}, {k: md5(v) for k, v in files.items()})
    built.splits = {"train": (labels[:10], images[:10]), "test": (labels[10:], images[10:])}
    built.md5[built.archives[0]] = tar(root / built.archives[0], {f"{built.folder}/{k}": v for k, v in files.items()})
    return built


def cifar100(root: Path) -> Built:
    """100 training images, one per class, and their coarse labels, which must not be read."""
    images, labels = pixels(102, 32, 1), [*((7 * i) % 100 for i in range(100)), 99, 3]
    files = {"meta": python2_pickle({"fine_label_names": [f"f{i}" for i in range(100)]})}
    for name, own in (("train", slice(0, 100)), ("test", slice(100, 102))):
        data = images[own].reshape(-1, 3072)
        coarse = [0] * len(data)
        files[name] = python2_pickle({"data": data, "fine_labels": labels[own], "coarse_labels": coarse})
    built = Built(["cifar-100-python.tar.gz"], "cifar-100-python", {}, {k: md5(v) for k, v in files.items()})
    built.splits = {"train": (labels[:100], images[:100]), "test": (labels[100:], images[100:])}
    built.md5[built.archives[0]] = tar(root / built.archives[0], {f"{built.folder}/{k}": v for k, v in files.items()})
    return built


def stl10(root: Path) -> Built:
    """Images are stored column by column, labels from 1."""
    parts = {"train": pixels(10, 96), "test": pixels(3, 96, 1), "unlabeled": pixels(4, 96, 2)}
    labels = {"train": list(range(10)), "test": [9, 0, 5]}
    files = {f"{name}_X.bin": own.transpose(0, 1, 3, 2).tobytes() for name, own in parts.items()}
    files |= {f"{name}_y.bin": bytes(label + 1 for label in own) for name, own in labels.items()}
    built = Built(["stl10_binary.tar.gz"], "stl10_binary", {}, {k: md5(v) for k, v in files.items()})
    built.splits = {name: (labels[name], parts[name]) for name in ("train", "test")}
    both = np.concatenate([parts["train"], parts["unlabeled"]])
    built.splits["pretrain"] = ([*labels["train"], -1, -1, -1, -1], both)
    files |= {"class_names.txt": b"a\nb\n", "fold_indices.txt": b"0 1\n"}
    built.md5[built.archives[0]] = tar(root / built.archives[0], {f"{built.folder}/{k}": v for k, v in files.items()})
    return built


def idx_files(n_per_class: int = 2) -> tuple[dict[str, bytes], dict[str, tuple[list[int], Any]]]:
    """Return Fashion-MNIST's four files, not packed, and what is in them."""
    files, splits = {}, {}
    for seed, (split, stem) in enumerate((("train", "train"), ("test", "t10k"))):
        labels = [(3 * i) % 10 for i in range(10 * n_per_class)]
        grey = pixels(len(labels), 28, seed)[:, 0]
        files[f"{stem}-images-idx3-ubyte"] = np.array([2051, *grey.shape], ">i4").tobytes() + grey.tobytes()
        files[f"{stem}-labels-idx1-ubyte"] = np.array([2049, len(labels)], ">i4").tobytes() + bytes(labels)
        splits[split] = (labels, np.repeat(grey[:, None], 3, axis=1))
    return files, splits


def fashion_mnist(root: Path) -> Built:
    files, splits = idx_files()
    built = Built([], "FashionMNIST/raw", splits)
    for name, data in files.items():
        built.archives.append(f"FashionMNIST/raw/{name}.gz")
        built.md5[f"{name}.gz"] = write(root / built.archives[-1], gzip.compress(data))
    return built


def tiny_imagenet(root: Path) -> Built:
    """200 classes of one training image; validation labels stand in a file, the test images have none."""
    classes = [f"n{10_000_000 + 37 * i}" for i in range(200)]
    image = Image.new("RGB", (64, 64))
    files = {"wnids.txt": "\n".join(reversed(classes)).encode(), "words.txt": b""}

    def grey(level: int) -> bytes:
        out = io.BytesIO()
        image.paste((level,) * 3, (0, 0, 64, 64))
        image.save(out, "JPEG")
        return out.getvalue()

    for i, name in enumerate(classes):
        files[f"train/{name}/images/{name}_0.JPEG"] = grey(i)
        files[f"train/{name}/{name}_boxes.txt"] = b""
    chosen = [5, 199, 0]
    lines = [f"val_{i}.JPEG\t{classes[label]}\t0\t0\t62\t62" for i, label in enumerate(chosen)]
    files["val/val_annotations.txt"] = "\n".join(lines).encode()
    files |= {f"val/images/val_{i}.JPEG": grey(250 - i) for i in range(3)}
    files["test/images/test_0.JPEG"] = grey(0)
    built = Built(["tiny-imagenet-200.zip"], "tiny-imagenet-200", {})
    with zipfile.ZipFile(root / built.archives[0], "w") as archive:
        for name, data in files.items():
            archive.writestr(f"{built.folder}/{name}", data)
    built.md5[built.archives[0]] = md5((root / built.archives[0]).read_bytes())
    levels = {"train": list(range(200)), "test": [250, 249, 248]}
    blank = np.ones((1, 3, 64, 64), np.uint8)
    for split, labels in (("train", list(range(200))), ("test", chosen)):
        built.splits[split] = (labels, np.array(levels[split], np.uint8)[:, None, None, None] * blank)
    return built


WNIDS = ["n01440764", "n01443537", "n02100735"]


def imagenet(root: Path) -> Built:
    """A tar of one tar per class, a flat tar of validation images, and the devkit that says their classes.

    The devkit's numbers of the classes are not in the order of their names.
    """
    train = {}
    for i, name in enumerate(WNIDS):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as inner:
            for j in range(2):
                data = jpeg(10 * i + j)
                info = tarfile.TarInfo(f"{name}_{j}.JPEG")
                info.size = len(data)
                inner.addfile(info, io.BytesIO(data))
        train[f"{name}.tar"] = out.getvalue()
    chosen = [2, 0, 1, 2]
    val = {f"ILSVRC2012_val_{i + 1:08}.JPEG": jpeg(100 + i) for i in range(len(chosen))}
    kinds = [("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("gloss", "O"), ("num_children", "O")]
    rows = [(i + 1, name, f"word{i}, other", "", 0) for i, name in enumerate(reversed(WNIDS))]
    synsets = np.array([*rows, (4, "n00001740", "entity", "", 3)], dtype=kinds)
    devkit = {
        "data/meta.mat": mat(synsets=synsets),
        "data/ILSVRC2012_validation_ground_truth.txt": "".join(f"{3 - label}\n" for label in chosen).encode(),
    }
    archives = ["ILSVRC2012_img_train.tar", "ILSVRC2012_img_val.tar", "ILSVRC2012_devkit_t12.tar.gz"]
    contents = (train, val, {f"ILSVRC2012_devkit_t12/{name}": data for name, data in devkit.items()})
    built = Built([f"imagenet/{name}" for name in archives], "imagenet", {})
    built.md5 = {name: tar(root / "imagenet" / name, own) for name, own in zip(archives, contents, strict=True)}
    names = [f"imagenet/train/{name}/{name}_{j}.JPEG" for name in WNIDS for j in range(2)]
    order = sorted(range(len(chosen)), key=lambda i: chosen[i])
    tested = [f"imagenet/val/{WNIDS[chosen[i]]}/ILSVRC2012_val_{i + 1:08}.JPEG" for i in order]
    built.splits = {"train": ([0, 0, 1, 1, 2, 2], names), "test": (sorted(chosen), tested)}
    return built


def class_folders(root: Path, folder: str, splits: dict[str, str], classes: list[str]) -> Built:
    """Write an unpacked copy: one image per class and split."""
    built = Built([], folder, {})
    for split, name in splits.items():
        names = [f"{folder}/{name}/{wnid}/{wnid}_{split}.JPEG" for wnid in sorted(classes)]
        for i, path in enumerate(names):
            write(root / path, jpeg(i))
        built.splits[split] = (list(range(len(names))), names)
    return built


def imagenette(root: Path) -> Built:
    folder = "imagenette2-320"
    names = [f"n{i:08}" for i in range(10)]
    splits = {"train": "train", "test": "val"}
    files = {f"{folder}/{place}/{name}/a.JPEG": jpeg(i) for place in splits.values() for i, name in enumerate(names)}
    built = Built([f"{folder}.tgz"], folder, {})
    built.md5 = {f"{folder}.tgz": tar(root / f"{folder}.tgz", files)}
    for split, place in splits.items():
        built.splits[split] = (list(range(10)), [f"{folder}/{place}/{name}/a.JPEG" for name in names])
    return built


def cub200(root: Path) -> Built:
    """200 classes of a training and a test image; file numbers are not in the order of the names."""
    folder, items = "CUB_200_2011", []
    for label in range(200):
        name = f"{label + 1:03}.Bird_{label}"
        items += [(f"{name}/x_{1000 - label}.jpg", label, 1), (f"{name}/a_{label}.jpg", label, 0)]
    files = {f"images/{name}": jpeg(label) for name, label, _ in items}
    tables = {
        "images": [f"{i} {name}" for i, (name, _, _) in enumerate(items, 1)],
        "image_class_labels": [f"{i} {label + 1}" for i, (_, label, _) in enumerate(items, 1)],
        "train_test_split": [f"{i} {is_train}" for i, (_, _, is_train) in enumerate(items, 1)],
    }
    files |= {f"{name}.txt": ("\n".join(lines) + "\n").encode() for name, lines in tables.items()}
    built = Built([f"{folder}.tgz"], folder, {})
    built.md5 = {f"{folder}.tgz": tar(root / f"{folder}.tgz", {f"{folder}/{k}": v for k, v in files.items()})}
    for split, flag in (("train", 1), ("test", 0)):
        own = [(label, f"{folder}/images/{name}") for name, label, is_train in items if is_train == flag]
        built.splits[split] = ([label for label, _ in own], [name for _, name in own])
    return built


def flowers102(root: Path) -> Built:
    """Image numbers from 1, labels from 1; the split file has numbers of images."""
    labels = [(5 * i) % 102 + 1 for i in range(210)]
    folder = "flowers-102"
    numbers = {"trnid": range(102, 0, -1), "valid": range(205, 211), "tstid": range(103, 205)}
    images = {f"jpg/image_{i:05}.jpg": jpeg(i) for i in range(1, 211)}
    built = Built([f"{folder}/{name}" for name in ("102flowers.tgz", "imagelabels.mat", "setid.mat")], folder, {})
    built.md5 = {
        "102flowers.tgz": tar(root / folder / "102flowers.tgz", images),
        "imagelabels.mat": write(root / folder / "imagelabels.mat", mat(labels=np.array([labels]))),
        "setid.mat": write(root / folder / "setid.mat", mat(**{k: np.array([list(v)]) for k, v in numbers.items()})),
    }
    for split, key in (("train", "trnid"), ("test", "tstid")):
        own = sorted((labels[i - 1] - 1, f"{folder}/jpg/image_{i:05}.jpg") for i in numbers[key])
        built.splits[split] = ([label for label, _ in own], [name for _, name in own])
    return built


def food101(root: Path) -> Built:
    folder, classes = "food-101", [f"dish_{i:03}" for i in range(101)]
    files = {f"images/{name}/{j}{i}.jpg": jpeg(i) for i, name in enumerate(classes) for j in (1, 2)}
    for split, j in (("train", 1), ("test", 2)):
        chosen = {name: [f"{name}/{j}{i}"] for i, name in enumerate(classes)}
        files[f"meta/{split}.json"] = json.dumps(chosen).encode()
    files["meta/classes.txt"] = files["meta/labels.txt"] = "\n".join(classes).encode()
    built = Built([f"{folder}.tar.gz"], folder, {})
    built.md5 = {f"{folder}.tar.gz": tar(root / f"{folder}.tar.gz", {f"{folder}/{k}": v for k, v in files.items()})}
    for split, j in (("train", 1), ("test", 2)):
        built.splits[split] = (list(range(101)), [f"{folder}/images/{n}/{j}{i}.jpg" for i, n in enumerate(classes)])
    return built


def pets(root: Path) -> Built:
    """37 breeds; lines `name class species breed`, classes from 1."""
    folder, breeds = "oxford-iiit-pet", [f"Breed_{i:02}" for i in range(37)]
    images = {f"images/{name}_{j}.jpg": jpeg(i) for i, name in enumerate(breeds) for j in (1, 2)}
    lists = {}
    for split, j in (("trainval", 1), ("test", 2)):
        lines = [f"{name}_{j} {i + 1} {1 + i % 2} 1" for i, name in enumerate(breeds)]
        lists[f"annotations/{split}.txt"] = ("\n".join(lines) + "\n").encode()
    built = Built([f"{folder}/images.tar.gz", f"{folder}/annotations.tar.gz"], folder, {})
    built.md5 = {
        "images.tar.gz": tar(root / folder / "images.tar.gz", images),
        "annotations.tar.gz": tar(root / folder / "annotations.tar.gz", lists),
    }
    for split, j in (("train", 1), ("test", 2)):
        built.splits[split] = (list(range(37)), [f"{folder}/images/{name}_{j}.jpg" for name in breeds])
    return built


BUILDERS: dict[str, Callable[[Path], Built]] = {
    "cifar10": cifar10,
    "cifar100": cifar100,
    "stl10": stl10,
    "fashion_mnist": fashion_mnist,
    "tiny_imagenet": tiny_imagenet,
    "imagenet": imagenet,
    "imagenette": imagenette,
    "cub200": cub200,
    "flowers102": flowers102,
    "food101": food101,
    "pets": pets,
}
