"""The layout as rules: what a folder may import, who opens config/, how long functions are, and no circles."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest

from ddcl.base import fingerprint
from ddcl.plan import relations
from ddcl.schema.ops import OPS
from ddcl.schema.pictures import DRAWINGS
from ddcl.schema.registry import EVALUATIONS, METHODS, READERS

ROOT = Path(__file__).resolve().parents[2]
HEAVY = (
    "torch",
    "torchvision",
    "timm",
    "pandas",
    "scipy",
    "sklearn",
    "matplotlib",
    "seaborn",
    "numba",
    "captum",
    "pyarrow",
)
REGISTRIES: dict[str, Mapping[str, object]] = {
    "METHODS": METHODS,
    "EVALUATIONS": EVALUATIONS,
    "READERS": READERS,
    "DRAWINGS": DRAWINGS,
    "OPS": OPS,
}
# Functions of 40 lines or more are declarations: the options of the command line.
LONG = {("ddcl/__main__.py", "build_parser")}


@cache
def modules() -> dict[str, Path]:
    """Return the project's modules by name."""
    found = {}
    for path in sorted(path for package in fingerprint.PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(encoding="utf-8"))


@cache
def imports(module: str) -> frozenset[str]:
    """Return what a module imports, at any depth of its code; `from a import b` counts as a.b, if that is a module."""
    found: set[str] = set()
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import, which the digests do not follow"
            assert node.module
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            known = {name for name in inner if fingerprint.module_path(name)}
            found |= known if len(known) == len(inner) else known | {node.module}
    return frozenset(found)


