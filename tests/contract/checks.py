"""What a method must do, as checks of any method: the registered ones, and those that are made wrong on purpose."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ddcl.base.errors import TemporaryError
from ddcl.core.checkpoint import state_digest
from ddcl.core.method import Batch, Method, Step
from ddcl.core.pretrain import Pretraining
from ddcl.core.seeds import generator


def perturb(method: Method) -> None:
    """Move all weights a little: in the very first step residual branches have no gradient, with zero_init_last."""
    for place, p in enumerate(method.parameters()):
        p.data += 0.01 * torch.randn(p.shape, generator=generator(place))


def tensors_of_frozen(method: Method) -> set[int]:
    """Return where the tensors of frozen modules lie in memory."""
    return {tensor.data_ptr() for module in method.frozen() for tensor in module.state_dict().values()}


def check_step(method: Method, batch: Batch) -> None:
    """The loss is finite; its gradient reaches the encoder and each head, and no frozen module."""
    perturb(method.train())
    step = method.step(batch)
    assert step.loss.ndim == 0
    assert torch.isfinite(step.loss)
    assert set(method.tells_collapse()) <= set(step.embeddings)
    assert method.supervised or method.tells_collapse(), "no embedding would tell a collapse"
    step.loss.backward()  # type: ignore[no-untyped-call]
    frozen = tensors_of_frozen(method)
    for name, child in method.named_children():
        own = [p for p in child.parameters() if p.data_ptr() not in frozen]
        grads = [p.grad for p in own if p.requires_grad]
        assert all(g is not None and torch.isfinite(g).all() for g in grads), name
        assert not own or any(g.abs().max() > 0 for g in grads if g is not None), f"no gradient in {name}"


def check_frozen(method: Method) -> None:
    """Frozen modules are saved with the method, are not trained, and are all that `after_step` changes."""
    frozen = tensors_of_frozen(method)
    assert frozen <= {tensor.data_ptr() for tensor in method.state_dict().values()}, "frozen, and not in the state"
    trained = [name for module in method.frozen() for name, p in module.named_parameters() if p.requires_grad]
    assert not trained, "frozen, and trained"
    perturb(method.train())
    others = {name: tensor for name, tensor in method.state_dict().items() if tensor.data_ptr() not in frozen}
    before = {name: tensor.clone() for name, tensor in others.items()}
    method.after_step(0.5)
    changed = [name for name, tensor in others.items() if not torch.equal(tensor, before[name])]
    assert not changed, "changed by after_step, and not frozen"


class KilledError(Exception):
    pass


def check_resumed(
    training: Callable[[], Pretraining], by: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Pretraining:
    """Interrupted in the middle of the fourth epoch and resumed, a training is the same, bit for bit; return it.

    A kill costs the steps since the last saved state, a signal none.
    """
    whole = training()
    whole.run(folder / "whole")

    step = Pretraining.train_step
    done: list[Batch] = []

    def interrupted_step(self: Pretraining, batch: Batch) -> Step:
        done.append(batch)
        if len(done) == 14:
            if by == "a kill":
                raise KilledError
            signal.raise_signal(signal.SIGTERM)
        return step(self, batch)

    with monkeypatch.context() as patched:
        patched.setattr(Pretraining, "train_step", interrupted_step)
        with pytest.raises(KilledError if by == "a kill" else TemporaryError):
            training().run(folder / "interrupted")
        assert len(done) == 14
        resumed = training()
        resumed.run(folder / "interrupted")

    assert len(done) == 6 * 4 + (2 if by == "a kill" else 0)
    assert state_digest(dict(resumed.method.state_dict())) == state_digest(dict(whole.method.state_dict()))
    assert [{**row, "seconds": 0} for row in resumed.history] == [{**row, "seconds": 0} for row in whole.history]
    return resumed
