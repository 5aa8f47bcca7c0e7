"""A small project of one's own, to start from: `ddcl init FOLDER`."""

from __future__ import annotations

import shutil
from pathlib import Path

from ddcl.base.checkout import PROJECT
from ddcl.base.errors import UserError

TEMPLATE = Path(__file__).parent / "templates/project"
PROFILE = "profiles/default"


def new_project(folder: Path) -> list[str]:
    """Write a suite, a data set's YAML, a profile, a Snakefile and a README to `folder`; return the files' names.

    `UserError` if there is anything in the folder, whose files might be overwritten.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"ddcl init: {folder}: expected a folder that is empty or does not exist")
    shutil.copytree(TEMPLATE, folder, dirs_exist_ok=True)
    shutil.copytree(PROJECT / PROFILE, folder / PROFILE)
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
