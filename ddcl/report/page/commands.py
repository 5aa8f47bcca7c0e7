"""The shell commands that make files of the results again, typed in the root of the project."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from ddcl.plan.plan import Plan, PlannedRun
from ddcl.report.collect import CollectedRun
from ddcl.schema.suites import suite_file


def commands(plan: Plan, runs: list[PlannedRun], ended: Sequence[CollectedRun]) -> str:
    """Return the commands for a checkout in which nothing was run: by Snakemake, then the training alone by `ddcl`.

    runs: of the plan, one per seed. ended: what runs.json says of them.
    """
    file = shlex.quote(suite_file(plan.suite)) if suite_file(plan.suite) else ""
    commits = {each.summary.provenance.git_commit for each in ended if each.summary} - {None}
    lines = [f"git checkout {commit}" for commit in commits] if len(commits) == 1 else []
    given = f" --configfile {file}" if file else ""
    for run in runs:
        targets = [f"results/{run.record(item)}" for item in run.targets]
        lines.append(f"snakemake --cores all{given} -- {shlex.join(targets)}")
    lines += ["", "# the training alone", f"ddcl resolve{f' --suite {file}' if file else ''}"]
    lines.append(f"ddcl prepare {shlex.quote(runs[0].dataset)}")
    return "\n".join([*lines, *(f"ddcl pretrain --run {shlex.quote(f'results/{run.folder}')}" for run in runs)])


def command(plan: Plan, file: str) -> str:
    """Return the command that makes one file of the results folder again."""
    given = suite_file(plan.suite) or f"FILE_OF_{plan.suite}"
    return f"snakemake --cores all --configfile {shlex.quote(given)} --force {shlex.quote(f'results/{file}')}"
