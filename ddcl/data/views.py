"""From stored images to the normalised views that an encoder sees: pretraining views and test perturbations alike."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from pydantic import BaseModel
from torch import Tensor

from ddcl.base.errors import UserError
from ddcl.core.seeds import Draws
from ddcl.data.ops.parameters import Params
from ddcl.schema.ops import OPS, ResizedCropSettings

CROP = "0:resized_crop"  # the name under which a recipe's leading crop draws

# On a CPU, pixels of the views made at once, so that intermediate results stay in the cache.
CPU_CHUNK_PIXELS = 2**17


Recipe = Sequence[tuple[str, BaseModel]]


@dataclass(frozen=True)
class Op:
    """One image operation, imported.

    sample: (draws, name, (height_px, width_px), settings) -> parameters, a dictionary of tensors [B, …].
    apply: (x, parameters, settings) -> x, float32 [B, 3, H, W] in [0, 1]; it may write into the x it is given.
    resizes: `apply` takes a fourth argument, the side in pixels of the square images that it returns, and uint8 x too.
    """

    sample: Callable[..., Params]
    apply: Callable[..., Tensor]
    resizes: bool


def load_op(name: str) -> Op:
    """Import the operation `name`; the code digests of what calls this must cover its module."""
    module = importlib.import_module(OPS[name].module)
    return Op(module.sample, module.apply, OPS[name].resizes)


class Pipeline:
    """A recipe's operations in order, then normalisation.

    The result for an image depends on the image and its draws, not on the batch. All tensors are created on the images'
    device.

    recipe: (name of the operation, its settings), in order; may be empty.
    output_side_px: side of the square views. Without a resized_crop the images must have this side already.
    mean, std: of each channel, in [0, 1]; a view is (x - mean) / std.
    compiled: on a CPU, use the compiled operations of `ddcl.data.fused`, not those on tensors.
    """

    def __init__(
        self,
        recipe: Recipe,
        output_side_px: int,
        mean: Sequence[float],
        std: Sequence[float],
        compiled: bool = True,
    ) -> None:
        for name, settings in recipe:
            OPS.check(name, "recipe")
            if type(settings) is not OPS[name].settings:
                wanted = OPS[name].settings.__name__
                raise TypeError(f"recipe: {name} needs {wanted}, found {type(settings).__name__}")
        if len(mean) != 3 or len(std) != 3 or min(std) <= 0:
            raise UserError(f"normalisation: needs 3 means and 3 positive stds, found {list(mean)} and {list(std)}")
        self.recipe = tuple(recipe)
        self.ops = tuple(load_op(name) for name, _ in recipe)
        self.output_side_px = output_side_px
        self.mean, self.std = tuple(mean), tuple(std)
        self.compiled = compiled

    @property
    def leading_crop(self) -> ResizedCropSettings | None:
        """The settings of the recipe's first operation if that is a resized crop: files are cut while decoding."""
        first = self.recipe[0][1] if self.recipe else None
        return first if isinstance(first, ResizedCropSettings) else None

    def with_crop(self, crop: ResizedCropSettings, side_px: int) -> Pipeline:
        """Return the pipeline with another first crop, to views of another side."""
        recipe = (("resized_crop", crop), *self.recipe[1:])
        return Pipeline(recipe, side_px, self.mean, self.std, self.compiled)

    def without_operations(self) -> Pipeline:
        """Return the pipeline that only normalises."""
        return Pipeline((), self.output_side_px, self.mean, self.std, self.compiled)

    def __call__(self, images: Tensor, draws: Draws, cropped: bool = False) -> Tensor:
        """Return the views, float32 [B, 3, S, S], of images uint8 [B, 3, H, W]: `sample`, then `apply`.

        cropped: the leading crop is already done; the images have the side of the views.
        """
        if len(images) != len(draws.images):
            raise ValueError(f"{len(images)} images, but draws for {len(draws.images)}")
        height, width = images.shape[-2:]
        if draws.images.device != images.device:
            draws = Draws(draws.stream, draws.images.to(images.device), draws.epoch, draws.view)
        start = 1 if cropped else 0
        return self.apply(images, self.sample(draws, height, width, start), start)

    def sample(self, draws: Draws, height: int, width: int, start: int = 0) -> list[Params]:
        """Return the parameters of each operation for B images of height × width pixels.

        One dictionary of tensors [B, …] per operation of the recipe, in its order; the keys are those that the
        operation's `sample` documents, such as angle_deg. The operation at place i draws under the name "i:name".
        start: leave out the operations before this place.
        """
        size = (height, width)
        params = []
        for place, ((name, settings), op) in list(enumerate(zip(self.recipe, self.ops, strict=True)))[start:]:
            params.append(op.sample(draws, f"{place}:{name}", size, settings))
            if op.resizes:
                size = (self.output_side_px, self.output_side_px)
        return params

    def apply(self, images: Tensor, params: Sequence[Params], start: int = 0) -> Tensor:
        """Return the views, float32 [B, 3, S, S] normalised, of images uint8 [B, 3, H, W] with the given parameters.

        Raises UserError if the recipe has no resized_crop and the images' side is not output_side_px.
        """
        recipe = self.recipe[start:]
        self._check(images, params, self.ops[start:])
        if recipe and self.compiled and images.device.type == "cpu":
            from ddcl.data import fused  # here: numba takes a second to import

            if fused.supports(recipe):
                return fused.make_views(images, params, recipe, (self.mean, self.std), self.output_side_px)
        mean, std = (
            torch.tensor(v, device=images.device, dtype=torch.float32)[:, None, None] for v in (self.mean, self.std)
        )
        batch, side = len(images), self.output_side_px
        views = torch.empty(batch, 3, side, side, device=images.device)
        chunk = max(1, CPU_CHUNK_PIXELS // side**2) if images.device.type == "cpu" else max(1, batch)
        for first in range(0, batch, chunk):
            part = slice(first, first + chunk)
            own = [{key: value[part].to(images.device) for key, value in item.items()} for item in params]
            torch.addcmul(-mean / std, self._transform(images[part], own, start), 1 / std, out=views[part])
        return views

    def _transform(self, images: Tensor, params: Sequence[Params], start: int) -> Tensor:
        """Return float32 [B, 3, S, S] in [0, 1], before normalisation, from the operation at place `start` on."""
        ops = self.ops[start:]
        x = images if ops and ops[0].resizes else images.to(torch.float32).div_(255)
        for op, (_, settings), own in zip(ops, self.recipe[start:], params, strict=True):
            x = op.apply(x, own, settings, self.output_side_px) if op.resizes else op.apply(x, own, settings)
        return x

    def _check(self, images: Tensor, params: Sequence[Params], ops: Sequence[Op]) -> None:
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise ValueError(f"needs uint8 [B, 3, H, W], found {images.dtype} {list(images.shape)}")
        if len(params) != len(ops):
            raise ValueError(f"{len(ops)} operations, but parameters for {len(params)}")
        height, width = images.shape[-2:]
        if not any(op.resizes for op in ops) and (height, width) != (self.output_side_px, self.output_side_px):
            asked = f"{self.output_side_px} × {self.output_side_px}"
            raise UserError(
                f"recipe without resized_crop: asked for views of {asked} px, found images of {height} × {width} px"
            )
