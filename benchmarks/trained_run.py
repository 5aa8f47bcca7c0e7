"""A DDCL run of three epochs on 10,000 images of Fashion-MNIST, made by the suite's own commands, to be evaluated.

Needs Fashion-MNIST's files: Debian's package dataset-fashion-mnist, or a download by `ddcl prepare fashion_mnist`.
"""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import yaml

from ddcl.__main__ import main
from ddcl.core.method import Method
from ddcl.data.images import Images
from ddcl.data.manifest import read_manifest
from ddcl.data.stored import read_images
from ddcl.evaluate.features import load_frozen
from ddcl.plan.suite import Suite
from ddcl.schema.places import VARIABLE

DATASET, SIDE, PARTS = "fashion_mnist_10k", 28, 3
RUN = f"{DATASET}/ddcl/baug/seed0"
PERTURBATIONS = ("none", "color", "color_flip", "color_rotate", "color_rotate_elastic")
BLOCK = {
    "datasets": [DATASET],
    "variants": ["ddcl"],
    "augmentations": ["baug"],
    "seeds": [0],
    "overrides": {"epochs": 3, "schedule": {"warmup_epochs": 0}},
}


class TrainedRun:
    """A run in a results folder of its own, trained, and not evaluated yet.

    suite: what the suite says beside runs and perturbations, its `draws` and `evaluations` among it. evaluations: those
    that `config/` does not have, by name.
    """

    def __init__(self, folder: Path, suite: Mapping[str, Any], evaluations: Mapping[str, Any] | None = None) -> None:
        words = {"suite": "benchmark", "title": "Benchmark", "description": "One run.", "runs": [BLOCK]}
        files = {f"evaluations/{name}.yaml": own for name, own in (evaluations or {}).items()}
        files["suites/benchmark.yaml"] = {**words, "perturbations": list(PERTURBATIONS), **suite}
        for name, content in files.items():
            path = folder / "config" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump(content), encoding="utf-8")
        self.config, self.results, self.draws = folder / "config", folder / "results", int(suite["draws"])
        os.environ[VARIABLE] = str(self.config)
        planned = Suite.load(self.config / "suites/benchmark.yaml")
        self.recipe, self.planned = planned.recipes[RUN], planned.plan.run(RUN)
        self.command("resolve", "--suite", "benchmark")
        self.command("prepare", DATASET, "--no-download")
        self.command("pretrain", "--run", RUN)
        (self.manifest_path,) = self.results.glob("data/*/manifest.json")
        self.manifest = read_manifest(self.manifest_path, DATASET, self.recipe.data)

    def command(self, *words: str) -> None:
        """Run a command of the suite on these results, in this process; what it prints is not shown."""
        os.environ[VARIABLE] = str(self.config)
        with contextlib.redirect_stdout(io.StringIO()):
            status = main((*words, "--results", str(self.results)))
        if status:
            raise SystemExit(status)

    def extract(self) -> None:
        """Extract the features under all perturbations, as Snakemake would."""
        self.command("extract", "--draws", str(self.draws), *self._under())

    def evaluate(self, evaluation: str, *words: str) -> None:
        """Make the record of an evaluation."""
        self.command("evaluate", evaluation, *words, *self._under())

    def _under(self) -> tuple[str, ...]:
        return ("--run", RUN, "--threads", str(torch.get_num_threads()), "--perturbations", *PERTURBATIONS)

    def frozen(self) -> Method:
        """Return the trained encoder, in evaluation mode."""
        path = self.results / self.planned.folder / "checkpoint.pt"
        return load_frozen(path, self.recipe, "cpu")[0].eval().to(memory_format=torch.contiguous_format)

    def images(self) -> tuple[Images, Images]:
        """Return the training and the test images."""
        train, test = (read_images(self.manifest_path, self.manifest, split, SIDE) for split in ("train", "test"))
        return train, test
