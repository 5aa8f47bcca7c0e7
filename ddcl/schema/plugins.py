"""What exists by name: in the project's registries, or in any package that Python finds, as ``package.module:Name``.

The code of a plugin is imported where its name is read, settings and all. So a plan with plugins takes the time that
their imports take, torch included; without them nothing of that is loaded.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Collection
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from ddcl.base.errors import UserError, check_name

E = TypeVar("E")  # the type of a registry's entries
T = TypeVar("T", bound=Callable[..., Any])
ATTRIBUTE = "plugin_entry"  # of a class or function that can be named as a plugin
NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
SAID_BY_CLASS = ("trains", "supervised")  # what a method's class says itself


def plugin(entry: Callable[..., Any], settings: type[BaseModel], **known: Any) -> Callable[[T], T]:
    """Return a decorator that lets a class or function be named in YAML as ``package.module:Name``.

    entry: what it is: `MethodEntry` for a method's class, `EvaluationEntry` for a protocol's `evaluate`, `ReaderEntry`
        for a reader, of `ddcl.schema.registry`; `ddcl.schema.ops.OpEntry` for an operation's `apply`, beside which its
        module has `sample`.
    settings: the model of its settings. known: further fields of the entry, such as `parts` of a method.
    """

    def decorated(thing: T) -> T:
        said = {name: getattr(thing, name) for name in SAID_BY_CLASS if hasattr(thing, name)}
        target = f"{thing.__module__}:{thing.__name__}"
        setattr(thing, ATTRIBUTE, entry(target, settings, **said, **known))
        return thing

    return decorated


class Registry(dict[str, E], Generic[E]):
    """The entries of one kind, by name; and any plugin of that kind, which no listing of the registry has.

    kind: what an entry is, for messages. of: its type.
    """

    def __init__(self, kind: str, of: type[E]) -> None:
        super().__init__()
        self.kind, self.of = kind, of
        self._plugins: dict[str, E] = {}

    def __missing__(self, name: str) -> E:
        if ":" not in name:
            raise KeyError(name)
        if name not in self._plugins:
            self._plugins[name] = self._found(name)
        return self._plugins[name]

    def check(self, name: str, where: str, without: Collection[str] = ()) -> None:
        """Raise `UserError` unless the name is one of the registry, or of a plugin of this kind.

        where: it stands, for the message. without: names that are not allowed there.
        """
        if ":" not in name:
            check_name(self.kind, name, [each for each in self if each not in without], where)
            return
        try:
            self[name]
        except UserError as error:
            raise UserError(f"{where}: {error}") from None

    def _found(self, name: str) -> E:
        """Import a plugin and return its entry."""
        asked = f"{self.kind} {name}"
        if not NAME.fullmatch(name):
            raise UserError(f"{asked}: expected the form package.module:Name")
        module, _, attribute = name.partition(":")
        try:
            thing = getattr(importlib.import_module(module), attribute, None)
        except Exception as error:  # whatever the plugin's own code raises
            said = " ".join(str(error).split()) or type(error).__name__
            help_ = "; is its package installed here, or its folder on PYTHONPATH?"
            raise UserError(
                f"{asked}: {module} cannot be imported ({said}){help_ if isinstance(error, ImportError) else ''}"
            ) from None
        entry = getattr(thing, ATTRIBUTE, None)
        if thing is None or not isinstance(entry, self.of):
            found = f"that of {type(entry).__name__}" if entry else "none"
            problem = f"no {attribute} in {module}" if thing is None else f"expected its entry, found {found}"
            raise UserError(f"{asked}: {problem}; decorate it with @plugin({self.of.__name__}, …) of {__name__}")
        return entry
