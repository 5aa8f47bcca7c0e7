"""The command line as a stranger uses it: wrong inputs, kills, repeats. Each test trains a tiny run or shares one."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from torch import Tensor

from ddcl.base import sealed
from ddcl.base.files import write_json
from ddcl.core.checkpoint import load_checkpoint, save_checkpoint
from ddcl.core.method import Method
from ddcl.evaluate import features
from ddcl.evaluate.verify import verify_run
from ddcl.plan import addresses
from ddcl.plan.job_cost import read_costs
from ddcl.schema import manifest, record, run_summary
from ddcl.schema.op_recipes import read_perturbation
from ddcl.schema.recipes import build_recipe, data_recipe, load_recipe
from tests.workflow.commands import ROOT, ddcl

PERTURBATIONS = ("--perturbations", "none", "color_rotate")


def write_recipe(results: Path, variant: str, epochs: int, seed: int = 0) -> Path:
    """Write the recipe of a short run; return the run's folder."""
    overrides = {
        "epochs": epochs,
        "schedule": {"warmup_epochs": 0},
        "checkpoint_epochs": 1,
        "monitor": {"every_epochs": 1},
        "precision": "fp32",
    }
    recipe = build_recipe(("digits", variant, "caug"), seed, overrides)
    folder = results / addresses.run_folder(recipe)
    write_json(folder / "config.json", recipe.model_dump())
    return folder


def run_everything(cwd: Path, run: Path) -> None:
    """Run every stage of one run, from the data set to the records."""
    for command in (
        ("prepare", "digits"),
        ("pretrain", "--run", str(run)),
        ("extract", "--run", str(run), *PERTURBATIONS),
        ("evaluate", "linear", "--run", str(run), *PERTURBATIONS),
        ("evaluate", "knn", "--run", str(run), *PERTURBATIONS),
    ):
        done = ddcl(*command, cwd=cwd)
        assert done.returncode == 0, done.stderr


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with digits prepared and one DDCL run trained, extracted and evaluated."""
    cwd = tmp_path_factory.mktemp("trained")
    run = write_recipe(cwd / "results", "ddcl", epochs=1)
    run_everything(cwd, run)
    return cwd


@pytest.fixture
def copied(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained folder, to be damaged."""
    shutil.copytree(trained / "results", tmp_path / "results")
    return tmp_path


def run_folder(cwd: Path) -> Path:
    """The folder of the one run that was trained; a test may have written other recipes beside it."""
    (path,) = cwd.glob("results/runs/digits/ddcl/*/seed0/run.json")
    return path.parent


def data_folder(cwd: Path) -> Path:
    return cwd / "results" / addresses.data_folder("digits", data_recipe("digits"))


def features_of(run: Path) -> Path:
    """Where the features of a run on its own data set lie."""
    (folder,) = run.glob("on/digits/features-*/arrays")
    return folder


def record_of(run: Path, evaluation: str) -> Path:
    """The record of a run on its own data set."""
    (path,) = run.glob(f"on/digits/{evaluation}-*/{evaluation}.json")
    return path


def refused(cwd: Path, *command: str) -> str:
    """Run a command that must fail with status 2 and one line; return the line."""
    done = ddcl(*command, cwd=cwd)
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("ddcl: error: ")
    return lines[0]


@pytest.mark.parametrize("minutes", ["-3", "nan", "soon"])
def test_minutes_between_states_that_are_none(minutes: str) -> None:
    done = ddcl("pretrain", "--run", "nowhere", f"--checkpoint-minutes={minutes}", cwd=ROOT)
    assert done.returncode == 2
    assert f"expected minutes from 0, found '{minutes}' (here or in DDCL_CHECKPOINT_MINUTES)" in done.stderr


def test_help_of_every_verb_needs_no_torch() -> None:
    code = "import sys, ddcl.__main__ as cli; cli.build_parser().format_help(); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.strip() == "False"


def test_a_run_leaves_all_its_files(trained: Path) -> None:
    names = {path.name for path in run_folder(trained).iterdir()}
    assert names == {"config.json", "checkpoint.pt", "history.csv", "run.json", "on", "work", ".pretrain.lock"}
    assert [path.name for path in (run_folder(trained) / "work").iterdir()] == ["finished"]
    for name in ("linear", "knn"):
        folder = record_of(run_folder(trained), name).parent
        assert {path.name for path in folder.iterdir()} == {f"{name}.json", f"{name}_predictions.npz", ".lock"}
    assert {path.name for path in features_of(run_folder(trained)).parent.iterdir()} == {"arrays", ".lock"}
    assert len(list((run_folder(trained) / "on/digits").iterdir())) == 3
    cells = record.load(record_of(run_folder(trained), "knn")).cells
    assert {cell.part for cell in cells} == {"full", "dir", "dvr"}
    assert all(cell.n == 899 and cell.value is not None and 0 <= cell.value <= 1 for cell in cells)
    assert verify_run(run_folder(trained), {"digits": data_folder(trained) / "manifest.json"}) == []


