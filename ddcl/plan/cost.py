"""What a suite costs, before anything runs: jobs per rule, hours, disk, and data sets that are missing.

Imports no torch. Hours come from what jobs in the results folder took (`ddcl.plan.speeds`), else from the guesses in
config/throughput.yaml. What cannot be known is "unknown", never 0.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import isnan, nan
from pathlib import Path
from typing import Any

from ddcl.plan.cells import has_cell
from ddcl.plan.counted import counted
from ddcl.plan.datasets import is_there, missing_message
from ddcl.plan.expand import Run
from ddcl.plan.networks import Network, feature_width, needs_gpu, network_of, throughput
from ddcl.plan.speeds import Measured, Speeds
from ddcl.plan.suite import Suite
from ddcl.plan.weights import lacking
from ddcl.schema.evaluations import TaskSize, Work
from ddcl.schema.recipes import Recipe
from ddcl.schema.registry import METHODS, RANDOM_PARTS
from ddcl.schema.subsets import n_listed

STAGES = 4  # of a source that are named
FEATURES_ONLY = "not counted"  # how long solvers work on features that nobody has measured


@dataclass
class Source:
    """Where speeds come from: which stages have theirs from there, and the measured jobs, by what they are known by."""

    stages: dict[str, None] = field(default_factory=dict)  # in order, each once
    jobs: set[int] = field(default_factory=set)


@dataclass
class Cost:
    """Hours and bytes of a group of runs, nan where they are not known, and where the speeds come from."""

    pretraining_hours: float = 0.0
    evaluation_hours: float = 0.0
    disk_bytes: float = 0.0
    sources: dict[str, Source] = field(default_factory=dict)
    remarks: dict[str, None] = field(default_factory=dict)

    def add_source(self, stage: str, where: str, measured: Measured | None = None) -> None:
        """Say where the speed of a stage comes from, and which jobs measured it."""
        source = self.sources.setdefault(where, Source())
        source.stages[stage] = None
        source.jobs |= set(map(id, measured.costs)) if measured else set()

    @property
    def source(self) -> str:
        """All sources in one line, each with its stages where there are several."""
        texts = []
        for where, source in self.sources.items():
            n = len(source.jobs)
            text = f"{where} ({n} job{'s' if n > 1 else ''})" if n else where
            names, more = [*source.stages][:STAGES], len(source.stages) - STAGES
            stages = f"{', '.join(names)}{f' and {more} more' if more > 0 else ''}"
            texts.append(text if len(self.sources) == 1 else f"{stages}: {text}")
        return "; ".join([*texts, *self.remarks])


def jobs(suite: Suite) -> dict[str, int]:
    """Return the number of jobs of each rule, as Snakemake counts them when nothing was run yet."""
    runs = suite.runs.values()
    counts: Counter[str] = Counter(prepare=len(suite.dataset_configs), resolve=len(runs), pretrain=len(runs))
    counts["extract"] = sum(bool(suite.features(run, dataset)) for run in runs for dataset in run.evaluations)
    counts.update(evaluation for run in runs for evaluations in run.evaluations.values() for evaluation in evaluations)
    counts.update(plan=1, collect=1, table=len(suite.tables), figure=len(suite.figures), report=1, all=1)
    counts.update(claims=int(bool(suite.claims)), picture=len(suite.plan.pictures), tune=int(bool(suite.plan.tuning)))
    counts.update(gate=int(bool(suite.pilot)))
    return {rule: n for rule, n in counts.items() if n}


def costs(suite: Suite, results: Path, names: Iterable[str] | None = None) -> dict[str, Cost]:
    """Return the cost of the suite's runs by the data set that they train on. names: of runs; None: all."""
    suite = counted(suite, results)
    speeds, found = Speeds(results), dict[str, Cost]()
    for run in suite.runs.values() if names is None else map(suite.runs.__getitem__, names):
        cost = found.setdefault(run.recipe.dataset, Cost())
        encoded = sum(encoded_images(suite, run, dataset) for dataset in run.evaluations)
        cost.disk_bytes += network_of(run.recipe).checkpoint_mb * 1e6 + stored_bytes(run.recipe, encoded)
        cost.remarks |= dict.fromkeys(_uncounted(suite, run))
        _add_hours(cost, suite, run, speeds)
    return found


