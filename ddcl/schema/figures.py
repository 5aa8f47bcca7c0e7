"""What the report says of each figure. Imports no matplotlib: Snakemake reads it at every start."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

DIFFERENCES = "_differences"  # ends the name of a figure's other view


class Words(NamedTuple):
    """What the report says of a figure.

    alt: what it shows, for those who cannot see it. claims: whether it shows the judged claims. table: the CSV below
    results/tables with its numbers, where the suite has that table.
    """

    caption: str
    alt: str
    table: str = ""
    claims: bool = False


WORDS = {
    "knn_curves": Words(
        "kNN accuracy on held-out training images during training: mean over seeds, and their range. The dashed line "
        "is the encoder before any training.",
        "Line chart of kNN accuracy against the epoch of pretraining, one panel per augmentation.",
        table="convergence",
    ),
    "robustness": Words(
        "Accuracy of the linear probe on clean and perturbed test images. Bars: mean over seeds; lines: sample "
        "standard deviation; dots: single seeds.",
        "Bar chart of linear accuracy for each perturbation, one panel per augmentation of pretraining.",
        table="robustness",
    ),
    "augmentation": Words(
        "Accuracy on clean test images after pretraining under augmentations of growing strength. Dots: single seeds; "
        "dashed line: the untrained encoder.",
        "Line chart of clean accuracy against the strength of the augmentation, one panel per evaluation.",
        table="augmentation",
    ),
    "parts": Words(
        "Accuracy of the whole features and of their parts, by kNN if the suite has it. The whole features have more "
        "dimensions than DIR, and DIR more than DVR, which alone can cause such differences.",
        "Bar chart of accuracy of the whole features, DIR and DVR, one panel per method and perturbation.",
        table="knn",
    ),
    "ablation_share": Words(
        "Accuracy of the linear probe on clean test images against the share of the features that is DIR, all other "
        "numbers being equal. Mean over seeds; dots: single seeds; dashed line: the untrained encoder. A part's width "
        "grows or shrinks with the share, which alone can change its accuracy.",
        "Line chart of linear accuracy of the features full, dir and dvr against the share of DIR.",
        table="ablations",
    ),
    "ablation_weight": Words(
        "Accuracy of the linear probe on clean test images against the weight of the loss on DVR, all other numbers "
        "being equal. Mean over seeds; dots: single seeds; dashed line: the untrained encoder.",
        "Line chart of linear accuracy of the features full, dir and dvr against the weight of the loss on DVR.",
        table="ablations",
    ),
    "published": Words(
        "Accuracies measured here against published ones for the same method, data set, augmentation, part and "
        "perturbation, with the standard deviation over seeds. Hollow: the two experiments are known to differ; the "
        "table of the same name says how. Published numbers are mostly those of the best epoch on the test split.",
        "Scatter chart of measured against published accuracy, with the line on which they are equal.",
        table="published",
    ),
    "claims": Words(
        "Effects of the claims' checks (large) and their comparisons (small) with 95 % intervals, in units of the "
        "smallest effect that matters, positive in favour of the claim. a: the asymmetric form, which decides the "
        "paper's claim; b: the symmetric. Grey band: smaller than what matters. Hollow: reported only, not part of the "
        "verdict. Arrows: the interval continues. With fewer than three seeds there is no interval.",
        "Forest plot of effects with intervals, grouped by claim; verdicts are written beside them.",
        table="claim_comparisons",
        claims=True,
    ),
    "readout": Words(
        "How much of each distortion a linear readout finds in the features of distorted test images (R²; for flips, "
        "the accuracy above chance as a share of what is possible). If a part carries a distortion, its mark is far to "
        "the right. The bar behind it shows equally many random columns of the same features (mean and sd over the "
        "draws). If DVR carried distortions beyond its width, its mark would be to the right of its bar, and DIR's "
        "mark to the left of its own. Large marks: mean over seeds; dots: seeds; values below −0.1 are drawn at the "
        "edge.",
        "Dot plot of R² for each distortion, one panel per method and augmentation, one mark per part of the features.",
        table="readout",
    ),
    "factors": Words(
        "How much of each factor of the drawing a linear readout finds in the features of clean test images (R²; for "
        "shape and texture, the accuracy above chance as a share of what is possible). The shape is the class. The bar "
        "behind a mark shows equally many random columns of the same features (mean and sd over the draws). Large "
        "marks: mean over seeds; dots: seeds.",
        "Dot plot of R² for each factor, one panel per method and augmentation, one mark per part of the features.",
        table="factors",
    ),
    "rivals": Words(
        "What each method carries of each distortion, and what that costs: mean differences over seeds. A gain fills "
        "its cell, a loss has a strip below its number; the darker, the larger. Left: how much better a linear "
        "readout finds a distortion (R²) than it does in a reference of the same seed. The reference for DIR and DVR "
        "is equally many random columns of the same features; for a method without parts, it is all features of the "
        "method that it extends. Right, in the first row of a method: accuracy of the linear probe on all its "
        "features, minus that of the method that it extends, in points, on clean and perturbed test images.",
        "Matrix of differences: a row for each method and part, a column for each distortion and perturbation.",
        table="carried",
    ),
    "invariance": Words(
        "Share of the variance of the features that lies between the views of one image. 0: the augmentation of "
        "training does not move the part. 1: the part carries nothing of the image. The bar behind a mark shows "
        "equally many random columns (mean and sd over the draws); dots: seeds.",
        "Dot plot of the share of within-image variance for each method, one panel per augmentation.",
        table="invariance",
    ),
    "class_controls": Words(
        "Accuracy of each part of the features on clean test images, by kNN if the suite has it. The bar behind a mark "
        "shows equally many random columns of the same features (mean and sd over the draws). If DVR held less of the "
        "class than random columns do, its mark would be to the left of its bar. If full were better than DIR because "
        "of what DVR adds, and not because of its width, DIR's mark would be to the left of its bar. Dots: seeds.",
        "Dot plot of accuracy for each method and part beside random columns, one panel per augmentation.",
        table="width",
    ),
    "cosines": Words(
        "Cosines between the two views of an image. DDCL's loss drives the absolute mean over images to zero. Cosines "
        "of opposite sign can achieve that without any image being near zero, so compare it with the mean of absolute "
        "values and the standard deviation over images. Dots: seeds.",
        "Dot plot of three statistics of the cosine for each method and part, one panel per augmentation.",
        table="invariance",
    ),
    "response_rotation": Words(
        "Accuracy, and drift of the features from those of the clean image, against the angle by which test images "
        "are rotated, for the whole features and each part. Parts differ in width: compare methods within a part. Mean "
        "over seeds and their range; dashed: the untrained encoder.",
        "Line charts of accuracy and drift against the rotation angle, one panel per part and augmentation.",
        table="response",
    ),
    "response_elastic": Words(
        "Accuracy, and drift of the features from those of the clean image, against the strength of an elastic "
        "deformation of test images. Parts differ in width: compare methods within a part. Mean over seeds and their "
        "range; dashed: the untrained encoder.",
        "Line charts of accuracy and drift against elastic strength, one panel per part and augmentation.",
        table="response",
    ),
    "response_jitter": Words(
        "Accuracy, and drift of the features from those of the clean image, against the strength of a colour jitter "
        "of test images. Parts differ in width: compare methods within a part. Mean over seeds and their range; "
        "dashed: the untrained encoder.",
        "Line charts of accuracy and drift against jitter strength, one panel per part and augmentation.",
        table="response",
    ),
    "convergence": Words(
        "kNN accuracy on held-out training images, against epochs (warm-up counted; a dotted line where it ends) and "
        "against seconds of training, monitoring not counted: mean over seeds, and their range. Seconds depend on the "
        "machine and on whatever else was running. The dashed line is the encoder before any training.",
        "Line charts of kNN accuracy against epochs and against seconds, a row of panels per augmentation.",
        table="convergence",
    ),
    "convergence_loss": Words(
        "The loss on DIR (for methods without parts: their whole loss), against epochs and seconds. Compare only "
        "curves in the same panel, and with care: DIR has fewer features than a method without parts.",
        "Line charts of the loss against epochs and against seconds, a row of panels per augmentation.",
        table="convergence",
    ),
    "knn_curves_differences": Words(
        "kNN accuracy on held-out training images during training, minus that of the method that each extends: "
        "percentage points, paired by seed. Thick: mean; thin: each seed; shade: 95 % interval, if there are at least "
        "three seeds.",
        "Line chart of differences of kNN accuracy against the epoch of pretraining, one panel per pair of methods.",
        table="convergence",
    ),
    "robustness_differences": Words(
        "Accuracy of the linear probe on clean and perturbed test images, minus that of the method that each extends, "
        "or is an ablation of: percentage points, paired by seed. Mark: mean; line: 95 % interval, if there are at "
        "least three seeds; dots: single seeds.",
        "Dot chart of differences of linear accuracy for each perturbation, one panel per augmentation of pretraining.",
        table="robustness",
    ),
    "augmentation_differences": Words(
        "Accuracy on clean test images, minus that of the method that each extends, or is an ablation of: percentage "
        "points, paired by seed. Mark: mean; line: 95 % interval, if there are at least three seeds; dots: single "
        "seeds.",
        "Dot chart of differences of clean accuracy after each augmentation, one panel per evaluation.",
        table="augmentation",
    ),
    "parts_differences": Words(
        "Accuracy of the whole features and of DIR, by kNN if the suite has it, minus that of the whole features of "
        "the method that each extends; for an ablation, each part minus the same part of its method. Percentage "
        "points, paired by seed. Mark: mean; line: 95 % interval, if there are at least three seeds; dots: single "
        "seeds.",
        "Dot chart of differences of accuracy of the parts, one panel per pair of methods and perturbation.",
        table="knn",
    ),
    "ablation_share_differences": Words(
        "Accuracy of the linear probe on clean test images with another share of DIR, minus that with the method's "
        "own share: percentage points, paired by seed. A part's width grows or shrinks with the share, which alone can "
        "change its accuracy. Mark: mean; line: 95 % interval, if there are at least three seeds; dots: single seeds.",
        "Dot chart of differences of linear accuracy of the parts against the share of DIR.",
        table="ablations",
    ),
    "ablation_weight_differences": Words(
        "Accuracy of the linear probe on clean test images with another weight of the loss on DVR, minus that with the "
        "method's own weight: percentage points, paired by seed. Mark: mean; line: 95 % interval, if there are at "
        "least three seeds; dots: single seeds.",
        "Dot chart of differences of linear accuracy of the parts against the weight of the loss on DVR.",
        table="ablations",
    ),
    **{
        f"response_{name}_differences": Words(
            f"Accuracy, and drift of the features from those of the clean image, against {strength}, minus those of "
            "the whole features of the method that each extends; for an ablation, minus those of the same part of its "
            "method. Paired by seed. Thick: mean; thin: each seed; shade: 95 % interval, if there are at least "
            "three seeds.",
            f"Line charts of differences of accuracy and drift against {short}, one panel per part and augmentation.",
            table="response",
        )
        for name, strength, short in (
            ("rotation", "the angle by which test images are rotated", "the rotation angle"),
            ("elastic", "the strength of an elastic deformation of test images", "elastic strength"),
            ("jitter", "the strength of a colour jitter of test images", "jitter strength"),
        )
    },
}


def with_differences(figures: Iterable[str]) -> list[str]:
    """Return the figures, each before its view of differences where it has one: the page shows them as one."""
    pairs = ((name, f"{name}{DIFFERENCES}") for name in figures)
    return list(dict.fromkeys(each for pair in pairs for each in pair if each in WORDS))
