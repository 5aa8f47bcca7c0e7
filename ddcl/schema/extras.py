"""What a method asks of its batches beyond two views. It is part of the recipe, as it decides what is computed."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from ddcl.base.yaml_files import Model, rising
from ddcl.schema.ops import Share


class ThirdCrop(Model):
    """A third view: the augmentation, with another crop in the place of its own."""

    side_frac: Share = Field(description="side of the view, as a share of that of the other two")
    scale: Annotated[list[Share], Field(min_length=2, max_length=2), AfterValidator(rising)] | None = Field(
        default=None, description="[low, high] of the crop's area, share of the image's; None: that of the augmentation"
    )


class Extras(Model):
    """What `ddcl.core.method.Batch` has of whom asks for it. Methods that ask for nothing do not pay for it."""

    drawn: bool = Field(default=False, description="the parameters that each view was made with")
    original: bool = Field(default=False, description="the images without augmentation")
    crop: ThirdCrop | None = Field(default=None, description="a third view with a crop of its own")
    shared_draws: int = Field(
        default=1,
        ge=1,
        description="this many consecutive images of a batch, counted from its first, share their draws",
    )