def _add_hours(cost: Cost, suite: Suite, run: Run, speeds: Speeds) -> None:
    """Add the hours of a run's jobs: of images at the speed of its network, and of what a job takes beside them."""
    network, guess = network_of(run.recipe), f"config/throughput.yaml ({network_of(run.recipe).source})"
    trained, encoded = (speeds.of_images(run.recipe, stage) for stage in ("pretrain", "features"))
    cost.add_source("pretrain", trained.where if trained else guess, trained)
    changes = {"train_images_per_s": 2 * trained.images_per_s} if trained else {}
    changes |= {"encode_images_per_s": encoded.images_per_s} if encoded else {}
    network = network.model_copy(update=changes)
    cost.pretraining_hours += pretraining_images(suite, run) / (network.train_images_per_s / 2) / 3600
    cost.pretraining_hours += trained.other_seconds / 3600 if trained else 0.0
    seconds = 0.0
    for dataset in filter(lambda name: suite.features(run, name), run.evaluations):
        cost.add_source("extract", encoded.where if encoded else guess, encoded)
        seconds += encoded_images(suite, run, dataset) / network.encode_images_per_s
        seconds += encoded.other_seconds if encoded else 0.0
    of_images = trained.where if trained and encoded else guess
    for target in suite.plan.run(run.recipe.name).targets:
        name, dataset = target.evaluation, target.eval_dataset
        measured = speeds.of_evaluation(run.recipe, name, dataset, target.digest)
        own = of_images if "images" in suite.protocol(name).inputs else FEATURES_ONLY
        cost.add_source(name, measured.where if measured else own, measured)
        seconds += measured.seconds if measured else evaluation_seconds(suite, run, dataset, name, network)
    cost.evaluation_hours += seconds / 3600


def _uncounted(suite: Suite, run: Run) -> list[str]:
    """Return a remark on each data set of a run whose images were not counted."""
    names = dict.fromkeys([run.recipe.dataset, *run.evaluations])
    missing = [name for name in names if not suite.dataset_configs[name].counted]
    return [f"{name} has no n_images and is not prepared" for name in missing]


def pretraining_images(suite: Suite, run: Run) -> float:
    """Return how many images (two views each) a run trains on, over all epochs; nan: they were not counted."""
    images, training = suite.dataset_configs[run.recipe.dataset].n_images, run.recipe.training
    method = METHODS[run.recipe.method]
    if not method.trains:
        return 0
    return images.get(method.split, images.get("train", nan)) * (
        training.epochs + training.schedule.extra_warmup_epochs
    )


def encoded_images(suite: Suite, run: Run, dataset: str) -> float:
    """Return how many images are encoded for a run's features on a data set; nan: they were not counted."""
    images, names = suite.dataset_configs[dataset].n_images, suite.features(run, dataset)
    draws = sum(suite.perturbations[name].draws for name in names)
    return images.get("train", nan) + draws * images.get("test", nan) if names else 0


def evaluation_seconds(suite: Suite, run: Run, dataset: str, evaluation: str, network: Network) -> float:
    """Return how long the network works for an evaluation that uses images; nan: they were not counted.

    How long solvers work on features is not in it.
    """
    if "images" not in suite.protocol(evaluation).inputs:
        return 0
    work = work_of(suite, run, dataset, evaluation)
    return work.trained / network.train_images_per_s + work.encoded / network.encode_images_per_s if work else nan


def task_size(suite: Suite, run: Run, dataset: str, evaluation: str) -> TaskSize | None:
    """Return how large the task of an evaluation is; None: the images were not counted.

    Of a method with a split, DIR and DVR together are the features once more, and so is a pair of random parts.
    """
    config, protocol, names = suite.dataset_configs[dataset], suite.protocol(evaluation), run.evaluations[dataset]
    images, listed = config.n_images, suite.settings[evaluation].train_list
    n_train = n_listed(dataset, listed) if listed else images.get("train")
    if n_train is None or "test" not in images:
        return None
    all_parts = suite.parts(run, evaluation)
    parts = [part for part in all_parts if part not in RANDOM_PARTS]
    random = run.subsets.draws if run.subsets and len(all_parts) > len(parts) else 0
    under = [suite.perturbations[name] for name in names[evaluation]]
    once = sum(has_cell(RANDOM_PARTS[0], recipe, protocol.metrics[0]) for recipe in under)
    draws = sum(recipe.draws for recipe in under)
    return TaskSize(
        n_train=n_train,
        n_test=images["test"],
        n_classes=config.n_classes,
        width=feature_width(run.recipe),
        column_sets=len(parts) + 2 * random,
        passes=draws * (1 + (len(parts) > 1)) + once * random,
    )


