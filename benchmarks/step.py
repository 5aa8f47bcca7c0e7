"""A pretraining step of SimSiam, end to end: images in memory to updated weights.

Two networks: ResNet-18 at 32 px, batch 256, as in the recipe of `cifar10`; the small network at 28 px, batch 128, of
`fashion_mnist`, also on one thread, as the suite trains it. Ours is the step as the suite trains it. Peers, in turns:
our own step on random views that lie in memory, which is the limit; lightly as its users run it, in float32 and under
bf16 autocast (BAug and CAug: it has no elastic deformation); and the plain loop of the official code's kind:
torchvision's network, float32, contiguous, PIL transforms. The peers' loaders have 2 workers, on a GPU, too.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import lightly_peer
import torch
from augmentation import PilTwoViews, natural_like, peer_transform
from measure import Ratio, in_turns, repeats_from_arguments, write
from torch import Tensor, nn
from torchvision.models import resnet18

from ddcl.build import build_method, build_pipeline
from ddcl.core.devices import keep_freed_memory
from ddcl.core.method import Batch
from ddcl.core.pretrain import Pretraining
from ddcl.data.images import ArrayImages
from ddcl.data.loader import TwoViewLoader
from ddcl.schema.recipes import Recipe, build_recipe
from ddcl.schema.suites import NormalisationConfig

IMAGES = 4096
CORES = len(os.sched_getaffinity(0))
Path = tuple[Callable[[], object], str]  # a step, and its precision


@dataclass(frozen=True)
class Setting:
    """What is trained how: a network by its data set's recipe, on how many threads, and steps per round."""

    what: str
    dataset: str
    side_px: int
    batch: int
    threads: int
    steps: int
    augmentation: str = ""

    def recipe(self) -> Recipe:
        """Return the recipe of the suite."""
        return build_recipe((self.dataset, "simsiam", self.augmentation), 0, {"batch_size": self.batch})

    def images(self) -> Tensor:
        """Return images to train on, uint8 [N, 3, S, S]."""
        return natural_like(IMAGES, self.side_px)


RESNET = Setting("ResNet-18, 32 px, batch 256", "cifar10", 32, 256, CORES, 1)
SMALL = Setting("small network, 28 px, batch 128", "fashion_mnist", 28, 128, CORES, 30)
ALONE = Setting("small network, 28 px, batch 128, one thread", "fashion_mnist", 28, 128, 1, 30)
AUGMENTATIONS = ("baug", "caug", "caug_plus")


class PeerSimSiam(nn.Module):
    """SimSiam of torchvision's ResNet-18 with the small-image stem."""

    def __init__(self, dim: int = 2048, hidden: int = 512) -> None:
        super().__init__()
        encoder = resnet18(num_classes=1)
        encoder.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
        encoder.maxpool, encoder.fc = nn.Identity(), nn.Identity()
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
        loss: Tensor = -0.5 * (cosine(p1, z2.detach()).mean() + cosine(p2, z1.detach()).mean())
        return loss


def serve(build: Callable[[Setting], Path], setting: Setting, pipe: Connection) -> None:
    """In a process of its own: build a path, then time a round of steps whenever it is asked for."""
    torch.set_num_threads(setting.threads)
    step, precision = build(setting)
    pipe.send(precision)
    while pipe.recv():
        start = time.perf_counter()
        for _ in range(setting.steps):
            step()
        pipe.send(setting.steps * setting.batch / (time.perf_counter() - start))


def training(setting: Setting) -> tuple[Pretraining, TwoViewLoader]:
    """Return the training of `ddcl pretrain`, and its loader."""
    keep_freed_memory()  # as `ddcl pretrain` does
    recipe, side = setting.recipe(), setting.side_px
    normalisation = NormalisationConfig(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225])
    images = ArrayImages(setting.images(), torch.zeros(IMAGES).long(), side)
    pipeline = build_pipeline(recipe.ops, side, normalisation)
    loader = TwoViewLoader(images, pipeline, setting.batch, ("bench", 0), "cpu")
    found = Pretraining(build_method(recipe), loader, lambda method: {}, recipe.training, ("", ""), 0)
    found.method.train()
    return found, loader


