"""Diagnostics of disentanglement: distortions read from each part of frozen features, invariance, and geometry.

The paper's central claim is that DIR ignores the distortion and DVR carries it. This is measured for any method, and
compared with random column subsets of the same width. Formulae, sources and limits: docs/diagnostics.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddcl.build import build_pipeline
from ddcl.core.method import Method
from ddcl.core.seeds import Draws, derive, generator
from ddcl.data.images import Images
from ddcl.data.views import Pipeline
from ddcl.evaluate.distortions import Distortion, all_in_a_row, distortions
from ddcl.evaluate.encode import Job, encode_chunks, finite
from ddcl.evaluate.equivariance import Moved, score
from ddcl.evaluate.geometry import Heads, cosines, geometry, pairs
from ddcl.evaluate.readout import FactorData, ReadoutResult, read_classes, read_numbers
from ddcl.evaluate.sgd import ImageTask
from ddcl.evaluate.store import Address, ColumnSets, Measured
from ddcl.schema.evaluations import DiagnosticsSettings
from ddcl.schema.metrics import EQUIVARIANT_TO
from ddcl.schema.names import CLEAN

SPLITS = ("train", "test")


@dataclass(frozen=True)
class Encoded:
    """Features of the images of a split.

    distorted: [N, D] under each distortion. params: the parameters of its operation. clean: [N, D].
    views: [V, N, D], under the augmentation. index: [N], which images of the split. groups: [N], of those.
    """

    distorted: dict[str, Tensor]
    params: dict[str, dict[str, Tensor]]
    clean: Tensor
    views: Tensor
    index: Tensor
    groups: Tensor | None


def evaluate(task: ImageTask, sets: ColumnSets, settings: DiagnosticsSettings) -> Measured:
    """Measure all diagnostics of each part and column set on test images; readouts are fitted to training images."""
    known = distortions(settings)
    train, test = (_encode(task, split, known, settings) for split in SPLITS)
    seed = derive(*task.names, "diagnostics", "readout")
    values: dict[Address, NDArray[np.floating]] = {}
    arrays: dict[str, NDArray[Any]] = {"images": test.index.numpy().astype(np.int32)}
    for name, distortion in known.items():
        for metric, target in distortion.targets.items():
            both = [
                FactorData(
                    split.distorted[name],
                    target(split.params[name], task.test.side_px).to(split.clean.device),
                    split.groups,
                )
                for split in (train, test)
            ]
            read = read_classes if metric == "readout_flip" else read_numbers
            readings = read(both[0], both[1], sets, settings, seed)
            values |= {(CLEAN, part, metric): reading.scores[:, None] for part, reading in readings.items()}
            arrays |= _kept(metric, both[1].factor, readings)
            if metric == "readout_angle":
                readings = read_numbers(both[0].shuffled(seed), both[1].shuffled(seed), sets, settings, seed)
                values |= {
                    (CLEAN, part, "readout_shuffled"): reading.scores[:, None] for part, reading in readings.items()
                }
    for name in EQUIVARIANT_TO:
        omega = _all_targets(known[name], train.params[name], task.test.side_px).to(train.clean.device)
        fitted = Moved(train.clean, train.distorted[name][None], omega[None], train.groups)
        scored = score(fitted, _views_under(task, test, name, known[name], settings), sets, settings, seed)
        values |= {(CLEAN, part, f"{kind}_{name}"): scores[:, None] for (part, kind), scores in scored.items()}
    with torch.no_grad():
        heads = [task.method.projections(view) for view in test.views[:2]]
    measured = geometry(test.clean, test.views, heads, sets)
    values |= {(CLEAN, part, metric): scores[:, None] for (part, metric), scores in measured.items()}
    return Measured(values, len(test.index), arrays | _kept_cosines(test.views, heads, sets))


def _encode(task: ImageTask, split: str, known: Mapping[str, Distortion], settings: DiagnosticsSettings) -> Encoded:
    """Encode the images of a split: clean, under every distortion and, for the test split, as augmented views."""
    images, names = task.train if split == "train" else task.test, (*task.names, "diagnostics", split)
    n = min(len(images), settings.max_train_images if split == "train" else settings.max_test_images)
    # independent of the method: all methods get the same images with the same distortions
    index = torch.randperm(len(images), generator=generator(*names, "images"))[:n].sort().values
    side_px = images.side_px
    jobs: dict[str, Job] = {"clean": (build_pipeline([], side_px, task.normalisation), 0, 0)}
    for name, distortion in known.items():
        jobs[name] = (build_pipeline([distortion.op], side_px, task.normalisation), derive(*names, name), 0)
    n_views = settings.n_views if split == "test" else 0
    pipeline = build_pipeline(task.recipe.ops or all_in_a_row(settings), side_px, task.normalisation)
    jobs |= {f"view {view}": (pipeline, derive(*names, "view"), view) for view in range(n_views)}
    features = _features(task.method, images.subset(index), jobs)
    views = [features[f"view {view}"] for view in range(n_views)]
    return Encoded(
        distorted={name: features[name] for name in known},
        params={name: _params(*jobs[name], n) for name in known},
        clean=features["clean"],
        views=torch.stack(views) if views else torch.empty(0),
        index=index,
        groups=None if images.groups is None else images.groups[index],
    )


def _views_under(
    task: ImageTask, test: Encoded, name: str, distortion: Distortion, settings: DiagnosticsSettings
) -> Moved:
    """Return several views of the first test images under a distortion."""
    n, side_px = min(len(test.index), settings.n_moved_images), task.test.side_px
    pipeline = build_pipeline([distortion.op], side_px, task.normalisation)
    stream = derive(*task.names, "diagnostics", "test", name)
    jobs = {str(view): (pipeline, stream, view) for view in range(settings.n_moved_views)}
    features = _features(task.method, task.test.subset(test.index[:n]), jobs)
    params = [_all_targets(distortion, _params(*job, n), side_px) for job in jobs.values()]
    return Moved(test.clean[:n], torch.stack(list(features.values())), torch.stack(params).to(test.clean.device))


def _all_targets(distortion: Distortion, params: dict[str, Tensor], side_px: int) -> Tensor:
    """Return [N, k]: all readout targets of a distortion's parameters."""
    return torch.cat([target(params, side_px) for target in distortion.targets.values()], dim=1)


