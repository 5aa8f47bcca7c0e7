"""Whether the results show the suite at hand, decided by content when Snakemake starts.

Snakemake compares times, and what it remembers of former jobs; neither says whose plan results/suite.json is. So the
only input of the rule `plan` is a file named by the plan's digest, its clock: newer than suite.json and of new content
if that holds another plan or is not there, as old as can be if it holds this one. A dry run leaves nothing else behind.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from pathlib import Path

from ddcl.base.errors import UserError
from ddcl.base.files import write_text
from ddcl.plan.addresses import ADDRESSED
from ddcl.plan.plan import FILE, Plan, read_plan, text_of

FOLDER = Path(".snakemake/plans")


def clock_path(plan: Plan) -> Path:
    """Return the clock of a plan, relative to the folder in which the results folder lies."""
    return FOLDER / plan.digest


def set_clock(plan: Plan, results: Path) -> str:
    """Make the clock say whether `results` shows this plan; return what to tell the user, if anything."""
    clock, shown = results.parent / clock_path(plan), results / FILE
    if text_of(shown) == plan.text:
        if not clock.exists() or clock.stat().st_mtime:
            # anew, with its content: the times of a file are its owner's to set, who may be another user
            write_text(clock, clock.read_text(encoding="utf-8") if clock.exists() else "")
            os.utime(clock, (0, 0))
        return ""
    # new content, as Snakemake takes a newer file with the checksum that it knows for unchanged
    write_text(clock, secrets.token_hex(16))
    newest = max(time.time(), shown.stat().st_mtime + 1 if shown.exists() else 0)
    os.utime(clock, (newest, newest))
    return f"{results}/ shows {_shown(results, plan)}; tables and page will be remade" if shown.exists() else ""


def _shown(results: Path, plan: Plan) -> str:
    """Return ``suite digits; this is smoke (4 of 5 runs to train)``."""
    untrained = sum(not (results / run.folder / "checkpoint.pt").exists() for run in plan.runs)
    own = f"{plan.suite} ({untrained} of {len(plan.runs)} runs to train)"
    try:
        other = read_plan(results).suite
    except UserError:
        return f"the plan of another version; this is suite {own}"
    return f"another plan of suite {other}: this is {own}" if other == plan.suite else f"suite {other}; this is {own}"


def old_layout(results: Path) -> str:
    """Return what to tell the user of results that an earlier version left where this one never looks; or nothing."""
    old = [
        path.parent
        for path in results.glob("runs/*/*/*/seed*/config.json")
        if not re.fullmatch(ADDRESSED, path.parent.parent.name)
    ]
    if not old:
        return ""
    return (
        f"{results}/runs holds {len(old)} runs of an earlier version, such as {old[0].relative_to(results)}, which "
        "this version does not use: read them with the version that made them, or run `ddcl clean --unused`"
    )
