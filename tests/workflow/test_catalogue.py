"""What the Snakemake workflow catalogue expects of a repository."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from ddcl.base.version import VERSION
from ddcl.plan.suite import Suite
from tests.workflow.commands import ROOT

# It needs these itself, or its Slurm plugin does, which it imports wherever that is installed.
OF_SNAKEMAKE = {"pydantic", "yaml", "jinja2", "pandas", "numpy"}
IMPORTED_AS = {"scikit-learn": "sklearn", "pillow": "PIL", "pyyaml": "yaml"}
BLOCK = """
import sys


class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"{{name}} is not installed here", name=name)


sys.meta_path.insert(0, Blocked())
"""


def dependencies() -> set[str]:
    """What the project's dependencies are imported as, but for those that come with Snakemake."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[<>=]", line)[0] for line in project["dependencies"]}
    others = {name for name in names if not name.startswith("snakemake")}
    return {IMPORTED_AS.get(name, name) for name in others} - OF_SNAKEMAKE


@pytest.mark.slow
@pytest.mark.parametrize("snakefile", ["Snakefile", "workflow/Snakefile"])
def test_the_linter_passes_where_snakemake_alone_is_installed(snakefile: str, tmp_path: Path) -> None:
    assert {"torch", "scipy", "PIL", "numba", "sklearn"} <= dependencies()
    (tmp_path / "sitecustomize.py").write_text(BLOCK.format(blocked=dependencies()))
    done = subprocess.run(
        [sys.executable, "-P", "-m", "snakemake", "--lint", "--snakefile", snakefile],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "in a good condition" in done.stdout + done.stderr


def test_the_files_that_the_catalogue_reads_are_there() -> None:
    headings = re.findall(r"^(#+) ", (ROOT / "config/README.md").read_text(), re.MULTILINE)
    assert headings
    assert "#" not in headings
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text())["usage"]
    assert set(usage) == {"mandatory-flags", "software-stack-deployment", "report"}
    assert usage["report"] is True
    assert Suite.load(ROOT / ".test/config/config.yaml").runs == Suite.load(ROOT / "config/suites/smoke.yaml").runs


def test_the_version_is_said_once_in_each_place() -> None:
    assert yaml.safe_load((ROOT / "CITATION.cff").read_text())["version"] == VERSION
    assert f"\n## {VERSION}\n" in (ROOT / "CHANGELOG.md").read_text()
