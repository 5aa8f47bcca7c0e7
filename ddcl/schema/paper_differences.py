"""The paper's own differences of accuracy, to stand beside ours: DDCL minus SimSiam on ImageNet-100, one run each."""

from __future__ import annotations

from functools import cache

from ddcl.schema.published import read_published
from ddcl.schema.registry import TOP1

SOURCE, DATASET = "DDCL paper", "imagenet100"
METHOD, BASELINE, WHOLE = "ddcl", "simsiam", "full"


def name_of(variant: str, part: str, augmentation: str, perturbation: str) -> str:
    """Return how a difference is named: ``ddcl/full/caug/color``."""
    return f"{variant}/{part}/{augmentation}/{perturbation}"


@cache
def paper_differences() -> dict[str, float]:
    """Return the differences of the paper's table of robustness, in percentage points, by their names.

    Linear accuracy of DDCL's features, or of DIR alone, minus that of SimSiam's features after the same augmentation.
    """
    values: dict[tuple[str, ...], float] = {
        (number.variant, number.part, number.augmentation, number.perturbation): float(number.value_percent)
        for number in read_published()
        if number.source == SOURCE and number.dataset == number.eval_dataset == DATASET
        if number.evaluation_kind == "linear" and number.metric == TOP1
    }
    found = {}
    for (variant, part, *place), value in values.items():
        control = values.get((BASELINE, WHOLE, *place))
        if variant == METHOD and control is not None:
            found[name_of(variant, part, *place)] = round(value - control, 2)
    return found
