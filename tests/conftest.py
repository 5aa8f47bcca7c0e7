"""Before any test imports torch."""

from __future__ import annotations

import os

# Two workers on two cores, each with two threads, spend most of their time waiting for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
