"""What a suite costs, before anything runs: jobs per rule, hours, disk, and data sets that are missing.

Imports no torch. Hours come from the throughput of runs in the results folder, else from config/throughput.yaml.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import Field

from ddcl.base.errors import UserError
from ddcl.base.yaml_files import Model, parse, read_yaml
from ddcl.plan.datasets import missing_message
from ddcl.plan.suite import Run, Suite
from ddcl.schema import manifest, run_summary
from ddcl.schema.recipes import CONFIG_DIR, Recipe
from ddcl.schema.registry import METHODS

ENCODED = 10  # times that diagnostics encode an image: under nine distortions, and clean


class Network(Model):
    """How fast a network is, and how large its checkpoints are."""

    train_images_per_s: float = Field(gt=0)
    encode_images_per_s: float = Field(gt=0)
    checkpoint_mb: float = Field(gt=0)
    source: str


class Throughput(Model):
    """config/throughput.yaml."""

    device: str
    networks: dict[str, Network]


@dataclass
class Cost:
    """Hours and bytes of a group of runs, and where the speed comes from."""

    pretraining_hours: float = 0.0
    evaluation_hours: float = 0.0
    disk_bytes: float = 0.0
    source: str = ""


def jobs(suite: Suite) -> dict[str, int]:
    """Return the number of jobs of each rule, as Snakemake counts them when nothing was run yet."""
    runs = suite.runs.values()
    counts: Counter[str] = Counter(prepare=len(suite.dataset_configs), resolve=len(runs), pretrain=len(runs))
    counts["extract"] = sum(bool(suite.features(run, dataset)) for run in runs for dataset in run.evaluations)
    counts.update(evaluation for run in runs for evaluations in run.evaluations.values() for evaluation in evaluations)
    counts.update(plan=1, collect=1, table=len(suite.tables), figure=len(suite.figures), report=1, all=1)
    counts.update(claims=int(bool(suite.claims)), picture=len(suite.picture_entries))
    return {rule: n for rule, n in counts.items() if n}


def network_name(recipe: Recipe) -> str:
    """Return the key of a run's network in config/throughput.yaml."""
    name = recipe.training.backbone.name
    return f"{name if name.startswith('ResNet-') else 'small'} @ {recipe.data.image_side_px}"


@cache
def _networks() -> dict[str, Network]:
    path = CONFIG_DIR / "throughput.yaml"
    return parse(Throughput, read_yaml(path), str(path)).networks


def network_of(recipe: Recipe) -> Network | None:
    """Return what config/throughput.yaml says of a run's network; None if it says nothing."""
    return _networks().get(network_name(recipe))


def measured_rates(results: Path) -> dict[str, tuple[float, str]]:
    """Return, by data set, the median images/s of finished pretraining runs in `results`, and their device.

    Runs whose files cannot be read do not count: `ddcl collect` names them.
    """
    rates: dict[str, list[float]] = {}
    devices: dict[str, str] = {}
    for path in sorted((results / "runs").glob("*/*/*/seed*/run.json")):
        try:
            summary = run_summary.load(path)
            dataset = summary.run.dataset
            n = manifest.load(results / "data" / dataset / "manifest.json").n_pretrain
        except UserError:
            continue
        if summary.epochs and summary.seconds:
            rates.setdefault(dataset, []).append(n * summary.epochs / summary.seconds)
            devices[dataset] = summary.provenance.device
    return {name: (median(values), devices[name]) for name, values in rates.items()}


def costs(suite: Suite, results: Path) -> dict[str, Cost]:
    """Return the cost of the suite's runs by the data set that they train on."""
    measured, found = measured_rates(results), dict[str, Cost]()
    for run in suite.runs.values():
        recipe = run.recipe
        cost, network = found.setdefault(recipe.dataset, Cost()), network_of(recipe)
        if network is None:
            cost.source = f"no figure for {network_name(recipe)}"
            continue
        rate, cost.source = measured.get(recipe.dataset, (network.train_images_per_s / 2, network.source))
        seconds = 0.0
        for dataset, evaluations in run.evaluations.items():
            seconds += encode_seconds(suite, run, dataset, network)
            seconds += sum(evaluation_seconds(suite, run, dataset, name, network) for name in evaluations)
        cost.pretraining_hours += pretraining_seconds(suite, run, rate) / 3600
        cost.evaluation_hours += seconds / 3600
        cost.disk_bytes += network.checkpoint_mb * 1e6
        cost.disk_bytes += sum(feature_bytes(suite, run, dataset) for dataset in run.evaluations)
    return found


