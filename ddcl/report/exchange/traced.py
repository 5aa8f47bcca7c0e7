"""What `ddcl trace` must know of a table: how its rows are made of records, and what of them must come out again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isclose, isnan
from numbers import Real
from typing import Any

import pandas as pd

from ddcl.report.collected import Collected
from ddcl.report.sources import SOURCES
from ddcl.report.tables.build import build_table
from ddcl.report.tables.csv_files import COUNTS, DIGITS, FLOATS
from ddcl.report.tables.differences import COLUMNS as DIFFERENCES


@dataclass(frozen=True)
class Traced:
    """How a table is traced.

    build: from what was collected to its long frame, with `sources`, in the order of the CSV. Given what was collected
    of some runs alone, it makes the rows of these.
    keys: columns that name a row. numbers: columns that its sources must give again, but for digits not printed.
    command: that makes the table. whole: columns that rest on other rows too, which all that was collected must give.
    significant: how many digits numbers have, where it is not so many after the point.
    """

    build: Callable[[Collected], pd.DataFrame]
    keys: tuple[str, ...]
    command: str
    numbers: tuple[str, ...] = (*FLOATS, "n_seeds", "seeds_expected", "status")
    significant: int | None = None
    whole: tuple[str, ...] = ()

    def same(self, printed: Any, made: Any) -> bool:
        """Return whether a value of the CSV is the one that was made, but for digits that are not printed."""
        if isinstance(made, bool) or not isinstance(made, Real):
            return bool(printed == made)
        try:
            first, second = float("nan" if printed == "" else printed), float(made)
        except ValueError:  # edited
            return False
        if isnan(first) or isnan(second):
            return isnan(first) and isnan(second)
        if self.significant is None:
            return isclose(first, second, rel_tol=0, abs_tol=1.01 * 10**-DIGITS)
        return isclose(first, second, rel_tol=1.01 * 10 ** (1 - self.significant), abs_tol=1e-9)


def traced(name: str, found: Collected) -> Traced:
    """Return how the table `name` is traced; `UserError` where the suite has none of this name."""
    if name in CLAIM_TABLES:
        return CLAIM_TABLES[name]
    spec = found.spec(name)

    def build(collected: Collected) -> pd.DataFrame:
        return build_table(
            collected.records, collected.histories, collected.plan, spec, other_code=collected.other_code
        )

    dropped = {*FLOATS, *COUNTS, *DIFFERENCES, "status", "code", SOURCES}
    keys = tuple(name for name in build(found).columns if name not in dropped)
    return Traced(build, keys, f"ddcl table {name}", whole=tuple(DIFFERENCES))


def _judged(name: str) -> Callable[[Collected], pd.DataFrame]:
    """Return what judges the claims on what was collected, predictions beside the records too, and gives a frame."""

    def build(found: Collected) -> pd.DataFrame:
        from ddcl.report.claims.claim_tables import FRAMES
        from ddcl.report.claims.judge import judge_claims

        return FRAMES[name](judge_claims(found))

    return build


JUDGES = "ddcl claims"
EFFECT = ("effect", "ci_low", "ci_high", "unit", "n_seeds", "n_images")
REACHED = (*EFFECT, "half_width")
OUTLOOK = ("p_holm", "gate", "n_comparisons", "smallest_effect", "minimum_detectable_effect", "seeds_needed", "verdict")
TEST = ("ci_method", "p")
GATE = ("evaluation", "effect", "ci_low", "ci_high", "n_seeds", "state")
CELLS = ("dataset", "augmentation", "treatment", "control", "evaluation", "perturbation", "part", "metric")
CLAIM_TABLES = {
    "claims": Traced(_judged("claims"), ("claim",), JUDGES, (*REACHED, *OUTLOOK[2:]), 6),
    "claim_checks": Traced(_judged("claim_checks"), ("claim", "check"), JUDGES, (*REACHED, *TEST, *OUTLOOK), 6),
    "claim_comparisons": Traced(
        _judged("claim_comparisons"),
        ("claim", "check", *CELLS, "eval_dataset"),
        JUDGES,
        (*EFFECT, *TEST, "note"),
        6,
        whole=("comparison", "p_holm", "gate", "verdict"),  # number and Holm's correction among its family, other arms
    ),
    "claim_gates": Traced(_judged("claim_gates"), ("claim", "gate", "arm"), JUDGES, GATE, 6),
}
