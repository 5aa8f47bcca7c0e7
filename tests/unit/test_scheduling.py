"""Snakemake's default limit of jobs a second is lifted, one of the user's own is not."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from snakemake.cli import get_argument_parser
from snakemake.scheduling.job_scheduler import JobRateLimiter

from ddcl.plan.scheduling import RateLimiter, lift_default_limit


@dataclass
class Scheduler:
    job_rate_limiter: RateLimiter | None


@pytest.mark.parametrize(("typed", "stays"), [([], False), (["--max-jobs-per-timespan", "100/1m"], True)])
def test_only_the_default_limit_is_lifted(typed: list[str], stays: bool) -> None:
    limit = get_argument_parser().parse_args(typed).max_jobs_per_timespan
    scheduler = Scheduler(JobRateLimiter(limit))
    lift_default_limit(scheduler)
    assert (scheduler.job_rate_limiter is not None) == stays


def test_no_limit_stays_none() -> None:
    scheduler = Scheduler(None)
    lift_default_limit(scheduler)
    assert scheduler.job_rate_limiter is None
