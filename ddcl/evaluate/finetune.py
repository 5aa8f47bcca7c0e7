"""Fine-tuning: encoder and classifier trained together, on all training images or on a fixed list of them.

The official code's `ds_ft` (transfer) and `semi_1`, `semi_10` (1 % and 10 % of the labels), main_lincls.py.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from ddcl.build import build_pipeline
from ddcl.core.seeds import Draws
from ddcl.data.images import chunks
from ddcl.data.subsets import read_subset
from ddcl.evaluate.encode import CHUNK_IMAGES
from ddcl.evaluate.sgd import ImageTask, SgdTraining, cross_entropy, new_classifier
from ddcl.evaluate.store import Outcome
from ddcl.schema.evaluations import FinetuneSettings
from ddcl.schema.feature_index import CLEAN_DRAW
from ddcl.schema.registry import TOP1, TOP1_BEST_TEST


class Network(nn.Module):
    """An encoder with a classifier on all its features."""

    def __init__(self, task: ImageTask) -> None:
        super().__init__()
        self.method = copy.deepcopy(task.method).requires_grad_(True)
        width = self.method.parts()["full"][1]
        self.classifier = new_classifier(width, task.n_classes, (*task.names, "probe", width)).to(task.device)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.method.features(x))
        return logits


def evaluate(task: ImageTask, settings: FinetuneSettings) -> Outcome:
    """Return the predicted class of every clean test image after fine-tuning a copy of the run's encoder.

    No prediction if it diverged.
    """
    if settings.subset is not None:
        task = task.with_train(task.train.subset(read_subset(task.names[0], settings.subset, task.train.labels)))
    network = Network(task)
    pipeline = build_pipeline([], task.recipe.data.image_side_px, task.normalisation)
    labels = task.test.labels

    @torch.no_grad()
    def predict() -> Tensor:
        network.eval()
        requests = chunks(len(task.test), CHUNK_IMAGES)
        classes = [
            network(pipeline(x.to(task.device), Draws(0, request.index))).argmax(dim=1).cpu()
            for request, (x,) in zip(requests, task.test.load(requests, None), strict=True)
        ]
        network.train()
        return torch.cat(classes)

    def loss(x: Tensor, y: Tensor) -> Tensor:
        return cross_entropy(network(x), y)

    def scores() -> list[float]:
        return [float((predict() == labels).float().mean())]

    network.train()
    training = SgdTraining([network], _optimizer(network, settings), loss, scores, settings)
    training.run(task)
    chosen = {"n_train": float(len(task.train))}
    if any(training.diverged):
        return Outcome({}, chosen)
    last = predict()
    network.load_state_dict(training.best[0])
    return Outcome({TOP1: {CLEAN_DRAW: last.numpy()}, TOP1_BEST_TEST: {CLEAN_DRAW: predict().numpy()}}, chosen)


def _optimizer(network: Network, settings: FinetuneSettings) -> torch.optim.Optimizer:
    """Return SGD with a separate learning rate for the classifier, unless the settings ask for the official mistake."""
    scale = settings.batch_size / 256
    classifier_lr = settings.lr_backbone if settings.classifier_at_backbone_lr else settings.lr_classifier
    groups = [
        {"params": list(network.method.encoder.parameters()), "top_lr": settings.lr_backbone * scale},
        {"params": list(network.classifier.parameters()), "top_lr": classifier_lr * scale},
    ]
    return torch.optim.SGD(
        groups, lr=settings.lr_backbone * scale, momentum=settings.momentum, weight_decay=settings.weight_decay
    )
