"""What the DAG runs, and what it runs again after which change."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from ddcl.plan.cost import jobs as jobs_of
from ddcl.plan.plan import read_plan
from ddcl.plan.suite import Suite
from ddcl.schema.figures import with_differences
from tests.workflow.commands import copy_project, planned, replace, run, run_of, snakemake
from tests.workflow.conftest import Finished

RUN = ("resolve", "pretrain", "extract", "linear", "knn")  # the jobs of one run
TRAINING = {"prepare", "resolve", "pretrain", "extract"}
EVALUATION = {"linear", "knn"}
# what another plan remakes: all that may print its words
SHOWN = {"all": 1, "plan": 1, "collect": 1, "table": 7, "claims": 1, "figure": 9, "picture": 4, "report": 1}
SMOKE = ("--configfile", "config/suites/smoke.yaml")


def dry(copy: Path, *arguments: str) -> dict[str, int]:
    """Dry-run the smoke suite; return its jobs per rule."""
    done = snakemake("-n", *arguments, *SMOKE, copy=copy)
    assert done.returncode == 0, done.stdout + done.stderr
    return planned(done.stdout + done.stderr)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which nothing was run."""
    return copy_project(tmp_path_factory.mktemp("fresh") / "project")


def test_default_suite_plans_every_run_once(fresh: Path) -> None:
    done = snakemake("-n", copy=fresh)
    jobs = planned(done.stdout + done.stderr)
    assert jobs == {
        "all": 1,
        "prepare": 1,
        "resolve": 67,
        "pretrain": 67,
        "extract": 67,
        "linear": 67,
        "knn": 55,
        "diagnostics": 55,
        "plan": 1,
        "collect": 1,
        "table": 7,
        "claims": 1,
        "figure": 11,
        "report": 1,
    }


@pytest.mark.slow
def test_jobs_of_this_machine_are_forked_and_give_what_others_give(smoke: Finished, tmp_path: Path) -> None:
    copy = tmp_path / "project"
    shutil.copytree(smoke.copy, copy, symlinks=True)
    seen, watch = tmp_path / "seen", tmp_path / "watch"
    watch.mkdir()
    text = f"import os, sys\nprint(os.environ.get('DDCL_WARM'), *sys.orig_argv, file=open({str(seen)!r}, 'a'))\n"
    (watch / "sitecustomize.py").write_text(text)
    run_folder = copy / "results" / run_of(copy, "digits/ddcl/caug/seed0").folder
    records = {path: path.read_bytes() for path in sorted(run_folder.glob("on/digits/*/*.json"))}
    assert records
    environment = os.environ | {"PYTHONPATH": str(watch)}
    for hooks, forked in (([], True), (["--no-hooks"], False)):
        shutil.rmtree(run_folder)
        seen.unlink(missing_ok=True)
        targets = [str(path.relative_to(copy)) for path in records]
        command = [sys.executable, "-m", "snakemake", "--cores", "2", *hooks, *SMOKE, "--", *targets]
        done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        jobs = [line for line in seen.read_text().splitlines() if " -m ddcl pretrain" in line]
        assert len(jobs) == 1
        assert jobs[0].startswith("None ") is not forked
        assert ("ddcl.warm" in seen.read_text()) is forked
        assert {path: path.read_bytes() for path in records} == records


@pytest.mark.slow
def test_the_whole_paper_is_listed_in_a_minute_and_names_what_is_missing(fresh: Path) -> None:
    suite = Suite.load(fresh / "config/suites/paper.yaml")
    before = os.times()
    done = snakemake("-n", "--configfile", "config/suites/paper.yaml", copy=fresh)
    after = os.times()
    seconds = after.children_user + after.children_system - before.children_user - before.children_system
    output = done.stdout + done.stderr
    assert done.returncode == 0, output[-2000:]
    assert planned(output) == jobs_of(suite)
    assert output.count("data sets are not in") == 1
    missing = output[output.index("10 of 10 data sets are not in data") :].splitlines()[1:11]
    assert [line.split()[0] for line in missing] == list(suite.dataset_configs)
    assert seconds < 60


