"""Files of weights from strangers: nothing in them ever runs, and what cannot be read is said in one line."""

from __future__ import annotations

import ast
import builtins
import functools
import importlib
import io
import operator
import os
import pickle
import resource
import zipfile
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from ddcl.base import fingerprint
from ddcl.base.errors import UserError
from ddcl.encoders import reading
from ddcl.encoders.reading import Inert, read_weights, tensors_in

WEIGHTS = OrderedDict({"conv1.weight": torch.arange(12.0).reshape(3, 4).t(), "steps": torch.tensor(3)})


class Calls:
    """Pickled, it is the call of a function; unpickled by anything but a safe reader, the call happens."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = function, arguments

    def __call__(self) -> None: ...  # so that pickle takes one for a function, too

    def __reduce__(self) -> Any:
        return self.call


def evil(what: str, touched: Path) -> Any:
    """Return an object whose unpickling makes the file `touched`."""
    touch, python = f"touch {touched}", f"open({str(touched)!r}, 'w').close()"
    inner = pickle.dumps(Calls(os.system, touch))
    archive = io.BytesIO()
    torch.save(Calls(os.system, touch), archive)
    return {
        "os.system": Calls(os.system, touch),
        "eval": Calls(builtins.eval, python),
        "exec": Calls(builtins.exec, python),
        "a chain of calls": Calls(Calls(getattr, Calls(importlib.import_module, "os"), "system"), touch),
        "a partial": Calls(Calls(functools.partial, os.system, touch)),
        "a method caller": Calls(operator.methodcaller("touch"), touched),
        "a pickle in a pickle": Calls(pickle.loads, inner),
        "a checkpoint in a pickle": Calls(torch.storage._load_from_bytes, archive.getvalue()),
        "a key": {Calls(os.system, touch): 1},
        "in a list": [Namespace(a=[Calls(os.system, touch)])],
    }[what]


KINDS = ["os.system", "eval", "exec", "a chain of calls", "a partial", "a method caller", "a pickle in a pickle"]
KINDS += ["a checkpoint in a pickle", "a key", "in a list"]


@pytest.mark.parametrize("what", KINDS)
def test_a_payload_does_not_run_and_the_weights_beside_it_are_read(what: str, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    path = tmp_path / "model.pth"
    torch.save({"state_dict": WEIGHTS, "payload": evil(what, touched)}, path)
    found = read_weights(path)
    assert not touched.exists()
    assert torch.equal(found.content["state_dict"]["conv1.weight"], WEIGHTS["conv1.weight"])
    assert found.names
    # the payload is real: a reader that is not safe runs it
    torch.load(path, weights_only=False)
    assert touched.exists()


@pytest.mark.parametrize("what", KINDS)
def test_a_payload_of_an_old_file_and_of_a_bare_pickle_is_refused_and_does_not_run(what: str, tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    old, bare = tmp_path / "old.pth", tmp_path / "bare.pkl"
    torch.save({"payload": evil(what, touched)}, old, _use_new_zipfile_serialization=False)
    bare.write_bytes(pickle.dumps(evil(what, touched)))
    for path in (old, bare):
        with pytest.raises(UserError, match=path.name) as error:
            read_weights(path)
        assert "\n" not in str(error.value)
    assert not touched.exists()


def test_what_a_payload_would_set_on_our_own_functions_is_not_kept(tmp_path: Path) -> None:
    """The opcode BUILD sets attributes of whatever a pickle names; each file gets names of its own."""
    rebuild = torch._utils._rebuild_tensor_v2
    data = pickle.PROTO + b"\x02" + b"ctorch._utils\n_rebuild_tensor_v2\n" + b"}X\x04\x00\x00\x00evilK\x01sb."
    path = tmp_path / "model.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", data)
        archive.writestr("model/version", "3\n")
    read_weights_or_error(path)
    assert not hasattr(rebuild, "evil")
    assert not any(hasattr(own, "evil") for own in reading._admitted().values())


def planted_pickle(path: Path, data: bytes) -> Path:
    """Write a ZIP of `torch.save` with a pickle that torch refuses, for its first bytes, and this suite reads."""
    refused = pickle.PROTO + b"\x02" + b"cargparse\nNamespace\n)\x810"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("model/data.pkl", refused + data)
        archive.writestr("model/version", "3\n")
    return path


def test_a_large_number_of_a_value_takes_no_memory(tmp_path: Path) -> None:
    """The opcode LONG_BINPUT: the unpickler in C makes a table of this length, here of 16 GiB."""
    data = b"}" + pickle.LONG_BINPUT + (2**30).to_bytes(4, "little") + b"."
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    assert read_weights(planted_pickle(tmp_path / "model.pth", data)).content == {}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 2**20  # kB


@pytest.mark.parametrize(
    "data",
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n(K\x01K\x00)(tR.",  # of a number in place of a tensor
        b"ccollections\nOrderedDict\n(cposix\nsystem\nU\x04trueoR.",
        b"(cposix\nsystem\nU\x05echo\ni",  # cut
        b"(S'touch touched'\niposix\nsystem\n.",
        b"cbuiltins\ngetattr\n(cos\nsystem\nU\x08__call__tR(U\x0dtouch touchedtR.",
        b"\x82\x01.",  # a number of the registry of extensions
        b"Qabc\n.",
        b"}}bb.",
    ],
)
def test_planted_opcodes_end_in_a_value_or_in_one_line(
    data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "system", lambda command: Path("touched").touch())
    found = read_weights_or_error(planted_pickle(tmp_path / "model.pth", data))
    assert "\n" not in str(found)
    assert not (tmp_path / "touched").exists()


def test_a_pickle_nested_in_the_zip_is_not_looked_at(tmp_path: Path) -> None:
    path, touched = tmp_path / "model.pth", tmp_path / "touched"
    torch.save({"args": Namespace(), "state_dict": WEIGHTS}, path)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("model/data/9", pickle.dumps(Calls(os.system, f"touch {touched}")))
        archive.writestr("model/code/evil.pkl", pickle.dumps(Calls(os.system, f"touch {touched}")))
    assert torch.equal(read_weights(path).content["state_dict"]["steps"], WEIGHTS["steps"])
    assert not touched.exists()


def test_tensors_without_plain_numbers_are_no_weights() -> None:
    values = {"whole": torch.ones(2), "sparse": torch.ones(2, 2).to_sparse(), "meta": torch.ones(2, device="meta")}
    assert list(tensors_in(values)) == ["whole"]


def read_weights_or_error(path: Path) -> Any:
    try:
        return read_weights(path)
    except UserError as error:
        return error


def test_namespaces_and_numpys_numbers_are_inert(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    content = {"args": Namespace(lr=1), "best": np.float64(0.5), "model": WEIGHTS, "epoch": 3, "flags": {1, 2}}
    torch.save(content, path)
    found = read_weights(path)
    assert isinstance(found.content["args"], Inert)
    assert isinstance(found.content["best"], Inert)
    assert found.content["epoch"] == 3
    assert "argparse.Namespace" in found.names
    assert found.kind == "torch.save, read with restrictions"


DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16]
DTYPES += [torch.int8, torch.uint8, torch.bool]


@pytest.mark.parametrize("dtype", DTYPES)
def test_tensors_are_what_torch_reads(dtype: torch.dtype, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    whole = (torch.arange(24) % 5).reshape(4, 6).to(dtype)
    tensors = {"whole": whole, "part": whole[1:3, 2:], "turned": whole.t(), "none": whole[:0], "one": whole[2, 3]}
    torch.save(tensors | {"refused": Namespace()}, path)
    found = read_weights(path)
    assert found.names == ("argparse.Namespace",)
    for name, value in tensors.items():
        assert found.content[name].dtype == dtype
        assert torch.equal(found.content[name], value), name


def test_parameters_shared_storage_and_sizes_are_read(tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    net = torch.nn.Linear(3, 2)
    torch.save({"a": net.weight, "b": net.weight.data, "size": torch.Size([1, 2]), "refused": Namespace()}, path)
    found = read_weights(path).content
    assert torch.equal(found["a"], net.weight)
    assert found["a"].data_ptr() == found["b"].data_ptr()
    assert found["size"] == (1, 2)


def test_an_old_file_of_weights_is_read(tmp_path: Path) -> None:
    path = tmp_path / "old.pth"
    torch.save({"state_dict": WEIGHTS}, path, _use_new_zipfile_serialization=False)
    found = read_weights(path)
    assert torch.equal(found.content["state_dict"]["conv1.weight"], WEIGHTS["conv1.weight"])
    torch.save({"state_dict": WEIGHTS, "args": Namespace()}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(UserError, match=r"before torch 1\.6 and contains argparse\.Namespace; load it where"):
        read_weights(path)


def test_safetensors_are_read(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    save_file({"a": torch.arange(3.0)}, path)
    found = read_weights(path)
    assert found.kind == "safetensors"
    assert torch.equal(found.content["a"], torch.arange(3.0))


def remade(source: Path, target: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    """Copy a ZIP with changed entries; None: left out."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = change(name, old.read(name))
            if data is not None:
                new.writestr(name, data)


