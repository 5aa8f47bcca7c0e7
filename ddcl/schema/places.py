"""Where configuration lies: folders that are searched in order, your own first, the project's last.

Your own are those of ``DDCL_CONFIG``, that in which the suite lies, and config/ of the folder at hand, if a suite
config.yaml is in it. Every reader of config/ asks here. A file of your own takes the place of the project's of the same
name.
"""

from __future__ import annotations

import os
from pathlib import Path

from ddcl.base.checkout import PROJECT, is_installed
from ddcl.base.errors import UserError, did_you_mean
from ddcl.base.paths import expanded
from ddcl.schema.names import check_word

VARIABLE = "DDCL_CONFIG"
SUITE = "config/config.yaml"  # the default suite of a folder
CONFIG_DIR = PROJECT / "config"  # the project's


def config_folders() -> list[Path]:
    """Return the folders that are searched, in order; `UserError` if one that ``DDCL_CONFIG`` names is not there."""
    named = [text for text in os.environ.get(VARIABLE, "").split(os.pathsep) if text]
    folders = [expanded(text, VARIABLE) for text in named]
    for text, folder in zip(named, folders, strict=True):
        if not folder.is_dir():
            raise UserError(
                f"{VARIABLE}: no such folder: {text}; expected folders like config/, with {os.pathsep!r} between"
            )
    here = [Path("config")] if Path(SUITE).exists() and Path.cwd() != PROJECT else []
    return list(dict.fromkeys([*(folder.absolute() for folder in [*folders, *here]), CONFIG_DIR]))


def new_file(relative: str) -> Path:
    """Return where a new file config/`relative` goes: the folder that is searched first.

    `UserError` if that is the one in an installed package.
    """
    folder = config_folders()[0]
    if folder == CONFIG_DIR and is_installed():
        raise UserError(
            f"{relative}: there is no folder of your own for it; type this in a project that `ddcl init FOLDER` made, "
            f"or name a folder with {VARIABLE}"
        )
    return folder / relative


def search_beside(suite: Path) -> None:
    """Search the folder in which a suite lies, too, here and in all jobs, if it is laid out as config/ is.

    suite: a file in that folder, or in its folder suites/.
    """
    folder = suite.absolute().parent
    folder = folder.parent if folder.name == "suites" else folder
    kinds = [path.name for path in CONFIG_DIR.iterdir() if path.is_dir()]
    if folder not in config_folders() and any((folder / kind).is_dir() for kind in kinds):
        named = os.environ.get(VARIABLE)
        os.environ[VARIABLE] = os.pathsep.join([*filter(None, [named]), str(folder)])


def existing_files(relative: str) -> list[Path]:
    """Return the files config/`relative` that there are, in the order of the search."""
    return [path for folder in config_folders() if (path := folder / relative).exists()]


def config_path(kind: str, name: str, suffix: str = ".yaml", hint: str = "") -> Path:
    """Return the first file config/`kind`/`name`.yaml that there is; else a `UserError` that says where it was sought.

    kind: folder below config/, empty for config/ itself. hint: what to do where there is none, for the message.
    """
    check_word(kind or "config", name)
    relative = f"{kind}/{name}{suffix}".lstrip("/")
    for path in existing_files(relative):
        return path
    raise UserError(f"{no_such_file(relative)}{did_you_mean(name, config_names(kind, suffix))}{hint}")


def no_such_file(relative: str) -> str:
    """Return the beginning of the message that config/`relative` is in none of the folders."""
    return f"{relative}: no such file in {' or '.join(map(str, config_folders()))}"


def config_names(kind: str, suffix: str = ".yaml") -> list[str]:
    """Return the sorted names of the files in config/`kind`, of all folders."""
    files = (path for folder in config_folders() for path in (folder / kind).glob(f"*{suffix}"))
    return sorted({path.name.removesuffix(suffix) for path in files})


def shown_path(path: Path) -> str:
    """Return a file as typed in the folder in which it lies or in the project's root; in full where it is elsewhere."""
    roots = [CONFIG_DIR.parent, Path.cwd()]
    return next((str(path.relative_to(root)) for root in roots if path.is_relative_to(root)), str(path))
