"""Which checkout's code is at work: an environment's command `ddcl` is that of one, wherever it is typed."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[2]  # of the code that is running
INSTEAD = "type `python -m ddcl` in its place, or set up an environment here"


def told_of_command() -> str:
    """Return what to tell who runs this checkout's workflow in an environment whose `ddcl` is another's; or nothing."""
    installed = _installed()
    if installed is None or installed == ROOT:
        return ""
    return f"the command `ddcl` of this environment is the code of {installed}, not of {ROOT}: {INSTEAD}"


def told_of_folder(folder: Path) -> str:
    """Return what to tell who runs this code in the root of another checkout; or nothing."""
    if folder.resolve() == ROOT or not (folder / "Snakefile").is_file() or not (folder / "ddcl/__main__.py").is_file():
        return ""
    return f"this is the code of {ROOT}, not of the checkout in {folder}: {INSTEAD}"


def _installed() -> Path | None:
    """Return the folder that the environment's `ddcl` was installed from, if pip has noted it."""
    try:
        noted = distribution("ddcl-suite").read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    url = urlsplit(json.loads(noted or "{}").get("url", ""))
    return Path(unquote(url.path)).resolve() if url.scheme == "file" else None
