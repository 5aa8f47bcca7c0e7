"""Checkpoints: written atomically, and verified by a digest of their content."""

from __future__ import annotations

import hashlib
import pickle
from pathlib import Path
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ddcl.base.errors import UserError
from ddcl.base.files import write_atomic

FORMAT = 1
State: TypeAlias = dict[str, Any]  # plain values and tensors, in mappings and lists


def state_digest(value: Any) -> str:
    """Return a digest (16 hex digits) of every name, number and tensor bit of a nested state, not of its file."""
    sha = hashlib.sha256()
    _feed(sha, value)
    return sha.hexdigest()[:16]


def _feed(sha: Any, value: Any) -> None:
    if isinstance(value, Tensor):
        tensor = value.detach().cpu().contiguous()
        sha.update(f"tensor {tensor.dtype} {tuple(tensor.shape)} ".encode())
        if tensor.numel():
            sha.update(tensor.flatten().view(torch.uint8).numpy().tobytes())
    elif isinstance(value, dict):
        sha.update(f"dict {len(value)} ".encode())
        for key in sorted(value, key=str):
            sha.update(f"{key!r} ".encode())
            _feed(sha, value[key])
    elif isinstance(value, list | tuple):
        sha.update(f"list {len(value)} ".encode())
        for item in value:
            _feed(sha, item)
    else:
        sha.update(f"{value!r} ".encode())


def weights_digest(module: nn.Module) -> str:
    """Return the digest of all parameters and buffers (BatchNorm statistics too)."""
    return state_digest(dict(module.state_dict()))


def save_checkpoint(path: Path, content: State) -> str:
    """Write `content` (plain values and tensors) with its digest, atomically; return the digest."""
    digest = state_digest(content)
    write_atomic(
        path,
        lambda temporary: torch.save({"format": FORMAT, "digest": digest, "content": content}, temporary),
    )
    return digest


def load_checkpoint(path: Path) -> tuple[State, str]:
    """Return content and digest of the checkpoint `path`; `UserError` if it is missing, damaged or of another format.

    Tensors arrive on the CPU. Nothing but plain data is unpickled.
    """
    try:
        stored = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: missing checkpoint; `ddcl pretrain` makes it") from None
    except (PermissionError, IsADirectoryError) as error:
        raise UserError(f"{path}: checkpoint cannot be read ({error.strerror})") from None
    except pickle.UnpicklingError:
        raise UserError(f"{path}: damaged, or not a checkpoint of this suite; delete it and run again") from None
    except Exception as error:  # a flipped bit can make the unpickler raise almost anything: IndexError, …
        raise UserError(f"{path}: damaged checkpoint ({_first_line(error)}); delete it and run again") from None
    if not isinstance(stored, dict) or stored.get("format") != FORMAT or not {"digest", "content"} <= stored.keys():
        raise UserError(f"{path}: not a checkpoint of this suite (format {FORMAT})")
    content: State = stored["content"]
    if not isinstance(content, dict) or state_digest(content) != stored["digest"]:
        raise UserError(f"{path}: damaged checkpoint (its digest does not match); delete it and run again")
    return content, stored["digest"]


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
