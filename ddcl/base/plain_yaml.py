"""YAML limited to what JSON can express: text keys, lists, text, booleans, null, and finite numbers of usual size.

Other YAML features (dates, sets, numbers as keys, recursive aliases, …) have no meaning in a configuration and are
rejected with their position, as are scalars that make a PyYAML constructor fail.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from ddcl.base.errors import shown

DEPTH, VALUES, LARGEST = 50, 100_000, 2**63 - 1
TAG = "tag:yaml.org,2002:"
UNUSED = ("timestamp", "binary", "set", "omap", "pairs")
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # all but tab and line feed; halves of a pair


def load(text: str) -> Any:
    """Return the value of a YAML document; `yaml.YAMLError` if JSON cannot express it, or it is too large."""
    try:
        value = yaml.load(text, Loader=_Loader)
    except RecursionError:  # the loader that is not compiled
        raise ConstructorError(None, None, f"nested deeper than {DEPTH}") from None
    for count, item in enumerate(_all(value)):
        if count >= VALUES:
            raise ConstructorError(None, None, f"more than {VALUES} values")
        if isinstance(item, str) and CONTROL.search(item):
            raise ConstructorError(None, None, f"a control character in {shown(item)}")
        if isinstance(item, int) and abs(item) > LARGEST:
            raise ConstructorError(None, None, f"an integer larger than {LARGEST}")
    return value


def _all(value: Any, depth: int = 0) -> Iterator[Any]:
    """Yield a value and all that is in it; what aliases repeat, as often as they do."""
    if depth > DEPTH:
        raise ConstructorError(None, None, f"nested deeper than {DEPTH}")
    yield value
    if isinstance(value, dict):
        yield from value
    if isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _all(item, depth + 1)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc] # C where it was compiled
    """A safe loader that refuses a key given twice, where PyYAML would keep the last silently, and unforeseen text."""

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict[Any, Any]:
        if not isinstance(node, yaml.MappingNode):
            raise _refused(node)
        keys = [key.value for key, _ in node.value]
        for key, _ in node.value:
            if key.tag not in (f"{TAG}str", f"{TAG}merge"):
                raise ConstructorError(None, None, f"key {_text(key)} is not text: quote it", key.start_mark)
            if keys.count(key.value) > 1:
                raise ConstructorError(None, None, f"key {shown(key.value)} is given twice", key.start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            return super().construct_object(node, deep)
        except (ValueError, TypeError, LookupError, AttributeError):  # of constructors that trust a scalar's tag
            raise _refused(node) from None


def _refuse(loader: _Loader, node: yaml.Node) -> Any:
    raise _refused(node)


def _refused(node: yaml.Node) -> ConstructorError:
    kind = node.tag.removeprefix(TAG)
    hint = ": quote it if it is meant as text" if kind in UNUSED else ""
    return ConstructorError(None, None, f"{_text(node)} cannot be read as {kind}{hint}", node.start_mark)


def _text(node: yaml.Node) -> str:
    """Return a scalar's text, or what kind of node it is."""
    kind = type(node).__name__.removesuffix("Node").lower()
    return shown(node.value) if isinstance(node, yaml.ScalarNode) else f"a {kind}"


for _kind in UNUSED:
    _Loader.add_constructor(f"{TAG}{_kind}", _refuse)
