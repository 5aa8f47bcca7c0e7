"""Two augmented views of each image: `ddcl.data` against torchvision's PIL transforms in a DataLoader with 2 workers.

The peer path is that of the official DDCL code: one image after another, PIL, ToTensor, Normalize. Both start from
decoded uint8 images in memory, 32 px for 32-px views and 256 px for 224-px views, and end with normalised batches.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import torch
from measure import Ratio, in_turns, repeats_from_arguments, write
from PIL import Image, ImageFilter
from torch import Tensor
from torchvision import transforms as tv

from ddcl.build import build_pipeline
from ddcl.core.seeds import Draws
from ddcl.data.images import ArrayImages
from ddcl.data.loader import TwoViewLoader
from ddcl.schema.op_recipes import read_ops
from ddcl.schema.suites import NormalisationConfig

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
TARGETS = {(32, "baug"): 20.0, (32, "caug"): 15.0, (32, "caug_plus"): 25.0}
TARGETS |= {(224, "baug"): 4.0, (224, "caug"): 3.5, (224, "caug_plus"): 12.0}
SIZES = {32: (32, 256, 5120), 224: (256, 32, 320)}  # views: stored side, batch, images of a round


def blurred(image: Image.Image) -> Image.Image:
    """Blur as MoCo's and SimSiam's loaders do."""
    return image.filter(ImageFilter.GaussianBlur(random.uniform(0.1, 2.0)))


def peer_transform(side: int, augmentation: str) -> Callable[[Image.Image], Tensor]:
    """The transforms of the official main.py; the strengths in pixels are those of 224-px images there too."""
    steps: list[Callable[..., object]] = [
        tv.RandomResizedCrop(side, scale=(0.2, 1.0)),
        tv.RandomApply([tv.ColorJitter(0.4, 0.4, 0.4, 0.1)], p=0.8),
        tv.RandomGrayscale(p=0.2),
        tv.RandomApply([tv.Lambda(blurred)], p=0.5),
        tv.RandomHorizontalFlip(),
    ]
    if augmentation != "baug":
        steps.append(tv.RandomRotation(90))
    if augmentation == "caug_plus":
        steps.append(tv.RandomApply([tv.ElasticTransform(100.0, 5.0)], p=0.5))
    whole: Callable[[Image.Image], Tensor] = tv.Compose([*steps, tv.ToTensor(), tv.Normalize(MEAN, STD)])
    return whole


class PilTwoViews(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Images as torchvision's CIFAR10 keeps them: one array, a PIL image per access."""

    def __init__(self, images: Tensor, transform: Callable[[Image.Image], Tensor]) -> None:
        self.images, self.transform = images.permute(0, 2, 3, 1).contiguous().numpy(), transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, Tensor]:
        image = Image.fromarray(self.images[i])
        return self.transform(image), self.transform(image)


def natural_like(n: int, side: int) -> Tensor:
    """Images with structure: blurred noise and fine noise."""
    coarse = torch.nn.functional.interpolate(torch.rand(n, 3, 8, 8), (side, side), mode="bicubic")
    return ((coarse + 0.1 * torch.randn(n, 3, side, side)).clamp(0, 1) * 255).to(torch.uint8)


def measure(side: int, augmentation: str, repeats: int) -> Ratio:
    """Views per second of both paths."""
    stored, batch, n = SIZES[side]
    images = natural_like(n, stored)
    ops = read_ops("augmentations", augmentation, {})[1]
    pipeline = build_pipeline(ops, side, NormalisationConfig(mean=list(MEAN), std=list(STD)))
    loader = TwoViewLoader(ArrayImages(images, torch.zeros(n).long(), side), pipeline, batch, ("bench", 0), "cpu")
    peer = torch.utils.data.DataLoader(
        PilTwoViews(images, peer_transform(side, augmentation)),
        batch_size=batch,
        shuffle=True,
        num_workers=2,
        drop_last=True,
        persistent_workers=True,
    )
    epoch = iter(range(10**6))

    def ours_rate() -> float:
        number, start = next(epoch), time.perf_counter()
        if stored == side:
            for _ in loader.epoch(number, number):
                pass
        else:
            for index in torch.split(torch.arange(n), batch):
                for view in (0, 1):
                    pipeline(images[index[0] : index[-1] + 1], Draws(number, index, 0, view))
        return 2 * n / (time.perf_counter() - start)

    def peer_rate() -> float:
        start = time.perf_counter()
        for _ in peer:
            pass
        return 2 * n / (time.perf_counter() - start)

    found = in_turns({"ours": ours_rate, "peer": peer_rate}, repeats, f"{side} px {augmentation}")
    what = f"two views, {side} px, {augmentation}"
    return Ratio(what, "views/s", found["ours"], found["peer"], f"at least {TARGETS[side, augmentation]:g}")


if __name__ == "__main__":
    rounds = repeats_from_arguments(7, __doc__)
    write("augmentation", [measure(side, augmentation, rounds) for side, augmentation in TARGETS])
