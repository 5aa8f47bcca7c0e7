"""Large images in files, decoded on demand by a pool of workers.

A worker decodes, crops and resizes; on a CPU it also makes the views, in parallel with the training process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ddcl.base.errors import UserError
from ddcl.base.interrupt import survive_first_signal
from ddcl.core.seeds import Draws
from ddcl.data.images import BatchRequest
from ddcl.data.ops.parameters import Params
from ddcl.data.readers.decode import (
    central_square,
    content_digest,
    draft,
    open_image,
    pixels,
    upright_rgb,
    upright_size,
)
from ddcl.data.views import CROP, Pipeline, load_op
from ddcl.schema.ops import ResizedCropSettings

MARGIN = 2.0  # as in PIL's thumbnail: "very close" to resizing the whole image
T = TypeVar("T")  # what there is of a view


@dataclass(frozen=True)
class FileImages:
    """The images of a split in files.

    names: relative to `root`. digests: of each file's content, from when it was prepared.
    side_px: of the square that comes out. resize_px: the shorter side before the central crop of evaluation.
    background: RGB, 0 … 255, under transparent pixels.
    workers: processes that decode; 0: this one. What comes out does not depend on their number.
    exact: decode JPEG files at full resolution for random crops too, even if a lower one would do.
    groups: as in `Images`.
    """

    root: Path
    names: Sequence[str]
    digests: Sequence[str]
    labels: Tensor
    side_px: int
    resize_px: int
    background: Sequence[int]
    workers: int = 0
    exact: bool = False
    groups: Tensor | None = None

    @property
    def crops(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, index: Tensor) -> FileImages:
        chosen = index.tolist()
        names, digests = ([items[i] for i in chosen] for items in (self.names, self.digests))
        groups = None if self.groups is None else self.groups[index]
        return replace(self, names=names, digests=digests, labels=self.labels[index], groups=groups)

    def load(self, requests: Sequence[BatchRequest], crop: ResizedCropSettings | None) -> Iterator[list[Tensor]]:
        return self._in_workers(_Decoder(self, requests, crop))

    def views(self, requests: Sequence[BatchRequest], pipeline: Pipeline) -> Iterator[list[Tensor]]:
        """Yield, per batch, the normalised views of its draws, float32 [B, 3, S, S], made by the workers."""
        return self._in_workers(_Decoder(self, requests, pipeline.leading_crop, pipeline))

    def boxes(self, requests: Sequence[BatchRequest], crop: ResizedCropSettings) -> Iterator[list[Params]]:
        return self._in_workers(_Boxes(self, requests, crop))

    def with_crops_of(self, side_px: int) -> FileImages:
        return replace(self, side_px=side_px)

    def _in_workers(self, batches: _Batches[T]) -> Iterator[list[T]]:
        if self.workers == 0:
            return (batches[i] for i in range(len(batches)))
        return iter(
            torch.utils.data.DataLoader(
                batches,
                batch_size=None,
                num_workers=self.workers,
                pin_memory=torch.cuda.is_available(),
                worker_init_fn=survive_first_signal,
            )
        )

    @contextmanager
    def open(self, index: int) -> Iterator[Image.Image]:
        """Open image `index`, not yet decoded; `UserError` if its file is missing, damaged or changed."""
        path = self.root / self.names[index]
        try:
            data = path.read_bytes()
            if content_digest(data) != self.digests[index]:
                raise UserError(f"{path}: its content has changed since it was prepared; run `ddcl prepare` again")
            with open_image(data) as image:
                yield image
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: cannot be read as an image ({error})") from None


class _Batches(Generic[T], torch.utils.data.Dataset[list[T]]):
    """Something of each view of batch i of `requests`."""

    requests: Sequence[BatchRequest]

    def __len__(self) -> int:
        return len(self.requests)


class _Boxes(_Batches[Params]):
    """The parameters of the random crops, for which a file is opened but not decoded."""

    def __init__(self, images: FileImages, requests: Sequence[BatchRequest], crop: ResizedCropSettings) -> None:
        self.images, self.requests, self.crop = images, requests, crop

    def __getitem__(self, i: int) -> list[Params]:
        request = self.requests[i]
        sizes = []
        for index in request.index.tolist():
            with self.images.open(index) as image:
                sizes.append(upright_size(image))
        found = [[_box(size, draws, row, self.crop) for row, size in enumerate(sizes)] for draws in request.draws]
        return [{key: torch.cat([box[key] for box in boxes]) for key in boxes[0]} for boxes in found]


class _Decoder(_Batches[Tensor]):
    """The pixels of batch i, and if a pipeline is given its views."""

    def __init__(
        self,
        images: FileImages,
        requests: Sequence[BatchRequest],
        crop: ResizedCropSettings | None,
        pipeline: Pipeline | None = None,
    ) -> None:
        self.images, self.requests, self.crop, self.pipeline = images, requests, crop, pipeline

    def __getitem__(self, i: int) -> list[Tensor]:
        request, side = self.requests[i], self.images.side_px
        out = np.empty((max(1, len(request.draws)), len(request.index), 3, side, side), np.uint8)
        for row, index in enumerate(request.index.tolist()):
            with self.images.open(index) as image:
                if self.crop is None:
                    rgb = upright_rgb(image, self.images.background)
                    out[:, row] = central_square(rgb, self.images.resize_px, side)
                else:
                    size = upright_size(image)
                    boxes = [_box(size, draws, row, self.crop) for draws in request.draws]
                    out[:, row] = _cropped(image, size, boxes, self.images)
        decoded = list(torch.from_numpy(out))
        if self.pipeline is None:
            return decoded
        cropped = self.crop is not None
        return [self.pipeline(x, draws, cropped) for x, draws in zip(decoded, request.draws, strict=True)]


def _box(size: tuple[int, int], draws: Draws, row: int, crop: ResizedCropSettings) -> Params:
    """Return the random crop of the batch's image `row`, in pixels of the whole image of (width, height)."""
    own = replace(draws, images=draws.images[row : row + 1])
    return load_op("resized_crop").sample(own, CROP, size[::-1], crop)


def _cropped(
    image: Image.Image, size: tuple[int, int], crops: Sequence[Params], images: FileImages
) -> list[NDArray[np.uint8]]:
    """Return the crops of an upright image of (width, height) `size`, resized by PIL as in the official code.

    A JPEG file is decoded at a part of its resolution where every crop still has twice `side_px` pixels then.
    """
    (width, height), side = size, (images.side_px, images.side_px)
    boxes = [tuple(int(box[key]) for key in ("left_px", "top_px", "width_px", "height_px")) for box in crops]
    if not images.exact:
        needed = MARGIN * max(images.side_px / min(own_width, own_height) for _, _, own_width, own_height in boxes)
        draft(image, (width * needed, height * needed))
    rgb, out = upright_rgb(image, images.background), []
    x, y = rgb.width / width, rgb.height / height
    for left, top, own_width, own_height in boxes:
        right, bottom = left + own_width, top + own_height
        if rgb.size != size:
            box = (left * x, top * y, min(right * x, rgb.width), min(bottom * y, rgb.height))
            out.append(pixels(rgb.resize(side, Image.Resampling.BILINEAR, box=box)))
        else:
            out.append(pixels(rgb.crop((left, top, right, bottom)).resize(side, Image.Resampling.BILINEAR)))
    return out
