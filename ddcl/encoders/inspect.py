"""What is in a file of weights, for people: which layout, which network, and what `ddcl encoder add` must be told."""

from __future__ import annotations

from pathlib import Path

from ddcl.base.errors import UserError
from ddcl.base.files import file_sha256
from ddcl.encoders.add import Told, network_for
from ddcl.encoders.layouts import LAYOUTS, Found, layouts_of
from ddcl.encoders.reading import described, read_weights
from ddcl.encoders.recognise import fitted


def inspect(path: Path) -> str:
    """Return what is in a file, a line each; `UserError` if it cannot be read. Nothing in it is executed."""
    weights = read_weights(path)
    lines = [f"{path}: {weights.kind}, {path.stat().st_size / 1e6:.1f} MB, sha256 {file_sha256(path)}"]
    lines += [f"holds: {described(weights.content)}"]
    if weights.names:
        lines += [f"named in it, but neither read nor executed: {', '.join(weights.names)}"]
    fitting = layouts_of(weights)
    if not fitting:
        return "\n".join([*lines, f"layout: none fits; known are {', '.join(LAYOUTS)}"])
    for found in fitting.values():
        lines += _of(path, found)
    return "\n".join(lines)


def _of(path: Path, found: Found) -> list[str]:
    """Return what a layout finds in the file."""
    lines = [f"layout: {found.layout} ({LAYOUTS[found.layout].what}), {len(found.state)} tensors of the encoder"]
    if found.left_out:
        lines += [f"  heads, left out: {', '.join(found.left_out)}"]
    if found.dir_width is not None:
        lines += [f"  its first {found.dir_width} features are DIR, the others DVR"]
    try:
        network = network_for(path, found, Told())
        fitted(found, network.full_name, network.build().network)
    except UserError as error:
        return [*lines, f"  still needed: {str(error).removeprefix(f'{path}: ')}"]
    lines += [f"  network: {network.full_name}; its weights are all here"]
    if network.normalisation is None:
        return [*lines, "  to be said: the normalisation, --mean R G B --std R G B"]
    return [*lines, f"  normalisation: mean {network.normalisation.mean}, std {network.normalisation.std}"]
