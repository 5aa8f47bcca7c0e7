"""Converts an external file of weights into an encoder of this suite: its weights, and config/encoders/NAME.yaml.

If the YAML exists but the converted file does not, the file is created again and must be identical.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ddcl.base.errors import UserError
from ddcl.base.files import file_sha256, write_atomic
from ddcl.base.yaml_files import parse
from ddcl.core.networks import GivenNetwork, build_network, measure
from ddcl.encoders.layouts import LAYOUTS, Found, State, find
from ddcl.encoders.own import own_run
from ddcl.encoders.reading import read_weights
from ddcl.encoders.recognise import fitted, network_of, stem_of
from ddcl.schema.encoders import (
    OWN,
    EncoderConfig,
    Origin,
    StemName,
    check_new,
    existing_yaml,
    known_encoder,
    library_of,
    missing_weights,
    path_of,
    write_encoder,
)
from ddcl.schema.suites import NormalisationConfig
from ddcl.schema.training import BackboneConfig

SIDE_PX = 32  # image side for counting operations, if the network accepts any


@dataclass(frozen=True)
class Told:
    """What the user says about a file, as options of `ddcl encoder add`; None or empty: not given."""

    layout: str | None = None
    network: str | None = None
    stem: str | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    side_px: int | None = None
    dir_width: int | None = None
    label: str = ""
    source: str = ""
    licence: str = ""
    with_labels: bool = False
    trained_on: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """A network without its weights, and the input that its library or its run specifies."""

    name: str
    stem: StemName | None
    shape: BackboneConfig | None
    side_px: int | None
    normalisation: NormalisationConfig | None
    dir_width: int | None

    @property
    def full_name(self) -> str:
        """Name and first layers."""
        return f"{self.name} with stem {self.stem}" if self.stem else self.name

    def build(self) -> GivenNetwork:
        """Return the network; its weights are not loaded yet."""
        return GivenNetwork(build_network(self.name, self.stem, self.shape), self.side_px)


def add(name: str, path: Path, told: Told, root: Path) -> tuple[EncoderConfig, Path]:
    """Convert the encoder in a file to safetensors below `root`, write its YAML, and return both.

    Raises `UserError` and writes nothing if the file cannot be read in full, if the weights do not match the network
    exactly, or if the normalisation of pixel values is unknown.
    """
    former = known_encoder(name)
    if former:
        told = _told_again(name, former, told)
    check_new(name, told.trained_on)
    found = find(path, read_weights(path), told.layout)
    network = network_for(path, found, told)
    normalisation = _normalisation(path, network, told)
    with _said_of(path):
        own = network.build()
        state = fitted(found, network.full_name, own.network)
        feature_dim, gflops = measure(own, network.side_px or SIDE_PX)
        dir_width = split_of(told.dir_width or network.dir_width, feature_dim)
    values = {
        "network": network.name,
        "shape": network.shape,
        "stem": network.stem,
        "feature_dim": feature_dim,
        "dir_width": dir_width,
        "side_px": network.side_px,
        "normalisation": normalisation,
        "n_parameters": sum(p.numel() for p in own.parameters()),
        "gflops": gflops,
    }
    return written(name, (state, values, _origin(path, found, state, told)), told, root)


def _told_again(name: str, former: EncoderConfig, told: Told) -> Told:
    """Return the options recorded in an encoder's YAML; `UserError` if options are given again."""
    if former.features:
        raise UserError(f"encoder {name}: consists of features, not weights; {missing_weights(name)}")
    check_untold(name, told)
    normalisation = former.normalisation
    return Told(
        layout=former.origin.layout,
        network=None if former.network == OWN else former.network,
        stem=former.stem,
        mean=tuple(normalisation.mean) if normalisation else None,
        std=tuple(normalisation.std) if normalisation else None,
        side_px=former.side_px,
        dir_width=former.dir_width,
    )


def check_untold(name: str, told: Told) -> None:
    """Raise `UserError` if options are given for an encoder that already has a YAML."""
    if told != Told():
        raise UserError(
            f"encoder {name}: its YAML already has all options; to create its file again, run the command without "
            "options, or choose another name"
        )