def test_every_job_of_a_run_says_what_it_cost(trained: Path) -> None:
    costs = {cost.stage: cost for cost in read_costs(trained / "results")}
    assert set(costs) == {"pretrain", "features", "linear", "knn"}
    data = manifest.load(data_folder(trained) / "manifest.json")
    train, test = data.n("train"), data.n("test")
    images = {name: cost.images for name, cost in costs.items()}
    assert images == {"pretrain": train, "features": train + 2 * test, "linear": None, "knn": None}  # clean, and a draw
    for cost in costs.values():
        assert 0 < cost.start_seconds < cost.seconds
        assert cost.cpu_seconds > 0.1
        assert 100 < cost.peak_mb < 4000
        assert (cost.device, cost.host) == ("cpu", platform.node())
    assert costs["pretrain"].images_seconds == run_summary.load(run_folder(trained) / run_summary.FILE).seconds


def test_a_checkpoint_of_another_training_of_the_same_recipe(copied: Path) -> None:
    """run.json says which one it is of."""
    content, _ = load_checkpoint(run_folder(copied) / "checkpoint.pt")
    save_checkpoint(run_folder(copied) / "checkpoint.pt", content | {"epochs": 2})
    line = refused(copied, "extract", "--run", str(run_folder(copied)), *PERTURBATIONS)
    assert "checkpoint.pt: not the checkpoint described by run.json beside it" in line
    assert verify_run(run_folder(copied)) != []


def test_missing_checkpoint(copied: Path) -> None:
    (run_folder(copied) / "checkpoint.pt").unlink()
    line = refused(copied, "extract", "--run", str(run_folder(copied)), *PERTURBATIONS)
    assert "checkpoint.pt: missing checkpoint" in line


def test_truncated_checkpoint(copied: Path) -> None:
    path = run_folder(copied) / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:5000])
    line = refused(copied, "extract", "--run", str(run_folder(copied)), *PERTURBATIONS)
    assert "checkpoint.pt: damaged checkpoint" in line


def test_checkpoint_of_another_recipe(copied: Path) -> None:
    other = write_recipe(copied / "results", "ddcl", epochs=2)
    assert other != run_folder(copied)
    shutil.copy(run_folder(copied) / "checkpoint.pt", other)
    line = refused(copied, "extract", "--run", str(other), *PERTURBATIONS)
    assert "checkpoint of recipe" in line


@pytest.mark.parametrize("command", [("pretrain",), ("extract", *PERTURBATIONS), ("evaluate", "knn", *PERTURBATIONS)])
def test_a_recipe_at_the_address_of_another(command: tuple[str, ...], copied: Path) -> None:
    run = run_folder(copied)
    shutil.copy(write_recipe(copied / "results", "ddcl", epochs=2) / "config.json", run)
    named, found = run.parent.name[-8:], load_recipe(run / "config.json").arm_digest[:8]
    line = refused(copied, *command, "--run", str(run))
    assert (
        f"config.json: holds recipe {found}, but its address says {named}; delete the file and run snakemake again"
        in line
    )


def test_features_of_another_run(copied: Path) -> None:
    other = write_recipe(copied / "results", "ddcl", epochs=1, seed=1)
    features = features_of(run_folder(copied))
    shutil.copytree(features, other / features.relative_to(run_folder(copied)))
    line = refused(copied, "evaluate", "knn", "--run", str(other), *PERTURBATIONS)
    assert "features of run digits/ddcl/caug/seed0" in line
    assert "seed1" in line


def test_features_without_a_perturbation_and_damaged_features(copied: Path) -> None:
    run = run_folder(copied)
    line = refused(copied, "evaluate", "knn", "--run", str(run), "--perturbations", "color_flip")
    assert "asked for features of digits under color_flip; found none in" in line
    assert "run `ddcl extract` first" in line
    stored = features_of(run)
    line = refused(
        copied, "evaluate", "knn", "--run", str(run), "--features", str(stored), "--perturbations", "color_flip"
    )
    assert "no features for 'color_flip'; there are color_rotate, none;" in line
    path = stored / "test_none-0.npy"
    path.write_bytes(path.read_bytes()[:-1] + b"\x01")
    assert "test_none-0.npy: damaged" in refused(copied, "evaluate", "knn", "--run", str(run), *PERTURBATIONS)


