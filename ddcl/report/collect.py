"""From records on disk to three files that everything later reads; nothing is left out silently.

records.parquet: one row per expected cell, with value, n and status, measured or not.
histories.parquet: one row per run and epoch.
runs.json: one object per run: status, digests, versions, seconds.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from ddcl.base.errors import UserError
from ddcl.base.files import read_json, write_atomic, write_json
from ddcl.plan.digests import evaluate_digest
from ddcl.plan.plan import Plan, PlannedEvaluation, PlannedRun, Target
from ddcl.plan.status import FAILED, evaluation_state, training_state
from ddcl.schema.registry import TOP1_BEST_TEST
from ddcl.schema.tables import RUN

ABSENT = ("missing", FAILED)  # statuses of what has no values
DIGESTS = ("recipe_digest", "code_digest", "checkpoint_digest", "git_commit")
ADDRESS = ("evaluation", "eval_dataset", "perturbation", "part", "selection", "metric")
COLUMNS = [
    *RUN,
    *ADDRESS,
    "value",
    "sd_draws",
    "n",
    "n_draws",
    "status",
    "training",
    *DIGESTS,
]  # of records.parquet, and the suite


@dataclass
class Collection:
    """What was found: rows of the three files, and one line per problem.

    records: tuples of `COLUMNS`. histories: by `RUN`.
    """

    records: list[tuple[Any, ...]] = field(default_factory=list)
    histories: dict[tuple[Any, ...], pd.DataFrame] = field(default_factory=dict)
    runs: list[dict[str, Any]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def frames(self, suite: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return records and histories as frames."""
        records = pd.DataFrame(self.records, columns=COLUMNS).assign(suite=suite)
        records = records.astype({"value": float, "sd_draws": float})
        if not self.histories:
            return records, pd.DataFrame()
        return records, pd.concat(self.histories, names=[*RUN, None]).reset_index(RUN).reset_index(drop=True)


def collect(plan: Plan, results: Path, partial: bool) -> Collection:
    """Read every record that the plan expects and write the three files below `results`.

    A missing, duplicate or stale cell is a `UserError` that names all of them; with `partial` the files are written
    all the same, such cells have the status `missing`, or `failed` where a job was begun (`ddcl.plan.status`), and the
    problems are returned.
    """
    found = gather(plan, results)
    if found.problems and not partial:
        raise UserError(f"{len(found.problems)} problems:\n  " + "\n  ".join(found.problems))
    records, histories = found.frames(plan.suite)
    write_atomic(results / "records.parquet", lambda path: records.to_parquet(path, index=False))
    write_atomic(results / "histories.parquet", lambda path: histories.to_parquet(path, index=False))
    write_json(results / "runs.json", found.runs)
    return found


def gather(plan: Plan, results: Path) -> Collection:
    """Read every record, history and summary that the plan expects, from the files of the runs."""
    found = Collection()
    for run in plan.runs:
        summary = _collect_run(run, results, found)
        for target in run.targets:
            _collect_cells(run, summary, (target, plan.evaluations[target.evaluation]), results, found)
    return found


def _collect_run(run: PlannedRun, results: Path, found: Collection) -> dict[str, Any]:
    """Read run.json and history.csv of a run; return the summary: of status `missing` or `failed` if there is none."""
    folder, keys = results / run.folder, run.key
    try:
        summary: dict[str, Any] = read_json(folder / "run.json", "summary of a pretraining run")
        history = pd.read_csv(folder / "history.csv")
        if summary["recipe_digest"] != run.recipe_digest:
            raise UserError(f"{folder / 'run.json'}: stale, trained with recipe {summary['recipe_digest']}")
    except (UserError, OSError) as error:
        found.problems.append(str(error))
        state = training_state(results, run)
        summary = keys | {"status": "missing", "message": str(error)}
        if state.state == FAILED:
            summary |= {"status": FAILED, "message": ": ".join([state.detail, *state.tail[-1:]])}
        found.runs.append(summary)
        return summary
    found.runs.append(summary)
    found.histories[run.names] = history
    return summary


def _read_record(
    path: Path, run: PlannedRun, summary: dict[str, Any], evaluation: str, planned: PlannedEvaluation
) -> dict[str, Any]:
    """Read a record; `UserError` if it is missing or belongs to another recipe, checkpoint, evaluation or code."""
    record: dict[str, Any] = read_json(path, "record")
    expected = {
        "recipe_digest": run.recipe_digest,
        "checkpoint_digest": summary.get("checkpoint_digest"),
        "code_digest": evaluate_digest(planned.protocol),
    }
    for name, value in expected.items():
        if record["provenance"][name] != value:
            raise UserError(f"{path}: stale, its {name} is {record['provenance'][name]}, expected {value}")
    if record["evaluation"] != {"evaluation": evaluation, **planned.model_dump()}:
        raise UserError(f"{path}: stale, evaluated with other settings than config/evaluations now has")
    return record


def _collect_cells(
    run: PlannedRun,
    summary: dict[str, Any],
    asked: tuple[Target, PlannedEvaluation],
    results: Path,
    found: Collection,
) -> None:
    """Add one row for each expected cell of a run, data set and evaluation."""
    target, planned = asked
    path = results / run.record(target)
    cells: dict[tuple[str, str, str], dict[str, Any]] = {}
    record: dict[str, Any] = {"provenance": {}}
    readable, absent = True, "missing"
    try:
        record = _read_record(path, run, summary, target.evaluation, planned)
        addresses = [(cell["part"], cell["perturbation"], cell["metric"]) for cell in record["cells"]]
        cells = dict(zip(addresses, record["cells"], strict=True))
        found.problems += [f"{path}: duplicate cell {key}" for key, n in Counter(addresses).items() if n > 1]
    except UserError as error:
        found.problems.append(str(error))
        state = evaluation_state(results, run, target).state
        readable, absent = False, FAILED if FAILED in (summary["status"], state) else "missing"
    digests = [record["provenance"].get(name) for name in DIGESTS]
    for key in target.expected():
        cell, (part, perturbation, metric) = cells.get(key), key
        if readable and cell is None:
            found.problems.append(f"{path}: missing cell (part {part}, perturbation {perturbation}, metric {metric})")
        rule = selection(metric, planned.selection)
        address = (target.evaluation, target.eval_dataset, perturbation, part, rule, metric)
        numbers: tuple[Any, ...] = (None, None, 0, 0, absent)
        if cell is not None:
            numbers = (cell["value"], cell["sd_draws"], cell["n"], cell["n_draws"], record["status"])
        found.records.append((*run.names, *address, *numbers, summary["status"], *digests))


def selection(metric: str, rule: str) -> str:
    """Return how a number was selected: the evaluation's rule, unless the metric itself says best test epoch."""
    return "best-test-epoch" if metric == TOP1_BEST_TEST else rule
