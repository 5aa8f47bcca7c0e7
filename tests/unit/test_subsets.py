"""The shipped lists of images: they are what their seed draws, and mean the same images everywhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ddcl.__main__ import main
from ddcl.base.errors import UserError
from ddcl.base.files import read_json, write_json
from ddcl.data.subsets import draw_subset, read_subset
from ddcl.schema import places
from ddcl.schema.places import CONFIG_DIR
from ddcl.schema.recipes import read_dataset, read_evaluation
from ddcl.schema.registry import EVALUATIONS

LISTS = sorted((CONFIG_DIR / "subsets").glob("*.json"))


@pytest.mark.parametrize("path", LISTS, ids=lambda path: path.stem)
def test_a_shipped_list_is_what_its_seed_draws(path: Path) -> None:
    found = read_json(path, "list")
    dataset, name = path.stem.rsplit("_", 1)
    config = read_dataset(dataset)
    again = draw_subset(dataset, config.n_classes, found["n_available"], found["per_class"], found["seed"]).model_dump()
    assert again == found
    n = found["per_class"] * config.n_classes
    assert n / config.n_images["train"] == pytest.approx(float(name.removesuffix("pct")) / 100, rel=0.04)
    assert all(len(set(positions)) == found["per_class"] for positions in found["positions"])
    assert found["n_available"] * config.n_classes <= config.n_images["train"]


def test_every_semi_supervised_evaluation_has_its_lists() -> None:
    names = {path.stem.removesuffix(".yaml") for path in (CONFIG_DIR / "evaluations").glob("semi_*.yaml")}
    wanted = {read_evaluation(name)[1].settings["subset"] for name in names}
    assert wanted == {"1pct", "10pct"}
    assert all((CONFIG_DIR / "subsets" / f"imagenet100_{name}.json").exists() for name in wanted)
    assert EVALUATIONS["finetune"].parts == ("full",)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(places, "CONFIG_DIR", tmp_path)
    (tmp_path / "subsets").mkdir()
    return tmp_path / "subsets"


def write(folder: Path, positions: list[list[int]]) -> None:
    values = {"dataset": "toys", "seed": 0, "n_available": 3, "per_class": len(positions[0]), "positions": positions}
    write_json(folder / "toys_1pct.json", values)


def test_positions_count_the_images_of_each_class_in_order(folder: Path) -> None:
    write(folder, [[0, 2], [1, 0]])
    labels = torch.tensor([1, 0, 1, 0, 0, 1])  # class 0 at 1, 3, 4; class 1 at 0, 2, 5
    assert read_subset("toys", "1pct", labels).tolist() == [0, 1, 2, 4]


@pytest.mark.parametrize(
    ("positions", "labels", "words"),
    [
        ([[0]], [0, 1], ["has 1 classes", "toys has 2"]),
        ([[0], [2]], [0, 1, 1], ["image 2 (from 0) of class 1", "which has 2"]),
    ],
)
def test_a_list_that_does_not_fit_is_refused(
    positions: list[list[int]], labels: list[int], words: list[str], folder: Path
) -> None:
    write(folder, positions)
    with pytest.raises(UserError) as error:
        read_subset("toys", "1pct", torch.tensor(labels))
    assert all(word in str(error.value) for word in ["toys_1pct.json", *words])


def test_a_list_that_is_not_there_names_the_command(folder: Path) -> None:
    write(folder, [[0]])
    with pytest.raises(UserError, match=r"toys_10pct\.json: no such file in .*toys_1pct.*ddcl subset"):
        read_subset("toys", "10pct", torch.tensor([0]))


def test_draws_are_uniform_without_repeats() -> None:
    counts = np.zeros(20, dtype=int)
    for seed in range(200):
        drawn: dict[str, Any] = draw_subset("toys", 3, 20, 5, seed).model_dump()
        for positions in drawn["positions"]:
            assert positions == sorted(set(positions))
            counts[positions] += 1
    assert counts.sum() == 200 * 3 * 5
    assert counts.min() > 110  # 150 each, sd 10.6
    assert counts.max() < 190


def test_a_list_is_not_replaced_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(places.VARIABLE, str(tmp_path))
    command = ["subset", "digits", "--name", "few", "--per-class", "2", "--available", "10"]
    assert main(command) == 0
    (path,) = (tmp_path / "subsets").glob("*.json")
    before = path.read_bytes()
    assert main(command) == 0  # the same list
    assert main([*command, "--seed", "1"]) != 0
    assert f"{path}: there is a list of other images already" in capsys.readouterr().err
    assert path.read_bytes() == before
