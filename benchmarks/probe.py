"""Evaluating one DDCL run on 10,000 + 10,000 images of Fashion-MNIST: features once and one batched solve, against SGD.

Ours is what the suite does: extraction of the clean training images and of 5 perturbations × 10 draws of the test
images, then the linear probes of full, DIR and DVR with 12 candidates of the penalty, files and records included.

The peer is the official code's procedure (main_lincls.py, only_eval.py), once per part and hyperparameter: 200 epochs
of SGD on augmented images through the frozen encoder, float32, PIL transforms in a DataLoader with 2 workers, the test
split after each epoch; then 10 passes over the test images per part and perturbation. One epoch and one pass per
perturbation are timed, the rest is extrapolated.

Accuracy is compared on the same features with 200 epochs of SGD, which is given the same penalty, at the learning rate
that reaches the lowest training objective.
"""

from __future__ import annotations

import contextlib
import io
import os
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import yaml
from augmentation import MEAN, STD
from measure import Ratio, in_turns, repeats_from_arguments, write
from PIL import Image
from torch import Tensor, nn
from torchvision import transforms as tv

from ddcl.__main__ import main
from ddcl.core.method import Method
from ddcl.data.manifest import read_manifest
from ddcl.data.stored import read_images
from ddcl.evaluate.features import load_frozen
from ddcl.evaluate.store import read_test, read_train
from ddcl.plan.suite import Suite
from ddcl.schema import feature_index, record
from ddcl.schema.feature_index import CLEAN_DRAW
from ddcl.schema.places import VARIABLE

DATASET, PARTS, EPOCHS, DRAWS, BATCH = "fashion_mnist_10k", 3, 200, 10, 256
RUN = f"{DATASET}/ddcl/baug/seed0"
PERTURBATIONS = ("none", "color", "color_flip", "color_rotate", "color_rotate_elastic")
SGD_RATES = (0.1, 0.3, 1.0, 3.0)
L2_WEIGHTS = [float(value) for value in np.logspace(-6, -0.5, 12)]
PROBE = {"base": "linear", "label": "12 penalties", "settings": {"l2_weights": L2_WEIGHTS}}
SUITE = {
    "suite": "probe",
    "title": "Benchmark of the probe",
    "description": "One run, and its linear probe.",
    "runs": [
        {
            "datasets": [DATASET],
            "variants": ["ddcl"],
            "augmentations": ["baug"],
            "seeds": [0],
            "overrides": {"epochs": 3, "schedule": {"warmup_epochs": 0}},
        }
    ],
    "evaluations": ["probe"],
    "perturbations": list(PERTURBATIONS),
    "draws": DRAWS,
}


def ddcl(*words: str) -> None:
    """Run a command of the suite in this process; what it prints is not shown."""
    with contextlib.redirect_stdout(io.StringIO()):
        status = main(words)
    if status:
        raise SystemExit(status)


class Stored:
    """A small trained run in a results folder, made by the suite's own commands."""

    def __init__(self, folder: Path) -> None:
        for kind, values in (("evaluations", PROBE), ("suites", SUITE)):
            (folder / "config" / kind).mkdir(parents=True)
            (folder / "config" / kind / "probe.yaml").write_text(yaml.safe_dump(values))
        os.environ[VARIABLE] = str(folder / "config")
        self.results = folder / "results"
        suite = Suite.load(folder / "config/suites/probe.yaml")
        self.recipe, planned = suite.recipes[RUN], suite.plan.run(RUN)
        (target,) = planned.targets
        self.run, self.features = self.results / planned.folder, self.results / planned.features(target)
        self.record = self.results / planned.record(target)
        self.command("resolve", "--suite", "probe")
        self.command("prepare", DATASET, "--no-download")
        self.command("pretrain", "--run", RUN)
        (self.manifest_path,) = self.results.glob("data/*/manifest.json")
        self.manifest = read_manifest(self.manifest_path, DATASET, self.recipe.data)

    def command(self, *words: str) -> None:
        """Run a command on these results."""
        ddcl(*words, "--results", str(self.results))

    def frozen(self) -> Method:
        """Return the trained encoder."""
        return load_frozen(self.run / "checkpoint.pt", self.recipe, "cpu")[0].eval()


def ours(stored: Stored) -> float:
    """Return the seconds of extraction and evaluation."""
    start, threads = time.perf_counter(), str(torch.get_num_threads())
    under = ("--run", RUN, "--threads", threads, "--perturbations", *PERTURBATIONS)
    stored.command("extract", "--draws", str(DRAWS), *under)
    stored.command("evaluate", "probe", *under)
    return time.perf_counter() - start


class PilImages(torch.utils.data.Dataset[tuple[Tensor, int]]):
    """One PIL image per access, as torchvision's data sets do."""

    def __init__(self, images: Tensor, labels: Tensor, steps: list[object]) -> None:
        self.images, self.labels = images.permute(0, 2, 3, 1).contiguous().numpy(), labels.tolist()
        self.transform = tv.Compose([*steps, tv.ToTensor(), tv.Normalize(MEAN, STD)])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[i])), self.labels[i]


def peer_steps(perturbation: str) -> list[object]:
    """Return the test transforms of the official only_eval.py."""
    jitter, flip, rotation = tv.ColorJitter(0.4, 0.4, 0.4, 0.1), tv.RandomHorizontalFlip(1.0), tv.RandomRotation(90)
    return {
        "none": [],
        "color": [jitter],
        "color_flip": [jitter, flip],
        "color_rotate": [rotation, jitter],
        "color_rotate_elastic": [rotation, jitter, tv.ElasticTransform(100.0, 5.0)],
    }[perturbation]


