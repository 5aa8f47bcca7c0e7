"""How the official code evaluates a run (main_lincls.py, only_eval.py): parts of it are timed, the rest is multiplied.

For each part of the features and each penalty: 200 epochs of SGD on augmented images through the frozen encoder,
float32, PIL transforms in a DataLoader with 2 workers, the test split after each epoch. Then one pass over the test
images for each part, perturbation and draw. One epoch and one pass under each perturbation are timed.
"""

from __future__ import annotations

import time

import torch
from augmentation import MEAN, STD
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms as tv
from trained_run import PARTS, PERTURBATIONS, SIDE, TrainedRun

from ddcl.data.images import Images, chunks

EPOCHS, BATCH = 200, 256
TRAIN_STEPS = (tv.RandomResizedCrop(SIDE), tv.RandomHorizontalFlip())


class PilImages(Dataset[tuple[Tensor, int]]):
    """One PIL image per access, as torchvision's data sets do."""

    def __init__(self, images: Images, steps: tuple[object, ...]) -> None:
        ((pixels,),) = images.load(chunks(len(images), len(images)), None)
        self.images, self.labels = pixels.permute(0, 2, 3, 1).contiguous().numpy(), images.labels.tolist()
        self.transform = tv.Compose([*steps, tv.ToTensor(), tv.Normalize(MEAN, STD)])

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.images[i])), self.labels[i]


def loader(images: Images, steps: tuple[object, ...] = (), shuffle: bool = False) -> DataLoader[tuple[Tensor, int]]:
    """Return batches of transformed images, made by 2 workers."""
    return DataLoader(PilImages(images, steps), BATCH, shuffle=shuffle, num_workers=2)


def test_steps(perturbation: str) -> tuple[object, ...]:
    """Return the test transforms of the official only_eval.py."""
    jitter, flip, rotation = tv.ColorJitter(0.4, 0.4, 0.4, 0.1), tv.RandomHorizontalFlip(1.0), tv.RandomRotation(90)
    return {
        "none": (),
        "color": (jitter,),
        "color_flip": (jitter, flip),
        "color_rotate": (rotation, jitter),
        "color_rotate_elastic": (rotation, jitter, tv.ElasticTransform(100.0, 5.0)),
    }[perturbation]


def timed(run: TrainedRun) -> dict[str, float]:
    """Return the seconds of a training epoch with its test pass, and of one pass under each perturbation."""
    method, (train, test) = run.frozen(), run.images()
    head = nn.Linear(method.parts()["full"][1], 10)
    optimizer = torch.optim.SGD(head.parameters(), lr=30.0, momentum=0.9)

    @torch.no_grad()
    def test_pass(perturbation: str) -> float:
        start = time.perf_counter()
        for x, _ in loader(test, test_steps(perturbation)):
            head(method.features(x)).argmax(dim=1)
        return time.perf_counter() - start

    start = time.perf_counter()
    for x, y in loader(train, TRAIN_STEPS, shuffle=True):
        with torch.no_grad():
            h = method.features(x)
        optimizer.zero_grad()
        loss: Tensor = nn.functional.cross_entropy(head(h), y)
        torch.autograd.backward(loss)
        optimizer.step()
    epoch = time.perf_counter() - start
    passes = {name: test_pass(name) for name in PERTURBATIONS}
    return passes | {"epoch": epoch + passes["none"]}


def whole(times: dict[str, float], draws: int, penalties: int = 1) -> float:
    """Return the seconds of all parts and penalties, from those that `timed` gives. Clean images have one draw."""
    passes = times["none"] + draws * sum(times[name] for name in PERTURBATIONS if name != "none")
    return PARTS * (penalties * EPOCHS * times["epoch"] + passes)
