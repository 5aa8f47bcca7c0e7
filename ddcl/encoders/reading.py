"""Reading untrusted files of weights: nothing in them is ever executed.

Three kinds of files are read. safetensors files hold only tensors. Files of `torch.save` are read with torch's own
``weights_only``. If that fails, because the file holds a Namespace or a numpy number, a ZIP of `torch.save` is read
again by an unpickler that knows only tensors and ordered dictionaries. Everything else that the file names becomes an
`Inert` object: its class is never looked up or called.
"""

from __future__ import annotations

import io
import pickle  # of it, only the machine that `_Unpickler` restricts
import sys
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ddcl.base.errors import UserError, listed
from ddcl.base.files import damage_named
from ddcl.evaluate.feature_files import MOST_BYTES

MOST_PICKLE_BYTES = 256 * 2**20  # of everything except tensors
STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
PLAIN = (torch.strided, "cpu", False)
ADVICE = "expected a complete file of `torch.save` or safetensors"


class Inert:
    """Placeholder for an object whose class is not allowed: it accepts any call and does nothing."""

    def __new__(cls, *args: object, **kwargs: object) -> Inert:
        return object.__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None: ...

    def __setstate__(self, state: object) -> None: ...

    def __setitem__(self, key: object, value: object) -> None: ...

    def __call__(self, *args: object, **kwargs: object) -> Inert:
        return Inert()

    def append(self, value: object) -> None:
        """Take what a pickled list would."""

    def extend(self, values: object) -> None:
        """Take what a pickled list would."""

    def add(self, value: object) -> None:
        """Take what a pickled set would."""


@dataclass(frozen=True)
class Weights:
    """The content of a file.

    content: mappings and lists of tensors, plain values and `Inert` objects. names: classes and functions in the file
    that are not allowed, as module.name; none was executed. kind: of the file.
    """

    content: Any
    kind: str
    names: tuple[str, ...] = ()


def read_weights(path: Path) -> Weights:
    """Read a file of weights, tensors on the CPU; `UserError` if it is not one, is damaged, or is too large."""
    with damage_named(path, "file of weights", ADVICE):
        with open(path, "rb") as file:
            size = file.seek(0, io.SEEK_END)
            file.seek(0)
            start = file.read(9)
        if size > MOST_BYTES:
            raise UserError(f"{path}: {size / 2**30:.0f} GiB; the limit is {MOST_BYTES // 2**30} GiB")
        if start[8:9] == b"{" and int.from_bytes(start[:8], "little") <= size:
            from safetensors.torch import load_file

            return Weights(load_file(path), "safetensors")
        if start[:4] == b"PK\x03\x04":
            return _read_zip(path)
        if start[:1] == b"\x80":
            return _read_old(path)
    raise UserError(f"{path}: not a file of weights (it begins with {start[:4]!r}); {ADVICE}")


def _read_zip(path: Path) -> Weights:
    """Read what `torch.save` writes since torch 1.6: a ZIP of one pickle and the bytes of each tensor."""
    with zipfile.ZipFile(path) as archive:
        sizes = {entry.filename: entry.file_size for entry in archive.infolist()}
        pickles = [name for name in sizes if name.endswith("/data.pkl")]
        if any(name.endswith("/constants.pkl") for name in sizes):
            raise UserError(f"{path}: a TorchScript program, which this suite does not run; save its state_dict()")
        if sizes and all(name.endswith(".npy") for name in sizes):
            raise UserError(f"{path}: contains numpy arrays, not weights; add a file of features with --features")
        if len(pickles) != 1:
            raise UserError(f"{path}: a ZIP with {len(pickles)} files data.pkl, expected one; {ADVICE}")
        n_bytes = sum(entry.file_size for entry in archive.infolist())
        if n_bytes > MOST_BYTES or sizes[pickles[0]] > MOST_PICKLE_BYTES:
            raise UserError(f"{path}: unpacks to {n_bytes / 2**30:.1f} GiB, more than this suite reads")
        try:
            return Weights(torch.load(path, map_location="cpu", weights_only=True), "torch.save")
        except pickle.UnpicklingError:
            return _Unpickler(archive, pickles[0]).read()


def _read_old(path: Path) -> Weights:
    """Read what `torch.save` wrote before torch 1.6."""
    try:
        return Weights(torch.load(path, map_location="cpu", weights_only=True), "torch.save, before torch 1.6")
    except pickle.UnpicklingError as error:
        named = str(error).partition("GLOBAL ")[2].partition(" ")[0] or "something other than weights"
        raise UserError(
            f"{path}: was written before torch 1.6 and contains {named}; load it where it was made, and save its "
            "state_dict again"
        ) from None


