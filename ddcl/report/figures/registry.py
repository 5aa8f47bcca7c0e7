"""Figures: each is drawn from what was collected alone, and says in the panel what is missing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from matplotlib import rc_context
from matplotlib.figure import Figure

from ddcl.report.collected import Collected
from ddcl.report.figures import accuracy, claims, convergence, diagnostics, differences, response
from ddcl.report.figures.ablations import ablation
from ddcl.report.figures.layout import STYLE
from ddcl.report.figures.published import published
from ddcl.report.figures.rivals import rivals

FIGURES: dict[str, Callable[[Collected], Figure]] = {
    "knn_curves": accuracy.knn_curves,
    "robustness": accuracy.robustness,
    "augmentation": accuracy.augmentation,
    "parts": accuracy.parts,
    "ablation_share": partial(ablation, setting="dir_frac", label="Share of DIR in the features (%)", unit=100.0),
    "ablation_weight": partial(ablation, setting="dvr_weight", label="Weight of the loss on DVR, λ (not to scale)"),
    "published": published,
    "claims": claims.claims,
    "readout": diagnostics.readout,
    "factors": diagnostics.factors,
    "rivals": rivals,
    "invariance": diagnostics.invariance,
    "class_controls": diagnostics.class_controls,
    "cosines": diagnostics.cosines,
    "response_rotation": response.rotation,
    "response_elastic": response.elastic,
    "response_jitter": response.jitter,
    "convergence": convergence.knn,
    "convergence_loss": convergence.loss,
    "knn_curves_differences": differences.knn_curves,
    "robustness_differences": differences.robustness,
    "augmentation_differences": differences.augmentation,
}


def code_of(name: str) -> str:
    """Return the file that draws a figure; empty where nothing here does."""
    function = FIGURES.get(name)
    while isinstance(function, partial):
        function = function.func
    return f"{function.__module__.replace('.', '/')}.py" if function else ""


def draw(name: str, found: Collected) -> Figure:
    """Draw a figure in the common style, without changing matplotlib's global state."""
    with rc_context(STYLE):
        return FIGURES[name](found)
