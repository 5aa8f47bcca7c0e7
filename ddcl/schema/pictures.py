"""Which pictures there are, their settings, and the runs they show. Imports no torch: Snakemake reads it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from ddcl.base.errors import check_name
from ddcl.base.yaml_files import Count, Model, parse, read_yaml
from ddcl.schema.places import config_path
from ddcl.schema.registry import Entry

Angle = Annotated[float, Field(ge=-180, le=180)]


class ViewsSettings(Model):
    """Settings of `ddcl.pictures.views`."""

    n_images: Count = Field(description="images shown, the first that the training sees")


class ActivationSettings(Model):
    """Settings of `ddcl.pictures.activation`."""

    n_images: Count = Field(description="test images shown")
    angle_deg: Angle = Field(description="rotation, counter-clockwise, degrees")
    elastic_alpha_px: float = Field(ge=0, description="elastic deformation's alpha for a side of 224 px, pixels")
    elastic_sigma_px: float = Field(gt=0, description="its sigma for a side of 224 px, pixels")


class RotatedSettings(Model):
    """Test images, each turned by one of a few angles."""

    n_images: Annotated[int, Field(ge=2)] = Field(description="test images, at most, spread over the split")
    angles_deg: list[Angle] = Field(min_length=2, description="each image gets one of these, drawn, degrees")


class NeighboursSettings(RotatedSettings):
    """Settings of `ddcl.pictures.neighbours`."""

    k: Count = Field(description="neighbours whose class and angle are counted")
    random_draws: Count = Field(description="sets of random columns, as a control of width")
    shown_queries: Count = Field(description="images whose neighbours are shown")
    shown_neighbours: Count = Field(description="neighbours shown of each")


class EmbeddingSettings(RotatedSettings):
    """Settings of `ddcl.pictures.embedding`."""

    projection: Literal["pca", "tsne"] = Field(description="how two dimensions are made of the features")


@dataclass(frozen=True)
class DrawingEntry(Entry):
    """A drawing.

    encoders: whether it shows trained encoders, or the images of each augmentation.
    ops: image operations of its own, beside those of the runs' augmentations.
    """

    encoders: bool = True
    ops: tuple[str, ...] = ()


DRAWINGS = {
    "views": DrawingEntry("ddcl.pictures.views:draw", ViewsSettings, encoders=False),
    "activation": DrawingEntry("ddcl.pictures.activation:draw", ActivationSettings, ops=("rotation", "elastic")),
    "neighbours": DrawingEntry("ddcl.pictures.neighbours:draw", NeighboursSettings, ops=("rotation",)),
    "embedding": DrawingEntry("ddcl.pictures.embedding:draw", EmbeddingSettings, ops=("rotation",)),
}


class PictureConfig(Model):
    """A drawing with all its numbers, and what the report says of it."""

    drawing: str = Field(description="name in ddcl.schema.pictures")
    caption: str = Field(description="what is shown, with settings in braces; which run it is of is added")
    alt: str = Field(description="what it shows for those who cannot see it")
    settings: dict[str, Any] = Field(description="the drawing's own numbers")


def read_picture(name: str) -> PictureConfig:
    """Read and check config/pictures/`name`.yaml."""
    path = config_path("pictures", name)
    config = parse(PictureConfig, read_yaml(path), str(path))
    check_name("drawing", config.drawing, DRAWINGS, str(path))
    settings: BaseModel = parse(DRAWINGS[config.drawing].settings, config.settings, f"{path}: settings")
    return config.model_copy(update={"settings": settings.model_dump()})
