"""What a handler returns: a result for each item, and errors, for each waiter one of its own."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Awaitable, Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, cast, final

from penstock._copies import copied
from penstock.errors import BatchSizeMismatch
from penstock.flow._callables import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["AnyFuture", "Handler", "ItemError", "check_results", "copies", "fail", "settable"]

#: Of the event loop, or of a thread.
AnyFuture: TypeAlias = "asyncio.Future[Any] | concurrent.futures.Future[Any]"
Handler: TypeAlias = "Callable[[list[Any]], Awaitable[Sequence[Any] | None] | Sequence[Any] | None]"

# They have a length and are indexed, but are not one result for each item.
_NO_RESULTS = (str, bytes, bytearray, memoryview, Mapping, AbstractSet)
_ALREADY_DONE = (asyncio.InvalidStateError, concurrent.futures.InvalidStateError)


@final
class ItemError:
    """
    What a handler returns in the place of a result: this item has failed, the others have not.

    Args:
        error: What whoever waits for the item gets.

    Raises:
        TypeError: *error* is no exception, or one that ends programs.
    """

    __slots__ = ("error",)

    def __init__(self, error: Exception) -> None:
        if not isinstance(error, Exception):
            got = error.__name__ if isinstance(error, type) else type(error).__name__
            raise TypeError(f"error must be an exception, got {got}")
        #: What whoever waits for the item gets.
        self.error = error

    # A handler looks at the exact type of each result.
    def __init_subclass__(cls) -> NoReturn:
        raise TypeError("ItemError cannot be subclassed")

    def __repr__(self) -> str:
        return f"ItemError({self.error!r})"


def check_results(results: object, expected: int, handler: object) -> Sequence[Any]:
    """
    Return what a handler has returned, if it is one result for each item.

    Raises:
        TypeError: It is no sequence.
        BatchSizeMismatch: It has another length.
    """
    found: Sequence[Any]
    if type(results) in (list, tuple):
        found = cast("Sequence[Any]", results)
    else:
        kind = type(results)
        # Not hasattr of the object, which may be a mock of anything.
        is_sequence = hasattr(kind, "__len__") and hasattr(kind, "__getitem__")
        if not is_sequence or isinstance(results, _NO_RESULTS):
            what = f"a sequence of {expected} results, got {kind.__name__}"
            raise TypeError(f"handler {name_of(handler)} must return {what}")
        # Of a subclass too: what it says of its length need not be so.
        found = list(cast("Sequence[Any]", results))
    got = len(found)
    if got != expected:
        what = f"{expected} results, got {got}"
        message = f"handler {name_of(handler)} must return {what}"
        raise BatchSizeMismatch(message, expected=expected, got=got)
    return found


def settable(error: Exception) -> Exception:
    """Return *error*, or what stands for one that no future takes."""
    if not isinstance(error, StopIteration):
        return error
    stand_in = RuntimeError(f"handler raised {type(error).__name__}")
    stand_in.__cause__ = error
    return stand_in


def copies(error: Exception, count: int, *, chained: bool) -> Iterator[Exception]:
    """
    Yield so many errors to raise in different tasks, whose tracebacks would grow on one.

    Args:
        error: Yielded itself if it is wanted once only.
        count: How many.
        chained: Whether the copies say that they come from the error.
    """
    if count == 1:
        yield error
        return
    for _ in range(count):
        yield cast("Exception", copied(error, chained=chained))


def fail(future: AnyFuture, error: Exception) -> bool:
    """Give an error to whoever waits, if somebody does; in the thread of the future's loop."""
    if not future.done():
        # A future of a thread may be cancelled right now.
        with suppress(*_ALREADY_DONE):
            future.set_exception(error)
            return True
    return False
