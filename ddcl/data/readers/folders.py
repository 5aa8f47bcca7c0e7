"""Class folders on disk: which files are images of which class, and which of them are for testing.

Imports neither torch nor numpy: it is also used to check a suite before anything is prepared.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ddcl.base.errors import UserError
from ddcl.core.streams import derive
from ddcl.schema.readers import ImageFolderSettings
from ddcl.schema.recipes import reader_settings
from ddcl.schema.suites import DatasetConfig

# What torchvision's ImageFolder reads, and GIF.
EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp", ".gif")
LITTER = ("__macosx", "thumbs.db")  # files of operating systems, besides hidden files
MIN_TRAIN = 2  # of each class: the linear probe holds one out to choose its penalty


@dataclass(frozen=True)
class Listing:
    """The files of a split.

    images: paths by class, in the order of the labels; of a class sorted by name. ignored: other files, by kind.
    """

    images: dict[str, list[str]]
    ignored: dict[str, int]

    @property
    def n(self) -> int:
        """Number of images."""
        return sum(map(len, self.images.values()))


def subfolders(folder: Path) -> list[str]:
    """Return the names of the folders in `folder`, sorted, without hidden and system folders."""
    return sorted(entry.name for entry in _entries(folder) if entry.is_dir())


def list_classes(folder: Path, names: Iterable[str], advice: str) -> Listing:
    """Return the images in the subfolders `names` of `folder` and in folders below them, and the files ignored there.

    advice: what to do if a class has no folder or no image, for the message.
    """
    names = list(names)
    lost = [name for name in names if not (folder / name).is_dir()]
    if lost:
        raise UserError(
            f"{folder}: {len(lost)} of {len(names)} class folders are missing: {', '.join(lost[:5])}; {advice}"
        )
    images: dict[str, list[str]] = {}
    outside = (Path(entry.name) for entry in _entries(folder) if not entry.is_dir())
    ignored = Counter(f"{_kind(path)} in no class folder" for path in outside)
    for name in names:
        files = list(_files(folder / name))
        others = Counter(_kind(Path(path)) for path in files if not _is_image(path))
        images[name] = sorted(_can_be_listed(path) for path in files if _is_image(path))
        lost = [path for path in images[name] if os.path.islink(path) and not os.path.exists(path)]
        if lost:
            raise UserError(
                f"{lost[0]}: a broken link, as are {len(lost) - 1} more of class {name}; remove them, or copy "
                "the files (cp -rL)"
            )
        if not images[name]:
            looked = f"looked for {', '.join(EXTENSIONS)}{'; found ' if others else ''}{in_words(others)}"
            raise UserError(f"{folder / name}: contains no image ({looked}); {advice}")
        ignored += others
    return Listing(images, dict(ignored))


def in_words(ignored: Mapping[str, int]) -> str:
    """Return how many files of each kind there are, as text."""
    return ", ".join(f"{n} {kind}" for kind, n in sorted(ignored.items()))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Return what lies in a folder, sorted by name."""
    try:
        found = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(f"{folder}: cannot be read ({error.strerror})") from None
    return [entry for entry in found if not entry.name.startswith(".") and entry.name.lower() not in LITTER]


def _files(folder: Path, above: tuple[str, ...] = ()) -> Iterator[str]:
    """Yield the files below a folder; a link to a folder above it is not followed again."""
    above = (*above, os.path.realpath(folder))
    for entry in _entries(folder):
        if not entry.is_dir():
            yield entry.path
        elif os.path.realpath(entry.path) not in above:
            yield from _files(Path(entry.path), above)


def _is_image(path: str) -> bool:
    return path.lower().endswith(EXTENSIONS)


def _can_be_listed(path: str) -> str:
    """Return the path; `UserError` if it cannot be written as one line of text in the list of files."""
    if "\n" in path or any("\ud800" <= letter <= "\udfff" for letter in path):
        raise UserError(f"{path!a}: its name contains a line break or is not UTF-8; rename it")
    return path


def _kind(path: Path) -> str:
    return path.suffix.lower() or "without extension"


