"""How methods are shown (config/marks.yaml), and which arms are main ones. Imports no matplotlib."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Literal

from pydantic import Field

from ddcl.base.yaml_files import Model, parse, read_yaml
from ddcl.schema.places import config_path
from ddcl.schema.registry import GIVEN, GIVEN_METHODS

Colour = Annotated[str, Field(pattern="^#[0-9a-f]{6}$")]
Group = Literal["main", "ablation", "control", "elsewhere"]
GROUPS: dict[Group, str] = {
    "main": "Main arms",
    "ablation": "Ablations",
    "control": "Controls",
    "elsewhere": "Encoders from elsewhere",
}
PLUGIN = "plugin"  # the mark of a method that the file does not name


class Mark(Model):
    """The look of a method: the same in every figure, on every page."""

    light: Colour = Field(description="colour on a light page, as #rrggbb")
    dark: Colour = Field(description="colour on a dark page")
    marker: str = Field(min_length=1, max_length=1, description="matplotlib's letter")
    fill: Literal["filled", "open", "stroke"] = Field(
        description="filled: keeps distortions; open: a baseline; stroke: a reference"
    )
    dash: list[float] | None = Field(
        default=None, min_length=2, max_length=2, description="of its lines: on, off, in points; null: solid"
    )
    baseline: str = Field(default="", description="the method that it extends and is compared with; empty: none")


@cache
def read_marks() -> dict[str, Mark]:
    """Read and check config/marks.yaml: the mark of each method, in the order of legends."""
    path = config_path("", "marks")
    return {name: parse(Mark, values, f"{path}: {name}") for name, values in read_yaml(path).items()}


def mark_of(method: str) -> Mark:
    """Return the mark of a method; that of plugins where the file does not name it. All encoders share one."""
    marks = read_marks()
    return marks.get(GIVEN if method in GIVEN_METHODS else method, marks[PLUGIN])


def group_of(variant: str, method: str, given: Group | None) -> Group:
    """Return the table that a variant belongs to: what its YAML says, else `main` where it is the method itself."""
    return given or ("main" if variant == method else "ablation")