def work_of(suite: Suite, run: Run, dataset: str, evaluation: str) -> Work | None:
    """Return what an evaluation has to do; None: the images were not counted."""
    size = task_size(suite, run, dataset, evaluation)
    return suite.settings[evaluation].work(size) if size else None


def stored_bytes(recipe: Recipe, n: float) -> float:
    """Return the bytes of the stored features of n images: float16."""
    return 2 * feature_width(recipe) * n


def as_json(suite: Suite, root: Path, results: Path) -> dict[str, Any]:
    """Return what `ddcl plan --json` prints: jobs of each rule, cost by data set, and data sets that are not there.

    Hours and bytes are null where the images were not counted.
    """
    by_dataset = {
        name: {
            "pretraining_hours": _known(cost.pretraining_hours),
            "evaluation_hours": _known(cost.evaluation_hours),
            "disk_bytes": _known(cost.disk_bytes),
            "speed": cost.source,
        }
        for name, cost in costs(suite, results).items()
    }
    missing = [name for name, config in suite.dataset_configs.items() if not is_there(config, root)]
    counts = {"runs": len(suite.runs), "cells": suite.n_cells(), "jobs": jobs(suite)}
    first = suite.pilot.runs if suite.pilot else []
    pilot = {"runs": first, "hours": _known(sum(_hours(costs(suite, results, first))))} if first else None
    where = {"data_root": str(root), "missing": missing}
    return {"suite": suite.config.suite, **counts, "pilot": pilot, "datasets": by_dataset, **where}


def _known(value: float) -> float | None:
    return None if isnan(value) else value


def describe(suite: Suite, root: Path, results: Path) -> str:
    """Return the text of `ddcl plan`."""
    counts, by_dataset = jobs(suite), costs(suite, results)
    lines = [f"suite {suite.config.suite}: {len(suite.runs)} runs, {suite.n_cells()} cells"]
    lines += ["", f"{sum(counts.values())} jobs:", *(f"  {rule:24} {n:6}" for rule, n in counts.items())]
    lines += ["", f"  {'trained on':20} {'pretrain h':>10} {'evaluate h':>10} {'disk GB':>8}  speed"]
    for name, cost in by_dataset.items():
        hours = f"{_shown([cost.pretraining_hours]):>10} {_shown([cost.evaluation_hours]):>10}"
        lines.append(f"  {name:20} {hours} {_shown([cost.disk_bytes / 1e9]):>8}  {cost.source}")
    disk = _shown([cost.disk_bytes / 1e9 for cost in by_dataset.values()])
    devices = sorted({throughput().device if needs_gpu(run.recipe) else "one CPU core" for run in suite.runs.values()})
    where = f"hours of all jobs, one after the other; config/throughput.yaml is about {' or '.join(devices)}"
    lines.append(f"  {'all':20} {_shown(_hours(by_dataset)):>21} {disk:>8}  {where}")
    lines += _pilot_lines(suite, results)
    missing = missing_message(suite.dataset_configs, root) or f"all data sets are in {root}"
    return "\n".join([*lines, "", missing, *lacking(suite, results)])


def _pilot_lines(suite: Suite, results: Path) -> list[str]:
    """Return what the pilot costs, what waits for it, and what it must reach."""
    if suite.pilot is None:
        return []
    first = suite.pilot.runs
    later = [name for name in suite.runs if name not in first]
    own, rest = (_shown(_hours(costs(suite, results, names))) for names in (first, later))
    lines = ["", f"pilot: {len(first)} runs of {own} hours come first; {len(later)} runs of {rest} hours wait for them"]
    for gate in suite.pilot.gates:
        anyway = f"; run anyway: {gate.run_anyway}" if gate.run_anyway else ""
        lines.append(f"  {gate.name:20} {', '.join(gate.records)}: at least {gate.least:.2f} %{anyway}")
    return lines


def _hours(by_dataset: dict[str, Cost]) -> list[float]:
    return [hours for cost in by_dataset.values() for hours in (cost.pretraining_hours, cost.evaluation_hours)]


def _shown(values: list[float]) -> str:
    """Return the sum of values; `> ` before it where some are not known, `unknown` where all are not."""
    known = [value for value in values if not isnan(value)]
    if len(known) == len(values):
        return f"{sum(known):.1f}"
    return f"> {sum(known):.1f}" if sum(known) >= 0.05 else "unknown"
