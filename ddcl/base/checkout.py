"""Which checkout's code is at work: an environment's command `ddcl` is that of one, wherever it is typed."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]  # of the code that is running
_PACKAGED = Path(__file__).resolve().parents[1] / "project"  # in an installed package: what a checkout's root holds
PROJECT = _PACKAGED if _PACKAGED.is_dir() else ROOT  # where config/, workflow/ and profiles/ lie
INSTEAD = "type `python -m ddcl` in its place, or set up an environment here"


def is_installed() -> bool:
    """Return whether the code that is running was installed from a wheel, not read from a checkout."""
    return PROJECT != ROOT


def told_of_command() -> str:
    """Return what to tell who runs this checkout's workflow in an environment whose `ddcl` is another's; or nothing."""
    installed = None if is_installed() else _installed()
    if installed is None or installed == ROOT:
        return ""
    return f"the command `ddcl` of this environment is the code of {installed}, not of {ROOT}: {INSTEAD}"


def told_of_folder(folder: Path) -> str:
    """Return what to tell who runs this code in the root of another checkout; or nothing."""
    if folder.resolve() == ROOT or not (folder / "Snakefile").is_file() or not (folder / "ddcl/__main__.py").is_file():
        return ""
    return f"this is the code of {ROOT}, not of the checkout in {folder}: {INSTEAD}"


def _installed() -> Path | None:
    """Return the checkout that the environment's `ddcl` was installed from, if pip has noted one."""
    try:
        noted = distribution("ddcl-suite").read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    origin = json.loads(noted or "{}")
    url = urlsplit(origin.get("url", ""))
    return Path(unquote(url.path)).resolve() if url.scheme == "file" and "dir_info" in origin else None
