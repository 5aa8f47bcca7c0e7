"""Figures: each is drawn from what was collected alone, and says in the panel what is missing."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from ddcl.report.collected import Collected
from ddcl.report.figures import ablations, accuracy, claims, convergence, diagnostics, differences, response
from ddcl.report.figures.layout import STYLE
from ddcl.report.figures.published import published
from ddcl.report.figures.rivals import rivals

SHARE: dict[str, Any] = {"setting": "dir_frac", "label": "Share of DIR in the features (%)", "unit": 100.0}
WEIGHT: dict[str, Any] = {"setting": "dvr_weight", "label": "Weight of the loss on DVR, λ (not to scale)"}
FIGURES: dict[str, Callable[[Collected], Figure]] = {
    "knn_curves": accuracy.knn_curves,
    "robustness": accuracy.robustness,
    "augmentation": accuracy.augmentation,
    "parts": accuracy.parts,
    "ablation_share": partial(ablations.ablation, **SHARE),
    "ablation_weight": partial(ablations.ablation, **WEIGHT),
    "published": published,
    "claims": claims.claims,
    "readout": diagnostics.readout,
    "factors": diagnostics.factors,
    "rivals": rivals,
    "invariance": diagnostics.invariance,
    "class_controls": diagnostics.class_controls,
    "cosines": diagnostics.cosines,
    "response_rotation": partial(response.response, family="rotation"),
    "response_elastic": partial(response.response, family="elastic_strength"),
    "response_jitter": partial(response.response, family="jitter_strength"),
    "convergence": convergence.knn,
    "convergence_loss": convergence.loss,
    "knn_curves_differences": differences.knn_curves,
    "robustness_differences": differences.robustness,
    "augmentation_differences": differences.augmentation,
    "parts_differences": differences.parts,
    "ablation_share_differences": partial(ablations.differences, **SHARE),
    "ablation_weight_differences": partial(ablations.differences, **WEIGHT),
    "response_rotation_differences": partial(response.differences, family="rotation"),
    "response_elastic_differences": partial(response.differences, family="elastic_strength"),
    "response_jitter_differences": partial(response.differences, family="jitter_strength"),
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
