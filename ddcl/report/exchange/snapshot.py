"""`ddcl snapshot`: what others need of a finished suite to read it and to judge it again, small enough for Git."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from ddcl.base.errors import UserError
from ddcl.base.files import remove
from ddcl.plan.plan import DERIVED, FILE, KEPT, PAGE
from ddcl.report.claims.judge import gathered, judge_claims
from ddcl.report.claims.judged import read_judged
from ddcl.report.collected import Collected
from ddcl.report.page.write import write_page
from ddcl.schema.tables import RUN

ENDS = (".csv", ".json", ".md", ".png", ".svg", ".yaml", "index.html")  # of what is made; the rest can be made of these
COPIED = (FILE, *DERIVED, KEPT, "runs", "data")


@dataclass(frozen=True)
class Written:
    """What went into a snapshot: its files, records of the suite that are in it, and those that the suite expects."""

    files: list[Path]
    records: int
    expected: int


def write_snapshot(results: Path, folder: Path) -> Written:
    """Write the collected files, tables and figures of the suite in `results`, the correctness of images, and the page.

    Pictures are left out, because they show images of the data sets, which may be under a licence of their own. Of the
    runs there is a recipe of each arm, and of data sets the manifests, so that the page can be made again. The
    folder can be read as a results folder: `ddcl claims --results FOLDER` judges the claims again. An earlier snapshot
    there is replaced, but for a README.md. `UserError`, and nothing is changed, if the folder has anything else, if
    something is missing, or if the claims that are judged from the snapshot differ from those in `results`.
    """
    _check(folder)
    found = Collected.load(results)
    pictures = tuple(f"figures/{picture.name}." for picture in found.plan.pictures)
    made = [name for name in found.plan.made() if name.endswith(ENDS) and not name.startswith(pictures)]
    if absent := [name for name in made if not (results / name).is_file()]:
        others = f" and {len(absent) - 1} others are" if len(absent) > 1 else " is"
        raise UserError(f"{results}: {absent[0]}{others} missing; run `snakemake` for suite {found.plan.suite} first")
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".new") as name:
        new = Path(name)
        arms = {run.arm: f"{run.folder}/config.json" for run in reversed(found.plan.runs)}
        manifests = [f"{own}/manifest.json" for own in found.plan.data_folders]
        names = [name for name in (FILE, *DERIVED, *sorted(arms.values()), *manifests) if (results / name).is_file()]
        names += made
        for each in names:
            (new / each).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(results / each, new / each)
        gathered(found).correctness.write(new / KEPT)
        kept = Collected.load(new)
        _judge_again(found, kept)
        write_page(kept, new / PAGE)  # again: its links lead to what the snapshot has
        for each in COPIED:
            remove(folder / each)
            if (new / each).exists():
                (new / each).rename(folder / each)
    records = len(found.records[[*RUN, "eval_dataset", "evaluation"]].drop_duplicates())
    expected = sum(len(run.targets) for run in found.plan.runs)
    return Written([folder / each for each in (*names, KEPT)], records, expected)


def _check(folder: Path) -> None:
    """Raise `UserError` unless a snapshot may be written to `folder`."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder}: is a file; name a folder")
    there = {path.name for path in folder.iterdir()} if folder.exists() else set()
    if there - {"README.md"} and KEPT not in there:
        raise UserError(f"{folder}: has files that `ddcl snapshot` did not make; name an empty or a new folder")


def _judge_again(found: Collected, kept: Collected) -> None:
    """Raise `UserError` unless the claims judged from the snapshot alone are those that were judged before."""
    here, there = read_judged(found), judge_claims(kept)
    if [claim.model_dump(mode="json") for claim in here] != [claim.model_dump(mode="json") for claim in there]:
        raise UserError(
            f"{found.results}: what lies there now gives other claims than its tables (predictions may have been "
            "deleted or made again); run `ddcl collect`, `ddcl claims`, `ddcl figure` and `ddcl report` again"
        )
