"""Sealed files and histories: what was written is read, and each kind of damage is one line that says what to do."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from pydantic import ValidationError

from ddcl.base import sealed
from ddcl.base.errors import UserError
from ddcl.base.files import json_text
from ddcl.base.sealed import Sealed
from ddcl.base.yaml_files import Model
from ddcl.schema import history
from ddcl.schema.history import History


class Part(Model):
    """A part of a toy."""

    name: str
    size: tuple[int, int]


class Toy(Sealed):
    """A file of all kinds of fields."""

    SCHEMA: ClassVar[int] = 3
    kind: Literal["a", "b"]
    value: float
    missing: float | None
    parts: tuple[Part, ...]
    numbers: dict[str, tuple[float, ...]]


TOY = Toy(
    kind="a", value=1e-05, missing=None, parts=(Part(name="é\n", size=(0, 7)),), numbers={"x": (0.1, 1.0), "": ()}
)


def read(path: Path) -> Toy:
    return sealed.read(path, Toy, "toy", "ddcl make")


def refused(path: Path) -> str:
    """The one line that reading is refused with, after the path and before what to do."""
    with pytest.raises(UserError) as caught:
        read(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: ")
    assert "`ddcl make`" in line
    assert "\n" not in line
    return line.removeprefix(f"{path}: ").removesuffix("; run `ddcl make` again")


def test_what_was_written_is_read(tmp_path: Path) -> None:
    sealed.write(tmp_path / "toy.json", TOY)
    again = read(tmp_path / "toy.json")
    assert again == TOY
    assert again.seal == TOY.seal == json.loads((tmp_path / "toy.json").read_text())["sha256"]
    assert TOY.model_copy(update={"value": 2e-05}).seal != TOY.seal


def test_all_floats_come_back_bit_by_bit(tmp_path: Path) -> None:
    draw = random.Random(0)
    values = [struct.unpack("<d", draw.randbytes(8))[0] for _ in range(2000)]
    finite = tuple(value for value in values if value - value == 0)
    assert len(finite) > 1900
    toy = TOY.model_copy(update={"numbers": {"x": (*finite, -0.0, 5e-324, 0.1 + 0.2)}})
    sealed.write(tmp_path / "toy.json", toy)
    back = read(tmp_path / "toy.json")
    assert json.dumps(back.numbers["x"]) == json.dumps(toy.numbers["x"])
    assert back.seal == toy.seal


def test_models_are_strict_and_frozen() -> None:
    with pytest.raises(ValidationError):
        Toy(kind="a", value="1", missing=None, parts=(), numbers={})  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        Toy(kind="a", value=float("nan"), missing=None, parts=(), numbers={})
    with pytest.raises(ValidationError):
        TOY.value = 2.0  # type: ignore[misc]


def seal(content: dict[str, Any]) -> str:
    """The text of a file with this content, whatever it is."""
    return json_text(content | {"sha256": sealed._sha256(content)})


def without(key: str) -> dict[str, Any]:
    return {name: value for name, value in TOY.content().items() if name != key}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "toy is not valid JSON (Expecting value: line 1 column 1 (char 0))"),
        ('{"a": ', "toy is not valid JSON (Expecting value: line 1 column 7 (char 6))"),
        ("[" * 100_000, "toy is not valid JSON (maximum recursion depth exceeded"),
        ('{"a": NaN}', "toy is not valid JSON (NaN is not a valid JSON number)"),
        ("\xff", "toy is not valid JSON ('utf-8' codec can't decode byte 0xff"),
        ("[]", "toy: expected an object, found list"),
        ("{}", "toy of no schema, this version reads 3"),
        (seal(TOY.content() | {"schema": 1}), "toy of schema 1, this version reads 3"),
        (seal(TOY.content() | {"schema": 4}), "toy of schema 4, of a newer version, this version reads 3"),
        (seal(TOY.content() | {"schema": "3"}), "toy of schema '3', this version reads 3"),
        (seal(TOY.content() | {"schema": 3.0}), "toy of schema 3.0, this version reads 3"),
        (json_text(TOY.content()), "toy is damaged or edited"),
        ('{"schema": 3, "sha256": "", "a": 1e999}', "toy is damaged or edited"),
        (seal(TOY.content()).replace("1e-05", "2e-05"), "toy is damaged or edited"),
        (seal(TOY.content()).replace("1e-05", "1E-05"), "toy is damaged or edited"),
        (seal(TOY.content()).replace("\n", "\r\n"), "toy is damaged or edited"),
        (seal(without("kind")), "toy: missing key 'kind'"),
        (seal(TOY.content() | {"knd": "a"}), "toy: unknown key 'knd'; did you mean 'kind'?"),
        (seal(TOY.content() | {"kind": "c"}), "toy: kind: Input should be 'a' or 'b', found 'c'"),
        (seal(TOY.content() | {"parts": [{"name": "x", "size": [1]}]}), "toy: missing key 'parts.0.size.1'"),
    ],
)
def test_each_kind_of_damage_is_one_line(text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "toy.json"
    path.write_bytes(text.encode("latin-1" if text == "\xff" else "utf-8"))
    assert refused(path).startswith(message)


def test_what_cannot_be_read_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert refused(tmp_path / "no.json") == "missing toy; `ddcl make` makes it"
    (tmp_path / "folder.json").mkdir()
    assert refused(tmp_path / "folder.json") == "expected the toy, found a folder; remove it and run `ddcl make` again"

    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)
    wanted = "toy cannot be read (Permission denied); allow it, or run `ddcl make` again"
    with pytest.raises(UserError, match="toy cannot be read") as caught:
        read(tmp_path / "toy.json")
    assert str(caught.value) == f"{tmp_path / 'toy.json'}: {wanted}"


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "toy.json"
    sealed.write(path, TOY)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << bit]) + whole[place + 1 :])
            refused(path)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        refused(path)


# --- histories


ROWS = [
    {"epoch": 0, "seconds": 0.0, "knn_top1": 0.1},
    {"epoch": 2, "seconds": 1.25, "loss": float("nan"), "lr": 1e-05, "knn_top1": 0.1 + 0.2, "rank": 3.0},
]
TEXT = "epoch,seconds,loss,lr,knn_top1,rank\n0,0.0,,,0.1,\n2,1.25,nan,1e-05,0.30000000000000004,3.0\n"


def test_a_history_is_written_and_read(tmp_path: Path) -> None:
    made = History.of(ROWS)
    history.write(tmp_path / "history.csv", made)
    assert (tmp_path / "history.csv").read_text() == TEXT
    back = history.read(tmp_path / "history.csv")
    assert back.columns == ("epoch", "seconds", "loss", "lr", "knn_top1", "rank")
    assert back.column("epoch") == [0, 2]
    assert [type(epoch) for epoch in back.column("epoch")] == [int, int]
    assert back.column("knn_top1") == [0.1, 0.1 + 0.2]
    assert back.column("rank") == [None, 3.0]
    assert back.text() == TEXT


HEADER = "epoch,seconds,loss,lr,knn_top1\n"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: "", "is empty"),
        (lambda text: text[:-2], "is cut: its last line has no end"),
        (lambda text: HEADER, "has no epoch"),
        (lambda text: "\n", "begins with '', expected 'epoch,seconds,loss,lr,knn_top1' and further columns, each once"),
        (lambda text: text.replace("loss", "los"), "begins with 'epoch,seconds,los,lr,knn_top1,rank', expected"),
        (lambda text: text.replace("rank", "lr"), "begins with 'epoch,seconds,loss,lr,knn_top1,lr', expected"),
        (lambda text: text.replace("0,0.0,,,0.1,\n", "0,0.0,,,0.1\n"), "has 5 fields in line 2, expected 6"),
        (lambda text: text.replace("1.25", "1.2.5"), "has '1.2.5' for seconds in line 3, expected a number or nothing"),
        (lambda text: text.replace("1e-05", "1e999"), "has '1e999' for lr in line 3, which is beyond the range"),
        (lambda text: text.replace("2,1.25", "2.0,1.25"), "has '2.0' for the epoch in line 3, expected a whole number"),
        (lambda text: text.replace("2,1.25", ",1.25"), "has '' for the epoch in line 3, expected a whole number"),
        (lambda text: text.replace("2,1.25", "0,1.25"), "has epoch 0 after epoch 0"),
        (lambda text: text + '"\n', "is not valid CSV (unexpected end of data)"),
    ],
)
def test_a_history_that_is_none_is_one_line(change: Callable[[str], str], message: str, tmp_path: Path) -> None:
    path = tmp_path / "history.csv"
    path.write_text(change(TEXT))
    with pytest.raises(UserError) as caught:
        history.read(path)
    line = str(caught.value)
    assert line.startswith(f"{path}: history of a training {message}")
    assert line.endswith("; run `ddcl pretrain` again")
    assert "\n" not in line


def test_a_history_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="missing history of a training; `ddcl pretrain` makes it"):
        history.read(tmp_path / "history.csv")
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\)"):
        history.read(tmp_path)
    (tmp_path / "history.csv").write_bytes(b"\xff\n")
    with pytest.raises(UserError, match="is not text"):
        history.read(tmp_path / "history.csv")
