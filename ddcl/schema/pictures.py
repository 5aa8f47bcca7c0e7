"""Which pictures there are, their settings, and the runs they show. Imports no torch: Snakemake reads it."""

from __future__ import annotations

from dataclasses import dataclass
from string import Formatter
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, model_validator

from ddcl.base.errors import UserError, check_name, did_you_mean, shown
from ddcl.base.yaml_files import Count, Model, each_once, parse, read_yaml
from ddcl.schema.ops import NotNegative, Positive
from ddcl.schema.places import config_path
from ddcl.schema.registry import Entry

Shown = Annotated[int, Field(ge=1, le=100)]  # images side by side; more have no room
Angle = Annotated[float, Field(ge=-180, le=180)]


class ViewsSettings(Model):
    """Settings of `ddcl.pictures.views`."""

    n_images: Shown = Field(description="images shown: the first that the training sees")


class ActivationSettings(Model):
    """Settings of `ddcl.pictures.activation`."""

    n_images: Shown = Field(description="test images shown")
    angle_deg: Angle = Field(description="rotation, counter-clockwise, degrees")
    elastic_alpha_px: NotNegative = Field(description="elastic deformation's alpha for a side of 224 px, pixels")
    elastic_sigma_px: Positive = Field(description="its sigma for a side of 224 px, pixels")


class RotatedSettings(Model):
    """Test images, each turned by one of a few angles."""

    n_images: Annotated[int, Field(ge=2, le=10_000)] = Field(description="test images, at most, spread over the split")
    angles_deg: Annotated[list[Angle], AfterValidator(each_once)] = Field(
        min_length=2, description="each image gets one of these angles, drawn at random; degrees"
    )


class NeighboursSettings(RotatedSettings):
    """Settings of `ddcl.pictures.neighbours`."""

    k: Count = Field(description="neighbours whose class and angle are counted")
    random_draws: Annotated[int, Field(ge=1, le=1000)] = Field(
        description="sets of random columns, as controls for width"
    )
    shown_queries: Shown = Field(description="images whose neighbours are shown")
    shown_neighbours: Shown = Field(description="neighbours shown for each")

    @model_validator(mode="after")
    def _enough_images(self) -> NeighboursSettings:
        most = max(self.k, self.shown_neighbours, self.shown_queries)
        if most >= self.n_images:
            raise ValueError(f"n_images: expected more than k and what is shown, {most}, found {self.n_images}")
        return self


class EmbeddingSettings(RotatedSettings):
    """Settings of `ddcl.pictures.embedding`."""

    projection: Literal["pca", "tsne"] = Field(description="how the features are reduced to two dimensions")


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
    caption: str = Field(min_length=1, description="what is shown, with settings in braces; the runs are added")
    alt: str = Field(min_length=1, description="what it shows for those who cannot see it")
    settings: dict[str, Any] = Field(description="the drawing's own numbers")


def read_picture(name: str) -> PictureConfig:
    """Read and check config/pictures/`name`.yaml."""
    path = config_path("pictures", name)
    config = parse(PictureConfig, read_yaml(path), str(path))
    check_name("drawing", config.drawing, DRAWINGS, str(path))
    settings: BaseModel = parse(DRAWINGS[config.drawing].settings, config.settings, f"{path}: settings")
    values = settings.model_dump()
    return config.model_copy(
        update={"settings": values, "caption": _filled(config.caption, values, f"{path}: caption")}
    )


def _filled(caption: str, settings: dict[str, Any], where: str) -> str:
    """Return a caption with the settings that it names in braces; `UserError` for anything else in braces."""
    try:
        for _, name, form, _ in Formatter().parse(caption):
            if name is not None and (name not in settings or "{" in (form or "")):
                raise UserError(f"{where}: {{{name}}} is no setting{did_you_mean(name, settings)}")
        return caption.format(**settings)
    except ValueError as error:
        raise UserError(f"{where}: {shown(caption)} cannot be filled in ({error})") from None