def list_image_folder(dataset: str, settings: ImageFolderSettings, root: Path) -> dict[str, Listing]:
    """Return the training and the test images of a data set of class folders.

    root: `data_root`. `UserError` if the folders are missing or are not a data set; it says what was found instead.
    """
    folder, wanted = settings.place(root), f"data set {dataset}: looked for the folder"
    if not folder.is_dir():
        raise UserError(
            f"{wanted} {folder}, which does not exist{_beside(folder)}; put it there, or name another one in "
            f"settings.folder of its YAML (an absolute path, or below {root}: data_root, or DDCL_DATA)"
        )
    if settings.test_frac is not None:
        return _drawn(list_classes(folder, subfolders(folder), "each folder here is a class"), folder, settings)
    train, test = folder / settings.train, folder / settings.test
    for place in (train, test):
        if not place.is_dir():
            has = ", ".join(subfolders(folder)[:5]) or "no folders"
            raise UserError(
                f"{wanted} {place}; {folder} has {has}; name the folders in settings (train, test), or, if these are "
                "the classes, have test images drawn (test_frac: 0.2)"
            )
    return _given(train, test)


def _beside(folder: Path) -> str:
    """Return what is found in the parent of a missing folder, for the message."""
    names = [entry.name for entry in _entries(folder.parent)] if folder.parent.is_dir() else []
    packed = [name for name in names if name.startswith(f"{folder.name}.")]
    if packed:
        return f", but {packed[0]}: unpack it"
    return f"; {folder.parent} has {', '.join(names[:5]) or 'nothing in it'}" if folder.parent.is_dir() else ""


def _given(train: Path, test: Path) -> dict[str, Listing]:
    """Return the images of two folders, which must have the same classes."""
    if train.samefile(test):
        raise UserError(
            f"{train} and {test} are the same folder: training images would be test images; name another one in "
            "settings, or have test images drawn (test_frac: 0.2)"
        )
    classes, others = subfolders(train), subfolders(test)
    if classes != others:
        only = [f"{name} ({train.name if name in classes else test.name})" for name in sorted({*classes} ^ {*others})]
        raise UserError(
            f"{train.parent}: class folders that exist in only one of {train.name}, {test.name}: {', '.join(only[:5])}"
        )
    advice = "each folder is a class and must contain images"
    found = {"train": list_classes(train, classes, advice), "test": list_classes(test, classes, advice)}
    for name, images in found["train"].images.items():
        _check_size(train / name, len(images), MIN_TRAIN, "one of them for choosing the linear probe's penalty")
    return found


def _drawn(whole: Listing, folder: Path, settings: ImageFolderSettings) -> dict[str, Listing]:
    """Return the images with the share `test_frac` of each class for testing, at least one.

    The choice depends on the seed and on each image's own name, so that adding an image moves few others.
    """
    train, test, share = dict[str, list[str]](), dict[str, list[str]](), settings.test_frac or 0.0
    for name, paths in whole.images.items():
        _check_size(folder / name, len(paths), MIN_TRAIN + 1, "one of them for testing")
        n_test = min(max(1, round(share * len(paths))), len(paths) - MIN_TRAIN)
        names = {path: Path(path).relative_to(folder).as_posix() for path in paths}
        ranked = sorted(paths, key=lambda path: derive("test_frac", settings.seed, names[path]))
        train[name], test[name] = sorted(ranked[n_test:]), sorted(ranked[:n_test])
    return {"train": Listing(train, whole.ignored), "test": Listing(test, {})}


def _check_size(folder: Path, n: int, needed: int, what: str) -> None:
    if n < needed:
        found = f"{n} image{'s' * (n > 1)}"
        raise UserError(f"{folder}: {found}; a class needs {needed}, {what}; add images, or move the folder away")


def listed_counts(configs: Mapping[str, DatasetConfig], root: Path) -> dict[str, dict[str, int]]:
    """Return the number of images of each split of those data sets that are class folders below `root`.

    `UserError` for folders that cannot be a data set, with the message of `prepare`.
    """
    found = {}
    for name, config in configs.items():
        settings = reader_settings(name, config)
        if isinstance(settings, ImageFolderSettings) and settings.place(root).is_dir():
            lists = list_image_folder(name, settings, root)
            check_classes(name, list(lists["train"].images), config.n_classes)
            found[name] = {split: each.n for split, each in lists.items()}
    return found


def check_classes(dataset: str, classes: list[str], expected: int) -> None:
    """Raise `UserError` unless there are as many class folders as the data set's YAML says."""
    if len(classes) != expected:
        shown = ", ".join(classes[:5]) + ", …" * (len(classes) > 5)
        raise UserError(
            f"data set {dataset}: {len(classes)} class folders ({shown}); n_classes in config/datasets says {expected}"
        )
