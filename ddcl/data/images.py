"""Images of a split, stored in one array (here) or in files that are decoded by workers (`files`).

Both implement `load`, which returns the images of given batches, one tensor per view. Everything after that
(operations, normalisation, device) is in `batches.views`, and is the same for both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from ddcl.core.seeds import Draws
from ddcl.data.ops.parameters import Params
from ddcl.schema.ops import ResizedCropSettings


@dataclass(frozen=True)
class BatchRequest:
    """A batch: which images [B], and the draws of each view (none: the images as evaluation sees them).

    The images [B] of `draws` differ from `index` if several images share their draws.
    """

    index: Tensor
    draws: tuple[Draws, ...] = ()

    def share(self, rank: int, processes: int) -> BatchRequest:
        """Return the part of the batch that process `rank` of `processes` takes; they must divide it equally."""
        index, *keys = (x.view(processes, -1)[rank] for x in (self.index, *(draws.images for draws in self.draws)))
        return BatchRequest(index, tuple(replace(own, images=key) for own, key in zip(self.draws, keys, strict=True)))


class Images(Protocol):
    """The images of a split.

    labels: [N] int64; −1 where no class is known.
    groups: [N] int64, of images that are not independent (`ddcl.data.groups`); None: all are.
    side_px: of the squares that `load` yields.
    crops: whether `load` cuts the pipeline's leading crop itself.
    """

    @property
    def labels(self) -> Tensor: ...

    @property
    def groups(self) -> Tensor | None: ...

    @property
    def side_px(self) -> int: ...

    @property
    def crops(self) -> bool: ...

    def __len__(self) -> int: ...

    def subset(self, index: Tensor) -> Images:
        """Return the images `index` as a split of their own."""

    def load(self, requests: Sequence[BatchRequest], crop: ResizedCropSettings | None) -> Iterator[list[Tensor]]:
        """Yield, per batch, uint8 [B, 3, H, W] for each of its draws, or once where there are none."""

    def boxes(self, requests: Sequence[BatchRequest], crop: ResizedCropSettings) -> Iterator[list[Params]]:
        """Yield, per batch, the parameters of the crops that `load` cuts, for each of its draws; only if it `crops`."""

    def with_crops_of(self, side_px: int) -> Images:
        """Return the same images, whose crops come out with another side, if `load` cuts them."""


class ArrayImages:
    """Small images in one array, in memory, memory-mapped, or on the device.

    images: uint8 [N, 3, S, S]. side_px: what the encoder sees; other sizes are resized (bilinear, antialiased).
    """

    def __init__(self, images: Tensor, labels: Tensor, side_px: int, groups: Tensor | None = None) -> None:
        self.images, self.labels, self.side_px, self.groups = images, labels, side_px, groups

    @property
    def crops(self) -> bool:
        return False

    def __len__(self) -> int:
        return len(self.images)

    def subset(self, index: Tensor) -> ArrayImages:
        groups = None if self.groups is None else self.groups[index]
        return ArrayImages(self.images[index], self.labels[index], self.side_px, groups)

    def to(self, device: str) -> ArrayImages:
        """Return the same images on `device`."""
        return ArrayImages(self.images.to(device), self.labels, self.side_px, self.groups)

    def load(self, requests: Sequence[BatchRequest], crop: ResizedCropSettings | None) -> Iterator[list[Tensor]]:
        for request in requests:
            if self.images.device.type == "cpu":  # numpy: torch's threads would spin where compiled operations run next
                x = torch.from_numpy(self.images.numpy()[request.index.numpy()])
            else:
                x = self.images[request.index.to(self.images.device)]
            if x.shape[-1] != self.side_px:
                side = (self.side_px, self.side_px)
                x = F.interpolate(x.float(), side, mode="bilinear", antialias=True).round_().clamp_(0, 255).byte()
            yield [x] * max(1, len(request.draws))

    def boxes(self, requests: Sequence[BatchRequest], crop: ResizedCropSettings) -> Iterator[list[Params]]:
        raise TypeError("images in one array are cropped by the pipeline, which has the parameters")

    def with_crops_of(self, side_px: int) -> ArrayImages:
        return self


def on_device(images: Images, device: str) -> Images:
    """Move the images to `device` if they are one array and use less than half of the free memory."""
    if not isinstance(images, ArrayImages) or device == "cpu":
        return images
    free_bytes = torch.cuda.mem_get_info()[0]
    return images.to(device) if images.images.nbytes < free_bytes / 2 else images


def chunks(n: int, size: int) -> list[BatchRequest]:
    """Return requests for images 0 … n − 1 in order, `size` at a time."""
    return [BatchRequest(index) for index in torch.split(torch.arange(n), size)]
