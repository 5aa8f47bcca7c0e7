"""The chain from recipe to predictions: whole it is silent, and whatever is changed or swapped in it is named."""

from __future__ import annotations

import random
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest

from ddcl.base import sealed
from ddcl.base.errors import UserError
from ddcl.base.files import write_json
from ddcl.data.stored import read_images
from ddcl.evaluate.features import _check_summary
from ddcl.evaluate.store import read_test, read_train
from ddcl.evaluate.verify import verify_run
from ddcl.schema import feature_index, manifest, record, run_summary
from ddcl.schema.feature_index import Draw
from ddcl.schema.recipes import build_recipe
from tests.unit.made_run import ARRAYS, DATASET, LABELS, LINEAR, manifest_of, run_of, write_two_runs

MOST_PLACES = 120  # of a file in which a bit is flipped


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Results of two runs that differ in their seed."""
    return write_two_runs(tmp_path_factory.mktemp("made"))


@pytest.fixture
def results(made: Path, tmp_path: Path) -> Path:
    """A copy of them, to be damaged."""
    shutil.copytree(made, tmp_path / "results")
    return tmp_path / "results"


def problems(results: Path, seed: int = 0) -> list[str]:
    """What is said of a run, each in one line that names a file."""
    lines = verify_run(run_of(results, seed), {DATASET: manifest_of(results)})
    for line in lines:
        assert line.startswith(str(results))
        assert "\n" not in line
    return lines


def flips(path: Path) -> Iterator[int]:
    """Flip one bit at a time, at places all over a file, and yield the place; the file is whole again afterwards."""
    whole, draw = path.read_bytes(), random.Random(path.name)
    every = max(1, len(whole) // MOST_PLACES)
    for place in range(0, len(whole), every):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << draw.randrange(8)]) + whole[place + 1 :])
        yield place
    path.write_bytes(whole)


def test_a_whole_run_has_no_problems(results: Path) -> None:
    assert problems(results) == problems(results, 1) == []
    assert verify_run(run_of(results)) == []


PREDICTIONS = LINEAR.replace(".json", "_predictions.npz")
FILES = ["checkpoint.pt", "history.csv", "run.json", LINEAR, PREDICTIONS]
FEATURES = ["features.json", "train.npy", "train_labels.npy", "test_labels.npy", "test_color-like-1.npy"]


@pytest.mark.parametrize("name", [*FILES, *(f"{ARRAYS}/{name}" for name in FEATURES)])
def test_every_flipped_bit_of_a_run_is_found(name: str, results: Path) -> None:
    path = run_of(results) / name
    for place in flips(path):
        (line, *_) = problems(results)
        assert line.startswith(f"{path}: "), place
    assert problems(results) == []


def test_every_flipped_bit_of_a_manifest_is_found(results: Path) -> None:
    path = manifest_of(results)
    for place in flips(path):
        with pytest.raises(UserError, match=r"manifest\.json: "):
            manifest.load(path)
        assert problems(results), place


@pytest.mark.parametrize("kind", ["images", "labels"])
def test_every_flipped_bit_of_the_splits_is_found_or_changes_nothing(kind: str, results: Path) -> None:
    """numpy writes and reads several headers of one array, such as '<i8' and '=i8'."""
    data = manifest.load(manifest_of(results))
    path = manifest_of(results).parent / "splits" / f"train_{kind}.npy"
    before = np.load(path)
    for place in flips(path):
        with suppress(UserError), warnings.catch_warnings(action="ignore"):
            read_images(manifest_of(results), data, "train", 16)
            assert place < 128  # a header's length
            assert np.array_equal(np.load(path), before)


def test_the_stages_find_what_they_read(results: Path) -> None:
    """Features, labels and checkpoint, by the functions that evaluations call."""
    folder = run_of(results) / ARRAYS
    index = feature_index.load(folder)
    assert read_test(folder, index, Draw("color-like", 1)).features.shape == (len(LABELS), 4)
    for name, read in (("train.npy", read_train), ("train_labels.npy", read_train)):
        for _ in flips(folder / name):
            with pytest.raises(UserError, match=rf"{name}: damaged .*; run `ddcl extract` again"):
                read(folder, index)
    for name in ("test_color-like-1.npy", "test_labels.npy"):
        for _ in flips(folder / name):
            with pytest.raises(UserError, match=rf"{name}: damaged .*; run `ddcl extract` again"):
                read_test(folder, index, Draw("color-like", 1))
    with pytest.raises(UserError, match=r"no features for draw 2 of 'color-like'; there are color-like 0, "):
        read_test(folder, index, Draw("color-like", 2))
    path = run_of(results) / "checkpoint.pt"
    digest = run_summary.load(run_of(results) / "run.json").checkpoint_digest
    _check_summary(path, digest)
    for _ in flips(path):
        with pytest.raises(UserError, match=r"checkpoint\.pt: not the checkpoint described by run\.json beside it"):
            _check_summary(path, digest)
    (run_of(results) / "run.json").unlink()
    _check_summary(path, "another")  # a checkpoint may lie alone


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("config.json", "run.json: its run is digits/ddcl/caug/seed0, expected digits/ddcl/caug/seed1"),
        ("history.csv", "history.csv: damaged, edited, or of another run (its sha256 is not the one in run.json)"),
        ("checkpoint.pt", "checkpoint.pt: damaged, edited, or of another run"),
        ("run.json", "run.json: its run is digits/ddcl/caug/seed1, expected digits/ddcl/caug/seed0"),
        (LINEAR, "linear.json: its run is digits/ddcl/caug/seed1, expected digits/ddcl/caug/seed0"),
        (PREDICTIONS, "linear_predictions.npz: damaged, edited, or of another run"),
        (ARRAYS, "features.json: its run is digits/ddcl/caug/seed1, expected digits/ddcl/caug/seed0"),
        ("on/digits", "features.json: its run is digits/ddcl/caug/seed1, expected digits/ddcl/caug/seed0"),
        (f"{ARRAYS}/train.npy", "train.npy: damaged, edited, or of another run"),
        (f"{ARRAYS}/features.json", "features.json: its run is digits/ddcl/caug/seed1, expected"),
    ],
)
def test_what_is_swapped_between_two_seeds_is_named(name: str, named: str, results: Path) -> None:
    first, second = (run_of(results, seed) / name for seed in (0, 1))
    first.rename(results / "aside")
    second.rename(first)
    (results / "aside").rename(second)
    assert any(named in line for line in problems(results)), problems(results)
    assert problems(results, 1)


Change = Callable[[Path], object]


def resealed(path: Path, **changes: object) -> None:
    """Write a record anew with changes, and a seal that fits."""
    sealed.write(path, record.load(path).model_copy(update=changes))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda run: (run / "run.json").unlink(), "run.json: missing summary of a training; `ddcl pretrain` makes it"),
        (lambda run: (run / "history.csv").unlink(), "history.csv: missing"),
        (lambda run: (run / "config.json").unlink(), "config.json: missing recipe"),
        (lambda run: (run / PREDICTIONS).unlink(), "linear_predictions.npz: missing"),
        (lambda run: (run / f"{ARRAYS}/train.npy").unlink(), "train.npy: missing"),
        (
            lambda run: (run / "on/digits").rename(run / "on/cifar10"),
            "linear.json: its eval_dataset is digits, expected",
        ),
        (
            lambda run: (run / LINEAR).rename((run / LINEAR).with_name("knn.json")),
            "knn.json: its evaluation is linear, expected knn",
        ),
        (
            lambda run: resealed(run / LINEAR, checkpoint_digest="x"),
            "linear.json: its checkpoint_digest is x, expected",
        ),
        (
            lambda run: resealed(run / LINEAR, features_seal="x"),
            "linear.json: was not computed from the stored features; run `ddcl evaluate` again",
        ),
        (
            lambda run: resealed(run / LINEAR, status="collapsed"),
            "linear.json: its status is collapsed, expected ok",
        ),
        (
            lambda run: resealed(run / LINEAR, evaluated_on_seal="x"),
            "linear.json: its evaluated_on_seal is x, expected",
        ),
        (
            lambda run: write_json(
                run / "config.json", build_recipe((DATASET, "ddcl", "caug"), 0, {"epochs": 6}).model_dump()
            ),
            "run.json: its recipe_digest is",
        ),
    ],
)
def test_what_does_not_belong_together_is_named(change: Change, named: str, results: Path) -> None:
    change(run_of(results))
    assert any(named in line for line in problems(results)), problems(results)
    assert problems(results, 1) == []


def test_another_normalisation_of_the_data_is_named(results: Path) -> None:
    path = manifest_of(results)
    data = manifest.load(path)
    changed = data.normalisation.model_copy(update={"mean": [0.1, 0.2, 0.4]})
    sealed.write(path, data.model_copy(update={"normalisation": changed}))
    lines = problems(results)
    assert [line.split(": its ")[1].split()[0] for line in lines] == [
        "manifest_seal",
        "evaluated_on_seal",
        "evaluated_on_seal",
    ]
    assert verify_run(run_of(results)) == []  # the manifest was not at hand


def test_what_an_archive_leaves_out_is_no_problem(results: Path) -> None:
    (run_of(results) / "checkpoint.pt").unlink()
    shutil.rmtree(run_of(results) / ARRAYS)
    assert problems(results) == []


def test_large_arrays_can_be_left_unread(results: Path) -> None:
    (run_of(results) / f"{ARRAYS}/train.npy").write_bytes(b"")
    assert problems(results)
    assert verify_run(run_of(results), large=False) == []
