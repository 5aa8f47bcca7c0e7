"""What must be said beside a check's verdict: by which probe, of how many comparisons, from whose numbers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ddcl.plan.plan import Plan
from ddcl.report.claims.pooling import Result
from ddcl.report.claims.verdicts import CONTRADICTED, NO_EFFECT, NOT_TESTABLE, SUPPORTED, UNDECIDED
from ddcl.report.collect import OTHER_CODE
from ddcl.report.collected import Collected
from ddcl.report.numbers import count
from ddcl.schema.claims import CheckSpec


def said_of(check: CheckSpec, results: Sequence[Result], found: Collected) -> list[str]:
    """Return what is to be said of a check's comparisons; empty texts where there is nothing."""
    return [_probes(check, results, found.plan), _counted(results), _other_code(results, found)]


def _probes(check: CheckSpec, results: Sequence[Result], plan: Plan) -> str:
    """Return on which data sets a probe of their own took the place of the paper's; nothing where none did."""
    used = dict.fromkeys((own.eval_dataset, own.evaluation) for own in (each.comparison.treatment for each in results))
    own = [(dataset, name) for dataset, name in used if name in check.instead and plan.probes.get(dataset) == name]
    return "; ".join(
        f"on {plan.label('dataset', dataset)} by {plan.label('evaluation', name)} instead of the paper's probe"
        for dataset, name in own
    )


def _other_code(results: Sequence[Result], found: Collected) -> str:
    """Return how many comparisons rest on numbers that other code made; nothing where none does."""
    n = sum(found.is_of_other_code(each.comparison.sources) for each in results)
    return f"{n} of them rest on numbers {OTHER_CODE}" if n else ""


def _counted(results: Sequence[Result]) -> str:
    """Return how many comparisons say what, and in how many seeds were lost."""
    if not results:
        return ""
    counts: Counter[str] = Counter(each.verdict for each in results)
    said = [f"{counts[name]} {name}" for name in (SUPPORTED, CONTRADICTED)]
    said += [f"{counts[name]} {name}" for name in (NO_EFFECT, NOT_TESTABLE, *UNDECIDED) if counts[name]]
    lost = sum(bool(each.comparison.lost) for each in results)
    said += [f"{lost} with lost seeds"] if lost else []
    return f"of {count(len(results), 'comparison')}: {', '.join(said)}"
