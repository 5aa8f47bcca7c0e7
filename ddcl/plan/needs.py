"""What a job needs of a machine: cores, a GPU, memory, disk and time. Generous estimates. Imports no torch.

The rules ask for these, and a profile decides what becomes of them. A job that is tried again asks for more
(`ddcl.plan.rules`).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ddcl.plan.cost import encoded_images, evaluation_seconds, pretraining_images, stored_bytes, task_size
from ddcl.plan.expand import Run
from ddcl.plan.networks import needs_gpu, network_of
from ddcl.plan.plan import PlannedPicture
from ddcl.plan.suite import Suite
from ddcl.schema.pictures import DRAWINGS
from ddcl.schema.recipes import keeps_files
from ddcl.schema.suites import DatasetConfig

SNAKEMAKE_MB = 500  # on a cluster two Snakemakes of 155 MB each run beside the job and are charged to it
PROCESS_MB = {0: 1500, 1: 5000}  # a process with torch (950 measured), without and with a GPU
CPUS = 8  # of a job that decodes images for a GPU, or that evaluates the features of a large network without one
DECODER_MB = 600  # a process that decodes, with the batches that it has under way
PREPARED_PER_S = 200  # images that `prepare` reads and checks
FLOAT32 = 2  # times the size of stored features (float16)
KEPT_MB = 1200  # rows that the linear probe's solver converts once (`ddcl.evaluate.logistic`), or voters of kNN
HISTORY = 24  # copies of all weights that the solver holds
STATES = 8  # checkpoints' sizes on disk at once: the final one, and with momentum three for resuming
SLACK = 3  # the speeds are guesses, and nodes differ
START_SECONDS = 1200  # imports, and reading and checking the images
UNKNOWN_SECONDS = 8 * 3600  # of work on images that were not counted; three times which is a day
UNKNOWN_MB = 8000.0  # of images or features that were not counted
CORE_FLOPS = 2e10  # per second of one core, of evaluations of features: products of float32 matrices
GPU_FLOPS = 1e13  # the same of a GPU
CPU_SHARE = 0.01  # of a GPU's images/s that one core encodes
FLOATS_SHOWN = 16  # bytes per pixel and channel of images that a picture holds: float32, four copies
LARGE_FLOPS = 1e15  # work that eight cores need two hours for is a GPU's


@dataclass(frozen=True)
class Needs:
    """cpus; gpu: number of GPUs; mem_mb, disk_mb: megabytes; runtime: minutes (Snakemake's names)."""

    cpus: int
    gpu: int
    mem_mb: int
    disk_mb: int
    runtime: int


def prepare_needs(config: DatasetConfig) -> Needs:
    """Return what the preparation of a data set needs."""
    images_mb, n = _images_mb(config), sum(config.n_images.values())
    return _rounded((1, 0), 3 * images_mb, images_mb, n / PREPARED_PER_S if config.counted else UNKNOWN_SECONDS)


def pretrain_needs(suite: Suite, run: Run) -> Needs:
    """Return what the training of a run needs."""
    network, processes = network_of(run.recipe), run.recipe.training.processes
    seconds = _seconds(pretraining_images(suite, run) / (network.train_images_per_s / 2)) / processes
    return _encoding(suite, run, run.recipe.dataset, (0.0, STATES * network.checkpoint_mb, seconds), processes)


def extract_needs(suite: Suite, run: Run, dataset: str) -> Needs:
    """Return what the extraction of a run's features on a data set needs."""
    n, features_mb = encoded_images(suite, run, dataset), _features_mb(suite, run, dataset)
    seconds = _seconds(n / network_of(run.recipe).encode_images_per_s)
    return _encoding(suite, run, dataset, (features_mb, features_mb, seconds))


def evaluate_needs(suite: Suite, run: Run, dataset: str, evaluation: str) -> Needs:
    """Return what an evaluation of a run on a data set needs."""
    inputs, size = suite.protocol(evaluation).inputs, task_size(suite, run, dataset, evaluation)
    work = suite.settings[evaluation].work(size) if size else None
    if "images" in inputs:
        memory_mb = _features_mb(suite, run, dataset) if "features" in inputs else 0.0
        memory_mb += FLOAT32 * stored_bytes(run.recipe, work.held) / 1e6 if work else UNKNOWN_MB
        network = network_of(run.recipe)
        seconds = _seconds(evaluation_seconds(suite, run, dataset, evaluation, network))
        return _encoding(suite, run, dataset, (memory_mb, STATES * network.checkpoint_mb, seconds))
    gpu = _gpu(run)
    cpus = CPUS if gpu else 1
    if size is None or work is None:
        return _rounded((cpus, gpu), UNKNOWN_MB, 10.0, UNKNOWN_SECONDS)
    gpu = gpu if work.flops > LARGE_FLOPS else 0
    # stored features are memory-mapped; what is converted counts
    train_mb, test_mb = (2 * FLOAT32 * stored_bytes(run.recipe, n) / 1e6 for n in (size.n_train, size.n_test))
    memory_mb = min(KEPT_MB, train_mb) + test_mb + HISTORY * 4 * work.weights / 1e6
    return _rounded((cpus, gpu), memory_mb, 10.0, work.flops / (GPU_FLOPS if gpu else CORE_FLOPS * cpus))


def picture_needs(suite: Suite, entry: PlannedPicture) -> Needs:
    """Return what a picture of the plan needs: some images through the networks of its runs, on a CPU."""
    config, settings = suite.dataset_configs[entry.dataset], entry.settings
    runs = [suite.runs[name] for name in entry.runs] if DRAWINGS[entry.drawing].encoders else []
    n = settings["n_images"] * max(1, len(runs))
    speeds = [network_of(run.recipe).encode_images_per_s for run in runs]
    rate = min(speeds, default=1.0) * (CPU_SHARE if any(map(_gpu, runs)) else 1.0)
    shown_mb = FLOATS_SHOWN * settings["n_images"] * 3 * config.image_side_px**2 / 1e6
    return _rounded((1, 0), 2 * _images_mb(config) + shown_mb, 10.0, n / rate)


def is_short(needs: Needs) -> bool:
    """Return whether a job may keep the GPU of the one before it, rather than queue again."""
    return needs.gpu == 0 and needs.runtime <= 120


def _gpu(run: Run) -> int:
    """Return how many GPUs a run's network needs."""
    return int(needs_gpu(run.recipe))


def _seconds(known: float) -> float:
    """Return how long a job lasts; generously, where that is not known (nan)."""
    return UNKNOWN_SECONDS if math.isnan(known) else known


def _features_mb(suite: Suite, run: Run, dataset: str) -> float:
    """Return the MB of a run's stored features on a data set."""
    features_mb = stored_bytes(run.recipe, encoded_images(suite, run, dataset)) / 1e6
    return UNKNOWN_MB if math.isnan(features_mb) else features_mb


def _encoding(suite: Suite, run: Run, dataset: str, sizes: tuple[float, float, float], processes: int = 1) -> Needs:
    """Return the needs of a job that puts a data set's images through the run's network.

    sizes: MB in memory beside the images, MB on disk, seconds. processes: that do it together, each on its own GPU.
    """
    memory_mb, disk_mb, seconds = sizes
    gpu = _gpu(run)
    images_mb = _images_mb(suite.dataset_configs[dataset])
    cpus = CPUS if gpu and not images_mb else 1
    decoders_mb = cpus * DECODER_MB if cpus > 1 else 0
    memory_mb += 2 * images_mb + processes * (decoders_mb + PROCESS_MB[gpu]) - PROCESS_MB[gpu]
    return _rounded((processes * cpus, processes * gpu), memory_mb, disk_mb, seconds)


def _images_mb(config: DatasetConfig) -> float:
    """Return the MB of a data set as one array; nothing if its images stay in files and are decoded when needed."""
    if keeps_files(config):
        return 0.0
    return 3 * config.image_side_px**2 * sum(config.n_images.values()) / 1e6 if config.counted else UNKNOWN_MB


def _rounded(processors: tuple[int, int], memory_mb: float, disk_mb: float, seconds: float) -> Needs:
    """Return the needs of a job on (CPUs, GPUs), with what every job needs added."""
    cpus, gpu = processors
    memory_mb += SNAKEMAKE_MB + PROCESS_MB[min(1, gpu)]
    minutes = math.ceil((START_SECONDS + SLACK * seconds) / 60)
    return Needs(cpus, gpu, math.ceil(memory_mb / 100) * 100, math.ceil(disk_mb), minutes)
