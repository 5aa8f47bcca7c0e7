"""Digests of the code that can change a stage's results.

Snakemake does not see edits of imported modules, so each expensive rule carries such a digest among its parameters.
It is computed from the syntax trees of a root module and of every module of this project that it imports, directly or
not. Comments, docstrings and layout therefore do not count, and no list of files has to be maintained by hand. If the
root belongs to another package (a plugin), the modules of that package that it imports count too, with their packages.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from ddcl.base.files import digest_text

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("ddcl", "baselines")
# Whole folders that cannot change a result: files, locks and texts; the schema of the configuration; planning. What
# they read or plan ends up in recipes and plans, which are compared by content.
NEUTRAL = ("ddcl.base", "ddcl.schema", "ddcl.plan")


def is_neutral(module: str) -> bool:
    """Return whether a module lies in a folder that cannot change a result."""
    return module.startswith(tuple(f"{package}." for package in NEUTRAL)) or module in NEUTRAL


def package_of(module: str) -> str:
    """Return the first part of a module's name."""
    return module.partition(".")[0]


@cache
def module_path(module: str) -> Path | None:
    """Return the file of a module of this project, or None for any other name."""
    return _file(ROOT, module) if package_of(module) in PACKAGES else None


@cache
def _plugin_path(module: str) -> Path | None:
    """Return the file of a module of another package, or None if there is none; without importing it."""
    spec = importlib.util.find_spec(package_of(module))
    if spec is None:
        return None
    if spec.submodule_search_locations is None:
        return Path(spec.origin) if spec.origin and module == package_of(module) else None
    found = (_file(Path(folder).parent, module) for folder in spec.submodule_search_locations)
    return next((path for path in found if path), None)


def _file(folder: Path, module: str) -> Path | None:
    base = folder.joinpath(*module.split("."))
    return next((path for path in (base.with_suffix(".py"), base / "__init__.py") if path.is_file()), None)


def _strip_docstring(node: ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> None:
    first = node.body[0] if node.body else None
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        node.body = node.body[1:]


def _feed(node: ast.AST, text: list[str], imported: set[str], inside: str) -> None:
    """Append the canonical text of a syntax tree: what ast.dump gives, in a third of the time, without docstrings.

    inside: the package in which the module lies, for relative imports.
    """
    if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        _strip_docstring(node)
    elif isinstance(node, ast.ImportFrom):
        above = inside.rsplit(".", node.level - 1)[0] if node.level else ""
        source = ".".join(filter(None, (above, node.module)))
        imported |= {source, *(f"{source}.{alias.name}" for alias in node.names)}
    elif isinstance(node, ast.Import):
        imported |= {alias.name for alias in node.names}
    text.append(type(node).__name__)
    for name in node._fields:
        value = getattr(node, name, None)
        if isinstance(value, list):
            text.append("[")
            for item in value:
                if isinstance(item, ast.AST):
                    _feed(item, text, imported, inside)
                else:
                    text.append(repr(item))
            text.append("]")
        elif not isinstance(value, ast.AST):
            text.append(repr(value))
        elif name != "ctx":  # follows from the place
            _feed(value, text, imported, inside)


@cache
def _read(module: str) -> tuple[str, tuple[str, ...]]:
    """Return the canonical text of `module` and the modules that it imports, some of which may be names in modules."""
    path = module_path(module) or _plugin_path(module)
    if path is None:
        raise ModuleNotFoundError(f"no module {module} in this project")
    text: list[str] = []
    imported: set[str] = set()
    inside = module if path.name == "__init__.py" else module.rpartition(".")[0]
    _feed(ast.parse(path.read_text(encoding="utf-8")), text, imported, inside)
    if package_of(module) not in PACKAGES:  # of a package in this project, __init__.py does nothing
        parts = module.split(".")
        imported |= {".".join(parts[:n]) for n in range(1, len(parts))}
    return "\n".join(text), tuple(sorted(imported))


def closure(roots: Iterable[str]) -> list[str]:
    """Return the sorted modules that `roots` import, directly or not, without the neutral ones.

    These are modules of this project, and of the packages of plugins among the roots.
    """
    waiting = list(roots)
    plugins = {package_of(root) for root in waiting} - {*PACKAGES}
    found: set[str] = set()
    while waiting:
        module = waiting.pop()
        if module not in found and not is_neutral(module):
            found.add(module)
            waiting.extend(name for name in _read(module)[1] if _is_module(name, plugins))
    return sorted(found)


def _is_module(name: str, plugins: set[str]) -> bool:
    """Return whether a name is that of a module of this project or of these packages."""
    return bool(_plugin_path(name) if package_of(name) in plugins else module_path(name))


@cache
def code_digest(*roots: str) -> str:
    """Return 16 hex digits that change with any statement of the modules that `roots` import, directly or not."""
    return digest_text("\n".join(f"{name}\n{_read(name)[0]}" for name in closure(roots)))