@pytest.mark.slow
def test_a_plan_longer_than_an_argument_is_written(fresh: Path) -> None:
    suite = Suite.load(fresh / "config/suites/cifar10.yaml")
    assert len(suite.plan.text) > 1 << 17  # MAX_ARG_STRLEN of Linux
    done = snakemake("--configfile", "config/suites/cifar10.yaml", "--", "results/suite.json", copy=fresh)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    assert read_plan(fresh / "results") == suite.plan
    shutil.rmtree(fresh / "results")


def test_snakemake_ends_when_its_work_does(tmp_path: Path) -> None:
    """A rate limit over a long time would keep it alive for as long: its timers are threads that end before it does."""
    copy = copy_project(tmp_path / "project")
    done = run("snakemake", "results/suite.json", cwd=copy, code=copy)
    ended = time.time()
    assert done.returncode == 0, done.stdout + done.stderr
    assert ended - (copy / "results/suite.json").stat().st_mtime < 45
    assert read_plan(copy / "results") == Suite.load(copy / "config/config.yaml").plan


def test_one_table_is_a_target_by_itself(fresh: Path) -> None:
    jobs = dry(fresh, "results/tables/robustness.csv")
    assert jobs["table"] == 1
    assert "figure" not in jobs
    assert jobs["pretrain"] == 5


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("config/config.yaml", "\nevaluations: [", "\nevaluatoins: [", ["evaluatoins", "did you mean 'evaluations'"]),
        ("config/config.yaml", "evaluations: [linear,", "evaluations: [linaer,", ["linaer", "did you mean 'linear'"]),
        ("config/config.yaml", "variants: [ddcl, ddcl_sym", "variants: [dcdl, ddcl_sym", ["dcdl", "'ddcl'"]),
        ("config/variants/small/ddcl.yaml", "dir_frac: 0.8", "dir_farc: 0.8", ["ddcl.yaml", "dir_farc", "'dir_frac'"]),
        ("config/variants/small/ddcl.yaml", "dir_frac: 0.8", "dir_frac: much", ["ddcl.yaml", "dir_frac", "'much'"]),
        ("config/datasets/digits.yaml", "\n  epochs: 36", "\n  epochs: '36'", ["training.epochs", "'36'"]),
        ("config/augmentations/baug.yaml", "grayscale: {prob", "grayscale: {porb", ["baug.yaml", "porb", "'prob'"]),
        ("config/datasets/digits.yaml", "reader: digits", "reader: digit", ["digits.yaml", "'digits'"]),
    ],
)
def test_configuration_errors_stop_before_any_job(
    file: str, old: str, new: str, expected: list[str], tmp_path: Path
) -> None:
    copy = copy_project(tmp_path / "project")
    replace(copy / file, old, new)
    done = snakemake("results/report/index.html", copy=copy)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert all(word in output for word in expected), output
    assert "Traceback" not in output
    assert not (copy / "results").exists()


