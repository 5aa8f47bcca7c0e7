"""Settings of methods, as typed models. Imports no torch."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from ddcl.base.yaml_files import Model
from ddcl.schema.extras import Extras, ThirdCrop
from ddcl.schema.ops import Share
from ddcl.schema.training import MOST_WIDTH, TrainingConfig

Width = Annotated[int, Field(ge=1, le=MOST_WIDTH)]
Weight = Annotated[float, Field(ge=0, le=1e6)]  # a larger one was typed wrong

Temperature = Annotated[float, Field(ge=1e-3, le=1e3)]  # of a softmax over cosines


class MethodSettings(Model):
    """Base of the settings of all methods."""

    def misfit(self, training: TrainingConfig) -> str:
        """Return what cannot be with these numbers of the training, key first; nothing where all fits."""
        return ""

    def extras(self) -> Extras | None:
        """Return what the method asks of its batches beyond two views; it becomes part of the recipe."""
        return None


class NoMethodSettings(MethodSettings):
    """For a method that has no numbers of its own."""


class SimSiamSettings(MethodSettings):
    """Settings of `baselines.simsiam`."""

    projector_dim: Width = Field(description="width of all projector layers")
    projector_layers: Literal[2, 3] = Field(default=3, description="layers of the projector")
    predictor_hidden_dim: Width = Field(description="width of the predictor's bottleneck")
    fix_predictor_lr: bool = Field(default=True, description="the predictor's learning rate does not decay")


class SimSiamBaselineSettings(SimSiamSettings):
    """Settings of `baselines.simsiam` that DDCL does not share."""

    feature_frac: float = Field(
        default=1.0, gt=0, le=1, description="use only the first round(this · D) features: a control of DIR's width"
    )

    def misfit(self, training: TrainingConfig) -> str:
        """At least one feature is left."""
        width = training.backbone.feature_dim
        return (
            "" if round(self.feature_frac * width) else f"feature_frac: {self.feature_frac} of {width} features is none"
        )


class BarlowTwinsSettings(MethodSettings):
    """Settings of `baselines.barlow_twins`."""

    projector_dim: Width = Field(description="width of all projector layers")
    offdiag_weight: Weight = Field(description="λ of the redundancy term, eq. 1")


class VICRegSettings(MethodSettings):
    """Settings of `baselines.vicreg`."""

    projector_dim: Width = Field(description="width of all projector layers")
    invariance_weight: Weight = Field(default=25.0, description="weight of the mean square between views; official: 25")
    std_weight: Weight = Field(default=25.0, description="weight of the hinge on the columns' spread; official: 25")
    covariance_weight: Weight = Field(default=1.0, description="weight of the squared covariances; official: 1")


class SimCLRSettings(MethodSettings):
    """Settings of `baselines.simclr`."""

    hidden_dim: Width = Field(description="width of the projector's hidden layer")
    projector_dim: Width = Field(description="width of the projection")
    temperature: Temperature = Field(description="τ of eq. 1")


class BYOLSettings(MethodSettings):
    """Settings of `baselines.byol`."""

    hidden_dim: Width = Field(description="width of the hidden layers of projector and predictor")
    projector_dim: Width = Field(description="width of projection and prediction")
    momentum: float = Field(ge=0, le=1, description="τ of the teacher in the first step; it rises to 1")


class SupConSettings(MethodSettings):
    """Settings of `baselines.supcon`."""

    hidden_dim: Width = Field(description="width of the projector's hidden layer")
    projector_dim: Width = Field(description="width of the projection")
    temperature: Temperature = Field(description="τ of eq. 2")


class AugSelfSettings(MethodSettings):
    """What AugSelf has beside its base."""

    weights: dict[Literal["resized_crop", "color_jitter", "horizontal_flip", "gaussian_blur", "rotation"], Weight] = (
        Field(description="λ of each operation; operations that the augmentation does not have are left out")
    )
    hidden_dim: Width = Field(description="width of the predictors' hidden layers")

    def extras(self) -> Extras:
        return Extras(drawn=True)


class AugSelfSimSiamSettings(AugSelfSettings, SimSiamBaselineSettings):
    """Settings of `baselines.augself.AugSelfSimSiam`."""


class AugSelfBarlowTwinsSettings(AugSelfSettings, BarlowTwinsSettings):
    """Settings of `baselines.augself.AugSelfBarlowTwins`."""


class ESSLSettings(SimSiamBaselineSettings):
    """Settings of `baselines.e_ssl`."""

    rotation_weight: Weight = Field(description="λ of the cross-entropy of the quarter turns; official: 0.4")
    rotation_dim: Width = Field(description="width of the hidden layers that predict the quarter turn")
    crop_side_frac: Share = Field(
        description="side of the third crop, as a share of the views' side; official: 16 of 32 px"
    )

    def extras(self) -> Extras:
        return Extras(crop=ThirdCrop(side_frac=self.crop_side_frac))


class EquiModSettings(SimCLRSettings):
    """Settings of `baselines.equimod`; hidden_dim is that of the equivariant head, too."""

    equivariant_dim: Width = Field(description="width of the equivariant embedding")
    told_dim: Width = Field(description="width of what the augmentation's parameters are mapped to")
    equivariant_weight: Weight = Field(description="λ of the equivariant loss")
    equivariant_temperature: Temperature = Field(description="τ of the equivariant loss")

    def extras(self) -> Extras:
        return Extras(drawn=True, original=True)


class PartsSettings(MethodSettings):
    """What all methods with a split of the features share."""

    dir_frac: float = Field(gt=0, lt=1, description="share of the features that is DIR")

    def misfit(self, training: TrainingConfig) -> str:
        """Neither part is empty."""
        width = training.backbone.feature_dim
        if not 0 < round(self.dir_frac * width) < width:
            return f"dir_frac: {self.dir_frac} of {width} features leaves one part empty"
        return ""


class SIESettings(PartsSettings):
    """Settings of `baselines.sie`."""

    projector_dim: Width = Field(description="width of the projection of each part")
    invariance_weight: Weight = Field(description="weight of the invariant part's mean square")
    equivariance_weight: Weight = Field(description="weight of the equivariant part's mean square, after the map")
    std_weight: Weight = Field(description="weight of the hinge on the columns' spread")
    covariance_weight: Weight = Field(description="weight of the squared covariances")

    def extras(self) -> Extras:
        return Extras(drawn=True)


class IESSLSettings(PartsSettings):
    """Settings of `baselines.ie_ssl`."""

    dir_projector_dim: Width = Field(description="width of the projection of the part that stays")
    dvr_projector_dim: Width = Field(description="width of the projection of the part that moves")
    temperature: Temperature = Field(description="τ of both losses")

    def extras(self) -> Extras:
        return Extras(shared_draws=2)


class SplitSettings(PartsSettings):
    """What all forms of DDCL share."""

    dvr_weight: Weight = Field(description="weight of the distortion-disentangled loss")
    dvr_form: Literal["abs_of_mean", "mean_of_abs", "softmax"] = Field(
        default="abs_of_mean",
        description="|mean cos|, as in the official code; mean |cos|, which does not let signs cancel between images; "
        "or mean cos of the two softmaxes, which is never below 0, as in CLeVER, the authors' later method",
    )
    dvr_temperature: float = Field(
        default=1.0,
        gt=0,
        le=1e6,
        json_schema_extra={"absent": 1.0},
        description="temperature of the softmax of both views. CLeVER: 0.1, and 0.04 for its teacher, on the outputs "
        "of DINO's heads. Our outputs are standardised; there such values would leave only one entry of each softmax",
    )
    dvr_groups: int = Field(
        default=1,
        ge=1,
        description="equal groups of the batch; abs_of_mean is computed for each group and averaged. The official code "
        "computes it per GPU, and its scripts use 2",
    )

    def misfit(self, training: TrainingConfig) -> str:
        """Neither part is empty, and the groups are equal, on each of the processes."""
        batch, processes = training.batch_size, training.processes
        if self.dvr_groups > 1 and (batch % self.dvr_groups or self.dvr_groups % processes):
            shared = f" on {processes} processes" if processes > 1 else ""
            return f"dvr_groups: a batch of {batch} has no {self.dvr_groups} equal groups{shared}"
        return super().misfit(training)


class DDCLSettings(SplitSettings, SimSiamSettings):
    """Settings of `ddcl.method.DDCL`."""

    preg_weight: Weight = Field(
        default=0.0, description="weight of PReg, which ties the heads' parameter norms; official: 0.001"
    )


class DDCLSymmetricSettings(SplitSettings, BarlowTwinsSettings):
    """Settings of `ddcl.method.DDCLSymmetric`."""


class DDCLBYOLSettings(SplitSettings, BYOLSettings):
    """Settings of `ddcl.other_bases.DDCLOnBYOL`."""


class DDCLVICRegSettings(SplitSettings, VICRegSettings):
    """Settings of `ddcl.other_bases.DDCLOnVICReg`."""


class GivenSplitSettings(MethodSettings):
    """Settings of `baselines.from_elsewhere.SplitFromElsewhere`."""

    dir_width: Width = Field(description="columns of DIR; the others are DVR's")
