"""The judged claims as CSV, Markdown and LaTeX: one row per claim, per check and per comparison.

The frames have a column of sources (`ddcl.report.sources`), the files do not. The sources of a comparison give its
effect, interval, p and n. Its p after Holm's correction, and with it its verdict, rest on the other comparisons of its
family too, and its number on how many stand before it. The sources of a check are those of all comparisons of its
family, those of a claim are those of all its checks; they give verdicts as well.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from ddcl.base.files import write_text
from ddcl.report.claims.contrasts import Address
from ddcl.report.claims.judged import JudgedCheck, JudgedClaim, JudgedComparison
from ddcl.report.claims.verdicts import INCONCLUSIVE, NOT_RUN
from ddcl.report.numbers import interval, plain
from ddcl.report.sources import SOURCES, joined
from ddcl.report.tables.csv_files import csv_text
from ddcl.report.tables.latex import tex_escape
from ddcl.report.tables.printing import markdown_escape

CLAIMS = ["claim", "form", "verdict", "statement", "source", "effect", "ci_low", "ci_high", "unit", "n_seeds"]
CLAIMS += ["n_images", "n_comparisons", "half_width", "planned_half_width", "smallest_effect"]
CLAIMS += ["minimum_detectable_effect", "seeds_needed", "note"]
CHECKS = ["claim", "check", "decides", *CLAIMS[1:-1], "ci_method", "p", "p_holm", "gate", "note"]
COMPARISONS = ["claim", "comparison", "dataset", "augmentation", "treatment", "control", "evaluation", "perturbation"]
COMPARISONS += ["part", "metric", "effect", "ci_low", "ci_high", "ci_method", "p", "p_holm", "n_seeds", "n_images"]
COMPARISONS += ["verdict", "gate", "note", "check", "eval_dataset", "unit", "smallest_effect"]
GATES = ["claim", "gate", "arm", "state", "evaluation", "effect", "ci_low", "ci_high", "unit", "n_seeds", "least"]
GATES += ["reference", "reported_value", "statement"]
SHARED = ["verdict", "statement", "effect", "ci_low", "ci_high", "unit", "n_seeds", "n_images", "smallest_effect"]
SHARED += ["half_width", "planned_half_width", "minimum_detectable_effect", "seeds_needed", "note"]
FOUND = ["effect", "ci_low", "ci_high", "ci_method", "p", "p_holm", "n_seeds", "n_images", "verdict", "gate", "note"]
FOUND += ["smallest_effect"]
HEADERS = ["claim", "", "verdict", "effect (95 % CI)", "seeds", "detectable", "seeds needed", "note"]
MORE_IMAGES = "more test images"
DIGITS = 6  # significant ones, in the CSV


def claim_frame(claims: list[JudgedClaim]) -> pd.DataFrame:
    """Return one row per claim and form; its numbers are those of the check that its verdict rests on."""
    rows = []
    for claim in claims:
        for form in claim.forms:
            row = {"claim": form.name, "form": form.form} | check_row(form.headline)
            row |= {"verdict": form.verdict, "statement": claim.statement, "source": claim.source, "note": form.note}
            rows.append(row | {SOURCES: joined(_sources(claim, check) for check in form.checks)})
    return pd.DataFrame(rows, columns=[*CLAIMS, SOURCES])


def _sources(claim: JudgedClaim, check: JudgedCheck) -> tuple[str, ...]:
    """Return what the comparisons of a check are made of, and the gates of their arms."""
    gates = {gate.key: gate for gate in claim.gates}
    named = dict.fromkeys(name for each in check.comparisons for name in each.gates)
    sources = [each.sources for each in check.comparisons] + [gates[name].sources for name in named]
    return joined(map(tuple, sources))


def check_frame(claims: list[JudgedClaim]) -> pd.DataFrame:
    """Return one row per check of each claim and form, with its pooled effect."""
    rows = [
        {"claim": form.name, "form": form.form, "check": check.name, "decides": check.decides}
        | {"source": claim.source, "ci_method": check.ci_method, "p": check.p, "p_holm": check.p_holm}
        | {"gate": check.gate}
        | check_row(check)
        | {SOURCES: joined(_sources(claim, other) for other in form.checks if _rests_on(check, other))}
        for claim in claims
        for form in claim.forms
        for check in form.checks
    ]
    return pd.DataFrame(rows, columns=[*CHECKS, SOURCES])


def _rests_on(check: JudgedCheck, other: JudgedCheck) -> bool:
    """Return whether Holm's correction ties a check to another: over a family, or over those that decide."""
    return other.family == check.family or (check.decides and other.decides)


def check_row(check: JudgedCheck) -> dict[str, object]:
    """Return what claims and checks both have a column of."""
    return {name: getattr(check, name) for name in SHARED} | {"n_comparisons": len(check.comparisons)}


def comparison_frame(claims: list[JudgedClaim]) -> pd.DataFrame:
    """Return one row per comparison of each check."""
    rows = []
    for form in (form for claim in claims for form in claim.forms):
        for check in form.checks:
            for number, each in enumerate(check.comparisons):
                row: dict[str, object] = {"claim": form.name, "comparison": f"{check.name}.{number}"}
                row |= each.treatment._asdict() | {name: getattr(each, name) for name in FOUND}
                row |= {"treatment": _named(each, each.treatment), "control": _named(each, each.control)}
                row |= {"check": check.name, "unit": check.unit, SOURCES: tuple(each.sources)}
                rows.append(row)
    return pd.DataFrame(rows, columns=[*COMPARISONS, SOURCES])