@pytest.fixture(scope="module")
def done_smoke(smoke: Finished, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project in which the smoke suite was run."""
    copy = tmp_path_factory.mktemp("after") / "project"
    subprocess.run(["cp", "-a", str(smoke.copy), str(copy)], check=True)
    return copy


@pytest.mark.slow
class TestAfterARun:
    """Changes after a whole run of the smoke suite: what runs again. Each test undoes its change."""

    def test_all_outputs_are_there_and_nothing_is_left_to_do(self, done_smoke: Path) -> None:
        for table in Suite.load(done_smoke / SMOKE[1]).tables:
            frame = pd.read_csv(done_smoke / f"results/tables/{table}.csv")
            assert len(frame)
            # after two epochs a curve need not have reached what it is measured against, nor that have gained anything
            ends = {"1 of 1 not reached", "1 of 1 no gain"} if table == "convergence" else set()
            assert set(frame["status"]) <= {"ok"} | ends
            assert all((done_smoke / f"results/tables/{table}.{end}").stat().st_size for end in ("md", "tex", "html"))
        claims = pd.read_csv(done_smoke / "results/tables/claims.csv")
        names = [f"C{number}{form}" for number in (1, 2, 3, 4, 5, 6, 7.1, 7.2, 7.3, 7.4) for form in "ab"]
        assert list(claims["claim"]) == [*names, "C8"]
        assert set(claims["verdict"]) <= {"inconclusive", "not run", "protocol differs"}  # one seed, no paper's probe
        assert "\\DdclBaugLinear" in (done_smoke / "results/tables/macros.tex").read_text()
        figures = with_differences(("knn_curves", "robustness", "augmentation", "parts", "claims"))
        assert len(figures) == SHOWN["figure"]
        for figure in figures:
            assert all((done_smoke / f"results/figures/{figure}.{end}").stat().st_size for end in ("png", "pdf", "svg"))
        for picture in ("views_digits", "activation_digits", "neighbours_digits", "embedding_digits"):
            assert all(
                (done_smoke / f"results/figures/{picture}.{end}").stat().st_size for end in ("png", "pdf", "csv")
            )
        page = (done_smoke / "results/report/index.html").read_text()
        assert "<html" in page
        assert "of each method the first seed (0)" in page
        done = snakemake(*SMOKE, copy=done_smoke)
        assert "Nothing to be done" in done.stdout + done.stderr

    @pytest.mark.parametrize(
        ("file", "old", "new", "again", "stays"),
        [
            # what is drawn: a colour
            (
                "ddcl/report/figures/layout.py",
                '"#',
                '"#0',
                {"figure": 9, "picture": 4},
                TRAINING | EVALUATION | {"collect"},
            ),
            ("ddcl/pictures/views.py", "HEAD = 0.35, 0.5", "HEAD = 0.35, 0.6", {"picture": 1}, TRAINING | {"figure"}),
            # how it is shown: a template
            (
                "ddcl/report/templates/styles.css",
                "--page: #fbfbf9",
                "--page: #fbfbf8",
                {"report": 1, "table": 7},
                TRAINING | EVALUATION | {"collect", "figure"},
            ),
            # words of the plan: of a variant, a table, a metric; the paper's recipe that others are held against
            ("config/variants/small/ddcl.yaml", "label: DDCL", "label: D", SHOWN, TRAINING | EVALUATION),
            ("config/tables/knn.yaml", "Top-1 accuracy in", "The top-1 accuracy in", SHOWN, TRAINING | EVALUATION),
            ("ddcl/schema/metrics.py", '"top-1"', '"top 1"', SHOWN, TRAINING | EVALUATION),
            ("config/variants/imagenet/ddcl.yaml", "dir_frac: 0.8", "dir_frac: 0.7", SHOWN, TRAINING | EVALUATION),
            # what cannot move a number of this suite: a comment in the engine, a word that explains a setting, an
            # operation that no recipe has
            ("ddcl/core/pretrain.py", "import math", "import math  # why", {}, TRAINING | EVALUATION | {"table"}),
            ("ddcl/schema/evaluations.py", "number of neighbours", "how many neighbours", {}, TRAINING | {"plan"}),
            ("ddcl/data/ops/corruption.py", "Array = ", "FURTHER = 1\nArray = ", {}, TRAINING | {"plan"}),
            # a number of one variant, a default of one method: exactly its two runs; of an evaluation: that evaluation
            (
                "config/variants/small/ddcl.yaml",
                "dvr_weight: 1.0",
                "dvr_weight: 2.0",
                SHOWN | dict.fromkeys(RUN, 2),
                {"prepare"},
            ),
            (
                "ddcl/schema/methods.py",
                'default=0.0, description="weight of PReg',
                'default=0.1, description="weight of PReg',
                SHOWN | dict.fromkeys(RUN, 2),
                {"prepare"},
            ),
            (
                "config/evaluations/knn.yaml",
                "temperature: 0.1",
                "temperature: 0.2",
                SHOWN | {"knn": 5},
                TRAINING | {"linear"},
            ),
            ("config/perturbations/color_rotate.yaml", "90.0", "45.0", {"extract": 5, "linear": 5}, {"pretrain"}),
            # which cells there are: none of DVR under a perturbation
            (
                "ddcl/plan/cells.py",
                "not in metric.parts:",
                'not in metric.parts or (part, perturbation.perturbation) == ("dvr", "color_rotate"):',
                SHOWN | {"linear": 2, "knn": 2},
                TRAINING,
            ),
            # code: the engine, a baseline, an evaluation, extraction
            ("ddcl/core/pretrain.py", "seconds = 0.0", "seconds = +0.0", {"pretrain": 5, "knn": 5}, {"resolve"}),
            ("baselines/simsiam.py", "-0.5 *", "-0.25 *", {"pretrain": 2, "extract": 2, "knn": 2}, {"resolve"}),
            ("ddcl/evaluate/logistic.py", "TOLERANCE = 1e-5", "TOLERANCE = 2e-5", {"linear": 5}, TRAINING | {"knn"}),
            ("ddcl/evaluate/knn.py", "queries = ", "queries: torch.Tensor = ", {"knn": 5}, TRAINING | {"linear"}),
            # the search of neighbours also serves the monitor of training
            (
                "ddcl/evaluate/neighbours.py",
                "min(k, len(voters))",
                "min(+k, len(voters))",
                {"pretrain": 5, "knn": 5},
                {"resolve"},
            ),
            ("ddcl/evaluate/features.py", "before = ", "before: str = ", {"extract": 5, "knn": 5}, {"pretrain"}),
        ],
    )
    def test_a_change_redoes_what_it_can_move_and_nothing_else(
        self, file: str, old: str, new: str, again: dict[str, int], stays: set[str], done_smoke: Path
    ) -> None:
        path = done_smoke / file
        before = path.read_text()
        assert old in before
        path.write_text(before.replace(old, new, 1))
        try:
            jobs = dry(done_smoke)
        finally:
            path.write_text(before)
        assert {rule: jobs.get(rule, 0) for rule in again} == again, jobs
        assert not stays & set(jobs), jobs
        assert again or not jobs, jobs

    def test_a_new_operation_and_a_new_method_change_nothing_but_what_names_them(
        self, done_smoke: Path, tmp_path: Path
    ) -> None:
        copy = tmp_path / "project"
        subprocess.run(["cp", "-a", str(done_smoke), str(copy)], check=True)
        shutil.copy(copy / "ddcl/data/ops/grayscale.py", copy / "ddcl/data/ops/negative.py")
        ops = '    "negative": OpEntry("ddcl.data.ops.negative", GrayscaleSettings),\n'
        replace(copy / "ddcl/schema/ops.py", "OPS |= {\n", f"OPS |= {{\n{ops}")
        shutil.copy(copy / "baselines/simsiam.py", copy / "baselines/further.py")
        with open(copy / "ddcl/schema/methods.py", "a", encoding="utf-8") as settings:
            settings.write("\n\nclass FurtherSettings(SimSiamBaselineSettings):\n    pull: float = 0.9\n")
        registry = copy / "ddcl/schema/registry.py"
        replace(registry, "    SimSiamBaselineSettings,\n", "    FurtherSettings,\n    SimSiamBaselineSettings,\n")
        entry = '    "further": MethodEntry("baselines.further:SimSiam", FurtherSettings),\n'
        replace(registry, "METHODS |= {\n", f"METHODS |= {{\n{entry}")
        variant = copy / "config/variants/small/further.yaml"
        variant.write_text("base: simsiam\nlabel: Further\nmethod: further\nsettings: {pull: 0.5}\n")
        assert dry(copy) == {}
        replace(copy / SMOKE[1], "[ddcl, simsiam]", "[ddcl, simsiam, further]")
        assert dry(copy) == SHOWN | dict.fromkeys(RUN, 2)

    def test_an_added_seed_trains_the_new_runs_only(self, done_smoke: Path) -> None:
        path = done_smoke / "config/suites/smoke.yaml"
        before = path.read_text()
        path.write_text(before.replace("seeds: [0]\n    overrides", "seeds: [0, 1]\n    overrides"))
        try:
            jobs = dry(done_smoke)
        finally:
            path.write_text(before)
        assert jobs["pretrain"] == 4
        assert jobs["resolve"] == 4

    def test_a_report_of_snakemake_can_be_made(self, done_smoke: Path) -> None:
        done = snakemake("--report", "r.html", *SMOKE, copy=done_smoke)
        assert done.returncode == 0, done.stdout + done.stderr
        report = (done_smoke / "r.html").read_text()
        words = ["While training", "long CSV"]  # a subcategory, a label, and captions of a table and of a figure
        words += ["k and temperature fixed beforehand, last epoch", "mean over seeds, and their range"]
        assert all(text in report for text in words)
        assert "system-message" not in report  # what docutils leaves where a caption is no reStructuredText
