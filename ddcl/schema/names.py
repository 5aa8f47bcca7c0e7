"""Names: what they may look like, and those that several stages agree on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

NO_AUGMENTATION = "none"  # the augmentation of runs that do not train
CLEAN = "none"  # the perturbation that leaves test images as they are

NAME = r"[A-Za-z0-9][A-Za-z0-9_.+-]*"  # whatever becomes part of a path or of a shell command
LONGEST_NAME = 100  # characters: with a digest, and what temporary files add, less than the 255 that a file may have
Name = Annotated[str, Field(pattern=f"^{NAME}$", max_length=LONGEST_NAME)]