def gate_frame(claims: list[JudgedClaim]) -> pd.DataFrame:
    """Return one row per gate and arm of each claim. Which gates there are rests on the claim's comparisons."""
    compared = {
        claim.name: [_sources(claim, check) for form in claim.forms for check in form.checks] for claim in claims
    }
    rows = [
        {"claim": claim.name, "gate": gate.name}
        | {name: getattr(gate, name) for name in GATES[2:]}
        | {SOURCES: joined([tuple(gate.sources), *compared[claim.name]])}
        for claim in claims
        for gate in claim.gates
    ]
    return pd.DataFrame(rows, columns=[*GATES, SOURCES])


FRAMES = {
    "claims": claim_frame,
    "claim_checks": check_frame,
    "claim_comparisons": comparison_frame,
    "claim_gates": gate_frame,
}


def _named(comparison: JudgedComparison, arm: Address) -> str:
    """Return a variant, with the part, augmentation or metric where the arms differ in it: ``ddcl (dvr)``."""
    differing = [getattr(arm, key) for key in comparison.differing]
    return f"{arm.variant} ({', '.join(differing)})" if differing else arm.variant


def effect_text(check: JudgedCheck) -> str:
    """Return ``+0.41 (−0.10 to +0.92) points``; a dash where nothing was measured."""
    effect, between = interval(check.effect, check.ci_low, check.ci_high, check.smallest_effect)
    if np.isnan(check.effect):
        return effect
    return f"{effect}{f' ({between})' if between else ''} {check.unit}"


def seeds_text(check: JudgedCheck) -> str:
    """Return how many seeds would find the smallest effect that matters; nothing where the check is decided."""
    if check.verdict != INCONCLUSIVE or np.isnan(check.seeds_needed):
        return ""
    return MORE_IMAGES if np.isinf(check.seeds_needed) else f"{check.seeds_needed:.0f}"


def _check_line(check: JudgedCheck) -> list[str]:
    known = check.verdict == INCONCLUSIVE and not np.isnan(check.minimum_detectable_effect)
    return [
        f"{check.statement}{'' if check.decides else ' (reported only)'}",
        check.verdict,
        effect_text(check),
        "" if check.verdict == NOT_RUN else str(check.n_seeds),
        plain(check.minimum_detectable_effect, 2) if known else "",
        seeds_text(check),
        check.note,
    ]


def _lines(claims: list[JudgedClaim]) -> list[list[str]]:
    """Return the printed rows: each claim with its verdict, and below it its checks."""
    lines: list[list[str]] = []
    for claim in claims:
        for form in claim.forms:
            lines.append([form.name, claim.statement_of(form), form.verdict, "", "", "", "", ""])
            lines += [["", *_check_line(check)] for check in form.checks]
    return lines


CAPTION = (
    "Effects are positive in favour of the claim, pooled over comparisons, paired by seed and by test image. "
    "Detectable: the effect that this evidence would have found with 80 % power. Seeds needed: to find the smallest "
    "effect that matters."
)


def to_markdown(claims: list[JudgedClaim]) -> str:
    """Return a GitHub table of claims and checks."""
    rows = [HEADERS, ["---"] * len(HEADERS), *([markdown_escape(cell) for cell in row] for row in _lines(claims))]
    rows = [
        [
            f"**{cell}**" if row[0] and i < 3 and row is not HEADERS and set(cell) != {"-"} else cell
            for i, cell in enumerate(row)
        ]
        for row in rows
    ]
    table = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(["# Claims of the paper", "", CAPTION, "", *table, ""])


def to_latex(claims: list[JudgedClaim]) -> str:
    """Return a floating table in booktabs style: a row per claim and form, with the numbers of what decides it."""
    body = []
    for claim, form in ((each, form) for each in claims for form in each.forms):
        _, _, *numbers, _ = _check_line(form.headline)
        cells = [form.name, claim.statement_short, form.verdict, *numbers]
        body.append("  " + " & ".join(map(tex_escape, cells)) + r" \\")
    widths = (r"p{0.2\textwidth}", r"p{0.155\textwidth}", r"p{0.2\textwidth}")
    ragged = "".join(r">{\raggedright\arraybackslash}" + width for width in widths)
    last = r">{\raggedleft\arraybackslash}p{0.112\textwidth}"
    return "\n".join(
        [
            r"% needs \usepackage{array,booktabs}",
            r"\begin{table*}",
            r"  \centering\footnotesize\setlength{\tabcolsep}{3pt}",
            rf"  \caption{{Claims of the paper. {tex_escape(CAPTION)}}}",
            r"  \label{tab:claims}",
            rf"  \begin{{tabular}}{{@{{}}l{ragged}r{last}{last}@{{}}}}",
            r"  \toprule",
            "  " + " & ".join(map(tex_escape, HEADERS[:-1])) + r" \\",
            r"  \midrule",
            *body,
            r"  \bottomrule",
            r"  \end{tabular}",
            r"\end{table*}",
            "",
        ]
    )


def write_claims(claims: list[JudgedClaim], folder: Path) -> None:
    """Write claims.{csv,md,tex}, claim_checks.csv, claim_comparisons.csv and claim_gates.csv to `folder`."""
    for name, frame_of in FRAMES.items():
        frame = frame_of(claims).drop(columns=SOURCES)
        write_text(folder / f"{name}.csv", csv_text(frame, f"%.{DIGITS}g"))
    write_text(folder / "claims.md", to_markdown(claims))
    write_text(folder / "claims.tex", to_latex(claims))
