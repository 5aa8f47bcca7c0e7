"""All that is known of metrics. Evaluations name theirs in the registry, and a suite's plan holds those that it uses.

Tables, figures and the page read the plan, so a changed word remakes them and nothing else.
"""

from __future__ import annotations

from typing import Literal

from ddcl.base.yaml_files import Model


class Metric(Model):
    """A metric, and how it is printed.

    label: in tables. title: in figures; empty where it is the label.
    unit: of printed values. As measured, what is in % or points is a share.
    decimals: in tables. signed: whether a plus sign is printed.
    kind: readout, equivariance and factor: of the figures of these names. derived: computed by tables, from cells or
        histories.
    better: which values stand out in a table that compares; None: none do.
    chance: what one would have who knows nothing; None: it depends on the data set, or there is no such value.
    parts: those that have it; None: all.
    random_in_families: whether random parts have it under the members of a family of perturbations, too.
    """

    name: str
    label: str
    title: str = ""
    unit: str = ""
    decimals: int = 2
    signed: bool = False
    kind: Literal["accuracy", "readout", "equivariance", "factor", "derived", "other"] = "other"
    better: Literal["higher", "lower"] | None = None
    chance: float | None = None
    parts: list[str] | None = None
    random_in_families: bool = False

    @property
    def is_share(self) -> bool:
        """Whether it is measured as a share and printed a hundredfold."""
        return self.unit in ("%", "points")

    @property
    def heading(self) -> str:
        """How figures call it."""
        return self.title or self.label

    @property
    def factor(self) -> float:
        """What measured values are multiplied by to be in the unit."""
        return 100.0 if self.is_share else 1.0


def _accuracy(name: str, label: str) -> Metric:
    return Metric(name=name, label=label, unit="%", decimals=1, kind="accuracy", better="higher")


def _readout(
    name: str, label: str, title: str, chance: float = 0.0, kind: Literal["readout", "factor"] = "readout"
) -> Metric:
    """Return a readout's metric: R² on held-out images, or the balanced accuracy where chance is not 0."""
    unit = "balanced accuracy" if chance else "R²"
    return Metric(name=name, label=label, title=title, unit=unit, kind=kind, chance=chance)


def _geometry(name: str, label: str, title: str = "", parts: list[str] | None = None) -> Metric:
    return Metric(name=name, label=label, title=title, parts=parts)


def _derived(name: str, label: str, unit: str, better: Literal["higher", "lower"] | None = None) -> Metric:
    signed = unit == "points"
    return Metric(name=name, label=label, unit=unit, decimals=1, signed=signed, kind="derived", better=better)


ACCURACY = _accuracy("top1", "top-1")  # after the last epoch, or with what was chosen on the training split
BEST_TEST_ACCURACY = _accuracy("top1_best_test_epoch", "top-1, best test epoch")  # too high, but as published


def knn_accuracy(k: int) -> Metric:
    """Return the accuracy with a further number of neighbours."""
    return _accuracy(f"{ACCURACY.name}_k{k}", f"k = {k}")


READOUTS = (  # of the distortion that was applied
    _readout("readout_angle", "angle", "rotation"),
    _readout("readout_brightness", "brightness", ""),
    _readout("readout_contrast", "contrast", ""),
    _readout("readout_saturation", "saturation", ""),
    _readout("readout_hue", "hue", ""),
    _readout("readout_blur", "blur", ""),
    _readout("readout_crop_x", "crop x", "crop, x"),
    _readout("readout_crop_y", "crop y", "crop, y"),
    _readout("readout_crop_size", "crop size", "crop, size"),
    _readout("readout_elastic", "elastic", "elastic strength"),
    _readout("readout_flip", "flip", "", chance=1 / 2),
    _readout("readout_shuffled", "shuffled", "shuffled angle"),
)
FACTORS_OF_SHAPES = {  # of what an image was drawn with
    "shape": _readout("factor_shape", "shape", "shape (the class)", chance=1 / 6, kind="factor"),
    "texture": _readout("factor_texture", "texture", "", chance=1 / 4, kind="factor"),
    "hue": _readout("factor_hue", "hue", "", kind="factor"),
    "x": _readout("factor_x", "x", "place, x", kind="factor"),
    "y": _readout("factor_y", "y", "place, y", kind="factor"),
    "angle_deg": _readout("factor_angle_deg", "angle", "", kind="factor"),
    "scale": _readout("factor_scale", "scale", "", kind="factor"),
    "grey": _readout("factor_grey", "grey", "background", kind="factor"),
}
FACTORS = tuple(FACTORS_OF_SHAPES.values())
CKA = _geometry("cka_dir_dvr", "CKA", parts=["dvr", "random_dvr"])  # of a (random) DVR with the other columns
GEOMETRY = (
    _geometry("invariance", "within / total"),
    _geometry("abs_mean_cosine", "|mean cos|"),
    _geometry("mean_abs_cosine", "mean |cos|"),
    _geometry("sd_cosine", "sd cos", "sd of cos"),
    _geometry("mean_abs_cosine_shuffled", "mean |cos|, strangers"),
    CKA,
    _geometry("effective_rank", "effective rank"),
    _geometry("std_ratio", "std ratio"),
    _geometry("alignment", "alignment"),
    _geometry("uniformity", "uniformity"),
)
OF_VIEWS = {metric.name for metric in GEOMETRY} - {CKA.name, "effective_rank", "std_ratio", "uniformity"}
# Distortions that a map of features is fitted for. A flip is one of two, and saturation and hue mean nothing on grey.
EQUIVARIANT_TO = {
    "rotation": "rotation",
    "brightness": "brightness",
    "blur": "blur",
    "crop": "crop",
    "elastic": "elastic strength",
}


def _equivariance(distortion: str, title: str) -> tuple[Metric, ...]:
    """Return the metrics of the map of features under a distortion; their names end in its name."""
    return (
        Metric(name=f"map_error_{distortion}", label=f"error, {title}", better="lower"),
        Metric(name=f"mrr_{distortion}", label=f"MRR, {title}", better="higher", kind="equivariance", title=title),
        Metric(name=f"hit1_{distortion}", label=f"H@1, {title}", unit="%", decimals=1, better="higher"),
        Metric(name=f"hit5_{distortion}", label=f"H@5, {title}", unit="%", decimals=1, better="higher"),
    )


EQUIVARIANCE = tuple(metric for name, title in EQUIVARIANT_TO.items() for metric in _equivariance(name, title))
DRIFT = Metric(name="drift", label="drift", title="drift, 1 − cos", random_in_families=True)
COMPUTED = (  # by tables, from cells
    _derived("relative_drop", "relative drop", "%", "lower"),
    _derived("change", "change", "points", "higher"),
    _derived("full_minus", "full − part", "points"),
)
BESIDE_PUBLISHED = (
    _derived("published", "published", "%"),
    _derived("difference", "difference", "points"),
)
OF_TRAINING = (  # from its history
    _derived("knn_auc", "area (%)", "%", "higher"),
    _derived("final_knn_top1", "final (%)", "%", "higher"),
    _derived("epochs_to_95", "epochs to 95 %", "epochs", "lower"),
    _derived("epochs_to_90_gain", "epochs to 90 % of the gain", "epochs", "lower"),
    _derived("seconds_to_95", "seconds to 95 %", "s", "lower"),
)
DERIVED = (*COMPUTED, *BESIDE_PUBLISHED, *OF_TRAINING)
