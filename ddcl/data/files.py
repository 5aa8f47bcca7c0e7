"""Large images in files: decoded when they are asked for, by a pool of workers.

A worker decodes, crops and resizes; on a CPU it also makes the views, while the process that trains does not wait.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ddcl.base.errors import UserError
from ddcl.base.interrupt import survive_first_signal
from ddcl.core.seeds import Draws
from ddcl.data.images import BatchRequest
from ddcl.data.views import CROP, Pipeline, load_op
from ddcl.schema.ops import ResizedCropSettings

MARGIN = 2.0  # as in PIL's thumbnail: "very close" to resizing the whole image
BILINEAR = 2  # PIL's, which is antialiased
Box: TypeAlias = tuple[int, int, int, int]  # left, top, width, height


@dataclass(frozen=True)
class FileImages:
    """The images of a split in files.

    names: relative to `root`. sizes_bytes: what each file must have, from the manifest.
    side_px: of the square that comes out. resize_px: the shorter side before the central crop of evaluation.
    workers: processes that decode; 0: this one. What comes out does not depend on their number.
    exact: decode JPEG files whole for random crops too, where a part of the resolution would do.
    """

    root: Path
    names: Sequence[str]
    sizes_bytes: Sequence[int]
    labels: Tensor
    side_px: int
    resize_px: int
    workers: int = 0
    exact: bool = False

    @property
    def crops(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, index: Tensor) -> FileImages:
        chosen = index.tolist()
        names, sizes = ([items[i] for i in chosen] for items in (self.names, self.sizes_bytes))
        return replace(self, names=names, sizes_bytes=cast("list[int]", sizes), labels=self.labels[index])

    def load(self, requests: Sequence[BatchRequest], crop: ResizedCropSettings | None) -> Iterator[list[Tensor]]:
        return self._in_workers(_Decoder(self, requests, crop))

    def views(self, requests: Sequence[BatchRequest], pipeline: Pipeline) -> Iterator[list[Tensor]]:
        """Yield, per batch, the normalised views of its draws, float32 [B, 3, S, S], made by the workers."""
        return self._in_workers(_Decoder(self, requests, pipeline.leading_crop, pipeline))

    def _in_workers(self, batches: _Decoder) -> Iterator[list[Tensor]]:
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
    def open(self, index: int) -> Iterator[Any]:
        """Open image `index` as a PIL image, not yet decoded; `UserError` names a file that is missing or damaged."""
        from PIL import Image

        path = self.root / self.names[index]
        try:
            if path.stat().st_size != self.sizes_bytes[index]:
                found = path.stat().st_size
                raise UserError(
                    f"{path}: {found} bytes, {self.sizes_bytes[index]} when it was prepared; run `ddcl prepare` again"
                )
            with Image.open(path) as image:
                yield image
        except OSError as error:
            raise UserError(f"{path}: cannot be read as an image ({error})") from None


class _Decoder(torch.utils.data.Dataset[list[Tensor]]):
    """Batch i of `requests`, decoded, and if a pipeline is given made into views."""

    def __init__(
        self,
        images: FileImages,
        requests: Sequence[BatchRequest],
        crop: ResizedCropSettings | None,
        pipeline: Pipeline | None = None,
    ) -> None:
        self.images, self.requests, self.crop, self.pipeline = images, requests, crop, pipeline

    def __len__(self) -> int:
        return len(self.requests)

    def __getitem__(self, i: int) -> list[Tensor]:
        request, side = self.requests[i], self.images.side_px
        out = np.empty((max(1, len(request.draws)), len(request.index), 3, side, side), np.uint8)
        for row, index in enumerate(request.index.tolist()):
            with self.images.open(index) as image:
                if self.crop is None:
                    out[:, row] = _central(image, self.images.resize_px, side)
                else:
                    boxes = [_box(image, draws, index, self.crop) for draws in request.draws]
                    out[:, row] = _cropped(image, boxes, side, self.images.exact)
        decoded = list(torch.from_numpy(out))
        if self.pipeline is None:
            return decoded
        cropped = self.crop is not None
        return [self.pipeline(x, draws, cropped) for x, draws in zip(decoded, request.draws, strict=True)]


def _pixels(image: Any) -> NDArray[np.uint8]:
    return np.asarray(image).transpose(2, 0, 1)


def _central(image: Any, resize_px: int, side_px: int) -> NDArray[np.uint8]:
    """Return the central square after resizing the shorter side: Resize(256) and CenterCrop(224) of the sources."""
    from torchvision.transforms.v2 import functional as tv

    resized = tv.resize(image.convert("RGB"), [resize_px], antialias=True)
    return _pixels(tv.center_crop(resized, [side_px, side_px]))


def _box(image: Any, draws: Draws, index: int, crop: ResizedCropSettings) -> Box:
    """Return the random crop that the draws of image `index` give, in pixels of the whole image."""
    own = Draws(draws.stream, torch.tensor([index]), draws.epoch, draws.view)
    box = load_op("resized_crop").sample(own, CROP, (image.height, image.width), crop)
    left, top, width, height = (int(box[key]) for key in ("left_px", "top_px", "width_px", "height_px"))
    return left, top, width, height


def _cropped(image: Any, boxes: Sequence[Box], side_px: int, exact: bool) -> list[NDArray[np.uint8]]:
    """Return the crops, resized by PIL as in the official code.

    A JPEG file is decoded at 1/2, 1/4 or 1/8 of its resolution where every crop still has twice `side_px` pixels then.
    """
    width, height = image.size
    if not exact:
        needed = MARGIN * max(side_px / min(own_width, own_height) for _, _, own_width, own_height in boxes)
        image.draft("RGB", (math.ceil(width * needed), math.ceil(height * needed)))  # does nothing to other files
    reduced = image.size != (width, height)
    x, y = image.width / width, image.height / height
    image, out = image.convert("RGB"), []
    for left, top, own_width, own_height in boxes:
        right, bottom = left + own_width, top + own_height
        if reduced:
            box = (left * x, top * y, min(right * x, image.width), min(bottom * y, image.height))
            out.append(_pixels(image.resize((side_px, side_px), BILINEAR, box=box)))
        else:
            out.append(_pixels(image.crop((left, top, right, bottom)).resize((side_px, side_px), BILINEAR)))
    return out
