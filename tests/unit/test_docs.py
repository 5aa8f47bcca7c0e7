"""The documentation: its commands are those that there are, its files exist, and the reference leaves nothing out."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import yaml

from ddcl.__main__ import build_parser
from ddcl.reference import FILES, PAGES, metrics
from ddcl.reference_columns import COLUMNS
from ddcl.report.claims import claim_tables
from ddcl.report.tables import build, convergence, published
from ddcl.schema.places import CONFIG_DIR
from ddcl.schema.registry import EVALUATIONS, METHODS, READERS

ROOT = Path(__file__).resolve().parents[2]
PAGES_WRITTEN = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "config/README.md"])
BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
PLACEHOLDER = re.compile(r"\b(NAME|FILE|FOLDER|VERB|ARCHIVE|N|POINTS)\b")


def blocks(path: Path) -> list[tuple[str, str]]:
    """The blocks of code of a page: language and text."""
    return BLOCK.findall(path.read_text(encoding="utf-8"))


def commands(path: Path) -> list[str]:
    """The lines of `ddcl` in a page's blocks of code, one command each, without comments."""
    found = []
    for language, text in blocks(path):
        if language in ("", "sh", "bash"):
            lines = text.replace("\\\n", " ").splitlines()
            parts = [part.strip() for line in lines for part in line.split("#")[0].split("&&")]
            found += [part for part in parts if part.startswith("ddcl ")]
    return found


def test_every_command_of_a_block_is_understood() -> None:
    seen = 0
    for path in PAGES_WRITTEN:
        for command in commands(path):
            arguments = shlex.split(PLACEHOLDER.sub("3", command.split("|")[0]))[1:]
            try:
                build_parser().parse_args(arguments)
            except SystemExit:
                pytest.fail(f"{path.relative_to(ROOT)}: {command}")
            seen += 1
    assert seen > 30


def test_every_suite_that_is_named_exists() -> None:
    for path in PAGES_WRITTEN:
        text = path.read_text(encoding="utf-8")
        own = set(re.findall(r"^(?:# config/suites/|suite: )(\w+)", text, re.MULTILINE)) | {"NAME", "FILE", "my_suite"}
        for name in {*re.findall(r"--suite (\w+)\b(?!/)", text), *re.findall(r"config/suites/(\w+)\.yaml", text)} - own:
            assert name == "config" or (CONFIG_DIR / f"suites/{name}.yaml").is_file(), (path, name)


def test_blocks_of_yaml_can_be_read() -> None:
    for path in PAGES_WRITTEN:
        for language, text in blocks(path):
            if language == "yaml":
                assert isinstance(yaml.safe_load(text), dict), path


def test_links_between_files_lead_somewhere() -> None:
    """Those of docs/ are checked by MkDocs as well, with their anchors."""
    for path in PAGES_WRITTEN:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
            generated = (path.parent / target).resolve()
            made = generated.is_relative_to(ROOT / "docs") and generated.relative_to(ROOT / "docs").as_posix() in PAGES
            assert made or generated.exists(), f"{path.relative_to(ROOT)}: {target}"


def test_the_reference_has_every_key_metric_and_column() -> None:
    keys = PAGES["reference/yaml.md"]()
    for _, _, model in FILES:
        assert all(f"| `{field.alias or name}` |" in keys for name, field in model.model_fields.items()), model
    for entries in (METHODS, EVALUATIONS, READERS):
        assert all(f"### `{name}`" in keys for name in entries)
    assert "needed" in keys
    described = {name for _, where, _ in FILES for name in re.findall(r"config/([\w.]+)", where)}
    written = {path.name for path in CONFIG_DIR.iterdir() if path.is_dir() or path.suffix == ".yaml"}
    assert written - described == {"subsets"}  # lists in JSON, which `ddcl subset` writes
    assert "encoders" in described
    rows = re.findall(r"^\| `(\w+)` \| ([^|]*) \| (?!mapping)", keys, re.MULTILINE)
    without = {name for name, what in rows if not what}
    assert without == set()
    assert {"top1", "difference", "effective_rank"} <= {metric.name for metric in metrics()}
    frames = [build.COLUMNS, convergence.COLUMNS, published.COLUMNS, claim_tables.CLAIMS, claim_tables.CHECKS]
    frames += [claim_tables.COMPARISONS, claim_tables.GATES]
    ours = {name for frame in frames for name in frame} - {"seed", "value", "n"}
    assert ours == set(COLUMNS)
