"""What a method is given: the task that it is built for, and the labels, if it is supervised."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from ddcl.base.errors import UserError
from ddcl.build import build_method, build_pipeline
from ddcl.core.method import Method, Task
from ddcl.data.images import ArrayImages
from ddcl.data.loader import TwoViewLoader
from ddcl.plan.relations import check_labels
from ddcl.schema.recipes import build_recipe, read_dataset
from ddcl.schema.registry import METHODS, NoMethodSettings
from ddcl.schema.suites import NormalisationConfig


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


def test_a_supervised_method_is_refused_where_images_have_no_label(monkeypatch: pytest.MonkeyPatch) -> None:
    recipes = {name: build_recipe((name, "simsiam", "baug"), 0, {}) for name in ("digits", "stl10")}
    for name, recipe in recipes.items():
        check_labels(recipe, read_dataset(name), "suite.yaml")
    monkeypatch.setitem(METHODS, "simsiam", replace(METHODS["simsiam"], supervised=True))
    check_labels(recipes["digits"], read_dataset("digits"), "suite.yaml")
    with pytest.raises(UserError, match=r"suite\.yaml: stl10/simsiam/baug/seed0: simsiam is trained with labels"):
        check_labels(recipes["stl10"], read_dataset("stl10"), "suite.yaml")
