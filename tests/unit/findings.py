"""docs/findings.md: which number comes from which cell of which snapshot.

A comment behind a sentence names the cells that its numbers come from::

    After CAug, the symmetric form is slower: −3.1 points (−4.6 to −1.5). <!-- digits: C1b area.1 -->

Addresses are separated by semicolons:

- ``C2a``: a row of claims.csv. ``C2a knn``: a check, of claim_checks.csv. ``C1b area.1``: one of its comparisons, of
  claim_comparisons.csv. ``C4 rotation_learned digits/simsiam/caug``: a gate, of claim_gates.csv. A last word such as
  ``.half_width`` names the column; without one, it may be any.
- ``ddcl caug dvr invariance``: mean and standard deviation over seeds of a cell of the records, found by words that
  occur in any of its columns. Unless said otherwise it is of the whole features, on clean test images of the data set.
- ``ddcl caug dvr readout_angle - ddcl caug random_dvr readout_angle``: the differences of two cells, paired by seed.
- ``ddcl_sym caug dvr mean_abs_cosine > 0.9``: in how many seeds the cell is larger.
- ``given 28 10,000``: settings, which are not measured.

Addresses stand in the order in which their numbers do; what is given may be anywhere, and is exact. Fractions may be
written in percent. A number with a sign has to have that sign; without one, its size counts.

A comment behind a table gives the addresses of its rows and columns, which are put together::

    <!-- digits table: ddcl; simsiam | linear top1 baug; linear top1 caug -->

The column ``*`` stands for the numbers of the row's address itself, ``.verdict`` for a claim's verdict, and ``-`` for
words. A table without a comment has to be one that `tests.unit.snapshots` writes.
"""

from __future__ import annotations

import re
from functools import cache
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from tests.unit.snapshots import FOLDER, ROOT

PAGE = ROOT / "docs/findings.md"
COMMENT = re.compile(r"<!-- (.*?) -->", re.DOTALL)
NUMBER = re.compile(r"(?<![\w.,/×-])[−+]?(?:\d[\d,]*\.?\d*|\.\d+)(?![\w²])")
CLAIM = re.compile(r"[BC]\d(\.\d)?[ab]?")
COLUMNS = ("variant", "augmentation", "evaluation", "eval_dataset", "perturbation", "part", "metric", "selection")
NUMBERS = ("effect", "ci_low", "ci_high", "half_width", "planned_half_width", "minimum_detectable_effect")
CONVENTIONS = {"95", "80"}  # the level of intervals, and the power


class Passage(NamedTuple):
    """A piece of the page up to the comment that says where its numbers come from; source is empty if none does."""

    text: str
    source: str

    @property
    def numbers(self) -> list[str]:
        return [own.rstrip(",") for own in NUMBER.findall(self.text) if own not in CONVENTIONS]


def passages(page: str) -> list[Passage]:
    """Return the prose of a page in pieces. Headings, tables, pictures and what is set as code are left out."""
    found = []
    for block in re.split(r"\n(?=\n|- |#)", page):
        if re.match(r"\s*(#|\||!)", block):
            continue
        prose = re.sub(r"`[^`]*`|\]\([^)]*\)", "", block)
        pieces = COMMENT.split(prose)  # text, source, text, source, …, text
        found += [Passage(text, source) for text, source in zip(pieces[::2], [*pieces[1::2], ""], strict=True)]
    return [each for each in found if each.text.strip()]


def tables(page: str) -> list[tuple[list[str], str]]:
    """Return the rows of each table without its two head rows, and the comment behind it; empty if there is none."""
    found = re.findall(r"((?:^\|[^\n]*\|\n)+)(?:<!-- (\w+ table: [^>]*?) -->)?", page, re.MULTILINE)
    return [(rows.splitlines()[2:], source) for rows, source in found]


def wrong(passage: Passage) -> list[str]:
    """Return what does not hold: numbers that are not of the next named cell, and cells of which no number is there."""
    if not passage.source:
        return [f"{number}: no cell is named" for number in passage.numbers]
    cells = _cells(passage.source)
    given = [own for address, numbers in cells if address.startswith("given ") for own in numbers]
    cells = [(address, numbers) for address, numbers in cells if not address.startswith("given ")]
    found, at = [], -1
    last: str | None = None
    for number in (own for own in passage.numbers if _float(own) not in given):
        if at < 0 or not _is_one(number, cells[at][1]):
            behind = at + 1
            while (
                behind < len(cells)
                and last
                and not _is_one(number, cells[behind][1])
                and _is_one(last, cells[behind][1])
            ):
                behind += 1  # one number stood for several cells
            if behind == len(cells) or not _is_one(number, cells[behind][1]):
                found.append(f"{number}: not of {cells[min(behind, len(cells) - 1)][0] if cells else 'what is given'}")
                continue
            at = behind
        last = number
    unused = [own for own, numbers in cells[at + 1 :] if last is None or not _is_one(last, numbers)]
    return found + [f"{address}: not in the text" for address in unused]


