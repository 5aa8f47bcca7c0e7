"""What each run is set against in tables and figures: the baseline that it extends, or the variant that it changes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from ddcl.plan.plan import PlannedRun
from ddcl.schema.marks import Mark
from ddcl.schema.variants import authors_name

CONDITIONS = ("backbone", "epochs", "extra_warmup_epochs", "batch_size", "authors")  # that both must share


def with_baselines(runs: Iterable[PlannedRun], marks: Mapping[str, Mark]) -> list[PlannedRun]:
    """Return the runs, each with the variant that it is set against, of the same data set, augmentation and seed.

    A method is set against its baseline under the same conditions: `ddcl_e100` against `simsiam_e100`. An ablation is
    set against the method that it changes. Where the suite has no such run, there is nothing to set it against.
    """
    runs = list(runs)
    plugins = {run.method: run.variant for run in reversed(runs) if run.group == "main" and ":" in run.method}
    known = {run.names: run for run in runs}
    found = []
    for run in runs:
        candidates = (
            known.get((run.dataset, name, run.augmentation, run.seed))
            for name in _candidates(run, plugins.get(run.method, run.method), marks)
            if name
        )
        fit = (other.variant for other in candidates if other and alike(run, other))
        found.append(run.model_copy(update={"baseline": next(fit, "")}))
    return found


def _candidates(run: PlannedRun, own: str, marks: Mapping[str, Mark]) -> list[str]:
    """Return the names of what a run may be set against, the best first.

    own: the variant that is the run's method itself: it has its name, or, of a plugin, one of its own.
    """
    baseline = marks[run.method].baseline if run.method in marks else ""
    named_after = run.variant == own or run.variant.startswith(f"{own}_")
    partner = f"{baseline}{run.variant.removeprefix(own)}" if baseline and named_after else ""
    if run.group == "main":
        return [partner, baseline]
    plain = authors_name(own) if run.authors else own
    return [name for name in (partner, plain, baseline) if name != run.variant]


def alike(run: PlannedRun, other: PlannedRun) -> bool:
    """Return whether two runs differ in nothing but what they are compared for."""
    return run.trains and other.trains and all(getattr(run, key) == getattr(other, key) for key in CONDITIONS)
