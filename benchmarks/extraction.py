"""Extraction of test images under 5 perturbations × 10 draws, against encoding as many images that lie in memory.

What extraction adds is making the perturbed views. On one thread, as the suite runs it. The small network of
`fashion_mnist` at 28 px is the hard case; beside it the ResNet-18 of `cifar10` at 32 px.
"""

from __future__ import annotations

import time

import torch
from augmentation import MEAN, STD, natural_like
from measure import Ratio, in_turns, repeats_from_arguments, write

from ddcl.build import build_method, build_pipeline
from ddcl.core.devices import keep_freed_memory
from ddcl.data.images import ArrayImages
from ddcl.evaluate.encode import encode_chunks
from ddcl.schema.op_recipes import read_perturbation
from ddcl.schema.recipes import build_recipe
from ddcl.schema.suites import NormalisationConfig

DRAWS, PERTURBATIONS = 10, ("none", "color", "color_flip", "color_rotate", "color_rotate_elastic")
NETWORKS = {"small network, 28 px": ("fashion_mnist", 28, 512), "ResNet-18, 32 px": ("cifar10", 32, 8)}


def measure(what: str, repeats: int) -> Ratio:
    """Seconds of both paths."""
    dataset, side, n = NETWORKS[what]
    method = build_method(build_recipe((dataset, "simsiam", "baug"), 0, {})).eval().requires_grad_(False)
    normalisation = NormalisationConfig(mean=list(MEAN), std=list(STD))
    images = ArrayImages(natural_like(n, side), torch.zeros(n).long(), side)
    pipelines = [build_pipeline(read_perturbation(name, DRAWS).ops, side, normalisation) for name in PERTURBATIONS]
    jobs = [(pipeline, 0, draw) for pipeline in pipelines for draw in range(DRAWS)]
    views = torch.split(torch.randn(n, 3, side, side), 512)

    def ours() -> float:
        start = time.perf_counter()
        for _ in encode_chunks(method, images, jobs):
            pass
        return time.perf_counter() - start

    @torch.no_grad()
    def encoder() -> float:
        start = time.perf_counter()
        for _ in jobs:
            for x in views:
                method.features(x).float()
        return time.perf_counter() - start

    found = in_turns({"ours": ours, "encoder": encoder}, repeats, what)
    what = f"extraction of {n} images, 5 perturbations × {DRAWS} draws, one thread, {what}, encoding alone"
    return Ratio(what, "s", found["ours"], found["encoder"], "at most 1.15")


if __name__ == "__main__":
    rounds = repeats_from_arguments(5, __doc__)
    torch.set_num_threads(1)
    keep_freed_memory()  # as `ddcl extract` does
    write("extraction", [measure(what, rounds) for what in NETWORKS])
