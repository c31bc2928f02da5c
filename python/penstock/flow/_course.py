"""The course of one call: attempt after attempt, until one succeeds or there is to be no other."""

from __future__ import annotations

import asyncio
import logging
import time
from enum import Enum, auto
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING, Literal

from penstock.flow._attempt import Attempt
from penstock.flow._backoff import full_jitter
from penstock.flow._deadline import Due, sooner
from penstock.flow._retry_after import retry_after_of
from penstock.flow._retry_notes import leave_note
from penstock.flow._retry_stats import RetryInfo

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Self

    from penstock.flow._retry_counts import Counts
    from penstock.flow._retry_options import Options

__all__ = ["Course"]

logger = logging.getLogger("penstock.retry")


_TOO_LATE = "the next one would come after the deadline"


class _State(Enum):
    READY = auto()
    HANDED_OUT = auto()
    RUNNING = auto()
    FAILED = auto()
    OVER = auto()


class Course:
    """The attempts of one call: an iterator for either kind of loop, shared with no other call."""

    __slots__ = (
        "_counts", "_delay", "_drawn", "_error", "_failed_at", "_name", "_number", "_state",
        "_trace", "due", "is_async", "options",
    )  # fmt: skip

    def __init__(self, options: Options, counts: Counts, name: str, is_async: bool) -> None:
        self.options = options
        self.is_async = is_async
        self.due = None if options.deadline is None else Due(options.deadline)
        self._counts = counts
        self._name = name
        self._number = 0
        self._state = _State.READY
        self._failed_at: float | None = None
        self._delay = 0.0
        self._drawn: float | None = None
        # Until the next one has ended: they lead to the frames of the call, which leads here.
        self._error: Exception | None = None
        self._trace: TracebackType | None = None

    @classmethod
    def after(
        cls, error: Exception, options: Options, counts: Counts, name: str, is_async: bool
    ) -> Self | None:
        """Return the course of a call whose first attempt has failed, or None if it ends there."""
        course = cls(options, counts, name, is_async)
        course._number = 1
        return course if course.fail(error) else None

    def __iter__(self) -> Self:
        return self

    def __aiter__(self) -> Self:
        return self

    def __next__(self) -> Attempt:
        if not self._goes_on():
            raise StopIteration
        if self._state is _State.FAILED:
            try:
                self._pause()
            except BaseException as error:
                self._break_off(error)
                raise
        return self._next()

    async def __anext__(self) -> Attempt:
        if not self._goes_on():
            raise StopAsyncIteration
        if self._state is _State.FAILED:
            try:
                await self._pause_async()
            except BaseException as error:
                self._break_off(error)
                raise
        return self._next()

    @property
    def last_error(self) -> Exception | None:
        """What the attempt before the present one failed with."""
        return self._error

    def enter(self, attempt: Attempt) -> None:
        """Begin the attempt that was handed out."""
        if self._state is not _State.HANDED_OUT or attempt.number != self._number:
            raise RuntimeError(f"attempt {attempt.number} was made already")
        self._state = _State.RUNNING

    def fail(self, error: Exception) -> bool:
        """Decide whether another attempt follows on one that failed with *error*."""
        self._remember(error)
        try:
            is_retried = self._decide(error)
        except BaseException as another:
            self.end(another)
            raise
        if is_retried:
            self._state = _State.FAILED
        else:
            self.end(error)
        return is_retried

    def end(self, error: BaseException | None) -> None:
        """Make no further attempt: one has succeeded, or *error* is what the call ends with."""
        if error is None:
            self._counts.successes += 1
        elif isinstance(error, Exception):
            self._counts.failures += 1
        else:
            self._counts.cancelled += 1
        self._error = self._trace = None
        self._state = _State.OVER

    def backoff(self, number: int) -> float:
        """Return the delay after attempt *number*, which is drawn once."""
        options = self.options
        if number != self._number:  # one that was kept: what it says does not matter any more
            return full_jitter(options.base, options.cap, number, options.rng)
        if self._drawn is None:
            self._drawn = full_jitter(options.base, options.cap, number, options.rng)
        return self._drawn

    def _goes_on(self) -> bool:
        """Whether there is another attempt to hand out, as far as is known now."""
        if self._state is _State.HANDED_OUT:
            message = f"attempt {self._number} was not made: the loop needs `with attempt:` in it"
            raise RuntimeError(message)
        if self._state is _State.RUNNING:
            raise RuntimeError(f"attempt {self._number} is still running")
        return self._state is not _State.OVER

    def _next(self) -> Attempt:
        self._number += 1
        self._drawn = None
        self._state = _State.HANDED_OUT
        if self._number > 1:
            self._counts.retries += 1
        elif self.options.budget is not None:
            self.options.budget.deposit()
        return Attempt(self, self._number)

    def _remember(self, error: Exception) -> None:
        """Keep *error* until the next attempt has ended, without the traces of earlier ones."""
        if error is self._error and self._trace is not None:
            # The very same object was raised again: each time its traceback gets longer in front.
            last = error.__traceback__
            while last is not None and last.tb_next is not self._trace:
                last = last.tb_next
            if last is not None:
                last.tb_next = None
        self._error, self._trace = error, error.__traceback__
        if self._failed_at is None:
            self._failed_at = self._clock()

    def _decide(self, error: Exception) -> bool:
        """Whether another attempt follows, after which delay, and why not."""
        options, counts = self.options, self._counts
        if not options.matches(error):
            return False
        if options.attempts is not None and self._number >= options.attempts:
            counts.exhausted += 1
            return self._give_up(error, None)
        delay = self.backoff(self._number)
        asked = None if options.retry_after is None else retry_after_of(error)
        if asked is not None and options.retry_after is not None:
            if asked < 0.0:
                counts.pushed_back += 1
                return self._give_up(error, "the error asks not to retry")
            if asked > options.retry_after:
                counts.pushed_back += 1
                return self._give_up(error, f"the error asks to wait for {asked:g} s")
            # On top of it: all who were told the same would come back in the same instant.
            delay += asked
        if not self._has_time_for(delay):
            counts.out_of_time += 1
            return self._give_up(error, _TOO_LATE)
        if options.budget is not None and not options.budget.try_withdraw():
            counts.out_of_budget += 1
            return self._give_up(error, "the retry budget is exhausted")
        self._delay = delay
        return True

    def _give_up(self, error: Exception, reason: str | None) -> Literal[False]:
        leave_note(error, self._name, self._number, self._elapsed(), reason)
        return False

    def _has_time_for(self, delay: float) -> bool:
        left, _ = sooner(None if self.due is None else self.due.remaining())
        return left is None or delay < left

    def _check_time(self, delay: float) -> None:
        """Raise the last error if *delay* would go, or has gone, beyond the deadline."""
        error = self._error
        if error is None or self._has_time_for(delay):
            return
        self._counts.out_of_time += 1
        self._give_up(error, _TOO_LATE)
        self.end(error)
        try:
            raise error
        finally:
            del error  # which leads to this frame

    def _pause(self) -> None:
        sleep = self.options.sleep
        for result in self._announce():
            _refuse_awaitable("on_retry", result)
        self._check_time(self._delay)  # a hook may have taken its time
        if sleep is None:
            time.sleep(self._delay)
        else:
            _refuse_awaitable("sleep", sleep(self._delay))
        self._has_slept()

    async def _pause_async(self) -> None:
        sleep = self.options.sleep
        for result in self._announce():
            if isawaitable(result):
                await result
        self._check_time(self._delay)
        slept = asyncio.sleep(self._delay) if sleep is None else sleep(self._delay)
        if isawaitable(slept):
            await slept
        self._has_slept()

    def _announce(self) -> Iterator[object]:
        """Tell the log, then the hooks, what is going to happen; yield what the hooks return."""
        error = self._error
        assert error is not None  # an attempt has failed
        name, number, delay = self._name or "a block", self._number, self._delay
        if logger.isEnabledFor(logging.INFO):
            logger.info(
                "attempt %d of %s failed with %s, the next one is in %.3g s",
                number,
                name,
                type(error).__qualname__,
                delay,
                extra={"retried": self._name, "attempt": number, "delay": delay},
            )
        if self.options.hooks:
            info = RetryInfo(self._name, number, error, delay, self._elapsed())
            for hook in self.options.hooks:
                yield hook(info)

    def _has_slept(self) -> None:
        self._counts.delay_seconds += self._delay
        self._check_time(0.0)

    def _break_off(self, error: BaseException) -> None:
        """End with *error*: the last one of the call, one of a hook, a cancellation."""
        last = self._error
        if self._state is not _State.OVER:
            if isinstance(error, Exception) and error.__context__ is None and error is not last:
                error.__context__ = last  # as if it was raised in the handling of that
            self.end(error)
        if isinstance(error, StopIteration | StopAsyncIteration):
            # The loop would take it for the end of the attempts; as in PEP 479.
            message = f"{type(error).__name__} raised between two attempts"
            raise RuntimeError(message) from error  # noqa: TRY004  # a type it must not have

    def _clock(self) -> float:
        loop = asyncio._get_running_loop() if self.is_async else None
        return time.monotonic() if loop is None else loop.time()

    def _elapsed(self) -> float:
        """Return the seconds since the first attempt failed."""
        return 0.0 if self._failed_at is None else max(0.0, self._clock() - self._failed_at)


def _refuse_awaitable(name: str, result: object) -> None:
    """Refuse to go on without waiting for what is to be waited for."""
    if isawaitable(result):
        if iscoroutine(result):
            result.close()
        raise TypeError(f"{name} must be a plain function where nothing awaits it")
