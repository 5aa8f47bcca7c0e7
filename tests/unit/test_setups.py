"""Heads, optimiser, normalisation and class list: of our runs and of published numbers, in equal words."""

from __future__ import annotations

import pytest

from ddcl.schema.published import read_published
from ddcl.schema.recipes import build_recipe
from ddcl.schema.setups import UNKNOWN, Setup, published_setup, setup_of


def ours(dataset: str, variant: str, authors: bool = False) -> Setup:
    return setup_of(build_recipe((dataset, variant, "baug"), 0, {}, authors))


@pytest.mark.parametrize(
    ("source", "variant"),
    [("DDCL paper", "ddcl"), ("SimSiam official README", "simsiam"), ("Barlow Twins official README", "barlow_twins")],
)
def test_the_official_recipes_are_met_on_imagenet(source: str, variant: str) -> None:
    published = published_setup(source, "imagenet", variant)
    assert ours("imagenet", variant).model_dump() == published.model_dump(include=set(Setup.model_fields))


@pytest.mark.parametrize(("variant", "alike"), [("simsiam", ["optimiser", "classes"]), ("barlow_twins", ["classes"])])
def test_what_the_cifar_scale_shares_with_lightly(variant: str, alike: list[str]) -> None:
    own, published = ours("cifar10", variant), published_setup("lightly benchmarks", "cifar10", variant)
    assert [name for name, value in own if getattr(published, name) == value] == alike


def test_a_class_list_is_named_and_of_the_paper_it_is_not_known() -> None:
    assert ours("imagenet100", "ddcl", authors=True).classes == "imagenet100_classes.txt"
    assert published_setup("DDCL paper", "imagenet100", "ddcl").classes == UNKNOWN


def test_every_number_of_a_setup_is_found() -> None:
    known = {number.source for number in read_published() if number.setup != Setup()}
    assert known == {
        *("DDCL paper", "DDCL official README", "SimSiam official README", "Barlow Twins official README"),
        *("lightly benchmarks", "Reza-Safdari README", "IgorSusmelj/barlowtwins README"),
    }
