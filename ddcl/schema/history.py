"""history.csv: what was measured in each epoch of a training. An empty field was not measured."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import NoReturn, TypeAlias

from ddcl.base.errors import UserError
from ddcl.base.files import write_text

FILE = "history.csv"
WHAT, MAKER = "history of a training", "ddcl pretrain"
EPOCH = "epoch"
FIRST_COLUMNS = (EPOCH, "seconds", "loss", "lr", "knn_top1")
Value: TypeAlias = float | None


@dataclass(frozen=True)
class History:
    """One row per epoch, before the first epoch too; `columns` begin with `FIRST_COLUMNS`. Epochs are whole numbers."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, float]]) -> History:
        """Return the history of rows by column; what a row lacks was not measured."""
        rows = list(rows)
        columns = tuple(dict.fromkeys((*FIRST_COLUMNS, *(name for row in rows for name in row))))
        return cls(columns, tuple(tuple(row.get(name) for name in columns) for row in rows))

    def column(self, name: str) -> list[Value]:
        """Return the values of one column."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]

    def text(self) -> str:
        """Return the history as CSV."""
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows([self.columns, *self.rows])
        return buffer.getvalue()


def write(path: Path, history: History) -> None:
    """Write history.csv, atomically."""
    write_text(path, history.text())


def read(path: Path) -> History:
    """Read history.csv; else a `UserError` in one line that says what was found, and what to do."""
    try:
        text = path.read_bytes().decode("utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: missing {WHAT}; `{MAKER}` makes it") from None
    except UnicodeDecodeError as error:
        _refuse(path, f"is not text ({error})")
    except OSError as error:
        _refuse(path, f"cannot be read ({error.strerror})")
    if not text:
        _refuse(path, "is empty")
    if not text.endswith("\n"):
        _refuse(path, "is cut: its last line has no end")
    try:
        header, *lines = csv.reader(io.StringIO(text), strict=True)
    except csv.Error as error:
        _refuse(path, f"is not valid CSV ({error})")
    if tuple(header[: len(FIRST_COLUMNS)]) != FIRST_COLUMNS or len(set(header)) < len(header):
        wanted = ",".join(FIRST_COLUMNS)
        _refuse(path, f"begins with {','.join(header)!r}, expected {wanted!r} and further columns, each once")
    if not lines:
        _refuse(path, "has no epoch")
    history = History(tuple(header), tuple(_row(path, header, number, line) for number, line in enumerate(lines, 2)))
    epochs = [int(epoch or 0) for epoch in history.column(EPOCH)]
    for before, after in pairwise(epochs):
        if after <= before:
            _refuse(path, f"has epoch {after} after epoch {before}")
    return history


def _row(path: Path, header: list[str], number: int, line: list[str]) -> tuple[Value, ...]:
    """Return the values of a line; number: of the line, the header's being 1."""
    if len(line) != len(header):
        _refuse(path, f"has {len(line)} fields in line {number}, expected {len(header)}")
    return tuple(_value(path, name, number, field) for name, field in zip(header, line, strict=True))


def _value(path: Path, name: str, number: int, field: str) -> Value:
    if name == EPOCH:
        if not (field.isascii() and field.isdigit()):
            _refuse(path, f"has {field!r} for the epoch in line {number}, expected a whole number")
        return int(field)
    if not field:
        return None
    try:
        value = float(field)
    except ValueError:
        _refuse(path, f"has {field!r} for {name} in line {number}, expected a number or nothing")
    if not math.isfinite(value) and field not in ("nan", "inf", "-inf"):  # these of a training that diverged
        _refuse(path, f"has {field!r} for {name} in line {number}, which is beyond the range of numbers")
    return value


def _refuse(path: Path, problem: str) -> NoReturn:
    raise UserError(f"{path}: {WHAT} {problem}; run `{MAKER}` again") from None
