"""How a careful user of lightly evaluates a run: parts of it are timed, the rest is multiplied.

For each part of the features: a `LinearClassifier` under a `Trainer`, 90 epochs as in its documentation, on augmented
images through the frozen encoder, with the test split after each epoch. The features of the training images, and of the
test images under each perturbation and draw, are computed once for all parts, and `knn_predict` is called on those of
each part. float32, as the features are that this suite compares; PIL transforms in a DataLoader with 2 workers. The
second of two epochs is timed, one pass under each perturbation, and one prediction for each part.
"""

from __future__ import annotations

import logging
import tempfile
import time
import warnings

import lightly_peer
import pytorch_lightning
import torch
from authors_peer import BATCH, TRAIN_STEPS, loader, test_steps
from lightly.utils.benchmarking import LinearClassifier
from pytorch_lightning.callbacks import LambdaCallback
from torch import Tensor, nn
from torch.nn import functional as F
from trained_run import PARTS, PERTURBATIONS, TrainedRun

from ddcl.core.method import Method
from ddcl.data.images import Images

EPOCHS, CLASSES, K, TEMPERATURE = (
    90,
    10,
    20,
    0.1,
)  # k as in `config/evaluations/knn.yaml`, where three more stand beside


class Features(nn.Module):
    """The frozen encoder as a module that `LinearClassifier` takes."""

    def __init__(self, method: Method) -> None:
        super().__init__()
        self.method = method

    def forward(self, x: Tensor) -> Tensor:
        """Return features [B, D]."""
        return self.method.features(x)


def timed(run: TrainedRun) -> dict[str, float]:
    """Return the seconds of an epoch, of a pass under each perturbation, of the bank, and of kNN of all parts once."""
    method, (train, test) = run.frozen(), run.images()
    bank, seconds = _features(method, train, "none")
    found, passes = {"bank": seconds}, {}
    for name in PERTURBATIONS:
        passes[name], found[name] = _features(method, test, name)
    start = time.perf_counter()
    for first, stop in method.parts().values():
        votes = F.normalize(bank[:, first:stop], dim=1).T.contiguous()
        for queries in torch.split(F.normalize(passes["none"][:, first:stop], dim=1), BATCH):
            lightly_peer.knn_predict(queries, votes, train.labels, CLASSES, K, TEMPERATURE)
    return found | {"knn": time.perf_counter() - start, "epoch": _epoch(method, train, test)}


@torch.no_grad()
def _features(method: Method, images: Images, perturbation: str) -> tuple[Tensor, float]:
    """Return the features [N, D] of the images, and the seconds that they took."""
    start = time.perf_counter()
    features = torch.cat([method.features(x) for x, _ in loader(images, test_steps(perturbation))])
    return features, time.perf_counter() - start


def _epoch(method: Method, train: Images, test: Images) -> float:
    """Return the seconds of an epoch of the linear classifier, with its test pass."""
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    classifier = LinearClassifier(Features(method), BATCH, feature_dim=method.parts()["full"][1], num_classes=CLASSES)
    ends: list[float] = []  # of the epochs, their test passes included
    ended = LambdaCallback(on_train_epoch_end=lambda *_: ends.append(time.perf_counter()))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pytorch_lightning.Trainer(
            max_epochs=2,
            accelerator="cpu",
            callbacks=[ended],
            default_root_dir=folder,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )
        trainer.fit(classifier, loader(train, TRAIN_STEPS, shuffle=True), loader(test))
    return ends[1] - ends[0]


def whole(times: dict[str, float], draws: int) -> float:
    """Return the seconds of all parts, from those that `timed` gives. Clean images have one draw."""
    perturbed = [times[name] for name in PERTURBATIONS if name != "none"]
    passes = times["none"] + draws * sum(perturbed)
    return PARTS * EPOCHS * times["epoch"] + times["bank"] + passes + (1 + draws * len(perturbed)) * times["knn"]
