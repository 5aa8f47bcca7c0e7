"""Every method has a look of its own, for ever, which colour-blind readers can tell apart, too."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from ddcl.schema.marks import PLUGIN, mark_of, read_marks
from ddcl.schema.registry import GIVEN_METHODS, METHODS
from tests.unit.colour_vision import VISION, ciede2000, contrast, distance

ROOT = Path(__file__).resolve().parents[2]
MAIN = ("ddcl", "ddcl_sym", "simsiam", "barlow_twins", "random_init")
CARD = {"light": "#ffffff", "dark": "#1e2125"}
COLOURS_BEFORE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#999999")  # Okabe-Ito's first four, and a grey floor


def colours(side: str, names: tuple[str, ...]) -> list[str]:
    return [getattr(read_marks()[name], side) for name in names]


def test_the_distance_is_that_of_sharma_wu_and_dalal() -> None:
    pairs = [((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425), ((50, -1, 2), (50, 0, 0), 2.3669)]
    pairs += [((50, 2.5, 0), (73, 25, -18), 27.1492), ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082)]
    for first, second, expected in pairs:
        assert ciede2000(np.array(first), np.array(second)) == pytest.approx(expected, abs=1e-4)


def test_every_method_has_a_mark_and_one_that_is_not_named_has_that_of_plugins() -> None:
    """A new method may wait for its mark; two that wait would look alike."""
    assert len(set(METHODS) - set(GIVEN_METHODS) - set(read_marks())) <= 1
    assert all(mark_of(name) == read_marks()["elsewhere"] for name in GIVEN_METHODS)
    assert mark_of("package.module:Class") == read_marks()[PLUGIN]


def test_no_two_methods_look_alike() -> None:
    looks = [(mark.marker, mark.fill == "open") for mark in read_marks().values()]
    assert len(looks) == len(set(looks))
    assert len({mark.light for mark in read_marks().values()}) == len(looks)
    assert len({mark.dark for mark in read_marks().values()}) == len(looks)


def test_a_method_has_the_shape_of_the_baseline_that_it_fills() -> None:
    marks = read_marks()
    assert all(mark.baseline in (*marks, "") for mark in marks.values())
    for name in ("ddcl", "ddcl_sym", "ddcl_byol", "ddcl_vicreg"):
        assert marks[name].marker == marks[marks[name].baseline].marker
        assert (marks[name].fill, marks[marks[name].baseline].fill) == ("filled", "open")


@pytest.mark.parametrize("side", CARD)
@pytest.mark.parametrize("vision", VISION)
def test_colours_of_the_main_methods_lie_far_apart(side: str, vision: str) -> None:
    closest = min(distance(*pair, vision) for pair in combinations(colours(side, MAIN), 2))
    assert closest > 17
    everything = combinations(colours(side, tuple(read_marks())), 2)
    assert min(distance(*pair, vision) for pair in everything) > 4  # beside another shape


def test_the_former_colours_would_fail() -> None:
    assert min(distance(*pair, "deutan") for pair in combinations(map(str.lower, COLOURS_BEFORE), 2)) < 7


def test_verdicts_have_no_hue() -> None:
    """Not that of a method either: blue is DDCL, and would be read as `supported`."""
    css = (ROOT / "ddcl/report/templates/styles.css").read_text(encoding="utf-8")
    rules = re.findall(r"^(\.verdict[^{]*)\{([^}]*)\}", css, re.MULTILINE)
    assert {name.strip() for name, _ in rules} >= {".verdict", ".verdict.supported, .verdict.contradicted"}
    for name, rule in rules:
        colours = re.findall(r"(?:color|background|border): ([^;]+);", rule)
        assert set(re.findall(r"var\(--([\w-]+)\)", rule)) <= {"ink", "card", "soft", "band"}, name
        assert not re.search(r"#[0-9a-f]{3}|rgb|hsl", " ".join(colours)), name


@pytest.mark.parametrize("side", CARD)
def test_marks_stand_out_from_their_page(side: str) -> None:
    assert min(contrast(colour, CARD[side]) for colour in colours(side, tuple(read_marks()))) > 3
