"""Digests of the code that can move a stage's numbers.

Snakemake does not see edits of imported modules, so each expensive rule carries such a digest among its parameters.
It is made of the syntax trees of a root module and of every module of this project that it imports, directly or not,
so comments, docstrings and layout do not count, and no list of files has to be kept by hand.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ddcl.base.files import digest_text

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("ddcl", "baselines")
# Whole folders that cannot move a number: files, locks and words; what configuration may say; what is to be run. What
# these read or plan is data in recipes and plans, which are compared by content.
NEUTRAL = ("ddcl.base", "ddcl.schema", "ddcl.plan")


def is_neutral(module: str) -> bool:
    """Return whether a module lies in a folder that cannot move a number."""
    return module.startswith(tuple(f"{package}." for package in NEUTRAL)) or module in NEUTRAL


@cache
def module_path(module: str) -> Path | None:
    """Return the file of a module of this project, or None for any other name."""
    if module.split(".")[0] not in PACKAGES:
        return None
    base = ROOT.joinpath(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


def _strip_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        node.body = node.body[1:]


def _feed(node: ast.AST, text: list[str], imported: set[str]) -> None:
    """Append the canonical text of a syntax tree: what ast.dump gives, in a third of the time, without docstrings."""
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        _strip_docstring(node)
    elif isinstance(node, ast.ImportFrom) and node.module:
        imported |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    elif isinstance(node, ast.Import):
        imported |= {alias.name for alias in node.names}
    text.append(type(node).__name__)
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            text.append("[")
            for item in value:
                if isinstance(item, ast.AST):
                    _feed(item, text, imported)
                else:
                    text.append(repr(item))
            text.append("]")
        elif not isinstance(value, ast.AST):
            text.append(repr(value))
        elif name != "ctx":  # follows from the place
            _feed(value, text, imported)


@cache
def _read(module: str) -> tuple[str, tuple[str, ...]]:
    """Return the canonical text of `module` and the modules of this project that it imports."""
    path = module_path(module)
    if path is None:
        raise ModuleNotFoundError(f"no module {module} in this project")
    text: list[str] = []
    imported: set[str] = set()
    _feed(ast.parse(path.read_text(encoding="utf-8")), text, imported)
    return "\n".join(text), tuple(sorted(name for name in imported if module_path(name)))


def closure(roots: Iterable[str]) -> list[str]:
    """Return the sorted modules of this project that `roots` reach by imports, without the neutral ones."""
    found: set[str] = set()
    waiting = list(roots)
    while waiting:
        module = waiting.pop()
        if module not in found and not is_neutral(module):
            found.add(module)
            waiting.extend(_read(module)[1])
    return sorted(found)


@cache
def code_digest(*roots: str) -> str:
    """Return 16 hex digits that change with any statement of the modules that `roots` reach."""
    return digest_text("\n".join(f"{name}\n{_read(name)[0]}" for name in closure(roots)))
