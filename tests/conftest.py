"""Before any test imports torch, and the order of the tests."""

from __future__ import annotations

import os

import pytest

# Two workers on two cores, each with two threads, spend most of their time waiting for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest tests, in tests/workflow, come first, so that two workers end at about the same time."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)
