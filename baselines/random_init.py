"""The lower bound: an encoder with its initial weights."""

from __future__ import annotations

from ddcl.core.method import Method


class RandomInit(Method):
    """An untrained encoder, with the initial weights that every trained method of the same seed starts from."""

    trains = False
