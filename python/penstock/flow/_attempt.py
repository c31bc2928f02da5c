"""One attempt of a retried block of code."""

from __future__ import annotations

from contextlib import suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING

from penstock.errors import DeadlineExceeded
from penstock.flow._deadline import Deadline, Due
from penstock.flow._retry_notes import note_earlier

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from contextvars import Token
    from types import TracebackType
    from typing import Self

    from penstock.flow._course import Course

__all__ = ["Attempt", "previous_attempts"]

_previous: ContextVar[int] = ContextVar("penstock_previous_attempts", default=0)


def previous_attempts() -> int:
    """
    Return how many attempts have failed before the one that the code runs in.

    Where retried calls are inside one another, theirs are added up. A server may be told by a
    header, so that it and those behind it do not retry a retry.

    Returns:
        0 in a first attempt, and outside of retries.

    Cost: O(1). Tasks and threads that are handed the context have that of who started them.

    Source: gRPC's metadata ``grpc-previous-rpc-attempts``.
    """
    return _previous.get()


class Attempt:
    """
    One attempt: the ``with`` block below a loop over ``attempts()``.

    An exception that another attempt is to follow ends the block and goes no further: what comes
    after the block, in the loop, runs then too.

    Attributes:
        number: Which attempt it is, from 1.
        is_last: Whether none is to follow, whatever happens.
        next_delay: Seconds until the next attempt if this one fails and the error asks for no
            longer ones; None if it is the last.
    """

    __slots__ = ("_block", "_course", "_number", "_token")

    def __init__(self, course: Course, number: int) -> None:
        self._course = course
        self._number = number
        self._block: Deadline | None = None
        self._token: Token[int] | None = None

    @property
    def number(self) -> int:
        return self._number

    @property
    def is_last(self) -> bool:
        most = self._course.options.attempts
        return most is not None and self._number >= most

    @property
    def next_delay(self) -> float | None:
        return None if self.is_last else self._course.backoff(self._number)

    def __repr__(self) -> str:
        return f"<Attempt {self._number}>"

    def __enter__(self) -> Self:
        course = self._course
        course.enter(self)
        block = self._limit()
        if block is not None:
            try:
                if course.is_async:
                    _run(block.__aenter__())
                else:
                    block.__enter__()
            except BaseException as error:  # there is no time left, or no task to interrupt
                course.end(error)
                raise
            self._block = block
        if self._number > 1:
            self._token = _previous.set(_previous.get() + self._number - 1)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        course = self._course
        raised = error
        if self._token is not None:
            # An abandoned async generator is closed by another task: nothing to take back there.
            with suppress(ValueError):
                _previous.reset(self._token)
            self._token = None
        block, self._block = self._block, None
        if block is not None:
            if course.is_async:
                try:
                    _run(block.__aexit__(kind, error, trace))
                except DeadlineExceeded as over:
                    error = over
            else:
                block.__exit__(kind, error, trace)
        if not isinstance(error, Exception):
            course.end(error)
            return False
        earlier = course.last_error
        if course.fail(error):
            return True
        if error is raised:
            return False
        if earlier is not None:
            note_earlier(error, self._number - 1, earlier)
        try:
            raise error
        finally:
            del error, raised  # which lead to this frame

    def _limit(self) -> Deadline | None:
        """Return what limits the time of this attempt, if anything of its own does."""
        due, timeout = self._course.due, self._course.options.timeout
        if timeout is not None and (due is None or timeout < due.remaining()):
            due = Due(timeout)
        return None if due is None else Deadline(due.seconds, _own=due)


def _run(coroutine: Coroutine[object, object, object]) -> None:
    """Run a coroutine that waits for nothing, as those of `deadline` and `asyncio.timeout` do."""
    try:
        coroutine.send(None)
    except StopIteration:
        return
    coroutine.close()
    raise AssertionError("it waits for something")
