"""`base`: YAML that stands on other YAML of its kind, by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from ddcl.base.errors import UserError, shown
from ddcl.base.yaml_files import merge

NOT_INHERITED = ("published_as", "tuned")  # keys that are said of one name alone


class Named(NamedTuple):
    """What YAML says of a name, and where it stands, for messages."""

    where: str
    values: dict[str, Any]


def on_its_base(name: str, find: Callable[[str], Named], chain: tuple[str, ...] = ()) -> Named:
    """Return what YAML says of `name` on top of its `base`, recursively; mappings are merged key by key.

    find: gives what the YAML of a name says by itself. `UserError` for a circle, with its chain.
    """
    where, own = find(name)
    if name in chain:
        raise UserError(f"{where}: circular base: {' -> '.join((*chain, name))}")
    values = dict(own)
    base = values.pop("base", None)
    if base is None:
        return Named(where, values)
    if not isinstance(base, str):
        raise UserError(f"{where}: base: expected a name, found {shown(base)}")
    below = on_its_base(base, find, (*chain, name))
    inherited = {key: value for key, value in below.values.items() if key not in NOT_INHERITED}
    return Named(where, merge(inherited, values, f"{below.where}: "))