def peer_seconds(stored: Stored) -> dict[str, float]:
    """Return the seconds of a training epoch with its test pass, and of one pass under each perturbation."""
    method = stored.frozen().to(memory_format=torch.contiguous_format)
    train, test = (read_images(stored.manifest_path, stored.manifest, split, 28) for split in ("train", "test"))
    head = nn.Linear(method.parts()["full"][1], 10)
    optimizer = torch.optim.SGD(head.parameters(), lr=30.0, momentum=0.9)

    def loader(images: object, steps: list[object], shuffle: bool) -> torch.utils.data.DataLoader[tuple[Tensor, int]]:
        dataset = PilImages(torch.as_tensor(np.asarray(images.images)), images.labels, steps)  # type: ignore[attr-defined]
        return torch.utils.data.DataLoader(dataset, BATCH, shuffle=shuffle, num_workers=2)

    @torch.no_grad()
    def test_pass(perturbation: str) -> float:
        start = time.perf_counter()
        for x, _ in loader(test, peer_steps(perturbation), shuffle=False):
            head(method.features(x)).argmax(dim=1)
        return time.perf_counter() - start

    start = time.perf_counter()
    for x, y in loader(train, [tv.RandomResizedCrop(28), tv.RandomHorizontalFlip()], shuffle=True):
        with torch.no_grad():
            h = method.features(x)
        optimizer.zero_grad()
        nn.functional.cross_entropy(head(h), y).backward()
        optimizer.step()
    epoch = time.perf_counter() - start
    passes = {name: test_pass(name) for name in PERTURBATIONS}
    return passes | {"epoch": epoch + passes["none"]}


def sgd_accuracies(stored: Stored, chosen: dict[str, float]) -> dict[str, float]:
    """Return the clean test accuracy of each part after 200 epochs of SGD on the stored, standardised features."""
    index = feature_index.load(stored.features)
    train, test = read_train(stored.features, index), read_test(stored.features, index, CLEAN_DRAW)
    x, x_test = (torch.from_numpy(split.features.astype(np.float32)) for split in (train, test))
    mean, std = x.mean(dim=0), x.std(dim=0).clamp(min=1e-6)
    x, x_test, y = (x - mean) / std, (x_test - mean) / std, torch.from_numpy(train.labels)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the matrices are small
    found = {}
    for part, (start, stop) in index.parts.items():
        fits = [_sgd(x[:, start:stop].contiguous(), y, lr, chosen[part]) for lr in SGD_RATES]
        head = min(fits, key=lambda fit: fit[0])[1]  # of the training objective: the test split is only reported
        right = head(x_test[:, start:stop]).argmax(dim=1).numpy() == test.labels
        found[part] = 100 * float(right.mean())
    torch.set_num_threads(threads)
    return found


def _sgd(x: Tensor, y: Tensor, lr: float, l2_weight: float) -> tuple[float, nn.Linear]:
    """Return the training objective and the classifier after 200 epochs."""
    torch.manual_seed(0)
    head = nn.Linear(x.shape[1], 10)
    groups = [{"params": [head.weight], "weight_decay": l2_weight}, {"params": [head.bias]}]
    optimizer = torch.optim.SGD(groups, lr=lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(x)).split(BATCH):
            optimizer.zero_grad()
            nn.functional.cross_entropy(head(x[batch]), y[batch]).backward()
            optimizer.step()
        schedule.step()
    objective = nn.functional.cross_entropy(head(x), y) + l2_weight / 2 * head.weight.square().sum()
    return float(objective), head


def measure(repeats: int) -> list[Ratio]:
    """Evaluations of a run per day, with 12 hyperparameters and with one; accuracies of the three parts in percent."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        stored = Stored(Path(folder))
        rounds: list[dict[str, float]] = []

        def peer() -> float:
            rounds.append(peer_seconds(stored))
            return rounds[-1]["epoch"]

        found = in_turns({"ours": lambda: ours(stored), "peer": peer}, repeats, "probe")
        for n, target in ((len(L2_WEIGHTS), "at least 300"), (1, "")):
            seconds = [
                PARTS * (n * EPOCHS * times["epoch"] + DRAWS * sum(times[name] for name in PERTURBATIONS))
                for times in rounds[1:]
            ]
            what = f"linear probe of 3 parts, {n} hyperparameters for the peer, 5 perturbations × {DRAWS} draws"
            rates = [[86400 / value for value in values] for values in (found["ours"], seconds)]
            rows.append(Ratio(what, "runs/day", *rates, target))
        made = record.load(stored.record)
        chosen = {part: own[0]["l2_weight"] for part, own in made.chosen.items()}
        solved = {cell.part: 100 * (cell.value or 0.0) for cell in made.cells if cell.perturbation == "none"}
        for part, accuracy in sgd_accuracies(stored, chosen).items():
            what = f"accuracy of the probe, {part}, against 200 epochs of SGD on the same features"
            rows.append(Ratio(what, "%", [solved[part]], [accuracy], "within 0.3 points"))
    return rows


if __name__ == "__main__":
    write("probe", measure(repeats_from_arguments(5, __doc__)))
