"""What the method minimises."""

from torch import Tensor


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Return the mean squared distance of a, b [B, d]."""
    return (a - b).square().mean()
