"""The committed snapshots, judged by today's claims: the numbers of docs/findings.md."""

from __future__ import annotations

from pathlib import Path

import pytest

from ddcl.plan.plan import KEPT
from ddcl.report.claims.claim_tables import FRAMES, write_claims
from tests.unit import snapshots
from tests.unit.snapshots import ROOT, SNAPSHOTS, check_of

PUBLISHED = [  # of the readout beyond width: effect, low, high
    ("digits", "C7.4b", 0.060, 0.033, 0.087),
    ("fashion_mnist_diagnostics", "C7.4a", 0.017, 0.012, 0.022),
    ("fashion_mnist_diagnostics", "C7.4b", 0.070, 0.015, 0.124),
    ("shapes", "C7.4b", 0.038, 0.015, 0.060),
]


@pytest.mark.parametrize(("name", "row", "effect", "low", "high"), PUBLISHED)
def test_the_readout_beyond_its_width(name: str, row: str, effect: float, low: float, high: float) -> None:
    own = check_of(name, row, "readout")
    assert (own.effect, own.ci_low, own.ci_high) == pytest.approx((effect, low, high), abs=5e-4)


def test_a_network_that_is_not_trained_does_not_decide() -> None:
    """Asymmetric DDCL on shapes: of all twelve readouts the mean is +0.002, of the seven that count +0.013."""
    own = check_of("shapes", "C7.4a", "readout")
    assert sum(each.effect for each in own.comparisons) / 12 == pytest.approx(0.002, abs=5e-4)
    assert [each.verdict for each in own.comparisons].count("not testable") == 5


def test_findings_answer_in_one_table() -> None:
    page = (ROOT / "docs/findings.md").read_text(encoding="utf-8")
    for row in snapshots.answer():
        assert row in page, row


@pytest.mark.parametrize("name", [name for name in SNAPSHOTS if (snapshots.FOLDER / name / KEPT).exists()])
def test_the_claims_of_a_snapshot_are_those_that_are_judged_today(name: str, tmp_path: Path) -> None:
    """If a rule changed, `python -m tests.unit.snapshots mend NAME` lets the snapshot follow."""
    write_claims(snapshots.judged(name), tmp_path)
    for table in FRAMES:
        assert (tmp_path / f"{table}.csv").read_text() == (snapshots.FOLDER / name / f"tables/{table}.csv").read_text()


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_findings_have_these_verdicts(name: str) -> None:
    page = (ROOT / "docs/findings.md").read_text(encoding="utf-8")
    planned = snapshots.precision(name)
    for row in (*snapshots.table(name), *(planned if len(planned) > 2 else [])):
        assert row in page, row
