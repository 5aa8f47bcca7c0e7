"""A printed table as LaTeX in booktabs style: floats that fit on a page, on their side where they are wide."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

from ddcl.schema.tables import TableSpec

if TYPE_CHECKING:
    from ddcl.report.tables.printing import Cell, Printed

    Rows: TypeAlias = list[tuple[list[str], list[Cell]]]

TEX = {"\\": r"\textbackslash{}", "–": "--", "±": r"$\pm$", "†": r"$\dagger$", "‡": r"$\ddagger$", "✗": r"$\times$"}
TEX |= {"[": "{[}", "*": "{*}", "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}  # \\ may take [ or *
TEX |= {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
TEX |= {
    "°": r"$^\circ$",
    "∞": r"$\infty$",
    "∅": r"$\emptyset$",
    "λ": r"$\lambda$",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "−": "$-$",
    "…": r"\dots{}",
} | {character: "\\" + character for character in "&%$#_{}"}
EMPHASIS = {"best": r"\textbf{%s}", "tied": r"\underline{%s}", "": "%s"}
LINE_CHARACTERS = 38  # of a label: a longer one is broken
LONG = r">{\raggedright\arraybackslash}p{5.2cm}"
PAGE_LINES = {"table": 42, "sidewaystable": 24}
WIDE_CHARACTERS = 110  # of a row; 75 fill the text's width of an article, more are made smaller


def tex_escape(text: str) -> str:
    """Return `text` in one line, with every character that LaTeX reads otherwise escaped."""
    line = " ".join(text.split())
    return "".join(TEX.get(character, character) for character in line if character.isprintable())


def to_latex(printed: Printed, spec: TableSpec, name: str) -> str:
    """Return floating tables in booktabs style: as many as the page needs, none wider than the text."""
    widths = _widths(printed)
    kind = "sidewaystable" if sum(min(n, LINE_CHARACTERS) + 2 for n in widths) > WIDE_CHARACTERS else "table"
    texts = [f"{spec.title}.", spec.caption.strip(), *[f"{'; '.join(printed.notes)}."] * bool(printed.notes)]
    captions = [rf"\caption{{{tex_escape(' '.join(texts))}}}\label{{tab:{name}}}"]
    pieces = list(_pieces(printed, PAGE_LINES[kind])) or [[]]
    again = rf"\addtocounter{{table}}{{-1}}\caption{{{tex_escape(spec.title)} (continued)}}"
    captions += [again] * (len(pieces) - 1)
    floats = [_float(printed, piece, kind, caption) for piece, caption in zip(pieces, captions, strict=True)]
    lines = [line for each in floats for line in each]
    return "\n".join([r"% needs \usepackage{array,booktabs,graphicx,rotating}", *lines]) + "\n"


def _widths(printed: Printed) -> list[int]:
    """Return the characters of the longest text in each column."""
    texts = [[*printed.row_keys, *printed.headers]]
    texts += [[*labels, *(cell.text for cell in cells)] for labels, cells in printed.rows]
    return [max(map(len, column)) for column in zip(*texts, strict=True)]


def _pieces(printed: Printed, most: int) -> Iterator[Rows]:
    """Yield the rows in pieces of at most so many lines."""
    piece: Rows = []
    height = 0
    for row in printed.rows:
        lines = max((-(-len(label) // LINE_CHARACTERS) for label in row[0]), default=1)
        if piece and height + lines > most:
            yield piece
            piece, height = [], 0
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
