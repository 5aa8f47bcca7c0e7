"""What a method is given: the task that it is built for, and the labels, if it is supervised."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ddcl.build import build_method, build_pipeline
from ddcl.core.method import Method, Task
from ddcl.data.checked import Checked, Sums
from ddcl.data.images import ArrayImages
from ddcl.data.loader import TwoViewLoader
from ddcl.data.prepare import _write_split
from ddcl.data.readers.source import NO_LABEL, ArraySplit
from ddcl.plan.cost import pretraining_images
from ddcl.plan.expand import Run
from ddcl.schema.manifest import Manifest
from ddcl.schema.recipes import Recipe, build_recipe, read_dataset
from ddcl.schema.registry import METHODS, NoMethodSettings
from ddcl.schema.suites import NormalisationConfig
from ddcl.training import Options, _training


class Told(Method):
    """Remembers the task."""

    def prepare(self, task: Task) -> None:
        self.task = task
        self.head = torch.nn.Linear(self.feature_dim, task.n_classes)


def test_a_method_is_told_its_task_and_its_heads_depend_on_the_seed_only(monkeypatch: pytest.MonkeyPatch) -> None:
    told = replace(METHODS["random_init"], target="tests.unit.test_given:Told", settings=NoMethodSettings, trains=True)
    monkeypatch.setitem(METHODS, "told", told)
    recipe = build_recipe(("digits", "simsiam", "baug"), 0, {}).model_copy(update={"method": "told", "settings": {}})
    first, again, other = (build_method(recipe.model_copy(update={"seed": seed})) for seed in (0, 0, 1))
    assert isinstance(first, Told)
    assert (first.task.n_classes, first.task.side_px) == (10, recipe.data.image_side_px)
    assert [name for name, _ in first.task.ops] == [item.op for item in recipe.ops]
    assert dict(first.task.ops)["color_jitter"]["hue"] == 0.1
    weights = [method.state_dict()["head.weight"] for method in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


@pytest.mark.parametrize("labelled", [False, True])
def test_labels_are_there_for_those_who_are_given_them(labelled: bool) -> None:
    images = ArrayImages(torch.zeros(8, 3, 8, 8, dtype=torch.uint8), torch.arange(8), 8)
    pipeline = build_pipeline([], 8, NormalisationConfig(mean=[0.5] * 3, std=[0.5] * 3))
    batches = list(TwoViewLoader(images, pipeline, 4, ("d", 0), "cpu", labelled).epoch(0, 0))
    given = sorted(label for batch in batches if batch.labels is not None for label in batch.labels.tolist())
    assert given == ([*range(8)] if labelled else [])


def test_a_supervised_method_is_trained_on_the_images_that_have_a_label() -> None:
    """Textures have 6,000 more for pretraining, without."""
    assert {name: METHODS[name].split for name in ("cross_entropy", "supcon", "simsiam", "random_init")} == {
        "cross_entropy": "train",
        "supcon": "train",
        "simsiam": "pretrain",
        "random_init": "pretrain",
    }
    runs = {name: build_recipe(("textures", name, "baug"), 0, {"epochs": 2}) for name in ("cross_entropy", "simsiam")}
    planned = SimpleNamespace(dataset_configs={"textures": read_dataset("textures")})
    images = {name: pretraining_images(planned, Run(recipe, "", "", "main", None)) for name, recipe in runs.items()}  # type: ignore[arg-type]
    assert images == {"cross_entropy": 2 * 2000, "simsiam": 2 * 8000}


def test_the_training_of_a_supervised_method_sees_no_image_without_a_label(tmp_path: Path) -> None:
    recipe = build_recipe(("textures", "cross_entropy", "baug"), 0, {"epochs": 1, "batch_size": 4})
    splits = {"train": labelled_images([0, 1] * 4), "test": labelled_images([0, 1])}
    splits["pretrain"] = labelled_images([*([0, 1] * 4), *([NO_LABEL] * 8)])
    manifest = written_arrays(tmp_path, recipe, splits)
    for name, wanted in (("cross_entropy", 8), ("simsiam", 16)):
        own = build_recipe(("textures", name, "baug"), 0, {"epochs": 1, "batch_size": 4})
        loader = _training(own, (tmp_path / "manifest.json", manifest), ["r", "c", "m"], Options()).loader
        assert isinstance(loader, TwoViewLoader)
        assert len(loader.images) == wanted
        assert (NO_LABEL in loader.images.labels.tolist()) == (name == "simsiam")


def labelled_images(labels: list[int]) -> ArraySplit:
    return ArraySplit(np.zeros((len(labels), 3, 32, 32), np.uint8), np.array(labels, np.int64))


def written_arrays(folder: Path, recipe: Recipe, splits: dict[str, ArraySplit]) -> Manifest:
    """Prepared data below `folder`, as later stages read it."""
    looked = Checked([], Sums.all([]))
    return Manifest(
        dataset=recipe.dataset,
        data=recipe.data,
        kind="arrays",
        splits={split: _write_split(folder, split, content, looked) for split, content in splits.items()},
        normalisation=NormalisationConfig(mean=[0.5] * 3, std=[0.5] * 3),
    )
