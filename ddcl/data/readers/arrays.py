"""Readers of small images: every split becomes one array."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ddcl.base.errors import UserError
from ddcl.data.readers.decode import open_image, pixels, upright_rgb
from ddcl.data.readers.fetch import Archive, check_md5, damaged_is_named, obtain
from ddcl.data.readers.source import NO_LABEL, ArraySplit, Request

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")  # Debian's package dataset-fashion-mnist
IDX_FILES = {"train": "train", "test": "t10k"}
IDX_KINDS = [(split, kind) for split in IDX_FILES for kind in ("images-idx3", "labels-idx1")]
TINY_IMAGENET = Archive(
    "http://cs231n.stanford.edu/tiny-imagenet-200.zip",
    "90528d7ca1a48142e341f4ef8d21d0de",
)
TINY_SIDE_PX = 64


def _split(request: Request, images: NDArray[np.uint8], labels: Any) -> ArraySplit:
    """Return the split of images uint8 [N, C, H, W], at the requested side, grey ones as three channels."""
    if images.shape[-1] != request.side_px:
        import torch
        from torch.nn import functional as F

        side = (request.side_px, request.side_px)
        chunks = torch.split(torch.from_numpy(images), 4096)
        resized = [F.interpolate(chunk.float(), side, mode="bilinear", antialias=True) for chunk in chunks]
        images = torch.cat([chunk.round().clamp(0, 255).to(torch.uint8) for chunk in resized]).numpy()
    if images.shape[1] == 1:
        images = np.repeat(images, 3, axis=1)
    return ArraySplit(np.ascontiguousarray(images), np.asarray(labels, dtype=np.int64))


def read_digits(request: Request) -> dict[str, ArraySplit]:
    """Return scikit-learn's digits (1,797 real 8×8 scans, in its wheel), drawn larger, as three equal channels.

    A fixed, stratified half is the test split, as the file in the wheel has no official one. Enlarged bilinearly.
    Source: Alpaydin and Kaynak 1998, UCI "Optical Recognition of Handwritten Digits", its test part.
    """
    import torch
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split
    from torch.nn import functional as F

    digits = load_digits()
    grey = torch.from_numpy(digits.images)[:, None] * (255 / 16)  # [N, 1, 8, 8], from levels 0 … 16
    drawn = F.interpolate(grey, size=(request.side_px, request.side_px), mode="bilinear", align_corners=False)
    images = drawn.round().clamp(0, 255).to(torch.uint8).numpy()
    train, test = train_test_split(
        np.arange(len(images)), test_size=0.5, stratify=digits.target.astype(np.int64), random_state=0
    )
    return {
        "train": _split(request, images[train], digits.target[train]),
        "test": _split(request, images[test], digits.target[test]),
    }


def read_cifar10(request: Request) -> dict[str, ArraySplit]:
    """Return CIFAR-10 (Krizhevsky 2009): 50,000 and 10,000 images of 32 px."""
    from torchvision.datasets import CIFAR10

    return _read_cifar(request, CIFAR10)


def read_cifar100(request: Request) -> dict[str, ArraySplit]:
    """Return CIFAR-100 (Krizhevsky 2009) with its fine labels: 50,000 and 10,000 images of 32 px."""
    from torchvision.datasets import CIFAR100

    return _read_cifar(request, CIFAR100)


def _read_cifar(request: Request, cls: Any) -> dict[str, ArraySplit]:
    folder = request.root / cls.base_folder
    obtain(request, folder, [Archive(cls.url, cls.tgz_md5)])
    _check_files(folder, [*cls.train_list, *cls.test_list, [cls.meta["filename"], cls.meta["md5"]]])
    splits = {}
    for split in ("train", "test"):
        with damaged_is_named(folder):
            found = cls(request.root, train=split == "train")
        splits[split] = _split(request, found.data.transpose(0, 3, 1, 2), found.targets)
    return splits


def _check_files(folder: Path, files: list[Any]) -> None:
    """Raise `UserError` naming the first of the (name, md5) that is missing or damaged."""
    for name, md5 in files:
        if not (folder / name).exists():
            raise UserError(f"{folder / name}: missing; move {folder} away and run the command again")
        check_md5(folder / name, md5, f"move {folder} away and run the command again")


def read_stl10(request: Request) -> dict[str, ArraySplit]:
    """Return STL-10 (Coates et al. 2011), 96 px: train, test, and for pretraining train and the unlabelled images."""
    from torchvision.datasets import STL10

    folder = request.root / STL10.base_folder
    obtain(request, folder, [Archive(STL10.url, STL10.tgz_md5)])
    _check_files(folder, [*STL10.train_list, *STL10.test_list])
    parts = {}
    for split in ("train", "test", "unlabeled"):
        with damaged_is_named(folder):
            found = STL10(request.root, split=split)
        labels = found.labels if split != "unlabeled" else np.full(len(found.data), NO_LABEL)
        parts[split] = _split(request, found.data, labels)
    images, labels = (
        np.concatenate([getattr(parts[split], kind) for split in ("train", "unlabeled")])
        for kind in ("images", "labels")
    )
    return {"train": parts["train"], "test": parts["test"], "pretrain": ArraySplit(images, labels)}


def read_fashion_mnist(request: Request) -> dict[str, ArraySplit]:
    """Return Fashion-MNIST (Xiao et al. 2017): 60,000 and 10,000 grey images of 28 px.

    Looks in torchvision's folder, in fashion-mnist below data_root, and in the folder of Debian's package.
    """
    from torchvision.datasets import FashionMNIST

    raw = request.root / "FashionMNIST" / "raw"
    folders = [raw, request.root / "fashion-mnist", DEBIAN_FASHION]
    folder = next((place for place in folders if all(_idx_path(place, *file) for file in IDX_KINDS)), None)
    if folder is None:
        archives = [Archive(FashionMNIST.mirrors[0] + name, md5, False) for name, md5 in FashionMNIST.resources]
        obtain(request, raw / archives[-1].name, archives)
        folder = raw
    splits = {}
    for split in IDX_FILES:
        images, labels = (_read_idx(request, folder, split, kind) for kind in ("images-idx3", "labels-idx1"))
        if len(images) != len(labels):
            raise UserError(f"{folder}: {len(images)} {split} images with {len(labels)} labels; get the files again")
        if split == "train" and request.settings.n_train is not None:
            per_class = request.settings.n_train // 10
            kept = np.sort(np.concatenate([np.flatnonzero(labels == c)[:per_class] for c in range(10)]))
            images, labels = images[kept], labels[kept]
        splits[split] = _split(request, images[:, None], labels)
    return splits


def _idx_path(folder: Path, split: str, kind: str) -> Path | None:
    """Return the idx file of a split, packed or not, if it is there."""
    stem = folder / f"{IDX_FILES[split]}-{kind}-ubyte"
    return next((path for path in (stem, stem.with_name(f"{stem.name}.gz")) if path.exists()), None)


def _read_idx(request: Request, folder: Path, split: str, kind: str) -> NDArray[np.uint8]:
    """Return the uint8 array of an idx file (LeCun's format: magic, sizes, data)."""
    path = _idx_path(folder, split, kind) or folder / f"{IDX_FILES[split]}-{kind}-ubyte"
    with damaged_is_named(path):
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        n_dims = data[3]
        if data[:3] != b"\x00\x00\x08" or n_dims != int(kind[-1]):
            raise ValueError("not an idx file of bytes")
        shape = np.frombuffer(data, ">i4", n_dims, 4)
        return np.frombuffer(data, np.uint8, offset=4 + 4 * n_dims).reshape(shape).copy()  # torch wants a writable one


def read_tiny_imagenet(request: Request) -> dict[str, ArraySplit]:
    """Return Tiny-ImageNet (Le and Yang 2015), 64 px; test is the validation split, the one with known labels."""
    folder = request.root / "tiny-imagenet-200"
    obtain(request, folder, [TINY_IMAGENET])
    with damaged_is_named(folder / "wnids.txt", folder):
        classes = {name: i for i, name in enumerate(sorted((folder / "wnids.txt").read_text().split()))}
    lost = [name for name in classes if not any((folder / "train" / name / "images").glob("*.JPEG"))]
    if lost:
        raise UserError(
            f"{folder / 'train'}: {len(lost)} class folders are missing or empty: {', '.join(lost[:5])}; "
            f"move {folder} away and run the command again"
        )
    train = [
        (path, label)
        for name, label in classes.items()
        for path in sorted((folder / "train" / name / "images").glob("*.JPEG"))
    ]
    annotations = folder / "val" / "val_annotations.txt"
    with damaged_is_named(annotations, folder):
        lines = [line.split("\t") for line in annotations.read_text().splitlines()]
        test = [(folder / "val" / "images" / line[0], classes[line[1]]) for line in lines]
    return {"train": _decode(request, folder, train), "test": _decode(request, folder, test)}


def _decode(request: Request, folder: Path, items: list[tuple[Path, int]]) -> ArraySplit:
    """Return the split of image files below `folder`, decoded; one that cannot be decoded is named."""
    from tqdm import tqdm

    images = np.empty((len(items), 3, TINY_SIDE_PX, TINY_SIDE_PX), np.uint8)
    for i, (path, _) in enumerate(tqdm(items, unit="file", desc=request.dataset, disable=None)):
        with damaged_is_named(path, folder), open_image(path.read_bytes()) as image:
            rgb = upright_rgb(image, request.background)
            if rgb.size != (TINY_SIDE_PX, TINY_SIDE_PX):
                raise ValueError(f"{rgb.width} × {rgb.height} px, expected {TINY_SIDE_PX}")
            images[i] = pixels(rgb)
    return _split(request, images, [label for _, label in items])
