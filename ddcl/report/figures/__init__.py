"""Figures: each is drawn from what was collected alone, and says in the panel what is missing."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.figure import Figure

from ddcl.report.collected import Collected
from ddcl.report.figures import accuracy, claims
from ddcl.report.figures.layout import STYLE


class Drawing(NamedTuple):
    """A figure of the suite: its function, its caption, and what it shows for those who cannot see it."""

    function: Callable[[Collected], Figure]
    caption: str
    alt: str

    def draw(self, found: Collected) -> Figure:
        """Draw in the common style, without changing matplotlib's global state."""
        with rc_context(STYLE):
            return self.function(found)


FIGURES = {
    "knn_curves": Drawing(
        accuracy.knn_curves,
        "kNN accuracy on held-out training images while training: mean over seeds, and their range. The dashed line is "
        "the encoder before any training.",
        "Line chart of kNN accuracy against the epoch of pretraining, one panel per augmentation.",
    ),
    "robustness": Drawing(
        accuracy.robustness,
        "Accuracy of the linear probe on clean and perturbed test images. Bars: mean over seeds; lines: sample "
        "standard deviation; dots: single seeds.",
        "Bar chart of linear accuracy for each perturbation, one panel per augmentation of pretraining.",
    ),
    "augmentation": Drawing(
        accuracy.augmentation,
        "Accuracy on clean test images after pretraining under augmentations of growing strength. Dots: single seeds; "
        "dashed line: the untrained encoder.",
        "Line chart of clean accuracy against the strength of the augmentation, one panel per evaluation.",
    ),
    "parts": Drawing(
        accuracy.parts,
        "kNN accuracy of the whole features and of their parts. The whole has more dimensions than DIR, and DIR more "
        "than DVR, which alone can make such differences.",
        "Bar chart of kNN accuracy of the features full, dir and dvr, one panel per method and perturbation.",
    ),
    "claims": Drawing(
        claims.claims,
        "Effects of the claims' checks (large) and their comparisons (small) with 95 % intervals, in units of the "
        "smallest effect that matters, positive in favour of the claim. Grey band: smaller than what matters. Hollow: "
        "reported only, not part of the verdict. Arrows: the interval goes on.",
        "Forest plot of effects with intervals, grouped by claim; verdicts are told by colour and marker.",
    ),
}
