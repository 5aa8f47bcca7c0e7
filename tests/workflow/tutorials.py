"""Doing what a page says: its files are saved under the titles of their blocks, its commands run in order."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.workflow.commands import ROOT, environment, replace

TUTORIALS = ROOT / "docs/tutorials"
BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```', re.MULTILINE | re.DOTALL)
# the programs of the first Python on the path, with the code of `code`, whatever is installed; nothing is downloaded
PROGRAMS = """
ddcl() { python -P -m ddcl "$@"; }
snakemake() { python -P -m snakemake "$@"; }
pip() { python -P -m pip --quiet "$@" --no-deps --no-build-isolation; }
set -e
"""


def read(name: str) -> str:
    """Return the text of a tutorial."""
    return (TUTORIALS / name).read_text(encoding="utf-8")


def save(folder: Path, title: str, block: str) -> None:
    """Save a block as the file that its title names, or add it to the file: `FILE, at its end` or `FILE, in NAME`."""
    name, _, where = title.partition(", ")
    path = folder / name
    if where == "at its end":
        block = f"{path.read_text(encoding='utf-8')}\n\n{block}"
    elif where:
        asked = re.findall(r"\w+Settings", block)[0]
        start = f"{where.removeprefix('in ')} |= {{\n"
        replace(path, start, f"{start}    {block}")
        replace(path, "schema.methods import (\n", f"schema.methods import (\n    {asked},\n")
        return
    path.write_text(block, encoding="utf-8")


def follow(text: str, folder: Path, code: Path, python: Path = Path(sys.executable)) -> Path:
    """Do what a page's `text` says, beginning in `folder`; return the folder in which it ends.

    python: the interpreter that is called so.
    """
    for language, title, block in BLOCK.findall(text):
        if title:
            save(folder, title, block)
        elif language == "sh":
            last = code.parent / "last folder"
            variables = environment(code, python) | {"LAST": str(last)}
            script = f'{PROGRAMS}{block}pwd > "$LAST"\n'
            done = subprocess.run(
                ["bash", "-c", script], cwd=folder, env=variables, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{block}\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}"
            folder = Path(last.read_text().strip())
    return folder
