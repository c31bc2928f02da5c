"""A call of a store, which is over in time whatever the store does."""

from __future__ import annotations

from asyncio import CancelledError
from contextvars import Context
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from penstock.errors import StoreTimeout

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task
    from collections.abc import Awaitable, Callable

__all__ = ["Call"]

T = TypeVar("T")

#: By which share of its time a timer fires late when the loop was kept from running, and for which
#: share more an answer is then waited for.
_LATE: Final = 0.2
_GRACE: Final = 0.2

#: Calls that were given up, whose tasks have not ended yet: nobody else holds them.
_strays: Final[set[Task[Any]]] = set()


class Call(Generic[T]):
    """
    A call of a store in a task of its own.

    It ends when the store has answered, when the time is over, or when it is given up, whatever is
    first. A store that neither answers nor lets itself be cancelled keeps nobody waiting.

    Args:
        loop: The running one.
        timeout: Seconds that it may take.
        settle: Called with the call once, when it has ended.
    """

    __slots__ = (
        "_has_ended",
        "_has_waited",
        "_result",
        "_settle",
        "_timer",
        "at",
        "error",
        "loop",
        "task",
        "timeout",
        "waiter",
    )

    def __init__(
        self,
        loop: AbstractEventLoop,
        timeout: float,
        settle: Callable[[Call[T]], object] | None,
    ) -> None:
        self.loop = loop
        self.timeout = timeout
        self.at = 0.0
        self._has_waited = False
        self._has_ended = False
        #: Why there is no result.
        self.error: BaseException | None = None
        self._result: T | None = None
        self._settle = settle
        #: Done when the call has ended. Cancelling it leaves the call alone.
        self.waiter: Future[None] = loop.create_future()
        #: None when the call has ended.
        self.task: Task[T | None] | None = None
        self._timer = loop.call_later(timeout, self._expire)

    def begin(self, function: Callable[..., Awaitable[T]], args: tuple[object, ...]) -> None:
        """
        Call *function*, the method of the store.

        With eager tasks it may have ended when this returns.
        """
        # Whoever waits for the call has a deadline and a context of his own.
        task = self.loop.create_task(self._run(function, args), context=Context())
        if not self._has_ended:
            self.task = task

    @property
    def result(self) -> T:
        """What the store has answered, if there is no error."""
        return cast("T", self._result)

    def ended(self) -> Future[None]:
        """Return what is done when the call has ended, for who does not care how."""
        future = self.loop.create_future()
        settle = self._settle

        def end(call: Call[T]) -> None:
            try:
                if settle is not None:
                    settle(call)
            finally:
                if not future.done():
                    future.set_result(None)

        self._settle = end
        return future

    def give_up(self) -> None:
        """End it now, unless it has ended."""
        self._leave(CancelledError())

    async def _run(
        self, function: Callable[..., Awaitable[T]], args: tuple[object, ...]
    ) -> T | None:
        """Ask the store. Whoever waits is woken from here: a callback of the task comes later."""
        try:
            result = await function(*args)
        except GeneratorExit:  # the loop was closed: nothing can be done in it
            raise
        except BaseException as error:
            self._end(error)
            if isinstance(error, Exception):
                return None
            raise
        self._end(None, result)
        return result

    def _expire(self) -> None:
        seconds, loop = self.timeout, self.loop
        if not self._has_waited and loop.time() > self._timer.when() + _LATE * seconds:
            # Nothing has run for a while, and an answer may be there that nobody has looked at.
            self._has_waited = True
            self._timer = loop.call_later(_GRACE * seconds, self._expire)
            return
        self._leave(StoreTimeout(f"no answer in {seconds:g} s", seconds=seconds))

    def _leave(self, error: BaseException) -> None:
        """End it while the store is still at it."""
        task = self.task
        if task is not None:
            _strays.add(task)
            task.add_done_callback(_strays.discard)
            self._end(error)
            task.cancel()

    def abandon(self) -> None:
        """End it when its loop was closed: nobody waits any more."""
        self.waiter = self.waiter.get_loop().create_future()
        self._end(CancelledError())

    def _end(self, error: BaseException | None, result: T | None = None) -> None:
        if self._has_ended:  # what the store says now comes too late
            return
        self._has_ended = True
        self.task = None
        self._timer.cancel()
        self.error, self._result = error, result
        settle, self._settle = self._settle, None
        try:
            if settle is not None:
                settle(self)
        finally:
            if not self.waiter.done():
                self.waiter.set_result(None)
