"""From the files of the runs to three files that everything later reads; nothing is left out silently.

records.parquet: one row per expected cell, with value, n and status, measured or not.
histories.parquet: one row per run and epoch.
runs.json: how each run ended, and what the other two files were made from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd

from ddcl.base import sealed
from ddcl.base.errors import UserError
from ddcl.base.files import file_sha256, write_atomic
from ddcl.base.sealed import Sealed
from ddcl.base.yaml_files import Model
from ddcl.evaluate.verify import Chain, check_record, check_training
from ddcl.plan.addresses import DIGITS, addressed, check_address, folder_of_data
from ddcl.plan.digests import evaluate_digest, extract_digest, pretrain_digest
from ddcl.plan.plan import Cell, Plan, PlannedEvaluation, PlannedRun, Target, check_no_snapshot
from ddcl.plan.status import FAILED, evaluation_state, training_state
from ddcl.schema import history, manifest, record, run_summary
from ddcl.schema.identity import completed
from ddcl.schema.manifest import Manifest
from ddcl.schema.recipes import load_recipe
from ddcl.schema.record import Record
from ddcl.schema.registry import EVALUATIONS, TOP1_BEST_TEST
from ddcl.schema.run_key import RunKey
from ddcl.schema.run_summary import RunSummary
from ddcl.schema.tables import RUN

ABSENT = ("missing", FAILED)  # statuses of what has no values
OTHER_CODE = "made by other code"  # of a cell whose training, features or evaluation is not of this checkout's code
FILES = ("records.parquet", "histories.parquet")
RUNS = "runs.json"
ADDRESS = ("evaluation", "eval_dataset", "perturbation", "part", "selection", "metric")
NUMBERS = ("value", "sd_draws", "n", "n_draws", "status", "training", "code")
DIGESTS = ("recipe_digest", "code_digest", "checkpoint_digest", "git_commit")
COLUMNS = [*RUN, *ADDRESS, *NUMBERS, *DIGESTS]  # of records.parquet, and the suite


class CollectedRun(Model):
    """A run of the plan. status: as in its summary, `missing` or `failed` where there is none that can be used.

    other_code: whether it was trained by other code than this checkout's.
    """

    run: RunKey
    status: str
    message: str
    summary: RunSummary | None
    other_code: bool


class CollectedRuns(Sealed):
    """runs.json. plan: the digest of the plan that was followed. sha256: of the other two files, by name."""

    SCHEMA: ClassVar[int] = 2
    suite: str
    plan: str
    files_sha256: dict[str, str]
    runs: tuple[CollectedRun, ...]


@dataclass
class Collection:
    """What was found: rows of the three files, and one line per problem; what other code made is no problem.

    records: tuples of `COLUMNS`. histories: by `RUN`.
    """

    records: list[tuple[Any, ...]] = field(default_factory=list)
    histories: dict[tuple[Any, ...], pd.DataFrame] = field(default_factory=dict)
    runs: list[CollectedRun] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def frames(self, suite: str) -> tuple[pd.DataFrame, pd.DataFrame]:
        """Return records and histories as frames."""
        records = pd.DataFrame(self.records, columns=COLUMNS).assign(suite=suite)
        records = records.astype({"value": float, "sd_draws": float})
        if not self.histories:
            return records, pd.DataFrame()
        return records, pd.concat(self.histories, names=[*RUN, None]).reset_index(RUN).reset_index(drop=True)

    @property
    def other_code(self) -> str:
        """How many runs and cells other code made, in a sentence; nothing where all are of this checkout's."""
        cells = sum(bool(row[COLUMNS.index("code")]) for row in self.records)
        runs = sum(each.other_code for each in self.runs)
        if not cells and not runs:
            return ""
        trained = f"{runs} of {len(self.runs)} runs were trained"
        return f"{trained}, and {cells} of {len(self.records)} cells made, by other code than this checkout's"


