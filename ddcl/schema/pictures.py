"""Which pictures there are, their settings, and the runs they show. Imports no torch: Snakemake reads it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from ddcl.base.errors import check_name
from ddcl.base.yaml_files import Count, Model, parse, read_yaml
from ddcl.schema.places import config_path
from ddcl.schema.recipes import run_name
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
    """A drawing. encoders: whether it shows trained encoders, or the images of each augmentation."""

    encoders: bool = True


DRAWINGS = {
    "views": DrawingEntry("ddcl.pictures.views:draw", ViewsSettings, encoders=False),
    "activation": DrawingEntry("ddcl.pictures.activation:draw", ActivationSettings),
    "neighbours": DrawingEntry("ddcl.pictures.neighbours:draw", NeighboursSettings),
    "embedding": DrawingEntry("ddcl.pictures.embedding:draw", EmbeddingSettings),
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


def picture_entries(pictures: Iterable[str], plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what a suite's plan says of its pictures: for each, and each data set, the runs that it shows.

    plan: of `ddcl.plan.suite.Suite`, with the variants and augmentations that figures show.
    """
    entries, datasets = [], dict.fromkeys(run["dataset"] for run in plan["runs"] if run["trains"])
    for name in pictures:
        config = read_picture(name)
        for dataset in datasets:
            runs = _shown(plan, dataset, DRAWINGS[config.drawing].encoders)
            entry = {"name": f"{name}_{dataset}", "picture": name, "dataset": dataset}
            entry |= config.model_dump(include={"drawing", "alt", "settings"})
            choice = _choice(plan["labels"], runs, DRAWINGS[config.drawing].encoders)
            entry["caption"] = f"{config.caption.format(**config.settings)} {choice}"
            entries.append(entry | {"runs": [run_name(run) for run in runs]})
    return entries


def _shown(plan: dict[str, Any], dataset: str, encoders: bool) -> list[dict[str, Any]]:
    """Return the runs that a picture shows: the first seed of each variant, or of each augmentation.

    Of the augmentations, encoders were trained under the last one that figures show; an untrained one has none.
    """
    keys = {"variant": plan["figure_variants"], "augmentation": plan["figure_augmentations"]}
    runs = [
        run
        for run in plan["runs"]
        if run["dataset"] == dataset
        if not run["trains"] or all(names is None or run[key] in names for key, names in keys.items())
    ]
    trained = [run for run in runs if run["trains"]]
    if not encoders:
        return list({run["augmentation"]: run for run in reversed(trained)}.values())[::-1]
    last = list(dict.fromkeys(run["augmentation"] for run in trained))[-1:]
    runs = [run for run in runs if run["augmentation"] in last or not run["trains"]]
    return list({run["variant"]: run for run in reversed(runs)}.values())[::-1]


def _choice(labels: dict[str, Any], runs: list[dict[str, Any]], encoders: bool) -> str:
    """Return the sentence that says which of all runs a picture shows."""
    if not runs:
        return "The suite has no such run."
    seeds = ", ".join(dict.fromkeys(str(run["seed"]) for run in runs))
    dataset = labels["dataset"][runs[0]["dataset"]]
    if not encoders:
        return (
            f"{dataset}; images and draws are the first of the first epoch of seed {seeds}, the same for all methods."
        )
    trained = [labels["augmentation"][run["augmentation"]] for run in runs if run["trains"]]
    return f"{dataset}, trained under {trained[0]}; of each method the first seed ({seeds})."
