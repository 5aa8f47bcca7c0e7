"""SimSiam with ResNet-18 at 32 px, batch 256, CAug, end to end: images in memory to updated weights.

Ours is the `cifar` recipe as the suite trains it. The peer is the plain loop of the official code's kind: torchvision's
network, float32, contiguous, PIL transforms in a DataLoader with 2 workers. On a GPU the peer's loader is the same.
"""

from __future__ import annotations

import itertools
import time

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
from ddcl.recipes import build_recipe

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


def measure(repeats: int) -> Ratio:
    """Images per second of both paths, one step after another, the loaders' waiting included."""
    keep_freed_memory()  # as `ddcl pretrain` does; it helps the peer in this process as well
    images = natural_like(IMAGES, 32)
    recipe = build_recipe(("cifar10", "simsiam", "caug"), 0, {"batch_size": BATCH})
    normalisation = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    pipeline = build_pipeline(recipe.ops, 32, normalisation)
    loader = TwoViewLoader(ArrayImages(images, torch.zeros(IMAGES).long(), 32), pipeline, BATCH, ("bench", 0), "cpu")
    training = Pretraining(build_method(recipe), loader, lambda method: {}, recipe.training, ("", ""), 0)
    training.method.train()
    batches = itertools.chain.from_iterable(loader.epoch(number, number) for number in itertools.count())

    peer = PeerSimSiam()
    optimizer = torch.optim.SGD(peer.parameters(), lr=0.06, momentum=0.9, weight_decay=5e-4)
    peer_loader = torch.utils.data.DataLoader(
        PilTwoViews(images, peer_transform(32, "caug")), batch_size=BATCH, shuffle=True, num_workers=2, drop_last=True
    )
    peer_batches = itertools.chain.from_iterable(peer_loader for _ in itertools.count())

    def ours_rate() -> float:
        start = time.perf_counter()
        training.train_step(next(batches))
        return BATCH / (time.perf_counter() - start)

    def peer_rate() -> float:
        start = time.perf_counter()
        x1, x2 = next(peer_batches)
        optimizer.zero_grad()
        peer(x1, x2).backward()
        optimizer.step()
        return BATCH / (time.perf_counter() - start)

    found = in_turns({"ours": ours_rate, "peer": peer_rate}, repeats, "step")
    what = f"pretraining step, ResNet-18, 32 px, batch {BATCH}, {training.precision}"
    return Ratio(what, "images/s", found["ours"], found["peer"], "at least 3")


if __name__ == "__main__":
    write("step", [measure(repeats_from_arguments(5, __doc__))])
