"""What digests are made of: a later field may leave old ones alone, and whatever else changes moves them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydantic import Field, create_model

from ddcl.base.errors import UserError
from ddcl.base.files import write_json
from ddcl.base.yaml_files import Model
from ddcl.schema import recipes
from ddcl.schema.evaluations import KnnSettings
from ddcl.schema.identity import completed, identity
from ddcl.schema.ops import OPS
from ddcl.schema.recipes import Recipe, build_recipe, load_recipe, read_evaluation
from ddcl.schema.registry import EVALUATIONS, METHODS
from ddcl.schema.training import TrainingConfig

DEFAULTS = [0.0, 0.5, 9.0]


class Old(Model):
    a: float = 1.0


class OfOld(Model):
    inner: Old = Old()
    several: tuple[Old, ...] = (Old(),)


def with_later(model: type[Any], default: float) -> Any:
    """The model with a field that was added later, and whose absence means 0."""
    later = Field(default=default, json_schema_extra={"absent": 0.0})
    return create_model("Later", __base__=model, later=(float, later))


@pytest.fixture
def recipe() -> Recipe:
    return build_recipe(("digits", "simsiam", "baug"), 0, {})


@pytest.mark.parametrize("default", DEFAULTS)
def test_a_later_field_counts_unless_it_holds_what_its_absence_means(default: float) -> None:
    later = with_later(Old, default)
    assert identity(later(later=0.0)) == identity(Old()) == {"a": 1.0}
    assert identity(later(later=0.25)) == {"a": 1.0, "later": 0.25}
    assert (identity(later()) == identity(Old())) == (default == 0.0)


def test_another_default_of_a_normal_field_is_another_identity() -> None:
    changed = create_model("Old", __base__=Model, a=(float, 2.0))
    assert identity(changed()) != identity(Old())
    assert identity(changed(a=1.0)) == identity(Old())
    further = create_model("Old", __base__=Old, b=(float, 0.0))  # a new field that says nothing of its absence
    assert identity(further()) != identity(Old())


def test_models_within_models_count_and_excluded_fields_do_not() -> None:
    later = with_later(Old, 0.5)
    assert identity(OfOld(inner=later(later=0.0), several=(later(later=0.0),))) == identity(OfOld())
    assert identity(OfOld(several=(later(later=0.1),))) != identity(OfOld())
    words = create_model("Words", __base__=Old, word=(str, Field(default="a", exclude=True)))
    assert identity(words(word="b")) == identity(Old())


@pytest.mark.parametrize("default", DEFAULTS)
def test_completed_fills_what_is_lacking_and_nothing_else(default: float) -> None:
    later = with_later(Old, default)
    outer = create_model("Outer", __base__=Model, inner=(later, ...))
    assert completed(later, {"a": 3.0}) == {"a": 3.0, "later": 0.0}
    assert completed(later, {"later": 0.7}) == {"later": 0.7}
    stored = {"inner": {"a": 3.0}}
    assert completed(outer, stored) == {"inner": {"a": 3.0, "later": 0.0}}
    assert stored == {"inner": {"a": 3.0}}


@pytest.mark.parametrize("default", DEFAULTS)
def test_a_recipe_that_was_stored_before_a_field_keeps_its_digest_and_means_its_absence(
    default: float, recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The field is added to the training's settings, the method's and an operation's."""
    before = recipe.arm_digest
    write_json(tmp_path / "config.json", recipe.model_dump())
    training = with_later(TrainingConfig, default)
    monkeypatch.setattr(recipes, "Recipe", create_model("Recipe", __base__=Recipe, training=(training, ...)))
    method, op = METHODS["simsiam"], recipe.ops[0].op
    monkeypatch.setitem(METHODS, "simsiam", replace(method, settings=with_later(method.settings, default)))
    monkeypatch.setitem(OPS, op, replace(OPS[op], settings=with_later(OPS[op].settings, default)))
    read = load_recipe(tmp_path / "config.json")
    assert (read.training.later, read.settings["later"], read.ops[0].settings["later"]) == (0.0, 0.0, 0.0)  # type: ignore[attr-defined]
    assert read.arm_digest == before
    for changes in (
        {"training": read.training.model_copy(update={"later": 0.25})},
        {"settings": read.settings | {"later": 0.25}},
        {"ops": [read.ops[0].model_copy(update={"settings": read.ops[0].settings | {"later": 0.25}}), *read.ops[1:]]},
    ):
        values = {name: getattr(read, name) for name in type(read).model_fields}
        assert type(read).model_validate(values | changes).arm_digest != before


@pytest.mark.parametrize("default", DEFAULTS)
def test_an_evaluation_that_was_stored_before_a_field_keeps_its_identity(
    default: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation = read_evaluation("knn")[1]
    before = evaluation.identity()
    later = with_later(KnnSettings, default)
    monkeypatch.setitem(EVALUATIONS, "knn", replace(EVALUATIONS["knn"], settings=later))
    assert evaluation.identity() == before
    changed = evaluation.model_copy(update={"settings": evaluation.settings | {"later": 0.25}})
    assert changed.identity() != before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": None}, "training: Input should be"),
        ({"method": "simsaim"}, "method 'simsaim'.*simsiam"),
        ({"ops": [{"op": "rotatoin", "settings": {}}]}, "operation 'rotatoin'.*rotation"),
    ],
)
def test_a_stored_recipe_that_cannot_be_used_is_refused_in_one_line(
    changes: dict[str, Any], message: str, recipe: Recipe, tmp_path: Path
) -> None:
    write_json(tmp_path / "config.json", recipe.model_dump() | changes)
    with pytest.raises(UserError, match=message) as error:
        load_recipe(tmp_path / "config.json")
    assert "\n" not in str(error.value)
    assert str(tmp_path / "config.json") in str(error.value)


def test_a_normal_field_must_be_stored(recipe: Recipe, tmp_path: Path) -> None:
    values = recipe.model_dump()
    del values["training"]["epochs"]
    write_json(tmp_path / "config.json", values)
    with pytest.raises(UserError, match=r"missing key 'training\.epochs'"):
        load_recipe(tmp_path / "config.json")
