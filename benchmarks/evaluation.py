"""All that is evaluated of one DDCL run, as one figure: 10,000 + 10,000 images of Fashion-MNIST, the small network.

Ours is what a suite does, files and records included: features of the training images and of the test images under 5
perturbations, in 2 draws; the linear probe with 5 penalties, kNN with four k, of full, DIR and DVR; and the diagnostics
with their random columns.

The peers have no diagnostics, one penalty and one k, and are spared them: a careful user of lightly, and the procedure
of the official code, which has no kNN either (`lightly_evaluation.py`, `authors_peer.py`: what is timed of them, and
what is multiplied).
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import authors_peer
import lightly_evaluation
from measure import Ratio, in_turns, repeats_from_arguments, write
from trained_run import PARTS, PERTURBATIONS, TrainedRun

DRAWS = 2
CONTROL = {"draws": 20, "dir_frac": 0.8}  # random columns, which only the diagnostics are compared with here
SUITES = {
    "probed": {"draws": DRAWS, "evaluations": ["linear", "knn"]},
    "diagnosed": {"draws": DRAWS, "evaluations": ["diagnostics"], "random_subsets": CONTROL},
}


def measure(repeats: int) -> list[Ratio]:
    """Minutes of the whole evaluation of a run."""
    with tempfile.TemporaryDirectory() as folder:
        probed, diagnosed = (TrainedRun(Path(folder, name), suite) for name, suite in SUITES.items())

        control = ("--subsets", str(CONTROL["draws"]), "--dir-frac", str(CONTROL["dir_frac"]))

        def ours() -> float:
            start = time.perf_counter()
            probed.extract()
            probed.evaluate("linear")
            probed.evaluate("knn")
            diagnosed.evaluate("diagnostics", *control)
            return (time.perf_counter() - start) / 60

        def lightly() -> float:
            return lightly_evaluation.whole(lightly_evaluation.timed(probed), DRAWS) / 60

        def authors() -> float:
            return authors_peer.whole(authors_peer.timed(probed), DRAWS) / 60

        found = in_turns({"ours": ours, "lightly": lightly, "authors": authors}, repeats, "evaluation")
    what = f"evaluation of one run, {PARTS} parts, {len(PERTURBATIONS)} perturbations × {DRAWS} draws"
    peers = {"lightly": "lightly's LinearClassifier and knn_predict", "authors": "the official procedure, no kNN"}
    return [
        Ratio(f"{what}, against {words}", "minutes", found["ours"], found[name], "report")
        for name, words in peers.items()
    ]


if __name__ == "__main__":
    write("evaluation", measure(repeats_from_arguments(5, __doc__)))
