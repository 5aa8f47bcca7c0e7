"""Readers of large images: every split is a list of files, sorted by class and name, which are decoded later."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ddcl.base.errors import UserError
from ddcl.data.readers.fetch import Archive, alone, check_md5, damaged_is_named, missing, obtain
from ddcl.data.readers.folders import Listing, list_classes, list_image_folder, subfolders
from ddcl.data.readers.source import FileSplit, Request
from ddcl.schema.readers import read_class_list

INCOMPLETE = "complete the copy, or unpack it again"
CUB = Archive(
    "https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
    "97eceeb196236b17998738112f37df78",
)


def _split(request: Request, items: Iterable[tuple[Path | str, int]]) -> FileSplit:
    """Return the split of (path, label), sorted by label and name; every file must be there.

    Names are relative to `data_root`; files elsewhere keep absolute names.
    """
    below = f"{request.root}{os.sep}"
    pairs = sorted((int(label), str(path).removeprefix(below)) for path, label in items)
    lost = [name for _, name in pairs if not (request.root / name).exists()]
    if lost:
        raise UserError(
            f"{request.root / lost[0]}: missing, as are {len(lost) - 1} more images of {request.dataset}; {INCOMPLETE}"
        )
    return FileSplit([Path(name).as_posix() for _, name in pairs], np.array([label for label, _ in pairs], np.int64))


def class_folders(request: Request, folder: Path, names: Iterable[str]) -> FileSplit:
    """Return the images in the subfolders `names` of `folder`, labelled by their place among the names."""
    return _of_classes(request, list_classes(folder, names, INCOMPLETE))


def _of_classes(request: Request, listing: Listing) -> FileSplit:
    items = ((path, label) for label, paths in enumerate(listing.images.values()) for path in paths)
    return replace(_split(request, items), classes=tuple(listing.images), ignored=listing.ignored)


def read_image_folder(request: Request) -> dict[str, FileSplit]:
    """Return any data set of class folders: separate training and test folders, or one folder that is split."""
    lists = list_image_folder(request.dataset, request.settings, request.root)
    return {split: _of_classes(request, listing) for split, listing in lists.items()}


def read_imagenet(request: Request) -> dict[str, FileSplit]:
    """Return ILSVRC2012 or some of its classes: imagenet/{train,val}/<WordNet id>/*.JPEG; val is the test split.

    If the folders are missing but the official archives exist, torchvision checks and unpacks them.
    """
    folder = request.root / "imagenet"
    if not all((folder / split).is_dir() for split in ("train", "val")):
        _unpack_imagenet(request, folder)
    wanted = _class_list(request)
    classes = subfolders(folder / "train") if wanted is None else wanted
    return {
        "train": class_folders(request, folder / "train", classes),
        "test": class_folders(request, folder / "val", classes),
    }


def _unpack_imagenet(request: Request, folder: Path) -> None:
    """Unpack train and val if they are missing; the devkit has the classes of val."""
    from torchvision.datasets import imagenet

    def lacking() -> list[str]:
        kinds = [kind for kind in ("train", "val") if not (folder / kind).is_dir()]
        return [*kinds, "devkit"] if "val" in kinds else kinds

    archives = imagenet.ARCHIVE_META
    lost = [archives[kind][0] for kind in lacking() if not (folder / archives[kind][0]).exists()]
    if lost:
        missing(request, folder / lacking()[0], lost)
    unpack = {"train": imagenet.parse_train_archive, "val": imagenet.parse_val_archive}
    with alone(folder):
        needed = sorted(lacking())  # the devkit first; another `prepare` may have been here
        for kind in needed:
            check_md5(folder / archives[kind][0], archives[kind][1], "get it again")
        for kind in needed:
            with damaged_is_named(folder / archives[kind][0]):
                if kind == "devkit":
                    imagenet.parse_devkit_archive(folder)
                    continue
                # under another name first, so that an interrupted unpacking is not mistaken for a complete one
                unfinished = folder / f"{kind}.unpacking"
                shutil.rmtree(unfinished, ignore_errors=True)
                unpack[kind](folder, folder=unfinished.name)
                unfinished.rename(folder / kind)


def _class_list(request: Request) -> list[str] | None:
    """Return the sorted classes of the shipped list, checked against its checksum; None: all."""
    if request.settings.classes is None:
        return None
    return read_class_list(request.dataset, request.settings.classes, request.settings.classes_sha256)


def read_imagenette(request: Request) -> dict[str, FileSplit]:
    """Return Imagenette (ten easy classes of ImageNet, shorter side 320 px)."""
    from torchvision.datasets import Imagenette

    url, md5 = Imagenette._ARCHIVES["320px"]
    folder = request.root / Path(url).stem
    obtain(request, folder, [Archive(url, md5)])
    if not (folder / "train").is_dir():
        raise UserError(f"{folder}: has no folder train; move it away and run the command again")
    classes = subfolders(folder / "train")
    return {
        split: class_folders(request, folder / place, classes) for split, place in (("train", "train"), ("test", "val"))
    }


def read_cub200(request: Request) -> dict[str, FileSplit]:
    """Return CUB-200-2011 (Wah et al. 2011) in its official split."""
    folder = request.root / "CUB_200_2011"
    obtain(request, folder, [CUB])
    tables = {}
    for name in ("images", "image_class_labels", "train_test_split"):
        with damaged_is_named(folder / f"{name}.txt", folder):
            tables[name] = dict(line.split() for line in (folder / f"{name}.txt").read_text().splitlines())
    splits = {}
    for split, flag in (("train", "1"), ("test", "0")):
        chosen = [image for image, is_train in tables["train_test_split"].items() if is_train == flag]
        labels = tables["image_class_labels"]
        with damaged_is_named(folder):
            items = [(folder / "images" / tables["images"][i], int(labels[i]) - 1) for i in chosen]
        splits[split] = _split(request, items)
    return splits


def read_flowers102(request: Request) -> dict[str, FileSplit]:
    """Return Oxford Flowers-102 (Nilsback and Zisserman 2008): its train and test splits, as the authors use them."""
    from torchvision.datasets import Flowers102

    folder = request.root / "flowers-102"
    names = Flowers102._file_dict
    archives = [
        Archive(Flowers102._download_url_prefix + name, md5, key == "image") for key, (name, md5) in names.items()
    ]
    obtain(request, folder / "jpg", archives)
    for key in ("label", "setid"):
        check_md5(folder / names[key][0], names[key][1], "delete it and run the command again")
    return _torchvision(request, Flowers102, folder, {"train": "train", "test": "test"})


def read_food101(request: Request) -> dict[str, FileSplit]:
    """Return Food-101 (Bossard et al. 2014)."""
    from torchvision.datasets import Food101

    folder = request.root / "food-101"
    obtain(request, folder, [Archive(Food101._URL, Food101._MD5)])
    return _torchvision(request, Food101, folder, {"train": "train", "test": "test"})


def read_pets(request: Request) -> dict[str, FileSplit]:
    """Return Oxford-IIIT Pets (Parkhi et al. 2012): trainval and test, 37 breeds."""
    from torchvision.datasets import OxfordIIITPet

    folder = request.root / "oxford-iiit-pet"
    for url, md5 in OxfordIIITPet._RESOURCES:
        archive = Archive(url, md5)
        obtain(request, folder / archive.name.split(".")[0], [archive])  # images, annotations
    return _torchvision(request, OxfordIIITPet, folder / "annotations", {"train": "trainval", "test": "test"})


def _torchvision(request: Request, cls: Any, folder: Path, splits: dict[str, str]) -> dict[str, FileSplit]:
    """Return the files and labels that torchvision's class finds. folder: of the lists; named if they are damaged."""
    found = {}
    for split, name in splits.items():
        with damaged_is_named(folder):
            data = cls(request.root, split=name)
        found[split] = _split(
            request, zip(getattr(data, "_image_files", None) or data._images, data._labels, strict=True)
        )
    return found
