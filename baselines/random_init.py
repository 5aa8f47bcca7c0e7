"""The floor: an encoder with its initial weights."""

from __future__ import annotations

from ddcl.core.method import Method


class RandomInit(Method):
    """An untrained encoder; the same initial weights as every trained method of the same seed starts from."""

    trains = False
