"""Before any test imports torch."""

from __future__ import annotations

import os

# Several workers, each with a thread per core, spend most of their time waiting for each other.
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")
