"""Coroutines that mostly do not wait: run at once, and by a task only if they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

__all__ = ["begin"]


class _Rest:
    """What is left of a coroutine that has begun to wait for something."""

    __slots__ = ("_awaited", "_coroutine")

    def __init__(self, coroutine: Coroutine[Any, Any, object], awaited: object) -> None:
        self._coroutine = coroutine
        self._awaited = awaited

    def __await__(self) -> Generator[Any, Any, None]:
        coroutine, awaited = self._coroutine, self._awaited
        try:
            while True:
                try:
                    sent = yield awaited
                except BaseException as error:
                    awaited = coroutine.throw(error)
                else:
                    awaited = coroutine.send(sent)
        except StopIteration:
            return
        finally:
            coroutine.close()


def begin(coroutine: Coroutine[Any, Any, object]) -> _Rest | None:
    """
    Run *coroutine* until it waits; return what is left of it to await, None if it has ended.

    The task that it finds running is that of the caller: it must be none that asks for it.
    """
    try:
        awaited = coroutine.send(None)
    except StopIteration:
        return None
    return _Rest(coroutine, awaited)
