"""Extra content of batches that some methods request besides two views; each kind has its own iterator.

Images in files are opened once more for each of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import repeat
from typing import Any

from torch import Tensor

from ddcl.base.errors import UserError
from ddcl.core.method import Drawn
from ddcl.data.batches import parameters, views
from ddcl.data.images import BatchRequest, Images
from ddcl.data.ops.parameters import Params
from ddcl.data.views import Pipeline
from ddcl.schema.extras import Extras, ThirdCrop

THIRD_VIEW = 2  # the view number of x3 for its draws; x1 and x2 have 0 and 1


def extras_of(
    images: Images, requests: Sequence[BatchRequest], pipeline: Pipeline, asked: Extras, device: str
) -> Iterator[dict[str, Any]]:
    """Yield, per batch, the extra fields of `ddcl.core.method.Batch` that are requested.

    requests: of two views each, of one epoch.
    """
    originals: Iterator[Tensor | None] = repeat(None, len(requests))
    thirds: Iterator[tuple[Tensor | None, tuple[Drawn, ...]]] = repeat((None, ()), len(requests))
    drawn: Iterator[tuple[Drawn, ...]] = repeat((), len(requests))
    if asked.original:
        plain = [BatchRequest(request.index, request.draws[:1]) for request in requests]
        originals = (x for (x,) in views(images, plain, pipeline.without_operations(), device))
    if asked.crop:
        thirds = _third_views(images, requests, third_pipeline(pipeline, asked.crop), asked.drawn, device)
    if asked.drawn:
        drawn = _named(parameters(images, requests, pipeline, device), pipeline)
    for x0, (x3, of_third), of_two in zip(originals, thirds, drawn, strict=True):
        yield {"x0": x0, "x3": x3, "drawn": (*of_two, *of_third)}


def third_pipeline(pipeline: Pipeline, asked: ThirdCrop) -> Pipeline:
    """Return the pipeline of the third view; `UserError` if the augmentation does not begin with a crop."""
    crop = pipeline.leading_crop
    if crop is None:
        raise UserError("the method needs a third crop, so its augmentation must begin with resized_crop")
    scale = {"scale": list(asked.scale)} if asked.scale else {}
    return pipeline.with_crop(crop.model_copy(update=scale), round(asked.side_frac * pipeline.output_side_px))


def _third_views(
    images: Images, requests: Sequence[BatchRequest], pipeline: Pipeline, drawn: bool, device: str
) -> Iterator[tuple[Tensor, tuple[Drawn, ...]]]:
    """Yield, per batch, the third view and what was drawn for it, if that is asked for."""
    images = images.with_crops_of(pipeline.output_side_px)
    requests = [BatchRequest(request.index, (replace(request.draws[0], view=THIRD_VIEW),)) for request in requests]
    named: Iterator[tuple[Drawn, ...]] = repeat((), len(requests))
    if drawn:
        named = _named(parameters(images, requests, pipeline, device), pipeline)
    for (x,), own in zip(views(images, requests, pipeline, device), named, strict=True):
        yield x, own


def _named(params: Iterator[list[list[Params]]], pipeline: Pipeline) -> Iterator[tuple[Drawn, ...]]:
    """Yield, per batch and view, the parameters by the operations' names."""
    names = operation_names([name for name, _ in pipeline.recipe])
    for of_views in params:
        yield tuple(dict(zip(names, own, strict=True)) for own in of_views)


def operation_names(recipe: Sequence[str]) -> list[str]:
    """Return a unique name for each operation of a recipe: repeated ones are numbered, starting with `.2`."""
    seen = [recipe[: place + 1].count(name) for place, name in enumerate(recipe)]
    return [name if n == 1 else f"{name}.{n}" for name, n in zip(recipe, seen, strict=True)]
