"""Folders that are filled out of sight, and are then there as a whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ddcl.base.files import remove, remove_stale, rename, temporary_path, writing_explained


@contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """Make a folder beside `beside`, on its file system; with all that is still in it, it is gone in the end."""
    folder = temporary_path(beside)
    with writing_explained(beside):
        beside.parent.mkdir(parents=True, exist_ok=True)
        remove_stale(beside)
        remove(folder)
        folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def replace_folder(target: Path, new: Path) -> None:
    """Put the folder `new` in the place of `target`, which goes if it is there. Both lie in one folder."""
    with temporary_folder(target.with_name("former")) as former:
        if target.exists():
            os.replace(target, former)
        rename(new, target)
