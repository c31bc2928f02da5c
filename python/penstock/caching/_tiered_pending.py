"""What there is to await when it is not in the first tier."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from penstock._copies import copied
from penstock.flow._deadline import ambient

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable
    from types import TracebackType
    from typing import NoReturn

    from penstock.flow._deadline import Due

__all__ = ["Pending", "cut", "give_up", "pending", "raising", "refuse"]


class Pending(asyncio.Future[Any]):
    """
    A future that can stand for a coroutine as well, as the answer of a hit can.

    Whether something is cached must not decide about whether ``create_task()`` takes it.
    """

    def send(self, value: None, /) -> object:
        """Wait, or raise StopIteration with the result."""
        return next(self.__await__())

    def throw(
        self,
        typ: type[BaseException] | BaseException,
        val: object = None,
        tb: TracebackType | None = None,
        /,
    ) -> NoReturn:
        """Raise the error; nobody waits any more."""
        self.cancel()
        if isinstance(typ, BaseException):
            raise typ
        raise (typ() if val is None else typ(val)).with_traceback(tb)

    def close(self) -> None:
        """Nobody waits any more."""
        self.cancel()


def cut(future: asyncio.Future[Any], due: Due, *, is_wanted: bool = True) -> None:
    """Tell somebody when the deadline is over that he runs under, if he wants to know."""

    def expire() -> None:
        if not future.done():
            future.set_exception(due.error())
            if not is_wanted:
                future.exception()  # that is no news for the log

    left = due.remaining()
    if left <= 0.0:
        expire()
        return
    timer = future.get_loop().call_later(left, expire)
    future.add_done_callback(lambda _: timer.cancel())


def pending(loop: asyncio.AbstractEventLoop) -> Pending:
    """Return what somebody waits for, at most until the ambient deadline."""
    future = Pending(loop=loop)
    due = ambient()
    if due is not None:
        cut(future, due)
    return future


def refuse(future: asyncio.Future[Any], error: Exception | None, *, is_wanted: bool = True) -> None:
    """Tell somebody that nothing comes any more: of an error, or that it was cancelled."""
    if error is None:
        future.cancel()
    elif not future.done():
        future.set_exception(copied(error))
        if not is_wanted:
            future.exception()


def give_up(awaitables: Iterable[Awaitable[Any]]) -> None:
    """Wait for none of them any more; nobody is to complain of their errors."""
    for each in awaitables:
        if isinstance(each, Pending):
            if not each.cancel() and not each.cancelled():
                each.exception()
        else:
            each.close()  # type: ignore[attr-defined]  # done, or a coroutine


async def raising(error: BaseException) -> NoReturn:
    """Raise *error* when awaited."""
    raise error
