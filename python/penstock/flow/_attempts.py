"""`attempts`: a loop around what is to be retried."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock import _components
from penstock.flow._course import Course
from penstock.flow._families import RETRY_FIELDS
from penstock.flow._retry_counts import Counts
from penstock.flow._retry_options import Options
from penstock.flow._retry_stats import RetryStats

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from penstock.flow._budget import RetryBudget
    from penstock.flow._retry_options import Hook, On, Rng, Sleep

__all__ = ["Attempts", "attempts"]


def attempts(
    attempts: int | None = 3,
    *,
    on: On = Exception,
    base: float | timedelta = 0.1,
    cap: float | timedelta = 5.0,
    timeout: float | timedelta | None = None,
    deadline: float | timedelta | None = None,
    budget: RetryBudget | None = None,
    retry_after: bool | float | timedelta = True,
    on_retry: Hook | Iterable[Hook] | None = None,
    name: str | None = None,
    sleep: Sleep | None = None,
    rng: Rng | None = None,
) -> Attempts:
    """
    Retry a block of code, in an ``async for`` or a ``for`` loop.

    ::

        async for attempt in attempts(5, on=OSError):
            with attempt:
                return await fetch(url)

    The loop ends with the block that succeeds. Whatever follows the block inside the loop also runs
    after an attempt that failed: put all that needs its outcome into the block. ``break`` and
    ``return`` in the block count as success.

    Args:
        attempts, on, base, cap, timeout, deadline, budget, retry_after, on_retry, sleep, rng: As in
            `retry`. *timeout*, and the cut at *deadline*, need ``async for``.
        name: Called so in notes, the log and metrics. Keep the object then: metrics show it as long
            as it lives.

    Returns:
        What to loop over, with ``stats()``. It may be kept and used by any number of loops at a
        time; each has its own attempts.

    Raises:
        TypeError: An option has the wrong type; *timeout* in a plain ``for``.
        ValueError: An option is out of its range.
        RuntimeError: From the loop, when an attempt was not made, or made twice.

    Cost: some microseconds per attempt.
    """
    options = Options(
        attempts,
        on=on,
        base=base,
        cap=cap,
        timeout=timeout,
        deadline=deadline,
        budget=budget,
        retry_after=retry_after,
        on_retry=on_retry,
        name=name,
        sleep=sleep,
        rng=rng,
    )
    return Attempts(options, options.name or "")


class Attempts:
    """
    Attempts as some options say, for any number of calls; see `attempts`.
    """

    __slots__ = ("__weakref__", "_counts", "_label", "_options")

    def __init__(self, options: Options, label: str) -> None:
        self._options = options
        self._counts = Counts()
        self._label = label
        _components.enter(self)

    @property
    def name(self) -> str | None:
        """
        The name that was given.
        """
        return self._options.name

    def stats(self) -> RetryStats:
        """
        Return what has become of the calls so far.
        """
        return self._counts.stats()

    def __iter__(self) -> Course:
        if self._options.timeout is not None:
            raise TypeError("timeout needs `async for`: nothing can interrupt a plain loop")
        if self._options.has_coroutine_hooks:
            raise TypeError("on_retry must be a plain function in a plain loop")
        return Course(self._options, self._counts, self._label, is_async=False)

    def __aiter__(self) -> Course:
        return Course(self._options, self._counts, self._label, is_async=True)

    def _after(self, error: Exception, *, is_async: bool) -> Course | None:
        """Go on after a first attempt that failed outside of a loop; None if it ends with that."""
        return Course.after(error, self._options, self._counts, self._label, is_async)


_components.describe("retry", RetryStats, RETRY_FIELDS)
