"""Weighted kNN of 10,000 queries among 50,000 features of 512 dimensions against the bare float32 matrix product.

The product of that size is the limit, as every similarity has to be computed; it is written in blocks, as nobody keeps
a matrix of 2 GB. lightly's kNN, with one k, and scikit-learn's brute force are there for orientation.
"""

from __future__ import annotations

import time

import torch
from lightly_peer import knn_predict as lightly_predict
from measure import Ratio, in_turns, repeats_from_arguments, write
from sklearn.neighbors import KNeighborsClassifier
from torch.nn import functional as F

from ddcl.evaluate.neighbours import knn_predict

QUERIES, BANK, DIM, CLASSES, K = 10_000, 50_000, 512, 10, 200
BLOCK = 500
LIGHTLY_BATCH = 256  # queries: a batch of its benchmarks


def measure(repeats: int) -> list[Ratio]:
    """Seconds of ours, of the product alone, and of scikit-learn."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (BANK,), generator=generator)
    centres = torch.randn(CLASSES, DIM, generator=generator)
    bank = centres[labels] + 3 * torch.randn(BANK, DIM, generator=generator)
    queries = centres[torch.randint(CLASSES, (QUERIES,), generator=generator)]
    queries = queries + 3 * torch.randn(QUERIES, DIM, generator=generator)
    block = torch.empty(BLOCK, BANK)

    def ours() -> float:
        start = time.perf_counter()
        knn_predict((bank, labels), queries, [K, 20, 1], 0.1)
        return time.perf_counter() - start

    def product() -> float:
        start = time.perf_counter()
        for part in torch.split(queries, BLOCK):
            torch.mm(part, bank.T, out=block)
        return time.perf_counter() - start

    def lightly() -> float:
        start = time.perf_counter()
        unit = F.normalize(bank, dim=1).T.contiguous()
        for part in torch.split(F.normalize(queries, dim=1), LIGHTLY_BATCH):
            lightly_predict(part, unit, labels, CLASSES, K, 0.1)
        return time.perf_counter() - start

    def sklearn() -> float:
        classifier = KNeighborsClassifier(K, algorithm="brute", metric="cosine", n_jobs=-1)
        classifier.fit(bank.numpy(), labels.numpy())
        start = time.perf_counter()
        classifier.predict(queries.numpy())
        return time.perf_counter() - start

    found = in_turns({"ours": ours, "product": product, "lightly": lightly, "sklearn": sklearn}, repeats, "kNN")
    what = f"kNN {QUERIES} × {BANK} × {DIM}, k = {K}"
    return [
        Ratio(f"{what}, bare product", "s", found["ours"], found["product"], "at most 1.4"),
        Ratio(f"{what}, lightly's knn_predict, one k", "s", found["ours"], found["lightly"], "report"),
        Ratio(f"{what}, scikit-learn brute force", "s", found["ours"], found["sklearn"], "below 1"),
    ]


if __name__ == "__main__":
    write("knn", measure(repeats_from_arguments(5, __doc__)))
