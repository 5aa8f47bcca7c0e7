"""Paths as people write them: `~` and variables are expanded once, here, and never by a shell."""

from __future__ import annotations

import os
import re
from pathlib import Path

from ddcl.base.errors import UserError, shown

VARIABLE = re.compile(r"\$(\w+|\{[^}]*\})")


def expanded(text: str, where: str) -> Path:
    """Return the path that `text` means: with a leading ``~`` or ``~user``, ``$NAME`` and ``${NAME}`` expanded.

    where: it was given, for the message. `UserError` for a variable that is not set, and a user that there is not.
    """
    for match in VARIABLE.finditer(text):
        if match[1].strip("{}") not in os.environ:
            raise UserError(f"{where}: {shown(text)}: the environment has no variable {match[0]}")
    path = os.path.expanduser(os.path.expandvars(text))
    if text.startswith("~") and path.startswith("~"):
        raise UserError(f"{where}: {shown(text)}: there is no user {path.partition('/')[0]}")
    return Path(path)
