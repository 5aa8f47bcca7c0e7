"""Paths as users write them: `~` and variables are expanded once, here, without a shell."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ddcl.base.errors import UserError, shown

VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})")


def expanded(text: str, where: str) -> Path:
    """Return the path that `text` means: with a leading ``~`` or ``~user``, ``$NAME`` and ``${NAME}`` expanded.

    where: the place that the path comes from, for the message. `UserError` for a variable that is not set or an unknown
        user.
    """
    for match in VARIABLE.finditer(text):
        if match[1].strip("{}") not in os.environ:
            raise UserError(f"{where}: {shown(text)}: the environment variable {match[0]} is not set")
    path = os.path.expanduser(os.path.expandvars(text))
    if text.startswith("~") and path.startswith("~"):
        raise UserError(f"{where}: {shown(text)}: unknown user {path.partition('/')[0]}")
    return Path(path)
