"""Loads in progress, of a key or of several together, and who waits for them."""

from __future__ import annotations

from contextvars import ContextVar
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from penstock._copies import copied
from penstock.caching._tiered_pending import refuse

if TYPE_CHECKING:
    from asyncio import Future, Task, TimerHandle
    from collections.abc import Callable, Container, Iterator, Mapping
    from contextvars import Context

    from penstock.caching._tiered_bulk import Bulk
    from penstock.caching._tiered_options import Options
    from penstock.caching._tiered_pending import Pending
    from penstock.stores import Record

    #: A future, what the call said that waits for it, and the token of the first tier then.
    Waiter: TypeAlias = tuple[Pending, Options, Callable[[str], Any], int]

__all__ = ["Flight", "Part", "current", "running"]


class Part:
    """
    What may wait for loads: a load of one key; or, as it is, of those that one call is to load.

    Args:
        owner: The loads of which cache it is one of.
        keys: What is loaded.
        parent: What asked for it, or None.
    """

    # Without slots: see below.
    ended = False
    #: What it is a part of, so that it ends when that does.
    whole: Part | None = None
    #: Loads that this one waits for, and how often.
    waits_for: Mapping[Part, int] = MappingProxyType({})

    def __init__(self, owner: object, keys: Container[str], parent: Part | None) -> None:
        self.owner = owner
        self.keys = keys
        self.parent = parent

    def loads(self, owner: object, key: str) -> bool:
        """Whether it loads *key* for a cache, or a part of what does."""
        part: Part | None = self
        while part is not None:
            if part.owner is owner and key in part.keys:
                return True
            part = part.parent
        return False

    def wait_for(self, other: Part) -> None:
        """Wait for a load, once more."""
        waits_for = self.waits_for
        if not isinstance(waits_for, dict):
            waits_for = self.waits_for = {}
        waits_for[other] = waits_for.get(other, 0) + 1

    def wait_no_more(self, other: Part) -> None:
        """Wait for it once less."""
        waits_for = self.waits_for
        assert isinstance(waits_for, dict)
        left = waits_for[other] - 1
        if left:
            waits_for[other] = left
        else:
            del waits_for[other]

    def waits_on(self, other: Part) -> bool:
        """Whether it cannot end before *other* has."""
        if not self.waits_for and self.whole is None:  # as most
            return self is other
        seen: set[Part] = set()
        todo: list[Part] = [self]
        while todo:
            part = todo.pop()
            if part is other:
                return True
            if part not in seen:
                seen.add(part)
                todo.extend(part.waits_for)
                if part.whole is not None:
                    todo.append(part.whole)
        return False


class Flight(Part):
    """
    A load of a key: first it is looked for in the tiers, then it is loaded.

    Args:
        owner: The loads of which cache it is one of.
        key: Its key.
        loader: What to call.
        options: How it is to be loaded and kept.
        token: Of the first tier, before anything was read.
        context: That of who asked first, but for the deadline.
        parent: The load that asked for this one, or None.
    """

    # Without slots: most loads end when a tier has the key, and never need what has its value here.
    #: Before it in *waiters* nobody waits any more.
    at = 0
    watched: Future[Any] | None = None
    #: The clocks of the tiers when it was not there, None for those that did not answer.
    bases: list[int | None]
    #: A value past its time that may serve if there is no other.
    stale: Record | None = None
    #: The value that is served while it is loaded in the background.
    shown: Record | None = None
    task: Task[None] | None = None
    #: Whether the loader is asked, not the tiers.
    loading = False
    bulk: Bulk | None = None
    #: Whether it goes on when nobody waits.
    background = False
    #: Ends it when nobody has waited for too long.
    completion: TimerHandle | None = None
    #: Whether to load whatever is there; and whether another one did, so that this is too late.
    reload = False
    superseded = False

    def __init__(
        self,
        owner: object,
        key: str,
        loader: Callable[[str], Any],
        options: Options,
        token: int,
        context: Context,
        parent: Part | None,
    ) -> None:
        self.owner = owner
        self.key = key
        self.keys = (key,)
        self.loader = loader
        self.options = options
        self.token = token
        #: None when it has ended.
        self.context: Context | None = context
        self.parent = parent
        #: Who waits.
        self.waiters: list[Waiter] = []

    def offer(self, record: Record | None) -> None:
        """Remember a value past its time, if it is the newest."""
        if record is not None and (self.stale is None or self.stale.born < record.born):
            self.stale = record

    def is_newer(self, record: Record) -> bool:
        """Whether a record is what is wanted: not what is served while it is loaded anew."""
        return not self.reload and (self.shown is None or record.born > self.shown.born)

    def alive(self) -> Iterator[Waiter]:
        """Go through those who still wait."""
        for waiter in self.waiters[self.at :]:
            if not waiter[0].done():
                yield waiter

    def is_awaited(self) -> bool:
        """Whether anybody waits."""
        waiters = self.waiters
        while self.at < len(waiters) and waiters[self.at][0].done():
            self.at += 1
        return self.at < len(waiters)

    def split(self, stay: Callable[[Waiter], bool]) -> list[Waiter]:
        """Let go of those who wait but for some, and return them."""
        others = [waiter for waiter in self.alive() if not stay(waiter)]
        self.waiters = [waiter for waiter in self.alive() if stay(waiter)]
        self.at = 0
        return others

    def give(self, value: object) -> int:
        """Give everybody the value; return to how many."""
        self.ended = True
        given = 0
        for waiter in self.waiters:
            future = waiter[0]
            if not future.done():
                future.set_result(value)
                given += 1
        self._let_go()
        return given

    def fail(self, error: BaseException) -> int:
        """Tell everybody of an error, each of one of his own; return how many."""
        self.ended = True
        told = 0
        for waiter in self.waiters:
            future = waiter[0]
            if not future.done():
                future.set_exception(settable(copied(error) if told else error))
                told += 1
        self._let_go()
        return told

    def cancel(self, error: Exception | None = None) -> None:
        """Tell everybody that it was cancelled, or why it was ended."""
        self.ended = True
        for waiter in self.waiters:
            refuse(waiter[0], error)
        self._let_go()

    def _let_go(self) -> None:
        """Keep nothing alive: the context leads back here."""
        if self.completion is not None:
            self.completion.cancel()
            self.completion = None
        self.waiters = []
        self.at = 0
        self.watched = None
        self.stale = self.shown = None
        self.context = None


def settable(error: BaseException) -> BaseException:
    """Return what a future takes as an error."""
    if isinstance(error, StopIteration):
        other = RuntimeError("a loader raised StopIteration")
        other.__cause__ = error
        return other
    return error


#: The load in whose task, or in whose children, the code runs.
current: Final[ContextVar[Part | None]] = ContextVar("penstock_tiered_load", default=None)


def running() -> Part | None:
    """Return the load that the code is part of, unless that has ended."""
    part = current.get()
    return None if part is None or part.ended else part