def _features(method: Method, images: Images, jobs: Mapping[str, Job]) -> dict[str, Tensor]:
    """Return the features [N, D] of all images under each job, float32, on the method's device."""
    chunks = zip(*encode_chunks(method, images, list(jobs.values())), strict=True)
    return {name: finite(torch.cat(rows)) for name, rows in zip(jobs, chunks, strict=True)}


def _params(pipeline: Pipeline, stream: int, view: int, n: int) -> dict[str, Tensor]:
    """Return the parameters that the one operation of a pipeline had for images 0 … n − 1 in a view."""
    side_px = pipeline.output_side_px
    return pipeline.sample(Draws(stream, torch.arange(n), view), side_px, side_px)[0]


def _kept_cosines(views: Tensor, heads: Heads, sets: ColumnSets) -> dict[str, NDArray[Any]]:
    """Return, for storage, the cosines [M] of two views for each part that is not a random one."""
    kept: dict[str, NDArray[Any]] = {}
    for part, (columns, *others) in sets.items():
        if not others:
            first, second = pairs(views[..., columns], heads, part)
            kept[f"cosine/{part}"] = cosines(first, second).mean(dim=0).float().cpu().numpy()
    return kept


def _kept(metric: str, true: Tensor, readings: Mapping[str, ReadoutResult]) -> dict[str, NDArray[Any]]:
    """Return, for storage, the true factor [M, k] and the predictions from each part [column sets, M, k]."""
    kept: dict[str, NDArray[Any]] = {f"true/{metric}": true.float().cpu().numpy()}
    return kept | {f"{metric}/{part}": reading.predicted.astype(np.float16) for part, reading in readings.items()}
