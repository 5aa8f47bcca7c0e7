"""What a job needs of a machine: cores, a GPU, memory, disk and time. Generous estimates. Imports no torch.

The rules ask for these, and a profile decides what becomes of them. A job that is tried again asks for more
(workflow/rules/common.smk).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ddcl.cost import (
    Network,
    encode_seconds,
    evaluation_seconds,
    feature_bytes,
    feature_width,
    network_name,
    network_of,
    pretraining_seconds,
)
from ddcl.grid import Run, Suite
from ddcl.registry import RANDOM_PARTS
from ddcl.yaml_models import DatasetConfig

SNAKEMAKE_MB = 500  # on a cluster two Snakemakes of 155 MB each run beside the job and are charged to it
PROCESS_MB = {0: 1500, 1: 5000}  # Python with torch (950 measured), by GPUs: with CUDA it is larger
CPUS = 8  # of a job that decodes images for a GPU, or that evaluates the features of a large network without one
DECODER_MB = 600  # a process that decodes, with the batches that it has under way
PREPARED_PER_S = 200  # images that `prepare` reads and checks
FLOAT32 = 2  # times the size of stored features (float16)
FITTING = 12  # the same, of the three float64 copies that standardising and the solver hold
STATES = 8  # checkpoints' sizes on disk at once: the final one, and with momentum three for resuming
SLACK = 3  # the speeds are guesses, and nodes differ
START_SECONDS = 1200  # imports, and reading and checking the images
UNKNOWN_SECONDS = 8 * 3600  # of a network without a figure, three times which is a day
UNKNOWN = Network(train_images_per_s=1, encode_images_per_s=1, checkpoint_mb=200, source="unknown")
SOLVER_FLOPS = 5e9  # per second, of one core that fits the linear probe


@dataclass(frozen=True)
class Needs:
    """cpus; gpu: 0 or 1; mem_mb, disk_mb: megabytes; runtime: minutes (Snakemake's names)."""

    cpus: int
    gpu: int
    mem_mb: int
    disk_mb: int
    runtime: int


def prepare_needs(config: DatasetConfig) -> Needs:
    """Return what the preparation of a data set needs."""
    images_mb = _images_mb(config)
    return _rounded((1, 0), 3 * images_mb, images_mb, sum(config.n_images.values()) / PREPARED_PER_S)


def pretrain_needs(suite: Suite, run: Run) -> Needs:
    """Return what the training of a run needs."""
    network = network_of(run.recipe)
    seconds = pretraining_seconds(suite, run, network.train_images_per_s / 2) if network else UNKNOWN_SECONDS
    disk_mb = STATES * (network or UNKNOWN).checkpoint_mb
    return _encoding(suite, run, run.recipe.dataset, (0.0, disk_mb, seconds))


def extract_needs(suite: Suite, run: Run, dataset: str) -> Needs:
    """Return what the extraction of a run's features on a data set needs."""
    network, features_mb = network_of(run.recipe), feature_bytes(suite, run, dataset) / 1e6
    seconds = encode_seconds(suite, run, dataset, network) if network else UNKNOWN_SECONDS
    return _encoding(suite, run, dataset, (features_mb, features_mb, seconds))


def evaluate_needs(suite: Suite, run: Run, dataset: str, evaluation: str) -> Needs:
    """Return what an evaluation of a run on a data set needs."""
    inputs = suite.protocol(evaluation).inputs
    features_mb = feature_bytes(suite, run, dataset) / 1e6 if "features" in inputs else 0.0
    if "images" in inputs:
        network = network_of(run.recipe)
        seconds = evaluation_seconds(suite, run, dataset, evaluation, network) if network else UNKNOWN_SECONDS
        disk_mb = STATES * (network or UNKNOWN).checkpoint_mb
        return _encoding(suite, run, dataset, (features_mb, disk_mb, seconds))
    n_train = suite.dataset_configs[dataset].n_images.get("train", 0)
    train_mb = 2 * n_train * feature_width(run.recipe) / 1e6
    flops = _fitting_flops(suite, run, dataset, evaluation)
    cpus = CPUS if _gpu(run) else 1
    similarities_mb = 8 * suite.evaluations[evaluation].settings.get("chunk_images", 0) * n_train / 1e6
    memory_mb = similarities_mb + FLOAT32 * features_mb + (FITTING if flops else 2 * FLOAT32) * train_mb
    return _rounded((cpus, 0), memory_mb, 10.0, flops / (SOLVER_FLOPS * cpus))


def is_short(needs: Needs) -> bool:
    """Return whether a job may keep the GPU of the one before it, rather than queue again."""
    return needs.gpu == 0 and needs.runtime <= 120


def _fitting_flops(suite: Suite, run: Run, dataset: str, evaluation: str) -> float:
    """Return the work of the linear probe if no fit ends early; nothing for protocols that fit nothing."""
    config, settings = suite.dataset_configs[dataset], suite.evaluations[evaluation].settings
    fits = len(settings["l2_weights"]) + 1 if "l2_weights" in settings else 0
    parts = suite.parts(run, evaluation)  # the whole, and as many columns again for DIR with DVR or each random set
    widths = 1 + (run.subsets.draws if run.subsets and RANDOM_PARTS[0] in parts else len(parts) > 1)
    size = config.n_images.get("train", 0) * feature_width(run.recipe) * config.n_classes
    return float(4 * size * widths * fits * settings.get("max_iterations", 0))


def _gpu(run: Run) -> int:
    """Return how many GPUs a run's network needs: the small ones of the small scale do well on a CPU."""
    return 0 if network_name(run.recipe).startswith("small") else 1


def _encoding(suite: Suite, run: Run, dataset: str, sizes: tuple[float, float, float]) -> Needs:
    """Return the needs of a job that puts a data set's images through the run's network.

    sizes: MB in memory beside the images, MB on disk, seconds.
    """
    memory_mb, disk_mb, seconds = sizes
    gpu = _gpu(run)
    images_mb = _images_mb(suite.dataset_configs[dataset])
    cpus = CPUS if gpu and not images_mb else 1
    decoders_mb = cpus * DECODER_MB if cpus > 1 else 0
    return _rounded((cpus, gpu), memory_mb + 2 * images_mb + decoders_mb, disk_mb, seconds)


def _images_mb(config: DatasetConfig) -> float:
    """Return the size of a data set as one array; nothing if its images stay in files and are decoded when needed."""
    return 0.0 if config.resize_px else 3 * config.image_side_px**2 * sum(config.n_images.values()) / 1e6


def _rounded(processors: tuple[int, int], memory_mb: float, disk_mb: float, seconds: float) -> Needs:
    """Return the needs of a job on (CPUs, GPUs), with what every job needs added."""
    cpus, gpu = processors
    memory_mb += SNAKEMAKE_MB + PROCESS_MB[gpu]
    minutes = math.ceil((START_SECONDS + SLACK * seconds) / 60)
    return Needs(cpus, gpu, math.ceil(memory_mb / 100) * 100, math.ceil(disk_mb), minutes)