def collect(plan: Plan, results: Path, partial: bool) -> Collection:
    """Read every record that the plan expects, check what it was made from, and write the three files to `results`.

    What is missing, damaged, or does not belong together is a `UserError` that names all of it; with `partial` the
    files are written all the same, such cells have the status `missing`, or `failed` where a job was begun
    (`ddcl.plan.status`), and the problems are returned.
    """
    check_no_snapshot(results)
    collection = gather(plan, results, checkpoints=True)
    if collection.problems and not partial:
        raise UserError(f"{len(collection.problems)} problems:\n  " + "\n  ".join(collection.problems))
    (results / RUNS).unlink(missing_ok=True)  # it says that the others are whole
    for name, frame in zip(FILES, collection.frames(plan.suite), strict=True):
        write_atomic(results / name, lambda path, frame=frame: frame.to_parquet(path, index=False))  # type: ignore[misc]
    sums = {name: file_sha256(results / name) for name in FILES}
    runs = CollectedRuns(suite=plan.suite, plan=plan.digest, files_sha256=sums, runs=tuple(collection.runs))
    sealed.write(results / RUNS, runs)
    return collection


def gather(plan: Plan, results: Path, checkpoints: bool = False) -> Collection:
    """Read every record, history and summary that the plan expects, from the files of the runs.

    checkpoints: also read all checkpoints, to compare their checksums.
    """
    collection = Collection()
    manifests = dict(_manifests(plan, results, collection.problems))
    for run in plan.runs:
        chain = _collect_run(run, results, manifests, collection, checkpoints)
        for target in run.targets:
            _collect_cells(run, chain, (target, plan.evaluations[target.evaluation]), results, collection)
    return collection


def _manifests(plan: Plan, results: Path, problems: list[str]) -> Iterator[tuple[str, Manifest]]:
    """Yield the manifests of the plan's data sets, those that are whole and lie where they should."""
    for name, digest in plan.data.items():
        path = results / folder_of_data(name, digest) / "manifest.json"
        try:
            read = manifest.load(path)
            if (read.dataset, read.data.digest[:DIGITS]) != (name, digest[:DIGITS]):
                raise UserError(f"{path}: holds {addressed(read.dataset, read.data.digest)}; run `ddcl prepare` again")
            yield name, read
        except UserError as error:
            problems.append(str(error))


def _collect_run(
    run: PlannedRun, results: Path, manifests: dict[str, Manifest], collection: Collection, checkpoints: bool
) -> Chain | None:
    """Add a run and its history; return what its records are checked against, None if it has no usable training."""
    key = RunKey(**run.key)
    try:
        chain, curve = _trained(run, results / run.folder, manifests, checkpoints)
    except UserError as error:
        collection.problems += str(error).splitlines()
        state = training_state(results, run)
        status, message = "missing", str(error)
        if state.state == FAILED:
            status, message = FAILED, ": ".join([state.detail, *state.tail[-1:]])
        collection.runs.append(CollectedRun(run=key, status=status, message=message, summary=None, other_code=False))
        return None
    summary = chain.summary
    other = summary.provenance.code_digest != pretrain_digest(run.method, run.ops)
    collection.runs.append(
        CollectedRun(run=key, status=summary.status, message=summary.message, summary=summary, other_code=other)
    )
    collection.histories[run.names] = curve
    return chain


def _trained(
    run: PlannedRun, folder: Path, manifests: dict[str, Manifest], checkpoints: bool
) -> tuple[Chain, pd.DataFrame]:
    """Return what a run's records are checked against, and its history; `UserError` with a line for each fault."""
    summary = run_summary.load(folder / run_summary.FILE)
    recipe = load_recipe(folder / "config.json")
    check_address(folder, recipe)
    if recipe.digest != run.recipe_digest:
        raise UserError(f"{folder / 'config.json'}: holds recipe {recipe.digest}, but the plan has {run.recipe_digest}")
    chain = Chain(recipe, summary, manifests, arrays=False)
    problems = list(check_training(folder, chain, checkpoints))
    if problems:
        raise UserError("\n".join(problems))
    curve = history.read(folder / history.FILE)
    return chain, pd.DataFrame(curve.rows, columns=list(curve.columns))


