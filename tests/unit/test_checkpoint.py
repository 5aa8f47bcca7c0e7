"""Checkpoints: whole or refused, and a digest of what is in them rather than of the file."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ddcl.base.errors import UserError
from ddcl.core.checkpoint import load_checkpoint, save_checkpoint, state_digest, weights_digest


def content() -> dict[str, Any]:
    return {
        "epoch": 3,
        "status": "ok",
        "history": [{"loss": 0.5, "lr": 1e-3}, {"loss": 0.25}],
        "method": {"a.weight": torch.arange(6.0).reshape(2, 3), "a.n": torch.tensor(7), "half": torch.ones(2).half()},
        "optimizer": {"state": {0: {"momentum": torch.ones(3, dtype=torch.float64)}}, "param_groups": [{"lr": 0.1}]},
    }


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_checkpoint(tmp_path / "checkpoint.pt", content())
    return tmp_path / "checkpoint.pt"


def test_round_trip(path: Path) -> None:
    loaded, digest = load_checkpoint(path)
    assert digest == state_digest(content()) == state_digest(loaded)
    assert loaded["history"] == content()["history"]
    assert loaded["optimizer"]["param_groups"] == [{"lr": 0.1}]
    for name, tensor in content()["method"].items():
        assert loaded["method"][name].dtype == tensor.dtype
        assert torch.equal(loaded["method"][name], tensor)


def test_save_returns_the_digest_and_makes_folders(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "new" / "checkpoint.pt"
    assert save_checkpoint(path, content()) == load_checkpoint(path)[1]
    assert os.listdir(path.parent) == ["checkpoint.pt"]


# --- damage


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no\.pt: missing checkpoint"):
        load_checkpoint(tmp_path / "no.pt")


@pytest.mark.filterwarnings("ignore")
def test_truncated_file(path: Path) -> None:
    whole = path.read_bytes()
    for size in (*range(0, len(whole), 97), len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(UserError, match=r"checkpoint\.pt: damaged checkpoint"):
            load_checkpoint(path)


def with_flipped_bit(data: bytes, byte: int, bit: int) -> bytes:
    changed = bytearray(data)
    changed[byte] ^= 1 << bit
    return bytes(changed)


def test_flipped_bit_in_a_tensor(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, {"w": torch.full((64,), 1.2345)})
    whole = path.read_bytes()
    at = whole.index(torch.full((64,), 1.2345).numpy().tobytes()) + 100
    path.write_bytes(with_flipped_bit(whole, at, 3))
    with pytest.raises(UserError, match="damaged checkpoint"):
        load_checkpoint(path)


@pytest.mark.filterwarnings("ignore")
def test_a_flipped_bit_anywhere_is_harmless_or_a_user_error(path: Path) -> None:
    """Never other content, never another exception: `resume` falls back to the state before on `UserError` only."""
    whole = path.read_bytes()
    digest = state_digest(content())
    refused = 0
    for byte in range(0, len(whole), 5):
        path.write_bytes(with_flipped_bit(whole, byte, (byte // 5) % 8))
        try:
            loaded, found = load_checkpoint(path)
        except UserError:
            refused += 1
        except Exception as error:
            pytest.fail(f"byte {byte}: {error!r}")
        else:
            assert (state_digest(loaded), found) == (digest, digest), byte
    assert refused > 50


class Bomb:
    """An object whose unpickling would leave a trace."""

    def __init__(self, trace: str) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (self.trace,)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_foreign_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    path, trace = tmp_path / "checkpoint.pt", tmp_path / "trace"
    path.write_bytes(pickle.dumps(Bomb(str(trace))))
    with pytest.raises(UserError, match=r"checkpoint\.pt: damaged, or not a checkpoint of this suite"):
        load_checkpoint(path)
    torch.save({"format": 1, "digest": "0" * 16, "content": {"x": Bomb(str(trace))}}, path)
    with pytest.raises(UserError, match=r"checkpoint\.pt: damaged, or not a checkpoint of this suite"):
        load_checkpoint(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    "stored",
    [
        {"state_dict": {}},
        [1, 2],
        {"format": 2, "digest": "", "content": {}},
        {"format": 1},
        {"format": 1, "content": {"epoch": 1}},
        {"format": 1, "digest": "0" * 16},
    ],
    ids=str,
)
def test_checkpoint_of_something_else(tmp_path: Path, stored: Any) -> None:
    torch.save(stored, tmp_path / "checkpoint.pt")
    with pytest.raises(UserError, match=r"checkpoint\.pt: (not a checkpoint of this suite|damaged)"):
        load_checkpoint(tmp_path / "checkpoint.pt")


def test_a_folder_is_not_a_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(UserError):
        load_checkpoint(tmp_path)


# --- atomic


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), RuntimeError("unexpected pos"), OSError(5, "I/O error")], ids=repr
)
def test_an_exception_while_writing_leaves_the_old_file_and_nothing_else(
    path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    before = path.read_bytes()

    def half(value: Any, temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise error

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises((type(error), UserError)):
        save_checkpoint(path, {"epoch": 4})
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["checkpoint.pt"]


def test_a_full_disk_is_a_user_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(value: Any, temporary: Path) -> None:
        temporary.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(UserError, match="the disk is full"):
        save_checkpoint(path, {"epoch": 4})
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["checkpoint.pt"]


# --- digest


def test_digest_does_not_depend_on_the_file(tmp_path: Path) -> None:
    """Another archive name and another order of keys give other bytes, but the same digest."""
    turned = dict(reversed(content().items()))
    first, second = tmp_path / "a.pt", tmp_path / "another_name.pt"
    assert save_checkpoint(first, content()) == save_checkpoint(second, turned)
    assert first.read_bytes() != second.read_bytes()


def test_digest_does_not_depend_on_the_memory_layout() -> None:
    x = torch.arange(24.0).reshape(1, 2, 3, 4)
    assert state_digest(x) == state_digest(x.contiguous(memory_format=torch.channels_last))
    assert state_digest(x.requires_grad_()) == state_digest(x.detach().clone())


def test_digest_changes_with_one_bit_of_one_tensor() -> None:
    x = torch.zeros(100)
    y = x.clone()
    y.view(torch.int32)[57] ^= 1
    assert state_digest({"w": x}) != state_digest({"w": y})
    assert state_digest(torch.tensor([0.0])) != state_digest(torch.tensor([-0.0]))


def test_digest_tells_apart() -> None:
    """Names, types, shapes, nesting, order of lists."""
    x = torch.arange(4)
    values: list[Any] = [
        {"a": x},
        {"b": x},
        {"a": x, "b": x},
        {"a": {"a": x}},
        {"a": x.to(torch.int32)},
        {"a": x.float()},
        {"a": x.view(torch.float64)},
        {"a": x.reshape(2, 2)},
        {"a": x.reshape(1, 4)},
        {"a": x.flip(0)},
        {"a": [x]},
        {"a": 1},
        {"a": 1.0},
        {"a": "1"},
        {"a": True},
        {"a": None},
        {0: 1},
        {"0": 1},
        [1, 2],
        [2, 1],
        [[1], 2],
        [],
        {},
        torch.zeros(0),
        torch.zeros(0, 3),
        torch.zeros(()),
    ]
    assert len({state_digest(value) for value in values}) == len(values)


@pytest.mark.parametrize("dtype", [torch.bool, torch.uint8, torch.bfloat16, torch.float16, torch.complex64])
def test_digest_takes_every_dtype(dtype: torch.dtype) -> None:
    one, other = torch.tensor([1, 0]).to(dtype), torch.tensor([1, 1]).to(dtype)
    assert state_digest(one) == state_digest(one.clone()) != state_digest(other)


def test_digest_is_fixed() -> None:
    """Pinned: checkpoints of earlier days must still be whole. sha256 of the text in the comment below, 16 digits."""
    # b"dict 1 'w' tensor torch.float32 (2,) " + float32 1.0, 2.0 in little endian
    assert state_digest({"w": torch.tensor([1.0, 2.0])}) == "d687cc0be8ff2274"


def test_weights_digest_covers_parameters_and_batch_norm_statistics() -> None:
    torch.manual_seed(0)
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    before = weights_digest(module)
    module(torch.randn(4, 2))  # moves the running statistics only
    moved = weights_digest(module)
    assert moved != before
    module.eval()
    module(torch.randn(4, 2))
    assert weights_digest(module) == moved
    module[0].bias.data[1] += 1e-3
    assert weights_digest(module) != moved