def below(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def ours(module: str) -> set[str]:
    return {name for name in imports(module) if below(name, *fingerprint.PACKAGES)}


def wrong(inside: str, *allowed: str) -> set[tuple[str, str]]:
    """Return the imports of modules in a folder that are neither in it nor among those that it may import."""
    return {
        (module, name)
        for module in modules()
        if below(module, inside)
        for name in ours(module)
        if not below(name, inside, *allowed)
    }


# --- 1. what is read and planned without heavy libraries


def test_base_knows_nothing_schema_knows_base_and_plan_knows_both() -> None:
    assert not wrong("ddcl.base")
    assert not wrong("ddcl.schema", "ddcl.base")
    assert not wrong("ddcl.plan", "ddcl.base", "ddcl.schema")


def test_base_schema_and_plan_need_no_heavy_library() -> None:
    """They are imported at every start of Snakemake, in every job. By what is written, and by what is loaded then."""
    light = [module for module in modules() if below(module, *fingerprint.NEUTRAL)]
    named = {(module, name) for module in light for name in imports(module) if below(name, *HEAVY)}
    assert not named
    program = f"import sys, {', '.join([*light, 'ddcl.__main__', 'ddcl.verbs'])}\n"
    program += f"print(sorted({set(HEAVY)} & set(sys.modules)), 'numpy' in sys.modules)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert run.returncode == 0, run.stderr
    assert run.stdout.strip() == "[] False"


# --- 2. what cannot move a number


def test_neutral_to_digests_are_three_folders() -> None:
    assert fingerprint.NEUTRAL == ("ddcl.base", "ddcl.schema", "ddcl.plan")
    assert all((ROOT / name.replace(".", "/")).is_dir() for name in fingerprint.NEUTRAL)
    neutral = {path for module, path in modules().items() if fingerprint.is_neutral(module)}
    assert neutral == {path for name in ("base", "schema", "plan") for path in (ROOT / "ddcl" / name).rglob("*.py")}
    assert not fingerprint.is_neutral("ddcl.planner")


# --- 3. the engine and the methods


def test_the_engine_knows_no_method_no_data_and_no_evaluation() -> None:
    assert not wrong("ddcl.core", "ddcl.base", "ddcl.schema.training", "ddcl.schema.encoders")


METHOD_MODULES = [*(name for name in modules() if below(name, "baselines")), "ddcl.method", "ddcl.other_bases"]


@pytest.mark.parametrize("module", METHOD_MODULES)
def test_methods_import_the_engine_their_settings_and_what_they_build_on_only(module: str) -> None:
    """Another method's module only if a method here is that one and more, so that its edit retrains this one."""
    own = [entry.load() for entry in METHODS.values() if entry.target.split(":")[0] == module]
    bases = {base.__module__ for cls in own for base in cls.__mro__}
    allowed = {"ddcl.core", "ddcl.schema.methods", *(bases & set(METHOD_MODULES))}
    assert {name for name in ours(module) if not below(name, *allowed)} == set()
    theirs = {name.split(".")[0] for name in imports(module)} - {"ddcl", "baselines"}
    assert theirs <= {"__future__", "torch", "math", "copy", "collections", "typing", "dataclasses"}, theirs


# --- 4. no circles


def loads(module: str) -> set[str]:
    """Return the modules that a module imports by name: the targets of a registry, where it loads any of its entries.

    Importing by name is not importing: the registry itself stays below what it names.
    """
    calls = {node.attr for node in ast.walk(tree(module)) if isinstance(node, ast.Attribute)}
    named = {node.id for node in ast.walk(tree(module)) if isinstance(node, ast.Name)}
    if fingerprint.is_neutral(module) or not calls & {"load", "import_module"}:
        return set()
    entries = [entry for name in named & set(REGISTRIES) for entry in REGISTRIES[name].values()]
    return {str(vars(entry)["target"]).split(":")[0] for entry in entries}


def room(module: str) -> str:
    """Return the folder of a module; a module directly in ddcl/ is a room of its own."""
    folder = ".".join(modules()[module].relative_to(ROOT).parent.parts)
    return module if folder == "ddcl" else folder


def arrows() -> dict[str, set[str]]:
    """Return which rooms import which others, targets named as strings included."""
    found: dict[str, set[str]] = {room(module): set() for module in modules()}
    for module in modules():
        for name in (ours(module) | loads(module)) & set(modules()):
            found[room(module)] |= {room(name)} - {room(module), "ddcl"}
    return found


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """Return nodes that reach one another; none where there is no circle."""
    left = {name: set(targets) for name, targets in graph.items()}
    while ends := {name for name, targets in left.items() if not targets & set(left)}:
        left = {name: targets for name, targets in left.items() if name not in ends}
    return sorted(left)


def test_a_circle_is_found() -> None:
    assert circle({"a": {"b"}, "b": {"c"}, "c": set(), "d": {"a"}}) == []
    assert circle({"a": {"b"}, "b": {"a"}, "c": set()}) == ["a", "b"]


def test_every_registry_is_loaded_by_somebody() -> None:
    """Else the arrows below would miss its targets."""
    loaded = {name for module in modules() for name in loads(module)}
    for entries in REGISTRIES.values():
        assert {str(vars(entry)["target"]).split(":")[0] for entry in entries.values()} <= loaded


def test_packages_do_not_import_each_other_in_circles() -> None:
    assert circle(arrows()) == []


# --- 5. who opens config/


def test_only_schema_and_plan_open_config() -> None:
    readers = {
        (module, name)
        for module in modules()
        if not below(module, "ddcl.schema", "ddcl.plan")
        for name in imports(module)
        if below(name, "ddcl.schema.places", "yaml")
    }
    readers = {(module, name.split(".")[0]) for module, name in readers}
    assert readers == {("ddcl.base.yaml_files", "yaml"), ("ddcl.base.plain_yaml", "yaml")}
    assert not {
        module
        for module in modules()
        if not below(module, "ddcl.schema", "ddcl.plan", "ddcl.base.yaml_files")
        and any(isinstance(node, ast.alias) and node.name == "read_yaml" for node in ast.walk(tree(module)))
    }


def test_no_evaluation_may_be_called_like_a_rule() -> None:
    """Each evaluation is a rule of its name, beside those that the workflow has anyway; the features have a folder."""
    text = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "workflow/rules").glob("*.smk"))
    named = re.findall(
        r"^ *(?:rule|checkpoint) (\w+):", text + (ROOT / "workflow/Snakefile").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert {*named, "features"} == {*relations.RULES}


# --- the form of modules


def functions(module: str) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree(module)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def test_functions_are_short() -> None:
    long = {
        (modules()[module].relative_to(ROOT).as_posix(), node.name)
        for module in modules()
        for node in functions(module)
        if (node.end_lineno or 0) - node.lineno + 1 >= 40
    }
    assert long == LONG


@pytest.mark.parametrize("package", fingerprint.PACKAGES)
def test_packages_are_docstrings_only(package: str) -> None:
    """`import a.b` runs a/__init__.py, which the digests do not follow."""
    for path in (ROOT / package).rglob("__init__.py"):
        body = ast.parse(path.read_text(encoding="utf-8")).body
        assert len(body) == 1, path
        assert ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))), path


def test_a_module_says_what_it_is_about() -> None:
    names = {part for module in modules() for part in module.split(".")}
    assert not names & {"utils", "util", "helpers", "helper", "misc", "common", "tools"}
