"""The command line's conventions: examples in every help, JSON for scripts, no colours, progress of what takes long."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from pathlib import Path

import pytest

from ddcl import doctor, verbs
from ddcl.__main__ import build_parser, main
from ddcl.argument_types import LONGEST_LINE
from ddcl.base.errors import visible
from ddcl.help_examples import GENERAL, OF_VERB
from ddcl.reference import verb_parsers
from ddcl.schema.encoders import Origin
from ddcl.schema.suites import MOST_PX


def verb_names() -> list[str]:
    return sorted(verb_parsers(build_parser()))


def test_every_verb_has_examples_that_it_understands() -> None:
    assert sorted(OF_VERB) == verb_names()
    for verb, examples in OF_VERB.items():
        for example in examples:
            assert example.startswith(f"ddcl {verb}")
            arguments = shlex.split(example)[1:]
            build_parser().parse_args(arguments)
    for example in GENERAL:
        build_parser().parse_args(shlex.split(example)[1:])


@pytest.mark.parametrize("verb", [None, *verb_names()])
def test_help_shows_them_in_lines_of_their_own(verb: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*(verb.split() if verb else []), "--help"])
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert all(f"\n  {example}\n" in said for example in (OF_VERB[verb] if verb else GENERAL))
    assert "\x1b" not in said


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    """Run a verb and return the one JSON object that it printed."""
    assert main(list(arguments)) == 0
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def test_a_plan_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "no data"
    found = printed(
        capsys, "plan", "--suite", "cifar10", "--json", "--data-root", str(data), "--results", str(tmp_path)
    )
    assert set(found) == {"suite", "runs", "cells", "jobs", "pilot", "datasets", "data_root", "missing"}
    assert found["pilot"]["hours"] < 10  # type: ignore[index]
    assert (found["suite"], found["data_root"]) == ("cifar10", str(data))
    assert found["jobs"]["pretrain"] == found["runs"]  # type: ignore[index]
    assert "cifar10" in found["missing"]  # type: ignore[operator]
    assert found["datasets"]["cifar10"]["pretraining_hours"] > 1  # type: ignore[index]
    assert main(["plan", "--suite", "cifar10", "--effect", "0.3", "--json"]) == 2


def test_a_status_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(capsys, "status", "--suite", "smoke", "--json", "--results", str(tmp_path))
    runs = found["runs"]
    assert isinstance(runs, list)
    assert found == {"suite": "smoke", "runs": runs, "done": 0, "running": 0, "failed": 0, "waiting": 5}
    assert runs[0] == {"run": "digits/ddcl/baug/seed0", "state": "waiting", "detail": "", "log_tail": []}


def test_the_doctor_says_what_it_is_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(doctor, "SECONDS", 0.0)
    assert main(["doctor", "--dataset", "digits", "--json", "--results", str(tmp_path), "--device", "cpu"]) == 0
    said = capsys.readouterr()
    found = json.loads(said.out)
    assert {"loading", "augmentation", "step", "training", "bottleneck", "hours_of_a_run"} <= set(found)
    assert found["run"] == "digits/ddcl/caug/seed0"
    lines = [line for line in said.err.splitlines() if line.startswith("ddcl doctor: ")]
    assert [line.split()[-2] for line in lines[1:]] == ["loading", "augmentation", "step", "training"]


def test_a_table_that_is_no_csv_has_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = tmp_path / "tables/knn.md"
    expected = f"ddcl: error: {table}: ddcl trace needs the table's CSV; give {table.with_suffix('.csv')}\n"
    for which in ((), ("--row", "1"), ("--all",)):
        assert main(["trace", str(table), *which]) == 2
        assert capsys.readouterr().err == expected


def test_options_that_would_mean_nothing_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "--suite", "smoke", "--sd", "1", "--pairs-correlation", "0.5", "--power", "0.9"]) == 2
    said = "ddcl: error: ddcl plan: --sd, --pairs-correlation, --power: means nothing without --effect; "
    assert capsys.readouterr().err == f"{said}add it, or leave this out\n"


@pytest.mark.parametrize("verb", ["plan", "status", "resolve"])
def test_a_folder_without_a_suite_is_told_how_to_get_one(
    verb: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([verb]) == 2
    said = "ddcl: error: config/config.yaml: no such file; name a suite with --suite, or make a project with "
    assert capsys.readouterr().err == f"{said}`ddcl init FOLDER`\n"


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--label", "two\nlines", r"expected a line of at most 200 characters, .*, found 'two\\nlines'"),
        ("--source", "\x1b[31m", r"expected a line .*, found '\\x1b\[31m'"),
        ("--licence", " ", "expected a line"),
        ("--side", "4", "expected a whole number from 8 to 16384, found '4'"),
        ("--side", "16385", "expected a whole number from 8 to 16384"),
    ],
)
def test_what_an_encoder_s_yaml_could_not_say_is_refused_at_once(
    option: str, value: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["encoder", "add", "mine", "nosuch.pth", option, value])
    assert ended.value.code == 2
    assert re.search(message, capsys.readouterr().err)
    assert (LONGEST_LINE, MOST_PX) == (200, 16384)


def test_nothing_that_a_file_names_reaches_the_terminal_as_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert visible("a\x1b[2Jb\u202ec\x9bd\ne × –") == r"a\x1b[2Jb\u202ec\x9bd" + "\ne × –"
    assert main(["encoder", "inspect", "no\x1b[31msuch.pth"]) == 2
    said = capsys.readouterr().err
    assert r"no\x1b[31msuch.pth: missing" in said
    assert said.count("\n") == 1
    origin = Origin(file="\x1b\udcff.pth", sha256=64 * "0", layout="simsiam", n_used=1, left_out=[])
    assert origin.file == r"\x1b\udcff.pth"  # which YAML can say


def test_verdicts_as_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("ddcl.render.render_claims", lambda results: {"C1a": "inconclusive"})
    monkeypatch.setattr(verbs, "_planned", lambda args: argparse.Namespace(suite="digits"))
    assert printed(capsys, "claims", "--json") == {"suite": "digits", "verdicts": {"C1a": "inconclusive"}}
