"""Settings of methods, as typed models. Imports no torch."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ddcl.base.yaml_files import Model


class SimSiamSettings(Model):
    """Settings of `baselines.simsiam`."""

    projector_dim: int = Field(ge=1, description="width of all projector layers")
    projector_layers: Literal[2, 3] = Field(default=3, description="layers of the projector")
    predictor_hidden_dim: int = Field(ge=1, description="width of the predictor's bottleneck")
    fix_predictor_lr: bool = Field(default=True, description="the predictor's learning rate does not decay")


class SimSiamBaselineSettings(SimSiamSettings):
    """Settings of `baselines.simsiam` that DDCL does not share."""

    feature_frac: float = Field(
        default=1.0, gt=0, le=1, description="use only the first round(this · D) features: a control of DIR's width"
    )


class BarlowTwinsSettings(Model):
    """Settings of `baselines.barlow_twins`."""

    projector_dim: int = Field(ge=1, description="width of all projector layers")
    offdiag_weight: float = Field(ge=0, description="λ of the redundancy term, eq. 1")


class SplitSettings(Model):
    """What both forms of DDCL share."""

    dir_frac: float = Field(gt=0, lt=1, description="share of the features that is DIR")
    dvr_weight: float = Field(ge=0, description="weight of the distortion-disentangled loss")
    dvr_form: Literal["abs_of_mean", "mean_of_abs", "softmax"] = Field(
        default="abs_of_mean",
        description="|mean cos|, as the official code; mean |cos|, which does not let signs cancel between images; or "
        "mean cos of the two softmaxes, which is never below 0: that of CLeVER, the authors' later method",
    )
    dvr_temperature: float = Field(
        default=1.0,
        gt=0,
        json_schema_extra={"absent": 1.0},
        description="softmax: of both views. CLeVER: 0.1 and, of its teacher, 0.04, on the outputs of DINO's heads; on "
        "ours, which are standardised, these leave one entry of each softmax alone",
    )
    dvr_groups: int = Field(
        default=1,
        ge=1,
        description="equal groups of the batch that abs_of_mean is taken of, then averaged; the official code takes it "
        "per GPU, of which its scripts use 2",
    )


class DDCLSettings(SplitSettings, SimSiamSettings):
    """Settings of `ddcl.method.DDCL`."""

    preg_weight: float = Field(
        default=0.0, ge=0, description="weight of PReg, which ties the heads' parameter norms; the official 0.001"
    )


class DDCLSymmetricSettings(SplitSettings, BarlowTwinsSettings):
    """Settings of `ddcl.method.DDCLSymmetric`."""
