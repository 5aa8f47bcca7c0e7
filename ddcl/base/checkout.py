"""Which checkout's code is running: the `ddcl` command of an environment belongs to one checkout, wherever it runs."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]  # of the code that is running
_PACKAGED = Path(__file__).resolve().parents[1] / "project"  # in an installed package: what a checkout's root holds
PROJECT = _PACKAGED if _PACKAGED.is_dir() else ROOT  # where config/, workflow/ and profiles/ lie
INSTEAD = "run `python -m ddcl` instead, or set up an environment here"


def is_installed() -> bool:
    """Return whether the code that is running was installed from a wheel, not read from a checkout."""
    return PROJECT != ROOT


def told_of_command() -> str:
    """Return a warning if the environment's `ddcl` belongs to another checkout than the running code; else nothing."""
    installed = None if is_installed() else _installed()
    if installed is None or installed == ROOT:
        return ""
    return f"the command `ddcl` of this environment runs the code in {installed}, not in {ROOT}: {INSTEAD}"


def told_of_folder(folder: Path) -> str:
    """Return a warning if `folder` is the root of another checkout than the running code; else nothing."""
    if folder.resolve() == ROOT or not (folder / "Snakefile").is_file() or not (folder / "ddcl/__main__.py").is_file():
        return ""
    return f"this command runs the code in {ROOT}, not the checkout in {folder}: {INSTEAD}"


def _installed() -> Path | None:
    """Return the checkout that the environment's `ddcl` was installed from, if pip has noted one."""
    from importlib.metadata import PackageNotFoundError, distribution  # here: each job's command would import it

    try:
        noted = distribution("ddcl-suite").read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    origin = json.loads(noted or "{}")
    url = urlsplit(origin.get("url", ""))
    return Path(unquote(url.path)).resolve() if url.scheme == "file" and "dir_info" in origin else None