def damaged(what: str, folder: Path) -> Path:
    path, whole = folder / "model.pth", folder / "whole.pth"
    torch.save({"args": Namespace(), "state_dict": WEIGHTS}, whole)  # torch refuses the first, before the tensors
    if what == "truncated":
        path.write_bytes(whole.read_bytes()[:-200])
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "text":
        path.write_text("version https://git-lfs.github.com/spec/v1\n")
    elif what == "another ZIP":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.txt", "a")
    elif what == "features":
        np.savez(folder / "a.npz", features=np.ones(3))
        (folder / "a.npz").rename(path)
    elif what == "two pickles":
        remade(whole, path, lambda name, data: data)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("other/data.pkl", pickle.dumps(Calls(os.system, f"touch {folder / 'touched'}")))
    elif what == "a TorchScript program":
        torch.jit.script(torch.nn.Linear(2, 2)).save(str(path))
    elif what == "another order of bytes":
        remade(whole, path, lambda name, data: b"big" if name.endswith("/byteorder") else data)
    elif what == "a short tensor":
        remade(whole, path, lambda name, data: data[:8] if name.endswith("/data/0") else data)
    elif what == "no tensor":
        remade(whole, path, lambda name, data: None if name.endswith("/data/0") else data)
    elif what == "a large shape":
        remade(whole, path, lambda name, data: data.replace(b"K\x04K\x03\x86", b"J\xff\xff\xff\x7fK\x03\x86"))
    return path


