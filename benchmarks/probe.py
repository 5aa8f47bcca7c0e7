"""The linear probe of one DDCL run on 10,000 + 10,000 images of Fashion-MNIST: one batched solve, against SGD.

Ours is what the suite does: extraction of the clean training images and of 5 perturbations × 10 draws of the test
images, then the linear probes of full, DIR and DVR with 12 candidates of the penalty, files and records included.
The peer is the procedure of the official code (`authors_peer.py`), once per part and hyperparameter.

Accuracy is compared on the same features with 200 epochs of SGD, which is given the same penalty, at the learning rate
that reaches the lowest training objective.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import authors_peer
import numpy as np
import torch
from authors_peer import BATCH, EPOCHS
from measure import Ratio, in_turns, repeats_from_arguments, write
from torch import Tensor, nn
from trained_run import PARTS, PERTURBATIONS, TrainedRun

from ddcl.evaluate.store import read_test, read_train
from ddcl.schema import feature_index, record
from ddcl.schema.feature_index import CLEAN_DRAW

DRAWS = 10
SGD_RATES = (0.1, 0.3, 1.0, 3.0)
L2_WEIGHTS = [float(value) for value in np.logspace(-6, -0.5, 12)]
PROBE = {"base": "linear", "label": "12 penalties", "settings": {"l2_weights": L2_WEIGHTS}}


def ours(run: TrainedRun) -> float:
    """Return the seconds of extraction and evaluation."""
    start = time.perf_counter()
    run.extract()
    run.evaluate("probe")
    return time.perf_counter() - start


def sgd_accuracies(folder: Path, chosen: dict[str, float]) -> dict[str, float]:
    """Return the clean test accuracy of each part after 200 epochs of SGD on the standardised features in `folder`."""
    index = feature_index.load(folder)
    train, test = read_train(folder, index), read_test(folder, index, CLEAN_DRAW)
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
    groups: list[dict[str, Any]] = [{"params": [head.weight], "weight_decay": l2_weight}, {"params": [head.bias]}]
    optimizer = torch.optim.SGD(groups, lr=lr, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS)
    for _ in range(EPOCHS):
        for batch in torch.split(torch.randperm(len(x)), BATCH):
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(head(x[batch]), y[batch]))
            optimizer.step()
        schedule.step()
    objective = nn.functional.cross_entropy(head(x), y) + l2_weight / 2 * head.weight.square().sum()
    return float(objective), head


def measure(repeats: int) -> list[Ratio]:
    """Evaluations of a run per day, with 12 hyperparameters and with one; accuracies of the three parts in percent."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        run = TrainedRun(Path(folder), {"draws": DRAWS, "evaluations": ["probe"]}, {"probe": PROBE})
        rounds: list[dict[str, float]] = []

        def peer() -> float:
            rounds.append(authors_peer.timed(run))
            return rounds[-1]["epoch"]

        found = in_turns({"ours": lambda: ours(run), "peer": peer}, repeats, "probe")
        rates = [86400 / seconds for seconds in found["ours"]]
        for n, target in ((len(L2_WEIGHTS), "at least 300"), (1, "")):
            what = f"linear probe of {PARTS} parts, {n} hyperparameters for the peer"
            what += f", {len(PERTURBATIONS)} perturbations × {DRAWS} draws"
            peers = [86400 / authors_peer.whole(times, DRAWS, n) for times in rounds[1:]]
            rows.append(Ratio(what, "runs/day", rates, peers, target))
        (made_for,) = run.planned.targets
        made = record.load(run.results / run.planned.record(made_for))
        chosen = {part: own[0]["l2_weight"] for part, own in made.chosen.items()}
        solved = {cell.part: 100 * (cell.value or 0.0) for cell in made.cells if cell.perturbation == "none"}
        features = run.results / str(run.planned.features(made_for))
        for part, accuracy in sgd_accuracies(features, chosen).items():
            what = f"accuracy of the probe, {part}, against 200 epochs of SGD on the same features"
            rows.append(Ratio(what, "%", [solved[part]], [accuracy], "within 0.3 points"))
    return rows


if __name__ == "__main__":
    write("probe", measure(repeats_from_arguments(5, __doc__)))