def written(
    name: str, made: tuple[State, dict[str, Any], Origin], told: Told, root: Path
) -> tuple[EncoderConfig, Path]:
    """Write tensors as safetensors and the encoder's YAML, and return both; if the YAML exists, only the tensors.

    made: tensors, values for the YAML, and their origin. Raises `UserError` and writes nothing if the YAML exists and
    was written for other tensors.
    """
    from safetensors.torch import save

    tensors, values, origin = made
    former, data = known_encoder(name), save(tensors)
    sha256 = hashlib.sha256(data).hexdigest()
    if former and sha256 != former.sha256:
        raise UserError(
            f"encoder {name}: its YAML was made from {former.origin.file}; {origin.file} gives another encoder (sha256 "
            f"{sha256[:8]}…, expected {former.sha256[:8]}…); give the original file, or choose another name"
        )
    file = path_of(former, name) if former else root / f"{name}-{sha256[:8]}.safetensors"
    words = {"label": told.label or name, "with_labels": told.with_labels, "trained_on": [*told.trained_on]}
    known = {"file": str(file), "sha256": sha256, "origin": origin}
    config = former or parse(EncoderConfig, words | known | values, f"encoder {name}")
    write_atomic(file, lambda temporary: temporary.write_bytes(data))
    return config, existing_yaml(name) or write_encoder(name, config)


def _origin(path: Path, found: Found, state: State, told: Told) -> Origin:
    """Return where the encoder comes from, and which tensors of the file were left out."""
    heads = [head for head in found.inner if any(key.startswith(head) and key not in state for key in found.state)]
    return Origin(
        file=path.name,
        sha256=file_sha256(path),
        layout=found.layout,
        n_used=len(state),
        prefix=LAYOUTS[found.layout].prefix,
        left_out=[*found.left_out, *(f"{head.rstrip('.')} (within the encoder)" for head in heads)],
        source=told.source,
        licence=told.licence,
    )


def network_for(path: Path, found: Found, told: Told) -> Network:
    """Return the network of the weights: the one given, that of this suite's run, or a recognised one."""
    if found.layout == "suite" and told.network is None:
        run = own_run(path)
        shape = run.recipe.training.backbone
        return Network(OWN, None, shape, told.side_px, run.normalisation, run.dir_width)
    name = told.network or network_of(found)
    if name is None:
        raise UserError(
            f"{path}: its {len(found.state)} tensors are not those of a common ResNet or ViT; name the network "
            "with --network torchvision/NAME or timm/NAME"
        )
    with _said_of(path):
        stem = stem_of(found, name, told.stem)
        side_px, normalisation = _of_library(name)
    return Network(name, stem, None, told.side_px or side_px, normalisation, found.dir_width)


def _of_library(network: str) -> tuple[int | None, NormalisationConfig | None]:
    """Return the input side and the normalisation that a library specifies for its network."""
    library, name = library_of(network)
    if library != "timm":
        return None, None
    import timm

    config = timm.get_pretrained_cfg(name) if timm.is_model(name) else None
    if config is None:
        return None, None
    return config.input_size[-1], NormalisationConfig(mean=list(config.mean), std=list(config.std))


def _normalisation(path: Path, network: Network, told: Told) -> NormalisationConfig:
    """Return the given normalisation, else that of the library or the run; `UserError` if there is none."""
    if (told.mean is None) != (told.std is None):
        raise UserError(f"{path}: --mean and --std must be given together")
    if told.mean is not None and told.std is not None:
        return parse(NormalisationConfig, {"mean": [*told.mean], "std": [*told.std]}, f"{path}: --mean and --std")
    if network.normalisation is None:
        raise UserError(
            f"{path}: the normalisation of pixel values is unknown; give --mean R G B --std R G B for values in "
            "[0, 1] (ImageNet's are 0.485 0.456 0.406 and 0.229 0.224 0.225)"
        )
    return network.normalisation


def split_of(dir_width: int | None, feature_dim: int) -> int | None:
    """Return how many columns DIR has; `UserError` if that leaves a part empty."""
    if dir_width is not None and not 0 < dir_width < feature_dim:
        raise UserError(f"DIR has {dir_width} of {feature_dim} features; expected 1 to {feature_dim - 1}")
    return dir_width


@contextmanager
def _said_of(path: Path) -> Iterator[None]:
    """Prefix a `UserError` with the file that it is about."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
