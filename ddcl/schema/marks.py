"""How methods are shown (config/marks.yaml), and the tables that arms stand in. Imports no matplotlib."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from ddcl.base.yaml_files import Model, parse, read_yaml
from ddcl.schema.places import existing_files
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


def read_marks() -> dict[str, Mark]:
    """Read and check config/marks.yaml: the mark of each method, in the order of legends.

    A marks.yaml in a folder of your own adds to the project's: the methods that it names have the mark that it says.
    """
    return _read(tuple(existing_files("marks.yaml")))


@cache
def _read(paths: tuple[Path, ...]) -> dict[str, Mark]:
    found: dict[str, Mark] = {}
    for path in reversed(paths):
        found |= {name: parse(Mark, values, f"{path}: {name}") for name, values in read_yaml(path).items()}
    return found


def mark_of(method: str) -> Mark:
    """Return the mark of a method; that of plugins where the file does not name it. All encoders share one."""
    marks = read_marks()
    return marks.get(GIVEN if method in GIVEN_METHODS else method, marks[PLUGIN])
