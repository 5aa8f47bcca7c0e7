"""The tutorial about a method of one's own: in a package outside the tree, and in the tree by README's steps."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from tests.workflow.commands import COPIED, ROOT, environment, own_environment, planned, replace, run
from tests.workflow.tutorials import BLOCK, follow, read

OUTSIDE, INSIDE = read("my_method.md").split("\n## In the suite itself\n")
NAME = "align_uniform"
WHOLE = (*COPIED, "tests", "docs", "README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", "mkdocs.yml")
WHOLE += ("benchmarks",)
# What is about all methods: whole files, and of the files that go through all of them the cases of the new one. The
# other files of `make test` look at no list of methods, so a new one cannot reach them.
FILES = ("layout", "marks", "docs", "fingerprint", "digests")
CASES = ("tests/contract/test_methods.py", "tests/unit/test_distributed.py", "tests/unit/test_diagnostics.py")
CASES += ("tests/unit/test_config.py",)


@pytest.mark.slow
def test_a_package_of_ones_own_goes_from_nothing_to_the_page(tmp_path: Path) -> None:
    python = own_environment(tmp_path / "environment")
    project = follow(OUTSIDE, tmp_path, ROOT, python)
    table = pd.read_csv(project / "results/tables/linear.csv")
    assert set(table["variant"]) == {NAME, "simclr"}
    assert set(table[table["variant"] == NAME]["baseline"]) == {"simclr"}  # as its mark says
    page = (project / "results/report/index.html").read_text(encoding="utf-8")
    assert "Alignment and uniformity" in page
    assert "--m-my_methods-align_uniform-AlignUniform: #7a1fa2;" in page

    replace(project / "my_methods/align_uniform.py", "0.5 * (uni", "0.25 * (uni")
    again = [str(python), "-P", "-m", "snakemake", "--dry-run"]
    said = subprocess.run(again, cwd=project, env=environment(ROOT, python), capture_output=True, text=True, check=True)
    assert planned(said.stdout)["pretrain"] == 2  # its two seeds, as the tutorial says


def test_readme_lists_the_files_of_the_steps_and_no_others() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\d\. (`.*?):", readme, re.MULTILINE) + re.findall(r"`config/suites/NAME\.yaml`", readme)
    named = {path.replace("NAME", NAME) for line in listed for path in re.findall(r"[\w/]+\.\w+", line)}
    assert {title.partition(", ")[0] for _, title, _ in BLOCK.findall(INSIDE) if title} == named


@pytest.mark.slow
def test_the_steps_leave_everything_green_that_is_about_methods(tmp_path: Path) -> None:
    tree = tmp_path / "clone"
    tree.mkdir()
    for name in WHOLE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tree / name)
    follow(INSIDE, tree, tree)
    changed = ("ddcl/schema", "baselines", "tests/golden")
    for tool in (("ruff", "check", *changed), ("ruff", "format", "--check", *changed)):
        done = run(sys.executable, "-m", *tool, cwd=tree, code=tree)
        assert done.returncode == 0, done.stdout
    pytest_ = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", f"--basetemp={tmp_path / 'inner'}"]
    for chosen in ([f"tests/unit/test_{name}.py" for name in FILES], [*CASES, "-k", NAME]):
        done = run(*pytest_, *chosen, cwd=tree, code=tree)
        assert done.returncode == 0, done.stdout[-3000:]
