"""Each verb given each kind of damage in each file that it reads: one line that names it, or nothing that it moves."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from ddcl.__main__ import main
from ddcl.base.files import file_sha256
from ddcl.build import build_method
from ddcl.core.checkpoint import save_checkpoint
from ddcl.plan.plan import read_plan
from ddcl.render import render_tables
from ddcl.report.collect import collect
from tests.unit import made_run, synthetic, written

PLAN = synthetic.with_recipes(synthetic.suite(tables=("knn",), figures=synthetic.figures(["knn_curves"])))
RUN = PLAN.run("digits/ddcl/baug/seed0")
KNN = RUN.record(next(target for target in RUN.targets if target.evaluation == "knn"))
PLANNED, SHOWN = ("suite.json",), ("suite.json", "runs.json", "records.parquet", "histories.parquet")
OF_RUN = (f"{RUN.folder}/config.json", f"{RUN.folder}/run.json", f"{RUN.folder}/history.csv", KNN)
OF_RUN += (KNN.replace(".json", "_predictions.npz"), f"{PLAN.data_folders[0]}/manifest.json")
FORMER = f"plans/{PLAN.suite}-{PLAN.digest}.json"
MADE = made_run.run_of(Path()).as_posix()
DATA = made_run.manifest_of(Path()).parent.as_posix()
RECIPE, MANIFEST = f"{MADE}/config.json", f"{DATA}/manifest.json"
IMAGES = tuple(f"{DATA}/splits/train_{kind}.npy" for kind in ("images", "labels"))
STORED = tuple(f"{MADE}/{made_run.ARRAYS}/{name}" for name in ("features.json", "train.npy", "test_none-0.npy"))


class Case(NamedTuple):
    """A command with {results} in it, the files below the results folder that it reads, and which results these are."""

    command: str
    files: tuple[str, ...]
    made: bool = False


CASES = [
    Case("status", (*PLANNED, f"{RUN.folder}/run.json", KNN)),
    Case("collect", (*PLANNED, *OF_RUN)),
    Case("collect --partial", (*PLANNED, *OF_RUN)),
    Case("table", SHOWN),
    Case("claims", SHOWN),
    Case("figure", SHOWN),
    Case("report", (*SHOWN, f"{RUN.folder}/config.json")),
    Case("picture", PLANNED),
    Case("trace {results}/tables/knn.csv --row 1", ("tables/knn.csv", *SHOWN, f"{RUN.folder}/run.json", KNN)),
    Case("export --output {results}/../out.zip", (*SHOWN, *OF_RUN)),
    Case("adopt", OF_RUN),
    Case("clean --unused --yes", (*PLANNED, FORMER)),
    Case("plan --suite smoke --effect 0.3", ("records.parquet",)),
    Case("resolve --suite smoke", (*PLANNED, FORMER)),
    Case("diagnose {results}/f.npz --subsets 1", ("f.npz",)),
    Case(f"pretrain --run {{results}}/{MADE}", (RECIPE, MANIFEST, *IMAGES), made=True),
    Case(
        f"extract --run {{results}}/{MADE} --perturbations none",
        (RECIPE, f"{MADE}/checkpoint.pt", f"{MADE}/run.json", MANIFEST, *IMAGES),
        made=True,
    ),
    Case(f"evaluate knn --run {{results}}/{MADE} --perturbations none", (RECIPE, *STORED), made=True),
    Case(f"evaluate drift --run {{results}}/{MADE} --perturbations none", (RECIPE, *STORED[::2]), made=True),
]
WITHOUT_RESULTS = ("trace", "diagnose")

DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda old: b"",
    "first half": lambda old: old[: len(old) // 2],
    "a byte less": lambda old: old[:-1],
    "more": lambda old: old + b"more",
    "a flipped bit": lambda old: old[: len(old) // 2] + bytes([old[len(old) // 2] ^ 4]) + old[len(old) // 2 + 1 :],
    "noise": lambda old: np.random.default_rng(0).bytes(max(len(old), 64)),
    "zeros": lambda old: bytes(len(old)),
    "no UTF-8": lambda old: b"\xff\xfe" + old,
    "null": lambda old: b"null",
    "a list": lambda old: b"[]",
    "an empty object": lambda old: b"{}",
    "another object": lambda old: b'{"cells": [{"value": "x"}], "run": 3, "schema": 3, "splits": []}',
    "a text": lambda old: b'"x"',
    "a number": lambda old: b"1e999",
    "many digits": lambda old: b"1" * 5000,
    "NaN": lambda old: b'{"schema": NaN}',
    "nested": lambda old: b"[" * 100_000,
    "a table": lambda old: b"epoch,seconds\nx,y\n",
}
IN_PLACE: dict[str, Callable[[Path], None]] = {
    "a folder": Path.mkdir,
    "missing": lambda path: None,
    "a link to nowhere": lambda path: path.symlink_to("nowhere"),
    "a link to itself": lambda path: path.symlink_to(path.name),
}
ANSWERS = ("refused", "named", "harmless")
GONE = ("missing", "a link to nowhere", "a link to itself")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """Results of a suite, collected and shown; and those of two runs with checkpoints, images and features."""
    folder = tmp_path_factory.mktemp("whole")
    suite, made = folder / "suite", folder / "made"
    written.write_results(PLAN, suite, synthetic.value, images=50)
    collect(read_plan(suite), suite, partial=False)
    render_tables([], suite)
    rng = np.random.default_rng(0)
    np.savez(
        suite / "f.npz", features=rng.normal(size=(60, 4)), part_dir=np.array([0, 2]), factor_x=rng.normal(size=60)
    )
    made_run.write_two_runs(made)
    recipe = made_run.recipe_of()
    content = {"recipe_digest": recipe.digest, "status": "ok", "method": build_method(recipe).state_dict()}
    digest = save_checkpoint(made / MADE / "checkpoint.pt", content)
    sums = {"checkpoint_digest": digest, "checkpoint_sha256": file_sha256(made / MADE / "checkpoint.pt")}
    written.change_summary(made / MADE / "run.json", **sums)
    return {False: suite, True: made}


def said(case: Case, results: Path) -> tuple[int, str, str]:
    """Run a command in this process; return status, output and errors, without the name of the folder."""
    words = case.command.format(results=results).split()
    words += [] if words[0] in WITHOUT_RESULTS else ["--results", str(results)]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main(words)
    return status, out.getvalue().replace(str(results), "R"), err.getvalue().replace(str(results), "R")


def judged(case: Case, kind: str, path: Path, usual: tuple[int, str, str], found: tuple[int, str, str]) -> str:
    """Return what is to be said of an answer: refused, named, harmless; or what is wrong with it."""
    status, out, err = found
    if status == 2:
        return "refused" if err.startswith("ddcl: error: ") and "Traceback" not in err else f"no line: {err}"
    if status:
        return f"status {status}: {err}"
    if path.name in out + err and found != usual:
        return "named"
    if found == usual or kind in GONE:
        return "harmless"
    return f"accepted: {out[-300:]} {err[-300:]}"


@pytest.mark.slow
def test_no_verb_is_upset_or_fooled_by_a_damaged_file(
    whole: dict[bool, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[2])
    monkeypatch.setattr(os, "get_terminal_size", lambda *_: os.terminal_size((80, 24)))
    answers, wrong = Counter[str](), list[str]()
    for number, case in enumerate(CASES):
        results = tmp_path / str(number) / "results"
        shutil.copytree(whole[case.made], results)
        usual = said(case, results)
        for turn, kind in enumerate((*DAMAGE, *IN_PLACE)):
            shutil.rmtree(results.parent)
            shutil.copytree(whole[case.made], results)
            path = results / case.files[(turn + number) % len(case.files)]
            content = path.read_bytes()
            path.unlink()
            path.write_bytes(DAMAGE[kind](content)) if kind in DAMAGE else IN_PLACE[kind](path)
            try:
                answer = judged(case, kind, path, usual, said(case, results))
            except BaseException as error:
                answer = f"{type(error).__name__}: {error}"
            answers[answer if answer in ANSWERS else "wrong"] += 1
            if answer not in ANSWERS:
                wrong.append(f"{case.command.split(' --')[0]} | {path.relative_to(results)} | {kind} | {answer[:300]}")
    print(dict(answers))
    assert not wrong, "\n".join(wrong)
    assert answers.total() >= 300
