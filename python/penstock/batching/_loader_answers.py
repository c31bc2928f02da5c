"""What the function of a loader returns: checked, and told to those who wait."""

from __future__ import annotations

from asyncio import get_running_loop
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar, cast

from penstock.batching._results import ItemError, check_results, copies, settable

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Iterable, Sequence

    from penstock.flow._deadline import Due

__all__ = ["ERRORS", "answers_of", "cut", "error_in", "fail", "report", "settle"]

V = TypeVar("V")

#: What says, in the place of a value, that there is none.
ERRORS = (Exception, ItemError)


def answers_of(function: object, keys: Sequence[object], found: object) -> Sequence[object]:
    """
    Return what was found, in the order of *keys*.

    Raises:
        TypeError: It is neither a sequence nor a mapping.
        BatchSizeMismatch: It has another length.
    """
    if isinstance(found, Mapping):
        return [_in_mapping(found, key) for key in keys]
    return check_results(found, len(keys), function)


def _in_mapping(found: Mapping[object, object], key: object) -> object:
    try:
        return found[key]  # not get(): a defaultdict has a value for every key
    except KeyError:
        return KeyError(key)
    except Exception as error:  # no hash, for example
        return error


def error_in(answer: object) -> Exception:
    """Return the error that one of `ERRORS` stands for."""
    return answer.error if isinstance(answer, ItemError) else cast("Exception", answer)


def fail(lines: Iterable[Iterable[Future[V]]], error: Exception, *, again: bool = False) -> None:
    """
    Tell all who wait of an error: a single one as it is, several by a copy each.

    Args:
        lines: Futures of those who wait, or have ceased to.
        error: The error.
        again: Whether somebody else has been told of it already.
    """
    waiting = [future for line in lines for future in line if not future.done()]
    for future, own in zip(
        waiting, copies(settable(error), len(waiting) + again, chained=True), strict=False
    ):
        future.set_exception(own)


def report(error: Exception) -> None:
    """Tell the loop that a cache has failed: nobody waits for that."""
    message = "the cache of a Loader did not take a value"
    get_running_loop().call_exception_handler({"message": message, "exception": error})


def settle(future: Future[V], value: object) -> None:
    """Tell somebody what is cached: a value, or an error that was primed."""
    if isinstance(value, ERRORS):
        # Two copies: the first is for those who come later.
        _, own = copies(settable(error_in(value)), 2, chained=False)
        future.set_exception(own)
    else:
        future.set_result(cast("V", value))


def cut(future: Future[V], due: Due, loop: AbstractEventLoop) -> None:
    """Tell somebody when the deadline is over that he runs under."""
    if due.remaining() <= 0:
        future.set_exception(due.error())
        return

    def expire() -> None:
        if not future.done():
            future.set_exception(due.error())

    timer = loop.call_later(due.remaining(), expire)
    future.add_done_callback(lambda _: timer.cancel())
