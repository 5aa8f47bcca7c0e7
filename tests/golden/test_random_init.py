"""The floor: the encoder's initial weights are the result."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from baselines.random_init import RandomInit
from ddcl.base.yaml_files import NoSettings
from ddcl.core.checkpoint import weights_digest
from ddcl.core.method import Method
from ddcl.core.pretrain import Pretraining, Row
from ddcl.schema.recipes import read_dataset
from ddcl.schema.registry import METHODS
from ddcl.schema.variants import read_variant
from tests.golden import compare


@pytest.fixture
def method() -> Method:
    return compare.tiny(RandomInit, NoSettings())


def test_does_not_train(method: Method) -> None:
    assert RandomInit.trains is False
    assert METHODS["random_init"].trains is False
    with pytest.raises(NotImplementedError, match="RandomInit"):
        method.step(compare.two_views())


def test_has_an_encoder_and_nothing_else(method: Method) -> None:
    assert [name for name, _ in method.named_children()] == ["encoder"]
    assert method.parts() == {"full": (0, compare.FEATURE_DIM)}
    x = compare.two_views().x1
    torch.testing.assert_close(method.features(x), method.encoder(x), rtol=0, atol=0)


def test_the_engine_leaves_its_weights_alone(method: Method, tmp_path: Path) -> None:
    before = weights_digest(method)
    seen: list[str] = []

    def monitor(method: Method) -> Row:
        seen.append(weights_digest(method))
        return {"knn_top1": 0.5, "effective_rank": 5.0}

    config = read_variant(read_dataset("digits"), "random_init", {"epochs": 3}).training
    run = Pretraining(method, None, monitor, config, ("recipe", "code"), seed=0)
    run.run(tmp_path)
    assert run.epoch == 0
    assert run.status == "ok"
    assert [row["epoch"] for row in run.history] == [0]
    assert seen == [before]
    assert weights_digest(method) == before
