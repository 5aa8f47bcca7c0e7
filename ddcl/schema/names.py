"""Names: what they may look like, and those that several stages agree on."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, Field

from ddcl.base.errors import UserError, shown
from ddcl.base.yaml_files import each_once

NO_AUGMENTATION = "none"  # the augmentation of runs that do not train
CLEAN = "none"  # the perturbation that leaves test images as they are

NAME = r"[A-Za-z0-9][A-Za-z0-9_.+-]*"  # whatever becomes part of a path or of a shell command
LONGEST_NAME = 100  # characters: with a digest, and what temporary files add, less than the 255 that a file may have
Name = Annotated[str, Field(pattern=f"^{NAME}$", max_length=LONGEST_NAME)]
Names = Annotated[list[Name], AfterValidator(each_once)]
# how something is called in tables and figures: a line of text
Label = Annotated[str, Field(pattern=r"^\S(.*\S)?$", max_length=200)]


def check_word(kind: str, name: str, where: str = "") -> None:
    """Raise `UserError` unless `name` may be one. kind: of what. where: it stands, for the message."""
    if len(name) > LONGEST_NAME or not re.fullmatch(NAME, name):
        expected = f"expected a letter or digit, then letters, digits and _ . + -, at most {LONGEST_NAME} in all"
        raise UserError(f"{where}{': ' if where else ''}{kind}: {shown(name)} is no name; {expected}")
