"""`ddcl snapshot`: what others need of a finished suite to read it and to judge it again, small enough for Git."""

from __future__ import annotations

import shutil
from pathlib import Path

from ddcl.base.errors import UserError
from ddcl.plan.plan import DERIVED, FILE
from ddcl.report.claims.correctness import KEPT
from ddcl.report.claims.judge import gathered
from ddcl.report.claims.judged import read_judged
from ddcl.report.collected import Collected

ENDS = (
    ".csv",
    ".json",
    ".md",
    ".png",
    ".svg",
    ".yaml",
    "index.html",
)  # of what is made: not what can be made again from these


def write_snapshot(results: Path, folder: Path) -> list[Path]:
    """Write the collected files, tables, figures and page of the suite in `results`, and the correctness of images.

    What an earlier snapshot left in `folder` is replaced, but for files of other names, such as README.md. The folder
    can be read as a results folder: `ddcl claims --results FOLDER` judges the claims again. Return the files' paths.
    """
    found = Collected.load(results)
    if found.plan.claims:
        read_judged(found)
    made = [name for name in found.plan.made() if name.endswith(ENDS)]
    if absent := [name for name in made if not (results / name).is_file()]:
        others = f" and {len(absent) - 1} others are" if len(absent) > 1 else " is"
        raise UserError(f"{results}: {absent[0]}{others} missing; run `snakemake` first")
    for name in (FILE, *DERIVED, KEPT):
        old = folder / name
        shutil.rmtree(old) if old.is_dir() else old.unlink(missing_ok=True)
    names = [FILE, *(name for name in DERIVED if (results / name).is_file()), *made]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(results / name, folder / name)
    gathered(found).correctness.write(folder / KEPT)
    return [folder / name for name in (*names, KEPT)]
