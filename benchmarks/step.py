"""SimSiam with ResNet-18 at 32 px, batch 256, CAug, end to end: images in memory to updated weights.

Ours is the `cifar` recipe as the suite trains it. The peer is the plain loop of the official code's kind: torchvision's
network, float32, contiguous, PIL transforms in a DataLoader with 2 workers. On a GPU the peer's loader is the same.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection

import torch
from augmentation import PilTwoViews, natural_like, peer_transform
from measure import Ratio, in_turns, repeats_from_arguments, write
from torch import Tensor, nn
from torchvision.models import resnet18

from ddcl.build import build_method, build_pipeline
from ddcl.core.devices import keep_freed_memory
from ddcl.core.pretrain import Pretraining
from ddcl.data.images import ArrayImages
from ddcl.data.loader import TwoViewLoader
from ddcl.schema.recipes import build_recipe
from ddcl.schema.suites import NormalisationConfig

BATCH, IMAGES = 256, 2048


class PeerSimSiam(nn.Module):
    """SimSiam of torchvision's ResNet-18 with the small-image stem."""

    def __init__(self, dim: int = 2048, hidden: int = 512) -> None:
        super().__init__()
        encoder = resnet18(num_classes=1)
        encoder.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        encoder.maxpool, encoder.fc = nn.Identity(), nn.Identity()  # type: ignore[assignment]
        layers: list[nn.Module] = []
        for width in (512, dim):
            layers += [nn.Linear(width, dim, bias=False), nn.BatchNorm1d(dim), nn.ReLU(inplace=True)]
        self.encoder = nn.Sequential(encoder, *layers, nn.Linear(dim, dim), nn.BatchNorm1d(dim, affine=False))
        self.predictor = nn.Sequential(
            nn.Linear(dim, hidden, bias=False), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, dim)
        )

    def forward(self, x1: Tensor, x2: Tensor) -> Tensor:
        """Return the loss of a batch."""
        z1, z2 = self.encoder(x1), self.encoder(x2)
        cosine = nn.CosineSimilarity(dim=1)
        p1, p2 = self.predictor(z1), self.predictor(z2)
        return -0.5 * (cosine(p1, z2.detach()).mean() + cosine(p2, z1.detach()).mean())


def serve(build: Callable[[], tuple[Callable[[], object], str]], pipe: Connection) -> None:
    """In a process of its own: build a path, then time one step whenever it is asked for."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    step, precision = build()
    pipe.send(precision)
    while pipe.recv():
        start = time.perf_counter()
        step()
        pipe.send(BATCH / (time.perf_counter() - start))


def ours() -> tuple[Callable[[], object], str]:
    """Return the step of `ddcl pretrain`, and its precision."""
    keep_freed_memory()  # as `ddcl pretrain` does
    recipe = build_recipe(("cifar10", "simsiam", "caug"), 0, {"batch_size": BATCH})
    normalisation = NormalisationConfig(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    images = ArrayImages(natural_like(IMAGES, 32), torch.zeros(IMAGES).long(), 32)
    loader = TwoViewLoader(images, build_pipeline(recipe.ops, 32, normalisation), BATCH, ("bench", 0), "cpu")
    training = Pretraining(build_method(recipe), loader, lambda method: {}, recipe.training, ("", ""), 0)
    training.method.train()
    batches = itertools.chain.from_iterable(loader.epoch(number, number) for number in itertools.count())
    return lambda: training.train_step(next(batches)), training.precision


def peer() -> tuple[Callable[[], object], str]:
    """Return the step of the plain loop, and its precision."""
    model = PeerSimSiam()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06, momentum=0.9, weight_decay=5e-4)
    loader = torch.utils.data.DataLoader(
        PilTwoViews(natural_like(IMAGES, 32), peer_transform(32, "caug")),
        batch_size=BATCH,
        shuffle=True,
        num_workers=2,
        drop_last=True,
    )
    batches = itertools.chain.from_iterable(loader for _ in itertools.count())

    def step() -> None:
        x1, x2 = next(batches)
        optimizer.zero_grad()
        model(x1, x2).backward()
        optimizer.step()

    return step, "fp32"


def measure(repeats: int) -> Ratio:
    """Images per second of both paths, one step after another, the loaders' waiting included."""
    context = multiprocessing.get_context("spawn")  # of their own: how ours treats memory must not help the peer
    pipes, precisions = {}, {}
    for name, build in (("ours", ours), ("peer", peer)):
        pipes[name], far = context.Pipe()
        context.Process(target=serve, args=(build, far)).start()
        precisions[name] = pipes[name].recv()

    def rate(name: str) -> float:
        pipes[name].send(True)
        return float(pipes[name].recv())

    found = in_turns({name: partial(rate, name) for name in pipes}, repeats, "step")
    for pipe in pipes.values():
        pipe.send(False)
    what = f"pretraining step, ResNet-18, 32 px, batch {BATCH}, {precisions['ours']} against {precisions['peer']}"
    return Ratio(what, "images/s", found["ours"], found["peer"], "at least 3")


if __name__ == "__main__":
    write("step", [measure(repeats_from_arguments(7, __doc__))])
