"""What a suite costs, before anything runs: jobs per rule, hours, disk, and data sets that are missing.

Imports no torch. Hours come from the throughput of runs in the results folder, else from config/throughput.yaml.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from pydantic import Field

from ddcl.core.config import Model, parse, read_yaml
from ddcl.core.files import read_json
from ddcl.data.location import missing_message
from ddcl.grid import Run, Suite
from ddcl.recipes import CONFIG_DIR, Recipe
from ddcl.registry import METHODS


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
    return {rule: n for rule, n in counts.items() if n}


def network_name(recipe: Recipe) -> str:
    """Return the key of a run's network in config/throughput.yaml."""
    name = recipe.training.backbone.name
    return f"{name if name.startswith('ResNet-') else 'small'} @ {recipe.data.image_side_px}"


def measured_rates(results: Path) -> dict[str, tuple[float, str]]:
    """Return, by data set, the median images/s of finished pretraining runs in `results`, and their device."""
    rates: dict[str, list[float]] = {}
    devices: dict[str, str] = {}
    for path in sorted((results / "runs").glob("*/*/*/seed*/run.json")):
        run = read_json(path, "summary of a pretraining run")
        manifest = results / "data" / run["dataset"] / "manifest.json"
        if run["epochs"] and run["seconds"] and manifest.exists():
            splits = read_json(manifest, "manifest")["splits"]
            n = splits.get("pretrain", splits["train"])["n"]
            rates.setdefault(run["dataset"], []).append(n * run["epochs"] / run["seconds"])
            devices[run["dataset"]] = run["device"]
    return {name: (median(values), devices[name]) for name, values in rates.items()}


def costs(suite: Suite, results: Path) -> dict[str, Cost]:
    """Return the cost of the suite's runs by the data set that they train on."""
    throughput = parse(Throughput, read_yaml(CONFIG_DIR / "throughput.yaml"), str(CONFIG_DIR / "throughput.yaml"))
    measured, found = measured_rates(results), dict[str, Cost]()
    for run in suite.runs.values():
        recipe = run.recipe
        cost = found.setdefault(recipe.dataset, Cost())
        network = throughput.networks.get(network_name(recipe))
        if network is None:
            cost.source = f"no figure for {network_name(recipe)}"
            continue
        images = suite.dataset_configs[recipe.dataset].n_images
        n = images.get("pretrain", images.get("train", 0))
        schedule = recipe.training.schedule
        epochs = (recipe.training.epochs + schedule.extra_warmup_epochs) if METHODS[recipe.method].trains else 0
        rate, cost.source = measured.get(recipe.dataset, (network.train_images_per_s / 2, network.source))
        cost.pretraining_hours += n * epochs / rate / 3600
        cost.evaluation_hours += _evaluation_seconds(suite, run, network) / 3600
        cost.disk_bytes += network.checkpoint_mb * 1e6 + _feature_bytes(suite, run)
    return found


def _evaluation_seconds(suite: Suite, run: Run, network: Network) -> float:
    """Return the time in which the encoder works for a run's evaluations; solvers are not counted."""
    seconds = 0.0
    for dataset, evaluations in run.evaluations.items():
        images = suite.dataset_configs[dataset].n_images
        seconds += _encoded(suite, run, dataset, images) / network.encode_images_per_s
        for evaluation in evaluations:
            settings: dict[str, Any] = suite.evaluations[evaluation].settings
            n = images.get("train", 0)
            if settings.get("subset"):
                n = round(n * float(settings["subset"].removesuffix("pct")) / 100)
            if "images" in suite.protocol(evaluation).inputs:
                tunes = "lr_backbone" in settings
                rate = network.train_images_per_s if tunes else network.encode_images_per_s
                per_epoch = n / rate + (images.get("test", 0) / network.encode_images_per_s if tunes else 0)
                seconds += settings["epochs"] * per_epoch
    return seconds


def _encoded(suite: Suite, run: Run, dataset: str, images: dict[str, int]) -> int:
    """Return how many images are encoded for a run's features on a data set."""
    draws = sum(suite.perturbations[name].draws for name in suite.features(run, dataset))
    return images.get("train", 0) + draws * images.get("test", 0)


def _feature_bytes(suite: Suite, run: Run) -> int:
    """Return the bytes of a run's features: float16."""
    backbone = run.recipe.training.backbone
    width = backbone.widths[-1] * (4 if backbone.block == "bottleneck" else 1)
    return sum(2 * width * _encoded(suite, run, name, suite.dataset_configs[name].n_images) for name in run.evaluations)


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
