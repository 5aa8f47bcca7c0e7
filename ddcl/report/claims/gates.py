"""Gates: whether the arms of a comparison could show what is claimed at all, before they are compared.

A gate is a difference of accuracies of one arm (`ddcl.schema.gates`), estimated as comparisons are. It is passed,
failed, or undecided: where the suite has not its cells, or fewer than three seeds, or where no number is known that
an accuracy must reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

import numpy as np

from ddcl.plan.plan import Plan
from ddcl.report.claims.contrasts import Address, Cells, Comparison, Term, contrast
from ddcl.report.claims.inference import Estimate
from ddcl.report.multiplicity import FEWEST_SEEDS
from ddcl.schema.claims import CheckSpec
from ddcl.schema.gates import BASE, GateSpec
from ddcl.schema.gates import Key as GateKey

State = Literal["passed", "failed", "undecided"]
PASSED: Final = "passed"
FAILED: Final = "failed"
OPEN: Final = "undecided"
NAMES: tuple[GateKey, ...] = ("variant", "augmentation")  # of an arm; a gate may be of another than the comparison's


class Key(NamedTuple):
    """A gate and the arm that must pass it, by whatever test images it is tested on."""

    gate: str
    dataset: str
    variant: str
    augmentation: str
    eval_dataset: str

    @property
    def arm(self) -> str:
        """The arm: ``digits/ddcl/caug``, and of transfer the data set, too."""
        own = "/".join(self[1:4])
        return own if self.eval_dataset == self.dataset else f"{own} on {self.eval_dataset}"

    @property
    def text(self) -> str:
        """Gate and arm in one."""
        return f"{self.gate} {self.arm}"


@dataclass(frozen=True)
class GateResult:
    """What was found of a gate. comparison: None where the suite has not its cells."""

    key: Key
    spec: GateSpec
    comparison: Comparison | None
    estimate: Estimate
    state: State


def needed(check: CheckSpec, comparison: Comparison, plan: Plan, cells: Cells) -> list[Key]:
    """Return the gates that the arms of a comparison must pass, those without training left out."""
    keys: dict[Key, None] = {}
    for name in check.gates:
        spec, control = plan.gates[name], comparison.control
        if any(getattr(control, place) not in names for place, names in spec.when.items()):
            continue
        arms = [control] if spec.arms == "control" else [term.address for term in comparison.terms]
        for arm in arms:
            if cells.runs[arm[:3]].trains:
                own = arm._replace(**{key: spec.treatment.get(key, getattr(arm, key)) for key in NAMES})
                keys[Key(name, own.dataset, own.variant, own.augmentation, own.eval_dataset)] = None
    return list(keys)


def planned_gates(keys: Iterable[Key], plan: Plan, cells: Cells) -> dict[Key, Comparison]:
    """Return the contrast of each gate that the suite has the cells of.

    Under the first of its protocols that has values; where none has, under the first.
    """
    found = {}
    for key in dict.fromkeys(keys):
        own = [contrast(terms, cells) for terms in _terms(key, plan, cells)]
        if own:
            found[key] = next((each for each in own if each.seeds), own[0])
    return found


def _terms(key: Key, plan: Plan, cells: Cells) -> Iterator[tuple[Term, ...]]:
    """Yield the cells of a gate under each of its protocols that the suite has all of, the data set's probe first."""
    spec, probe = plan.gates[key.gate], plan.probes.get(key.eval_dataset)
    arm = {"dataset": key.dataset, "variant": key.variant, "augmentation": key.augmentation}
    sides = [spec.treatment, *([spec.control] if spec.control else [])]
    for evaluation in sorted(spec.evaluation, key=lambda name: name != probe):
        place = {"evaluation": evaluation, "eval_dataset": key.eval_dataset}
        addresses = [Address(**arm | {**BASE} | {**side} | place) for side in sides]
        if all(address in cells.measured for address in addresses):
            yield tuple(Term(sign, address) for sign, address in zip((1, -1), addresses, strict=False))


def passed_gates(
    keys: Iterable[Key], planned: dict[Key, Comparison], plan: Plan, estimated: Callable[[Comparison, float], Estimate]
) -> dict[Key, GateResult]:
    """Return what was found of each gate. estimated: a contrast's effect times a number, with its interval."""
    found = {}
    for key in dict.fromkeys(keys):
        spec, own = plan.gates[key.gate], planned.get(key)
        estimate = estimated(own, spec.scale) if own and own.seeds else Estimate(np.nan)
        state = state_of(spec, estimate, len(own.seeds) if own else 0)
        found[key] = GateResult(key, spec, own, estimate, state)
    return found


def state_of(spec: GateSpec, estimate: Estimate, n_seeds: int) -> State:
    """Return whether a gate is passed: its mean is large enough and, where two are compared, its interval above 0."""
    unknown = spec.reference is None and not spec.control and not spec.unit
    if unknown or n_seeds < FEWEST_SEEDS or np.isnan(estimate.effect):
        return OPEN
    if not spec.control:
        return PASSED if estimate.effect - (spec.reference or 0.0) >= spec.least else FAILED
    if estimate.effect < spec.least:
        return FAILED
    return OPEN if np.isnan(estimate.low) else PASSED if estimate.low > 0 else FAILED


def joint(results: Iterable[GateResult]) -> State:
    """Return the state of all gates of a comparison together: failed if one is, passed if all are."""
    states = {each.state for each in results}
    return FAILED if FAILED in states else OPEN if OPEN in states else PASSED
