"""Snakemake's scheduler, kept from using more CPU the more jobs it has run."""

from __future__ import annotations

from typing import Protocol

DEFAULT = (100, 1)  # jobs, seconds


class RateLimiter(Protocol):
    """At most `max_jobs` jobs may start within `timespan` seconds."""

    @property
    def max_jobs(self) -> int: ...
    @property
    def timespan(self) -> float: ...


class Scheduler(Protocol):
    """What is used of Snakemake's scheduler; its limiter is None where starts are not limited."""

    job_rate_limiter: RateLimiter | None


def lift_default_limit(scheduler: Scheduler) -> None:
    """Lift Snakemake's default limit of 100 jobs a second; a limit that the user asked for stays.

    With a limit, Snakemake (9.27) starts a timer in every round of its scheduler, and each timer begins another round
    a second later. Every job that starts or ends adds one more of these, so after n jobs at least n rounds run each
    second until the end: a quarter of a core after 150 jobs, when measured.
    """
    limiter = scheduler.job_rate_limiter
    if limiter is not None and (limiter.max_jobs, limiter.timespan) == DEFAULT:
        scheduler.job_rate_limiter = None
