"""Images of a split, wherever they lie: in one array, or in files that are decoded in workers.

Both answer the same question, `load`: the images of these batches, one tensor per view. What comes after (operations,
normalisation, device) is `views`, and the same for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ddcl.core.errors import UserError
from ddcl.core.interrupt import survive_first_signal
from ddcl.core.seeds import Draws
from ddcl.data.op_settings import ResizedCropSettings
from ddcl.data.ops import Params
from ddcl.data.ops_geometry import sample_resized_crop
from ddcl.data.views import CROP, Pipeline

SAMPLED_IMAGES = 4096  # whose parameters are drawn at once


@dataclass(frozen=True)
class Ask:
    """A batch: which images [B], and the draws of each view (none: the images as evaluation sees them)."""

    index: Tensor
    draws: tuple[Draws, ...] = ()

    def share(self, rank: int, processes: int) -> Ask:
        """Return the part of the batch that process `rank` of `processes` takes; they must divide it equally."""
        index = self.index.view(processes, -1)[rank]
        return Ask(index, tuple(replace(draws, images=index) for draws in self.draws))


class Images(Protocol):
    """The images of a split.

    labels: [N] int64; −1 where no class is known.
    side_px: of the squares that `load` yields.
    crops: whether `load` cuts the pipeline's leading crop itself.
    """

    @property
    def labels(self) -> Tensor: ...

    @property
    def side_px(self) -> int: ...

    @property
    def crops(self) -> bool: ...

    def __len__(self) -> int: ...

    def subset(self, index: Tensor) -> Images:
        """Return the images `index` as a split of their own."""

    def load(self, asks: Sequence[Ask], crop: ResizedCropSettings | None) -> Iterator[list[Tensor]]:
        """Yield, per batch, uint8 [B, 3, H, W] for each of its draws, or once where there are none."""


class ArrayImages:
    """Small images in one array, in memory, memory-mapped, or on the device.

    images: uint8 [N, 3, S, S]. side_px: what the encoder sees; other sizes are resized (bilinear, antialiased).
    """

    def __init__(self, images: Tensor, labels: Tensor, side_px: int) -> None:
        self.images, self.labels, self.side_px = images, labels, side_px

    @property
    def crops(self) -> bool:
        return False

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, index: Tensor) -> ArrayImages:
        return ArrayImages(self.images[index], self.labels[index], self.side_px)

    def to(self, device: str) -> ArrayImages:
        """Return the same images on `device`."""
        return ArrayImages(self.images.to(device), self.labels, self.side_px)

    def load(self, asks: Sequence[Ask], crop: ResizedCropSettings | None) -> Iterator[list[Tensor]]:
        for ask in asks:
            if self.images.device.type == "cpu":  # numpy: torch's threads would spin where compiled operations run next
                x = torch.from_numpy(self.images.numpy()[ask.index.numpy()])
            else:
                x = self.images[ask.index.to(self.images.device)]
            if x.shape[-1] != self.side_px:
                side = (self.side_px, self.side_px)
                x = F.interpolate(x.float(), side, mode="bilinear", antialias=True).round_().clamp_(0, 255).byte()
            yield [x] * max(1, len(ask.draws))


@dataclass(frozen=True)
class FileImages:
    """Large images in files; decoded when they are asked for.

    names: relative to `root`. sizes_bytes: what each file must have, from the manifest.
    side_px: of the square that comes out. resize_px: the shorter side before the central crop of evaluation.
    workers: processes that decode; 0: this one. What comes out does not depend on their number.
    """

    root: Path
    names: Sequence[str]
    sizes_bytes: Sequence[int]
    labels: Tensor
    side_px: int
    resize_px: int
    workers: int = 0

    @property
    def crops(self) -> bool:
        return True

    def __len__(self) -> int:
        return len(self.names)

    def subset(self, index: Tensor) -> FileImages:
        chosen = index.tolist()
        names, sizes = ([items[i] for i in chosen] for items in (self.names, self.sizes_bytes))
        return FileImages(
            self.root, names, cast("list[int]", sizes), self.labels[index], self.side_px, self.resize_px, self.workers
        )

    def load(self, asks: Sequence[Ask], crop: ResizedCropSettings | None) -> Iterator[list[Tensor]]:
        batches = _Decoder(self, asks, crop)
        if self.workers == 0:
            for i in range(len(batches)):
                yield batches[i]
            return
        loader: Iterable[list[Tensor]] = torch.utils.data.DataLoader(
            batches,
            batch_size=None,
            num_workers=self.workers,
            pin_memory=torch.cuda.is_available(),
            worker_init_fn=survive_first_signal,
        )
        yield from loader

    def open(self, index: int) -> Any:
        """Return image `index` as a PIL image in RGB; `UserError` names a file that is missing or damaged."""
        from PIL import Image

        path = self.root / self.names[index]
        try:
            if path.stat().st_size != self.sizes_bytes[index]:
                found = path.stat().st_size
                raise UserError(
                    f"{path}: {found} bytes, {self.sizes_bytes[index]} when it was prepared; run `ddcl prepare` again"
                )
            with Image.open(path) as image:
                return image.convert("RGB")
        except OSError as error:
            raise UserError(f"{path}: cannot be read as an image ({error})") from None


class _Decoder(torch.utils.data.Dataset[list[Tensor]]):
    """Batch i of `asks`, decoded."""

    def __init__(self, images: FileImages, asks: Sequence[Ask], crop: ResizedCropSettings | None) -> None:
        self.images, self.asks, self.crop = images, asks, crop

    def __len__(self) -> int:
        return len(self.asks)

    def __getitem__(self, i: int) -> list[Tensor]:
        ask = self.asks[i]
        n_views = max(1, len(ask.draws))
        side = self.images.side_px
        out = np.empty((n_views, len(ask.index), 3, side, side), np.uint8)
        for row, index in enumerate(ask.index.tolist()):
            image = self.images.open(index)
            for view in range(n_views):
                if self.crop is None:
                    out[view, row] = _central(image, self.images.resize_px, side) if view == 0 else out[0, row]
                else:
                    out[view, row] = _cropped(image, ask.draws[view], index, self.crop, side)
        return list(torch.from_numpy(out))


def _pixels(image: Any) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(image).transpose(2, 0, 1)


def _central(image: Any, resize_px: int, side_px: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the central square after resizing the shorter side: Resize(256) and CenterCrop(224) of the sources."""
    from torchvision.transforms.v2 import functional as tv

    return _pixels(tv.center_crop(tv.resize(image, [resize_px], antialias=True), [side_px, side_px]))


