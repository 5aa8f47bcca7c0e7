"""Whether the converted files of encoders from elsewhere are there, before a job needs them. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from ddcl.base.errors import UserError
from ddcl.plan.digests import pretrain_digest
from ddcl.plan.plan import PlannedRun
from ddcl.plan.suite import Suite
from ddcl.schema import run_summary
from ddcl.schema.encoders import missing_weights
from ddcl.schema.registry import METHODS


def lacking(suite: Suite, results: Path) -> list[str]:
    """Return a line for each encoder of the suite whose converted file is not there, and is still needed.

    It is not where all runs of the arm are finished: their checkpoints hold the weights.
    """
    needed = (run.variant for run in suite.plan.runs if suite.recipes[run.name].encoder and not _finished(run, results))
    return list(filter(None, map(missing_weights, dict.fromkeys(needed))))


def check_weights(suite: Suite, results: Path) -> None:
    """Raise `UserError` if an encoder's converted file is still needed and not there: nothing has run then."""
    lines = lacking(suite, results)
    if lines:
        raise UserError("\n  ".join([*lines, "nothing was run, and what is finished stays as it is"]))


def _finished(run: PlannedRun, results: Path) -> bool:
    """Return whether a run needs its encoder's file no more, by what Snakemake would make again."""
    folder = results / run.folder
    try:
        summary = run_summary.load(folder / run_summary.FILE)
    except UserError:
        return False
    made = summary.provenance
    same = (made.recipe_digest, made.code_digest) == (run.recipe_digest, pretrain_digest(run.method, run.ops))
    stored = (run.features(target) for target in run.targets)  # checkpoints of features hold none
    files = [f"{run.folder}/checkpoint.pt"] if METHODS[run.method].encodes else [*filter(None, stored)]
    return same and all((results / file).exists() for file in files)
