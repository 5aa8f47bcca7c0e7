"""Fixtures that several files use."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from ddcl.data import views
from ddcl.report.collected import Collected
from ddcl.schema.ops import OPS
from tests.unit import made_up


@pytest.fixture
def used_ops(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the image operations that are loaded while the test runs.

    Every pipeline's settings must say everything: a default that the schema gives is in no digest of code.
    """
    used: set[str] = set()
    by_target, build = {entry.target: name for name, entry in OPS.items()}, views.Pipeline.__init__

    def load(target: str) -> ModuleType:
        used.add(by_target[target])
        return importlib.import_module(target)

    def checked(self: views.Pipeline, recipe: views.Recipe, *args: Any, **values: Any) -> None:
        for name, settings in recipe:
            assert settings.model_fields_set == set(type(settings).model_fields), name
        build(self, recipe, *args, **values)

    monkeypatch.setattr(views, "importlib", SimpleNamespace(import_module=load))
    monkeypatch.setattr(views.Pipeline, "__init__", checked)
    return used


@pytest.fixture(scope="session", params=made_up.SUITES)
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Collected:
    """Made-up results of a suite of the project: of digits, and of the real plan of cifar10."""
    return made_up.collected(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of configuration of the test's own, where YAML is written."""
    folder = tmp_path / "config"
    folder.mkdir()
    monkeypatch.setenv("DDCL_CONFIG", str(folder))
    return folder
