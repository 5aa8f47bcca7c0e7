"""Folders that are written under a temporary name and then put in place as a whole."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ddcl.base.files import remove, remove_stale, rename, temporary_path, writing_explained


@contextmanager
def temporary_folder(beside: Path) -> Iterator[Path]:
    """Create a temporary folder next to `beside`, on the same file system; delete it with its content at the end."""
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
    """Replace the folder `target`, if it exists, by the folder `new`. Both lie in the same parent folder."""
    with temporary_folder(target.with_name("former")) as former:
        if target.exists():
            os.replace(target, former)
        rename(new, target)