def wrong_cells(rows: list[str], source: str) -> list[str]:
    """Return the cells of a table that are not those of the snapshot."""
    snapshot, addresses = " ".join(source.split()).split(" table: ")
    names, columns = (part.split("; ") for part in addresses.split(" | "))
    if len(rows) != len(names):
        return [f"{len(rows)} rows, {len(names)} addresses"]
    found = []
    for row, name in zip(rows, names, strict=True):
        head, *cells = (cell.strip() for cell in row.split("|")[1:-1])
        for cell, column in zip(cells, columns, strict=True):
            if column == ".verdict":
                right = cell == _claim(snapshot, name)["verdict"]
            elif column == "-":
                right = not NUMBER.findall(cell)
            else:
                known = values(snapshot, name if column == "*" else f"{name} {column}")
                numbers = NUMBER.findall(cell)
                right = bool(numbers) and all(_is_one(own, known) for own in numbers)
            found += [] if right else [f"{head}, {column}: {cell}"]
    return found


def _cells(source: str) -> list[tuple[str, tuple[float, ...]]]:
    """Return the values of each address of a comment, which may be about several snapshots."""
    found = []
    snapshot = ""
    for piece in re.split(r";\s*", " ".join(source.split())):
        head, colon, rest = piece.partition(": ")
        snapshot, address = (head, rest) if colon else (snapshot, piece)
        found.append((address, values(snapshot, address)))
    return found


@cache
def values(snapshot: str, address: str) -> tuple[float, ...]:
    """Return the numbers at an address of a snapshot."""
    first = address.split(" ")[0]
    if first == "given":
        return tuple(float(word.replace(",", "")) for word in address.split()[1:])
    if CLAIM.fullmatch(first):
        return _of_claim(snapshot, address)
    one, above, least = address.partition(" > ")
    if above:
        return (float((_seeds(snapshot, one) > float(least)).sum()),)
    one, minus, other = address.partition(" - ")
    own = _seeds(snapshot, one)
    if minus:
        own = own - _seeds(snapshot, other)
    own = own.dropna()
    mean, sd = own.mean(), own.std(ddof=1)
    half = stats.t.ppf(0.975, len(own) - 1) * sd / np.sqrt(len(own))
    return mean, sd, mean - half, mean + half


def _of_claim(snapshot: str, address: str) -> tuple[float, ...]:
    *words, last = address.split()
    if last.startswith("."):
        return (float(_claim(snapshot, *words)[last[1:]]),)
    row = _claim(snapshot, *words, last)
    return tuple(float(row[key]) for key in NUMBERS if pd.notna(row.get(key)))


def _claim(snapshot: str, *words: str) -> pd.Series:
    """Return the row of a claim, check, comparison or gate."""
    table, *keys = {1: ["claims"], 2: ["claim_checks", "check"], 3: ["claim_gates", "gate", "arm"]}[len(words)]
    if len(words) == 2 and "." in words[1]:
        table, keys = "claim_comparisons", ["comparison"]
    rows = pd.read_csv(FOLDER / snapshot / f"tables/{table}.csv")
    for key, word in zip(["claim", *keys], words, strict=True):
        rows = rows[rows[key] == word]
    assert len(rows) == 1, f"{snapshot}: {words}: {len(rows)} rows of {table}.csv"
    return rows.iloc[0]


def _seeds(snapshot: str, words: str) -> pd.Series:
    """Return the values of one cell by seed."""
    rows = _records(snapshot)
    for word in words.split():
        rows = rows[np.logical_or.reduce([rows[column] == word for column in COLUMNS])]
    for column, usual in {"perturbation": "none", "part": "full", "eval_dataset": None}.items():
        if rows[column].nunique() > 1:
            rows = rows[rows[column] == (rows["dataset"] if usual is None else usual)]
    cells = rows[list(COLUMNS)].drop_duplicates()
    assert len(cells) == 1, f"{snapshot}: {words}: {len(cells)} cells\n{cells.head(10)}"
    return rows.set_index("seed")["value"]


@cache
def _records(snapshot: str) -> pd.DataFrame:
    return pd.read_parquet(FOLDER / snapshot / "records.parquet")


def _plain(number: str) -> str:
    return number.replace(",", "").replace("−", "-")


def _float(number: str) -> float:
    return float(_plain(number))


def _is_one(number: str, known: tuple[float, ...] | list[float]) -> bool:
    """Whether a number as it is written is one of these values, rounded."""
    plain = _plain(number)
    last = 0.5 * 10.0 ** -len(plain.partition(".")[2]) + 1e-9
    signed = plain[0] in "+-"
    candidates = [own * scale for own in known for scale in (1, 100)]
    return any(abs(float(plain) - (own if signed else abs(own))) <= last for own in candidates)