def ours(setting: Setting) -> Path:
    """Return the step of `ddcl pretrain`."""
    found, loader = training(setting)
    batches = itertools.chain.from_iterable(loader.epoch(number, number) for number in itertools.count())
    return lambda: found.train_step(next(batches)), found.precision


def resident(setting: Setting) -> Path:
    """Return the same step, always on the same random views."""
    found, _ = training(setting)
    views = torch.randn(2, setting.batch, 3, setting.side_px, setting.side_px)
    batch = Batch(views[0], views[1], torch.zeros(setting.batch).long())
    return lambda: found.train_step(batch), f"{found.precision}, resident views"


def endless(loader: Iterable[Any]) -> Iterator[Any]:
    """Yield the loader's batches, epoch after epoch."""
    while True:
        yield from loader


def loop(model: nn.Module, batches: Iterator[Sequence[Tensor]], bf16: bool) -> Callable[[], object]:
    """Return the step of a plain training loop over pairs of views."""
    optimizer = torch.optim.SGD(model.parameters(), lr=0.06, momentum=0.9, weight_decay=5e-4)

    def step() -> None:
        x1, x2 = next(batches)
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = model(x1, x2)
        loss.backward()
        optimizer.step()

    return step


def plain(setting: Setting) -> Path:
    """Return the step of the plain loop."""
    views = PilTwoViews(setting.images(), peer_transform(setting.side_px, setting.augmentation))
    loader = torch.utils.data.DataLoader(views, setting.batch, shuffle=True, num_workers=2, drop_last=True)
    return loop(PeerSimSiam(), endless(loader), bf16=False), "a plain loop, fp32"


def lightly(bf16: bool, setting: Setting) -> Path:
    """Return the step of a user of lightly."""
    loader = lightly_peer.loader(setting.images(), setting.augmentation, setting.batch)
    views = (batch[0] for batch in endless(loader))  # beside labels and names of files
    return loop(lightly_peer.SimSiam(setting.recipe()), views, bf16), f"lightly, {'bf16' if bf16 else 'fp32'}"


def peers(setting: Setting) -> dict[Callable[[Setting], Path], str]:
    """Return the paths that ours is compared with, and the targets."""
    found: dict[Callable[[Setting], Path], str] = {
        resident: "at least 0.98" if setting.dataset == RESNET.dataset else "at least 0.9"
    }
    if setting.threads == CORES and setting.augmentation in lightly_peer.AUGMENTATIONS:
        found |= {partial(lightly, False): "report", partial(lightly, True): "report"}
    if setting == replace(RESNET, augmentation="caug"):
        found[plain] = "at least 3"
    return found


def measure(setting: Setting, repeats: int) -> list[Ratio]:
    """Return images per second of ours against each peer, the loaders' waiting included."""
    context = multiprocessing.get_context("spawn")  # of their own: how ours treats memory must not help the peers
    pipes: dict[str, Connection] = {}
    targets, processes = [], []
    for build, target in {ours: "", **peers(setting)}.items():
        near, far = context.Pipe()
        processes.append(context.Process(target=serve, args=(build, setting, far)))
        processes[-1].start()
        pipes[near.recv()] = near
        targets.append(target)

    def rate(name: str) -> float:
        pipes[name].send(True)
        return float(pipes[name].recv())

    what = f"pretraining step, {setting.what}, {setting.augmentation}"
    found = in_turns({name: partial(rate, name) for name in pipes}, repeats, what)
    for pipe, process in zip(pipes.values(), processes, strict=True):
        pipe.send(False)
        process.join()
    own = next(iter(found))
    return [
        Ratio(f"{what}, {own} against {name}", "images/s", found[own], found[name], target)
        for name, target in list(zip(found, targets, strict=True))[1:]
    ]


if __name__ == "__main__":
    rounds = repeats_from_arguments(7, __doc__)
    settings = [replace(setting, augmentation=name) for setting in (RESNET, SMALL, ALONE) for name in AUGMENTATIONS]
    write("step", [ratio for setting in settings for ratio in measure(setting, rounds)])
