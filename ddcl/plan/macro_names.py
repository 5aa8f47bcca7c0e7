"""The LaTeX commands of macros.tex: how they are called, and that no two are called the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ddcl.base.errors import UserError
from ddcl.plan.plan import Plan, PlannedRun

DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
PROTOCOLS = ("linear", "knn", "online")  # whose accuracies have a command


def command_name(*words: str) -> str:
    """Return a name of letters only: ``ddcl_f50``, ``baug`` → ``DdclFFiveZeroBaug``."""
    pieces = [piece for word in words for piece in re.split(r"[^a-zA-Z0-9]+", word) if piece]
    return "".join(
        "".join(DIGITS[int(letter)] if letter.isdigit() else letter for letter in piece[0].upper() + piece[1:])
        for piece in pieces
    )


def check_macros(plan: Plan, where: str) -> None:
    """Raise `UserError` if two numbers of the suite would have one LaTeX command; a suite without claims has none."""
    found: dict[str, tuple[str, ...]] = {}
    for words in dict.fromkeys(_all(plan)) if plan.claims else ():
        other = found.setdefault(command_name(*words), words)
        if other != words:
            raise UserError(
                f"{where}: macros.tex: the numbers of {' '.join(other)} and {' '.join(words)} would both be "
                f"\\{command_name(*words)}; rename one"
            )


def _all(plan: Plan) -> Iterator[tuple[str, ...]]:
    """Yield the words of each command: data set (where several are trained on), variant, augmentation, evaluation."""
    with_numbers = [(run, name) for run in plan.runs for name in _evaluations(plan, run)]
    several = len({run.dataset for run, _ in with_numbers}) > 1
    for run, evaluation in with_numbers:
        yield (*run.arm[0 if several else 1 :], evaluation)
    for name, claim in plan.claims.items():
        for form in claim.forms:
            row = claim.row(name, form)
            yield "claim", row, "verdict"
            yield from (("claim", row, check.name) for check in claim.checks if form in check.forms)


def _evaluations(plan: Plan, run: PlannedRun) -> list[str]:
    own = (target.evaluation for target in run.targets if target.eval_dataset == run.dataset)
    return [name for name in own if plan.evaluations[name].protocol in PROTOCOLS]
