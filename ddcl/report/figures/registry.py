"""Figures: each is drawn from what was collected alone, and says in the panel what is missing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from matplotlib import rc_context
from matplotlib.figure import Figure

from ddcl.report.collected import Collected
from ddcl.report.figures import accuracy, claims
from ddcl.report.figures.ablations import ablation
from ddcl.report.figures.layout import STYLE
from ddcl.report.figures.published import published


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
    "ablation_share": Drawing(
        partial(ablation, setting="dir_frac", label="Share of DIR in the features (%)", unit=100.0),
        "Accuracy of the linear probe on clean test images against the share of the features that is DIR, all other "
        "numbers being equal. Mean over seeds; dots: single seeds; dashed line: the untrained encoder. A part's width "
        "grows or shrinks with the share, which alone can move its accuracy.",
        "Line chart of linear accuracy of the features full, dir and dvr against the share of DIR.",
    ),
    "ablation_weight": Drawing(
        partial(ablation, setting="dvr_weight", label="Weight of the loss on DVR, λ (not to scale)"),
        "Accuracy of the linear probe on clean test images against the weight of the loss on DVR, all other numbers "
        "being equal. Mean over seeds; dots: single seeds; dashed line: the untrained encoder.",
        "Line chart of linear accuracy of the features full, dir and dvr against the weight of the loss on DVR.",
    ),
    "published": Drawing(
        published,
        "Accuracies measured here against published ones of the same method, data set, augmentation, part and "
        "perturbation, with the standard deviation over seeds. Hollow: the two experiments are known to differ; the "
        "table of the same name says in what. Published numbers are mostly those of the best epoch on the test split.",
        "Scatter chart of measured against published accuracy, with the line on which they are equal.",
    ),
    "claims": Drawing(
        claims.claims,
        "Effects of the claims' checks (large) and their comparisons (small) with 95 % intervals, in units of the "
        "smallest effect that matters, positive in favour of the claim. Grey band: smaller than what matters. Hollow: "
        "reported only, not part of the verdict. Arrows: the interval goes on.",
        "Forest plot of effects with intervals, grouped by claim; verdicts are told by colour and marker.",
    ),
}
