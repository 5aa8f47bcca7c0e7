"""Seeds of named sub-streams of randomness. Imports no torch."""

from __future__ import annotations

import hashlib


def derive(*names: object) -> int:
    """Return the 63-bit seed of the sub-stream `names`: a hash, the same on every machine."""
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