class _Unpickler(pickle._Unpickler):
    """Reads the pickle of a ZIP of `torch.save`. A name in it is either allowed or becomes an `Inert` class.

    It is the Python unpickler: the one in C allocates a table as long as the largest memo index in the pickle, so that
    a few bytes could exhaust all memory.

    archive: the ZIP. name: of the pickle in it.
    """

    def __init__(self, archive: zipfile.ZipFile, name: str) -> None:
        super().__init__(io.BytesIO(archive.read(name)))
        self.archive, self.folder = archive, name.removesuffix("data.pkl")
        self.storages: dict[str, Tensor] = {}
        self.refused: dict[tuple[str, str], type[Inert]] = {}
        self.admitted = _admitted()

    def read(self) -> Weights:
        """Return what the file holds."""
        order = f"{self.folder}byteorder"
        if order in self.archive.namelist() and self.archive.read(order) != sys.byteorder.encode():
            raise ValueError(f"its numbers are not {sys.byteorder}-endian, as on this machine")
        content = self.load()
        return Weights(content, "torch.save, read with restrictions", tuple(f"{a}.{b}" for a, b in self.refused))

    def find_class(self, module: str, name: str) -> Any:
        """Return what a name in the pickle stands for; nothing is imported or looked up."""
        if (module, name) in self.admitted:
            return self.admitted[module, name]
        if (module, name) not in self.refused:
            self.refused[module, name] = type("Inert", (Inert,), {})
        return self.refused[module, name]

    def persistent_load(self, place: Any) -> Tensor:
        """Return the tensor [n] that a file of the ZIP holds."""
        kind, dtype, key, _, n = place
        if kind != "storage" or not isinstance(dtype, torch.dtype) or not isinstance(key, str):
            raise ValueError("a tensor of an unknown kind")
        if key not in self.storages:
            data = self.archive.read(f"{self.folder}data/{key}")
            if len(data) != n * dtype.itemsize:
                raise ValueError(f"tensor {key} has {len(data)} bytes, expected {n} of {dtype}")
            self.storages[key] = torch.frombuffer(bytearray(data), dtype=dtype) if data else torch.empty(0, dtype=dtype)
        return self.storages[key]


def _admitted() -> dict[tuple[str, str], Any]:
    """Return the names allowed in a pickle. New objects for each file, as a pickle can set their attributes."""

    def tensor(stored: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Tensor:
        n: int = prod(size)
        last = offset + sum((own - 1) * step for own, step in zip(size, stride, strict=True))
        if min(offset, *size, *stride, 0) < 0 or n > len(stored) or (n and last >= len(stored)):
            raise ValueError(f"a tensor of shape {list(size)} does not fit into {len(stored)} stored numbers")
        return stored.as_strided(tuple(size), tuple(stride), offset)

    def parameter(value: Tensor, *_: object) -> Tensor:
        return value

    names: dict[tuple[str, str], Any] = {("torch", name): dtype for name, dtype in STORAGES.items()}
    names |= {("torch", str(dtype).removeprefix("torch.")): dtype for dtype in STORAGES.values()}
    names |= {("torch._utils", name): tensor for name in ("_rebuild_tensor", "_rebuild_tensor_v2")}
    return names | {
        ("torch._utils", "_rebuild_parameter"): parameter,
        ("torch", "Size"): lambda values=(): tuple(values),
        ("collections", "OrderedDict"): _ordered,
    }


class _ordered(OrderedDict[Any, Any]):  # noqa: N801 # stands for OrderedDict, whose attributes a pickle must not reach
    """An ordered dictionary that keeps no attributes of its pickle."""

    def __setstate__(self, state: object) -> None: ...


def tensors_in(value: Any) -> dict[str, Tensor]:
    """Return the tensors of a mapping by name; other values, and tensors without plain numbers, are skipped."""
    if not isinstance(value, Mapping):
        return {}
    return {name: item for name, item in value.items() if isinstance(name, str) and _is_plain(item)}


def _is_plain(value: Any) -> bool:
    """Return whether a value is a tensor with plain numbers in memory: not sparse, quantised, or on a meta device."""
    return isinstance(value, Tensor) and (value.layout, value.device.type, value.is_quantized) == PLAIN


def described(value: Any, most: int = 12) -> str:
    """Return a short, readable description of a value in a file."""
    if isinstance(value, Tensor):
        return f"tensor {list(value.shape)}"
    if isinstance(value, Mapping):
        own = tensors_in(value)
        found = [f"{len(own)} tensors ({listed(own, 1)})"] if own else []
        rest = [
            f"{name}: {len(inner)} tensors ({next(iter(inner))}, …)" if (inner := tensors_in(each)) else name
            for name, each in value.items()
            if name not in own
        ]
        found += [listed(rest, most)] if rest else []
        return "; ".join(found) or "nothing"
    if isinstance(value, Inert):
        return "an object that was not read (a whole model? save its state_dict() where it was made)"
    return type(value).__name__