def test_an_encoder_that_changes_while_frozen_is_an_error(copied: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One BatchNorm statistic moved by a forward pass is enough, and no index is left that could be used."""
    encode = features.encode_chunks

    def leaking(method: Method, *arguments: Any) -> Iterator[list[Tensor]]:
        next(method.buffers()).add_(1e-3)
        return encode(method, *arguments)

    monkeypatch.setattr(features, "encode_chunks", leaking)
    run = run_folder(copied)
    folder = features_of(run)
    shutil.rmtree(folder)
    path = data_folder(copied) / "manifest.json"
    target = features.Target("digits", path, folder, "0" * 16)
    recipe, clean = load_recipe(run / "config.json"), [read_perturbation("none")]
    with pytest.raises(RuntimeError, match="frozen encoder changed"):
        features.extract(recipe, run, manifest.load(path), target, clean, ("cpu", 0))
    assert not (folder / "features.json").exists()


@pytest.mark.parametrize(
    ("content", "expected"), [("{", "not valid JSON"), ("[]", "expected a mapping"), (None, "missing")]
)
def test_unreadable_recipe(content: str | None, expected: str, copied: Path) -> None:
    run = run_folder(copied)
    path = run / "config.json"
    path.unlink() if content is None else path.write_text(content)
    line = refused(copied, "pretrain", "--run", str(run))
    assert "config.json" in line
    assert expected in line


def test_unreadable_suite(tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text("suite: [")
    assert "not valid YAML" in refused(tmp_path, "resolve", "--suite", "bad.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    assert "binary.yaml" in refused(tmp_path, "resolve", "--suite", "binary.yaml")
    assert "is no name" in refused(tmp_path, "resolve", "--suite", ".")
    assert "no such file" in refused(tmp_path, "resolve", "--suite", "absent.yaml")


def test_dataset_that_does_not_match_its_manifest(copied: Path) -> None:
    path = data_folder(copied) / "splits" / "train_images.npy"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    shutil.rmtree(run_folder(copied) / "work")  # a finished run would not read the images
    line = refused(copied, "pretrain", "--run", str(run_folder(copied)))
    assert "train_images.npy: does not match manifest.json" in line


def test_manifest_of_another_side(copied: Path) -> None:
    path = data_folder(copied) / "manifest.json"
    prepared = manifest.load(path)
    data = prepared.data.model_copy(update={"image_side_px": 32})
    sealed.write(path, prepared.model_copy(update={"data": data}))
    line = refused(copied, "pretrain", "--run", str(run_folder(copied)))
    assert "the manifest has image_side_px 32, the run needs 16" in line


def test_unknown_names_are_answered_with_the_nearest(tmp_path: Path) -> None:
    assert "did you mean 'digits'" in refused(tmp_path, "prepare", "digit")
    run = write_recipe(tmp_path / "results", "ddcl", epochs=1)
    assert "did you mean 'knn'" in refused(tmp_path, "evaluate", "kn", "--run", str(run), *PERTURBATIONS)


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small file system")
def test_full_disk_is_said_and_costs_nothing_finished(copied: Path) -> None:
    run = run_folder(copied)
    small = copied / "small"
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(small)], check=False).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        new = small / run.parent.name / run.name
        new.mkdir(parents=True)
        shutil.copy(run / "config.json", new)
        (new / "history.csv").write_text("finished earlier")
        line = refused(copied, "pretrain", "--run", str(new))
        assert "the disk is full" in line
        assert "checkpoint.pt" in line
        assert not list(new.glob(".*tmp*"))
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.slow
def test_two_runs_of_one_recipe_give_identical_records(trained: Path, tmp_path: Path) -> None:
    run = write_recipe(tmp_path / "results", "ddcl", epochs=1)
    run_everything(tmp_path, run)
    for name in ("linear", "knn"):
        assert record_of(run, name).read_bytes() == record_of(run_folder(trained), name).read_bytes()


def digest(run: Path) -> str:
    return load_checkpoint(run / "checkpoint.pt")[1]


@pytest.mark.slow
def test_killed_in_the_middle_and_started_again_gives_the_same_checkpoint(trained: Path, tmp_path: Path) -> None:
    """kill -9 twice, at moments that are not chosen: after the first saved state, and again after the next."""
    shutil.copytree(trained / "results" / "data", tmp_path / "results" / "data")
    whole = write_recipe(tmp_path / "results", "ddcl", epochs=8)
    killed = tmp_path / "killed" / whole.parent.name / whole.name
    shutil.copytree(whole, killed)
    command = ("pretrain", "--results", str(tmp_path / "results"), "--run")
    assert ddcl(*command, str(whole), cwd=tmp_path).returncode == 0

    for _ in range(2):
        state = killed / "work" / "resume.pt"
        before = state.stat().st_mtime_ns if state.exists() else 0
        process = subprocess.Popen([sys.executable, "-m", "ddcl", *command, str(killed)], cwd=ROOT)
        while not state.exists() or state.stat().st_mtime_ns == before:
            assert process.poll() is None, "it ended before it could be killed"
            time.sleep(0.01)
        time.sleep(0.15)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (killed / "checkpoint.pt").exists()

    done = ddcl(*command, str(killed), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "resumed" in done.stdout
    assert digest(killed) == digest(whole)
    assert not list((killed / "work").glob("resume*"))
