"""A printed table as LaTeX in booktabs style: floats that fit, over both columns of a page where they are wide."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from ddcl.report.tables.differences import NOTE, SHORT_NOTE
from ddcl.schema.tables import TableSpec

if TYPE_CHECKING:
    from ddcl.report.tables.printing import Cell, Printed

    Rows: TypeAlias = list[tuple[list[str], list[Cell]]]

TEX = {"\\": r"\textbackslash{}", "–": "--", "±": r"$\pm$", "†": r"$\dagger$", "‡": r"$\ddagger$", "✗": r"$\times$"}
TEX |= {"[": "{[}", "*": "{*}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}  # \\ may take [ or *
TEX |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
TEX |= {
    "°": r"$^\circ$",
    "▲": r"$\uparrow$",
    "▼": r"$\downarrow$",
    "’": "'",
    "∞": r"$\infty$",
    "∅": r"$\emptyset$",
    "λ": r"$\lambda$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "−": "$-$",
    "…": r"\dots{}",
} | {character: "\\" + character for character in "&%$#_{}"}
EMPHASIS = {"better": r"\textbf{%s}$^{\uparrow}$", "worse": r"\textbf{%s}$^{\downarrow}$", "": "%s"}
LINE_CHARACTERS = 38  # of a label: a longer one is broken
LONG = r">{\raggedright\arraybackslash}p{5.2cm}"
COLUMN_CHARACTERS = 44  # of a row that fits into one of two columns
WIDE_CHARACTERS = 130  # of a row that fits across the page without being made too small to read
PAGE_LINES = {"table": 42, "table*": 42, "sidewaystable*": 24}
SLACK = 6  # lines that a piece may be shorter, to end with a block
SENTENCE = re.compile(r"(?<=[a-z)%])\.\s")


def tex_escape(text: str) -> str:
    """Return `text` in one line, with every character that LaTeX reads otherwise escaped."""
    line = " ".join(text.split())
    return "".join(TEX.get(character, character) for character in line if character.isprintable())


def to_latex(printed: Printed, spec: TableSpec, name: str) -> str:
    """Return floating tables in booktabs style: as many as the page needs, none wider than the text."""
    width = sum(min(n, LINE_CHARACTERS) + 2 for n in _widths(printed))
    kind = "table" if width <= COLUMN_CHARACTERS else "table*" if width <= WIDE_CHARACTERS else "sidewaystable*"
    notes = [SHORT_NOTE if note == NOTE else note for note in printed.notes]
    first = SENTENCE.split(spec.caption.strip())[0].rstrip(".")
    texts = [f"{spec.title}.", f"{first}.", *[f"{'; '.join(notes)}."] * bool(notes)]
    captions = [rf"\caption{{{tex_escape(' '.join(texts))}}}\label{{tab:{name}}}"]
    pieces = _pieces(printed, PAGE_LINES[kind]) or [[]]
    again = rf"\addtocounter{{table}}{{-1}}\caption{{{tex_escape(spec.title)} (continued)}}"
    captions += [again] * (len(pieces) - 1)
    floats = [_float(printed, piece, kind, caption) for piece, caption in zip(pieces, captions, strict=True)]
    protocol = [f"% {line}" for line in textwrap.wrap(spec.caption, 110)]
    lines = [*protocol, *(line for each in floats for line in each)]
    return "\n".join([r"% needs \usepackage{array,booktabs,graphicx,rotating}", *lines]) + "\n"


def _widths(printed: Printed) -> list[int]:
    """Return the characters of the longest text in each column."""
    texts = [[*printed.row_keys, *printed.headers]]
    texts += [[*labels, *(cell.text for cell in cells)] for labels, cells in printed.rows]
    return [max(map(len, column)) for column in zip(*texts, strict=True)]


def _pieces(printed: Printed, most: int) -> list[Rows]:
    """Return the rows in pieces of at most so many lines, all about as long, and broken between blocks where possible.

    A block is what has the same first label.
    """
    heights = [max((-(-len(label) // LINE_CHARACTERS) for label in labels), default=1) for labels, _ in printed.rows]
    n = max(-(-sum(heights) // most), 1)
    while len(pieces := list(_split(printed.rows, heights, n, most))) > n and n < len(printed.rows):
        n += 1  # rows of many lines do not fill their pieces: more pieces, rather than one with what is left over
    return pieces


def _split(rows: Rows, heights: list[int], pieces: int, most: int) -> Iterator[Rows]:
    """Yield the rows in so many pieces, or in more where one would have more than `most` lines."""
    piece: Rows = []
    height, wanted = 0, -(-sum(heights) // pieces)
    for place, (row, lines) in enumerate(zip(rows, heights, strict=True)):
        left = sum(heights[place:])
        ends_block = bool(piece) and len(row[0]) > 1 and piece[-1][0][0] != row[0][0] and left <= most * (pieces - 1)
        full = pieces > 1 and height >= wanted - SLACK * ends_block
        if piece and (height + lines > most or full):
            yield piece
            pieces = max(pieces - 1, 1)
            piece, height, wanted = [], 0, -(-left // pieces)
        piece.append(row)
        height += lines
    if piece:
        yield piece


def _float(printed: Printed, rows: Rows, kind: str, caption: str) -> list[str]:
    """Return one floating table, shrunk to the width of the text if it is wider."""
    keys = len(printed.row_keys)
    alignment = "".join("l" if n <= LINE_CHARACTERS else LONG for n in _widths(printed)[:keys])
    alignment += "r" * len(printed.headers)

    def line(texts: Sequence[str]) -> str:
        return "    " + " & ".join(texts) + r" \\"

    body = [
        line([*map(tex_escape, labels), *(EMPHASIS[cell.emphasis] % tex_escape(cell.text) for cell in cells)])
        for labels, cells in rows
    ]
    return [
        rf"\begin{{{kind}}}",
        r"  \centering\small\setlength{\belowcaptionskip}{6pt}",
        f"  {caption}",
        r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{"
        rf"\begin{{tabular}}{{{alignment}}}",
        r"    \toprule",
        line([tex_escape(text) for text in (*printed.row_keys, *printed.headers)]),
        r"    \midrule",
        *body,
        r"    \bottomrule",
        r"  \end{tabular}}",
        rf"\end{{{kind}}}",
    ]