def _cropped(
    image: Any, draws: Draws, index: int, crop: ResizedCropSettings, side_px: int
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the random crop that the draws of image `index` give, resized by PIL, as the official code does."""
    own = Draws(draws.stream, torch.tensor([index]), draws.epoch, draws.view)
    box = sample_resized_crop(own, CROP, (image.height, image.width), crop)
    top, left, height, width = (int(box[key]) for key in ("top_px", "left_px", "height_px", "width_px"))
    region = image.crop((left, top, left + width, top + height))
    return _pixels(region.resize((side_px, side_px), 2))  # 2: bilinear, antialiased


def on_device(images: Images, device: str) -> Images:
    """Return the images on `device` where they are one array and fit beside a model (half of the free memory)."""
    if not isinstance(images, ArrayImages) or device == "cpu":
        return images
    free_bytes = torch.cuda.mem_get_info()[0]
    return images.to(device) if images.images.nbytes < free_bytes / 2 else images


def views(images: Images, asks: Sequence[Ask], pipeline: Pipeline, device: str) -> Iterator[list[Tensor]]:
    """Yield, per batch, the normalised views [B, 3, S, S] of its draws, made on `device`.

    asks: of one epoch, that is with the same streams, epochs and views.
    """
    crop = pipeline.leading_crop if images.crops else None
    start = 0 if crop is None else 1
    for loaded, params in zip(
        images.load(asks, crop), _sampled(asks, pipeline, images.side_px, start, device), strict=True
    ):
        yield [
            pipeline.apply(x.to(device, non_blocking=True), own, start) for x, own in zip(loaded, params, strict=True)
        ]


def _sampled(
    asks: Sequence[Ask], pipeline: Pipeline, side_px: int, start: int, device: str
) -> Iterator[tuple[list[Params], ...]]:
    """Yield, per batch, the parameters of its views, sampled for many batches at once.

    An image's parameters depend on its draws only; for a single small batch torch takes longer to start its operations
    than to compute.
    """
    at_once = max(1, SAMPLED_IMAGES // len(asks[0].index)) if asks else 1
    for first in range(0, len(asks), at_once):
        block = asks[first : first + at_once]
        index = torch.cat([ask.index for ask in block]).to(device)
        lengths = [len(ask.index) for ask in block]
        yield from zip(
            *(
                _split(pipeline.sample(replace(draws, images=index), side_px, side_px, start), lengths)
                for draws in block[0].draws
            ),
            strict=True,
        )


def _split(params: list[Params], lengths: list[int]) -> list[list[Params]]:
    """Return the parameters of consecutive batches of these lengths."""
    parts = [{key: torch.split(value, lengths) for key, value in op.items()} for op in params]
    return [[{key: value[i] for key, value in op.items()} for op in parts] for i in range(len(lengths))]


def chunks(n: int, size: int) -> list[Ask]:
    """Return asks for images 0 … n − 1 in order, `size` at a time."""
    return [Ask(index) for index in torch.split(torch.arange(n), size)]