DAMAGES = {
    "truncated": "cannot be read",
    "empty": "not a file of weights",
    "text": r"not a file of weights \(it begins with b'vers'\)",
    "another ZIP": r"a ZIP with 0 files data\.pkl, expected one",
    "features": "contains numpy arrays, not weights; add a file of features with --features",
    "two pickles": r"a ZIP with 2 files data\.pkl, expected one",
    "a TorchScript program": "a TorchScript program, which this suite does not run",
    "a short tensor": r"tensor 0 has 8 bytes, expected 12 of torch\.float32",
    "another order of bytes": "its numbers are not little-endian",
    "no tensor": "There is no item named",
    "a large shape": r"a tensor of shape \[2147483647, 3\] does not fit into 12 stored numbers",
    "missing": "missing file of weights",
}


@pytest.mark.parametrize("what", DAMAGES)
def test_what_cannot_be_read_is_said_in_one_line(what: str, tmp_path: Path) -> None:
    path = damaged(what, tmp_path)
    with pytest.raises(UserError, match=DAMAGES[what]) as error:
        read_weights(path)
    assert str(error.value).startswith(str(path))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "touched").exists()


def test_too_large_a_file_and_one_that_unpacks_to_too_much_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.pth"
    torch.save({"a": torch.zeros(10_000)}, path)
    packed = tmp_path / "packed.pth"
    remade(path, packed, lambda name, data: data)
    monkeypatch.setattr(reading, "MOST_BYTES", 20_000)
    assert packed.stat().st_size < 20_000 < path.stat().st_size
    with pytest.raises(UserError, match="the limit is 0 GiB"):
        read_weights(path)
    with pytest.raises(UserError, match="GiB, more than this suite reads"):
        read_weights(packed)


# --- nobody else unpickles

UNSAFE = {"Unpickler", "loads", "load", "read_pickle"}
MODULES = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve", "jit")
# its own bytes, of the same process: a copy of what was read from YAML
OWN_BYTES = ("ddcl/base/yaml_files.py", "pickle.loads")


def called(node: ast.Call) -> str:
    return ast.unparse(node.func)


def test_nothing_else_unpickles() -> None:
    """In the whole project: torch.load with weights_only only, np.load without pickles, and no other unpickler."""
    found, readers = set(), set()
    folders = [fingerprint.ROOT / name for name in (*fingerprint.PACKAGES, "benchmarks", "workflow")]
    for path in sorted(path for folder in folders for path in folder.rglob("*.py")):
        place = path.relative_to(fingerprint.ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):  # a name without its module would not be known below
                own = {f"{node.module}.{alias.name}" for alias in node.names}
                found |= {(place, name) for name in own if name == "torch.load" or name.split(".")[0] in MODULES}
            if isinstance(node, ast.ClassDef):
                readers |= {place for base in node.bases if "Unpickler" in ast.unparse(base)}
            if not isinstance(node, ast.Call):
                continue
            name, options = called(node), {own.arg: ast.unparse(own.value) for own in node.keywords}
            module, _, function = name.rpartition(".")
            if name == "torch.load" and options.get("weights_only") != "True":
                found.add((place, name))
            positional = name in ("np.load", "numpy.load") and len(node.args) > 2
            if positional or options.get("allow_pickle", "False") != "False":
                found.add((place, name))
            if (function in UNSAFE and module.split(".")[-1] in MODULES) or function == "read_pickle":
                found.add((place, name))
    assert found == {OWN_BYTES}
    assert readers == {"ddcl/encoders/reading.py"}
