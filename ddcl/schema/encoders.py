"""Encoders from elsewhere: what config/encoders/NAME.yaml says, and what of it moves numbers. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

import yaml
from pydantic import BeforeValidator, Field, model_validator

from ddcl.base.errors import UserError, check_name, shown, visible
from ddcl.base.files import file_sha256, write_text
from ddcl.base.paths import expanded
from ddcl.base.yaml_files import Count, Model, parse, read_yaml
from ddcl.schema.names import Label, Name, Names, check_word
from ddcl.schema.places import config_names, config_path, existing_files, new_file
from ddcl.schema.suites import MOST_PX, NormalisationConfig
from ddcl.schema.training import MOST_WIDTH, BackboneConfig
from ddcl.schema.variants import scales, variant_names

KIND = "encoders"  # the folder of config/
OWN = "ddcl"  # the network whose shape the file says: a ResNet of this suite
NONE = "features"  # in place of a network: it is not here, only what it gave for the images of a data set
LIBRARIES = ("torchvision", "timm")
NETWORK = rf"^({OWN}|{NONE}|({'|'.join(LIBRARIES)})/[A-Za-z0-9_.]+)$"
Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
StemName = Literal["7x7", "3x3", "3x3_padding_2", "3x3_no_relu"]


class GivenFeatures(Model):
    """What is known of an encoder that is not here: features of the images of one data set, in their order."""

    dataset: Name = Field(description="name in config/datasets of the images that the features are of")
    draws: dict[Name, Annotated[int, Field(ge=1)]] = Field(
        default_factory=dict,
        description="perturbations of the test images for which there are features, with the number of draws",
    )
    n_views: int = Field(default=0, ge=0, description="augmented views of the test images; 0: none")


class GivenEncoder(Model):
    """An encoder from elsewhere: what its features depend on, and how large it is."""

    sha256: Sha256 = Field(description="sha256 of the converted file of weights or features")
    network: str = Field(
        pattern=NETWORK,
        description="torchvision/NAME, timm/NAME, ddcl: a ResNet of this suite, of the given shape; or features: there "
        "is no network here",
    )
    features: GivenFeatures | None = Field(
        default=None,
        description="what is known of them, if the network is `features`",
        json_schema_extra={"absent": None},
        exclude_if=lambda value: value is None,
    )
    shape: BackboneConfig | None = Field(default=None, description="its shape, if the network is `ddcl`")
    stem: StemName | None = Field(
        default=None,
        description="first layers of a ResNet. 7x7: stride 2, max-pool; 3x3: stride 1, no max-pool; 3x3_padding_2: the "
        "same, padded by 2 (solo-learn at CIFAR); 3x3_no_relu: without the first ReLU (lightly's CIFAR benchmark); "
        "null: as the library builds it",
    )
    feature_dim: int = Field(ge=1, le=MOST_WIDTH, description="width of the features")
    dir_width: int | None = Field(
        default=None, ge=1, le=MOST_WIDTH, description="columns of DIR, the rest being DVR's; null: no split"
    )
    side_px: int | None = Field(
        default=None, ge=8, le=MOST_PX, description="images are resized to this side; null: no resizing"
    )
    normalisation: NormalisationConfig | None = Field(
        default=None, description="what pixel values in [0, 1] are normalised with; for features this is not known"
    )
    n_parameters: int = Field(default=0, ge=0, description="learned parameters; for features: 0")
    gflops: float = Field(default=0.0, ge=0, description="10⁹ floating-point operations for one image; for features: 0")

    @model_validator(mode="after")
    def _fits_together(self) -> GivenEncoder:
        if (self.network == NONE) != (self.features is not None):
            raise ValueError(f"features: network {NONE} has them, and no other network")
        known = (self.normalisation is not None, self.n_parameters > 0, self.gflops > 0)
        if any(known) if self.features else not all(known):
            raise ValueError("normalisation, n_parameters and gflops: every network has them, and features have not")
        if (self.network == OWN) != (self.shape is not None):
            raise ValueError(f"shape: network {OWN} has one, and no other network")
        if self.dir_width is not None and self.dir_width >= self.feature_dim:
            raise ValueError(f"dir_width: {self.dir_width} of {self.feature_dim} features leaves no DVR")
        return self

    @property
    def name(self) -> str:
        """How the network is called."""
        if self.features:
            return "not here, only its features"
        return self.shape.name if self.shape else self.network.partition("/")[2]


class Origin(Model):
    """Where an encoder comes from: what `ddcl encoder add` read, and what it was told."""

    file: Annotated[str, BeforeValidator(visible)] = Field(description="name of the file")
    sha256: Sha256 = Field(description="sha256 of the file")
    layout: Name = Field(description="how the file was read: a layout that `ddcl encoder inspect` names")
    n_used: Count = Field(description="tensors that became the encoder")
    prefix: str = Field(default="", description="beginning of their names in the file")
    left_out: list[str] = Field(description="tensors that were left out: heads, by the beginning of their names")
    source: str = Field(default="", description="where the file was found, as given")
    licence: str = Field(default="", description="licence of the weights, as given")


class EncoderConfig(GivenEncoder):
    """An encoder from elsewhere: an arm without training."""

    label: Label = Field(description="name in tables and figures, to which `from elsewhere` is added")
    file: str = Field(
        min_length=1, description="the converted weights or features, safetensors; may have variables such as $HOME"
    )
    with_labels: bool = Field(default=False, description="labels were used to train it; tables say so")
    trained_on: Names = Field(
        default_factory=list,
        description="names in config/datasets of the data sets that it was trained on; tables say so",
    )
    origin: Origin

    @property
    def given(self) -> GivenEncoder:
        """What moves numbers."""
        return GivenEncoder.model_validate(self.model_dump(include=set(GivenEncoder.model_fields)))

    @property
    def full_label(self) -> str:
        """How the arm is called in tables, whatever they are tables of."""
        notes = ["from elsewhere"]
        notes += ["trained with labels"] if self.with_labels else []
        notes += [f"trained on images of {', '.join(self.trained_on)}"] if self.trained_on else []
        return f"{self.label} ({', '.join(notes)})"


def read_encoder(name: str) -> EncoderConfig:
    """Read and check config/encoders/`name`.yaml."""
    path = config_path(KIND, name, hint="; `ddcl encoder add` writes it")
    return parse(EncoderConfig, read_yaml(path), str(path))


def path_of(config: EncoderConfig, name: str) -> Path:
    """Return where the converted file of an encoder is expected."""
    return expanded(config.file, f"encoder {name}: file")


def missing_weights(name: str) -> str:
    """Return in a line what is wrong with the converted file of an encoder, and what makes it; empty: it is there."""
    config = read_encoder(name)
    path, made_from = path_of(config, name), f"from {shown(config.origin.file)}"
    made_from += f" ({config.origin.source})" if config.origin.source else ""
    files = f"--dataset {config.features.dataset} --features TRAIN TEST …" if config.features else "FILE"
    makes = f"`ddcl encoder add {name} {files}` makes it again {made_from}"
    if not path.exists():
        return f"encoder {name}: {path} is missing; {makes}"
    found = file_sha256(path)
    if found != config.sha256:
        return f"encoder {name}: {path} is not its file (sha256 {found[:8]}…, expected {config.sha256[:8]}…); {makes}"
    return ""


def existing_yaml(name: str) -> Path | None:
    """Return config/encoders/`name`.yaml, where there is one."""
    check_word("encoder", name)
    return next(iter(existing_files(f"{KIND}/{name}.yaml")), None)


def known_encoder(name: str) -> EncoderConfig | None:
    """Return the encoder of this name whose converted file must be made again; None where there is none of this name.

    `UserError` where there is one with its file.
    """
    path = existing_yaml(name)
    if path is None:
        return None
    if not missing_weights(name):
        raise UserError(f"{path}: there is such an encoder; delete the file, or choose another name")
    return read_encoder(name)


def check_dataset(dataset: str, where: str) -> None:
    """Raise `UserError` unless config/datasets has the name."""
    check_name("data set", dataset, config_names("datasets"), where)


def check_new(name: str, trained_on: Iterable[str] = ()) -> Path:
    """Return where a new encoder's YAML goes, the first folder of configuration.

    `UserError` if a variant has the name, or if one of the data sets whose images trained it is not known.
    """
    check_word("encoder", name)
    for dataset in trained_on:
        check_dataset(dataset, f"encoder {name}: trained on")
    path = new_file(f"{KIND}/{name}.yaml")
    taken = [scale for scale in scales() if name in variant_names(scale)]
    if taken:
        raise UserError(f"encoder {name!r}: scale {taken[0]} has a variant of this name; choose another")
    return path


def write_encoder(name: str, config: EncoderConfig) -> Path:
    """Write config/encoders/`name`.yaml and return its path."""
    path = check_new(name)
    head = f"# Written by `ddcl encoder add`; named in a suite by `encoders: [{name}]`.\n"
    values = config.model_dump(exclude_defaults=True)
    write_text(path, head + yaml.safe_dump(values, sort_keys=False, allow_unicode=True, width=120))
    return path


def library_of(network: str) -> tuple[str, str]:
    """Return library and name of ``torchvision/resnet50``; `UserError` for what is no such name."""
    library, _, name = network.partition("/")
    if library not in LIBRARIES or not name:
        raise UserError(f"network {network!r}: expected torchvision/NAME or timm/NAME, such as torchvision/resnet50")
    return library, name
