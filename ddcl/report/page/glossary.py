"""The words of the paper that a reader of the page needs, with pictures of what the augmentations make."""

from __future__ import annotations

import base64
from importlib.resources import files
from typing import NamedTuple

FOLDER = files("ddcl.report") / "templates"
VIEWS = {"baug": "views_baug.png", "caug": "views_caug.png", "caug_plus": "views_caug_plus.png"}  # of one image each

WORDS = {  # and the augmentation whose views are shown; empty: none
    "BAug": (
        "the usual augmentation: each view is a crop, perhaps flipped, blurred or grey, with other colours",
        "baug",
    ),
    "CAug": ("BAug plus a rotation by up to 90° in either direction", "caug"),
    "CAug+": ("CAug, and an elastic deformation", "caug_plus"),
    "DIR": (
        "distortion-invariant representation: most of the features, 80 % in the paper. Two views of an image are "
        "trained to agree in it",
        "",
    ),
    "DVR": (
        "distortion-variant representation: the other features. Two views of an image are trained to be orthogonal "
        "in it, so that it can tell how each was distorted",
        "",
    ),
    "PReg": (
        "a penalty on the difference between the norms of the weights of DIR’s heads and of DVR’s. The paper says that "
        "it prevents collapse",
        "",
    ),
}


class Word(NamedTuple):
    """A word, what it means, and a picture of it as a data URI; empty: none."""

    word: str
    meaning: str
    picture: str


def glossary() -> list[Word]:
    """Return the words in the order in which the page explains them."""
    return [Word(word, meaning, _uri(VIEWS[name]) if name else "") for word, (meaning, name) in WORDS.items()]


def _uri(name: str) -> str:
    return f"data:image/png;base64,{base64.b64encode((FOLDER / name).read_bytes()).decode()}"
