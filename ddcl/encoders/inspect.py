"""A readable summary of a file of weights: its layout, its network, and the options that `ddcl encoder add` needs."""

from __future__ import annotations

from pathlib import Path

from ddcl.base.errors import UserError, listed
from ddcl.base.files import file_sha256
from ddcl.encoders.add import Told, network_for
from ddcl.encoders.layouts import LAYOUTS, Found, layouts_of
from ddcl.encoders.reading import described, read_weights
from ddcl.encoders.recognise import fitted

MOST = 12  # names that are listed


def inspect(path: Path) -> str:
    """Return a summary of a file in lines; `UserError` if it cannot be read. Nothing in it is executed."""
    weights = read_weights(path)
    lines = [f"{path}: {weights.kind}, {path.stat().st_size / 1e6:.1f} MB, sha256 {file_sha256(path)}"]
    lines += [f"holds: {described(weights.content)}"]
    if weights.names:
        names = listed(weights.names, MOST)
        lines += [f"classes and functions named in it, neither read nor executed: {names}"]
    fitting = layouts_of(weights)
    if not fitting:
        return "\n".join([*lines, f"layout: no known layout fits; known are {', '.join(LAYOUTS)}"])
    for found in fitting.values():
        lines += _of(path, found)
    return "\n".join(lines)


def _of(path: Path, found: Found) -> list[str]:
    """Return the lines about a layout that fits the file."""
    lines = [f"layout: {found.layout} ({LAYOUTS[found.layout].what}), {len(found.state)} tensors of the encoder"]
    if found.left_out:
        lines += [f"  heads, left out: {listed(found.left_out, MOST)}"]
    if found.dir_width is not None:
        lines += [f"  its first {found.dir_width} features are DIR, the others DVR"]
    try:
        network = network_for(path, found, Told())
        fitted(found, network.full_name, network.build().network)
    except UserError as error:
        return [*lines, f"  still needed: {str(error).removeprefix(f'{path}: ')}"]
    lines += [f"  network: {network.full_name}; all its weights are in the file"]
    if network.normalisation is None:
        return [*lines, "  still needed: the normalisation, --mean R G B --std R G B"]
    return [*lines, f"  normalisation: mean {network.normalisation.mean}, std {network.normalisation.std}"]