def pretraining_seconds(suite: Suite, run: Run, images_per_s: float) -> float:
    """Return how long a run trains, at `images_per_s` images of the data set (two views each) per second."""
    images, training = suite.dataset_configs[run.recipe.dataset].n_images, run.recipe.training
    epochs = training.epochs + training.schedule.extra_warmup_epochs if METHODS[run.recipe.method].trains else 0
    return images.get("pretrain", images.get("train", 0)) * epochs / images_per_s


def encode_seconds(suite: Suite, run: Run, dataset: str, network: Network) -> float:
    """Return how long the encoder works for a run's features on a data set."""
    return _encoded(suite, run, dataset) / network.encode_images_per_s


def evaluation_seconds(suite: Suite, run: Run, dataset: str, evaluation: str, network: Network) -> float:
    """Return how long the encoder works for an evaluation that trains on images; solvers are not counted."""
    if "images" not in suite.protocol(evaluation).inputs:
        return 0.0
    images = suite.dataset_configs[dataset].n_images
    settings: dict[str, Any] = suite.evaluations[evaluation].settings
    if "epochs" not in settings:
        return diagnosed(suite, dataset, evaluation) / network.encode_images_per_s
    n = images.get("train", 0)
    if settings.get("subset"):
        n = round(n * float(settings["subset"].removesuffix("pct")) / 100)
    tunes = "lr_backbone" in settings
    rate = network.train_images_per_s if tunes else network.encode_images_per_s
    per_epoch = n / rate + (images.get("test", 0) / network.encode_images_per_s if tunes else 0)
    return float(settings["epochs"] * per_epoch)


def diagnosed(suite: Suite, dataset: str, evaluation: str) -> int:
    """Return how many images `ddcl.evaluate.diagnostics` encodes; none, where the evaluation is another."""
    images, settings = suite.dataset_configs[dataset].n_images, suite.evaluations[evaluation].settings
    if "n_views" not in settings:
        return 0
    train, test = (min(images.get(split, 0), int(settings[f"max_{split}_images"])) for split in ("train", "test"))
    return ENCODED * train + (ENCODED + int(settings["n_views"])) * test


def _encoded(suite: Suite, run: Run, dataset: str) -> int:
    """Return how many images are encoded for a run's features on a data set."""
    images = suite.dataset_configs[dataset].n_images
    draws = sum(suite.perturbations[name].draws for name in suite.features(run, dataset))
    return images.get("train", 0) + draws * images.get("test", 0)


def feature_width(recipe: Recipe) -> int:
    """Return the number of columns of a run's features."""
    backbone = recipe.training.backbone
    return backbone.widths[-1] * (4 if backbone.block == "bottleneck" else 1)


def feature_bytes(suite: Suite, run: Run, dataset: str) -> int:
    """Return the bytes of a run's features on a data set."""
    return stored_bytes(run.recipe, _encoded(suite, run, dataset))


def stored_bytes(recipe: Recipe, n: int) -> int:
    """Return the bytes of the stored features of n images: float16."""
    return 2 * feature_width(recipe) * n


def describe(suite: Suite, root: Path, results: Path) -> str:
    """Return the text of `ddcl plan`."""
    counts, by_dataset = jobs(suite), costs(suite, results)
    lines = [f"suite {suite.config.suite}: {len(suite.runs)} runs, {suite.n_cells()} cells"]
    lines += ["", f"{sum(counts.values())} jobs:", *(f"  {rule:24} {n:6}" for rule, n in counts.items())]
    lines += ["", f"  {'trained on':20} {'pretrain h':>10} {'evaluate h':>10} {'disk GB':>8}  speed"]
    for name, cost in by_dataset.items():
        numbers = f"{cost.pretraining_hours:10.1f} {cost.evaluation_hours:10.1f} {cost.disk_bytes / 1e9:8.1f}"
        lines.append(f"  {name:20} {numbers}  {cost.source}")
    hours = sum(cost.pretraining_hours + cost.evaluation_hours for cost in by_dataset.values())
    disk = sum(cost.disk_bytes for cost in by_dataset.values()) / 1e9
    lines.append(f"  {'all':20} {hours:21.1f} {disk:8.1f}  hours of {_device()} where the speed is a guess")
    return "\n".join([*lines, "", missing_message(suite.dataset_configs, root) or f"all data sets are in {root}"])


def _device() -> str:
    return str(read_yaml(CONFIG_DIR / "throughput.yaml")["device"])
