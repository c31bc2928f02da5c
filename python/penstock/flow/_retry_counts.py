"""What is counted of the calls of one retried function."""

from __future__ import annotations

from penstock.flow._retry_stats import RetryStats

__all__ = ["Counts"]


class Counts:
    """
    Counters that all calls share.

    They are changed by ``+=`` alone, without a call in it: no other thread and no handler of a
    signal can come in between.
    """

    __slots__ = (
        "cancelled", "delay_seconds", "exhausted", "failures", "out_of_budget", "out_of_time",
        "pushed_back", "retries", "successes",
    )  # fmt: skip

    def __init__(self) -> None:
        self.successes = 0
        self.failures = 0
        self.cancelled = 0
        self.retries = 0
        self.exhausted = 0
        self.out_of_budget = 0
        self.out_of_time = 0
        self.pushed_back = 0
        self.delay_seconds = 0.0

    def stats(self) -> RetryStats:
        """Return the figures of now."""
        successes, failures, cancelled = self.successes, self.failures, self.cancelled
        return RetryStats(
            calls=successes + failures + cancelled,
            successes=successes,
            failures=failures,
            cancelled=cancelled,
            retries=self.retries,
            exhausted=self.exhausted,
            out_of_budget=self.out_of_budget,
            out_of_time=self.out_of_time,
            pushed_back=self.pushed_back,
            delay_seconds=self.delay_seconds,
        )