def _read_record(path: Path, chain: Chain, target: Target, planned: PlannedEvaluation) -> Record:
    """Read a record; `UserError` if it is missing, or belongs to another run, evaluation or data set."""
    read = record.load(path)
    problems = list(check_record(path, read, target.eval_dataset, chain))
    if read.digest != target.digest:
        problems.append(f"{path}: its digest is {read.digest}, expected {target.digest}")
    settings = {"evaluation": target.evaluation, **planned.model_dump()}
    stored = completed(EVALUATIONS[planned.protocol].settings, read.evaluation.settings)
    if {**read.evaluation.model_dump(), "settings": stored} != settings:
        problems.append(f"{path}: was evaluated with other settings than the plan has")
    if problems:
        raise UserError("\n".join(problems))
    return read


def _collect_cells(
    run: PlannedRun,
    chain: Chain | None,
    asked: tuple[Target, PlannedEvaluation],
    results: Path,
    collection: Collection,
) -> None:
    """Add one row for each expected cell of a run, data set and evaluation."""
    target, planned = asked
    path, training = results / run.record(target), collection.runs[-1]
    cells: dict[Cell, record.Cell] = {}
    read, absent = None, "missing"
    try:
        if chain is None:
            raise UserError(f"{path}: not used, because the training of its run is not")
        read = _read_record(path, chain, target, planned)
        cells = _by_address(path, read.cells, target, collection.problems)
    except UserError as error:
        collection.problems += [] if chain is None else str(error).splitlines()
        state = evaluation_state(results, run, target, planned.protocol).state
        absent = FAILED if FAILED in (training.status, state) else "missing"
    code = OTHER_CODE if read and (training.other_code or _is_of_other_code(read, run, target, planned)) else ""
    digests = _digests(read)
    for each in target.expected():
        cell = cells.get(each)
        rule = selection(each.metric, planned.selection)
        address = (target.evaluation, target.eval_dataset, each.perturbation, each.part, rule, each.metric)
        numbers: tuple[Any, ...] = (None, None, 0, 0, absent)
        if read and cell:
            status = "diverged" if cell.value is None else read.status
            numbers = (cell.value, cell.sd_draws, cell.n, cell.n_draws, status)
        collection.records.append((*run.names, *address, *numbers, training.status, code, *digests))


def _by_address(
    path: Path, cells: Iterable[record.Cell], target: Target, problems: list[str]
) -> dict[Cell, record.Cell]:
    """Return the cells of a record by address; those that are there twice, and missing ones, are problems."""
    addresses = [(Cell(cell.part, cell.perturbation, cell.metric), cell) for cell in cells]
    counts, expected = Counter(address for address, _ in addresses), set(target.expected())
    problems += [f"{path}: duplicate cell {tuple(address)}" for address, n in counts.items() if n > 1]
    for part, perturbation, metric in (address for address in target.expected() if address not in counts):
        problems.append(f"{path}: missing cell (part {part}, perturbation {perturbation}, metric {metric})")
    problems += [
        f"{path}: a cell that the plan does not have: {tuple(each)}" for each in counts if each not in expected
    ]
    return dict(addresses)


def _is_of_other_code(read: Record, run: PlannedRun, target: Target, planned: PlannedEvaluation) -> bool:
    """Return whether a record, or the features that it was made from, is of other code than this checkout's."""
    if read.provenance.code_digest != evaluate_digest(run.method, planned.protocol):
        return True
    return read.features_code is not None and read.features_code != extract_digest(run.method, target.features_ops)


def _digests(read: Record | None) -> list[str | None]:
    """Return the values of the columns `DIGESTS`."""
    if read is None:
        return [None] * len(DIGESTS)
    made = read.provenance
    return [made.recipe_digest, made.code_digest, read.checkpoint_digest, made.git_commit]


def selection(metric: str, rule: str) -> str:
    """Return how a number was selected: the evaluation's rule, unless the metric itself says best test epoch."""
    return "best-test-epoch" if metric == TOP1_BEST_TEST else rule
