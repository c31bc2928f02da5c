"""What other processes change in the stores: it is not served here any more."""

from __future__ import annotations

import asyncio
import logging
import random
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Final
from weakref import ref

from penstock.stores._rules import EVERYTHING
from penstock.stores._store import Notifying

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task, TimerHandle

    from penstock.caching._local import Local
    from penstock.caching._tiered_core import Core
    from penstock.caching._tiered_writes import Writes
    from penstock.stores import Message

__all__ = ["Backplane"]

logger = logging.getLogger("penstock.caching")

#: Seconds for which the first reads and writes wait at most until somebody listens.
_GATE: Final = 0.1
#: Seconds between attempts to listen, before they are shortened at random.
_FIRST: Final = 0.1
_LAST: Final = 5.0
#: Seconds that no loop lasts.
_AGES: Final = 1e9


class _End:
    """
    Tells of the end of an event loop, which alone holds it: closed, it lets go of all its timers.

    Its tasks need not have been cancelled before.

    Args:
        local: What is flushed then, unless it is gone: a cache that nobody has is not kept by this.
    """

    __slots__ = ("_local",)

    def __init__(self, local: Local) -> None:
        self._local = ref(local)

    def __call__(self) -> None:
        """Nobody waits for as long as that."""

    def __del__(self) -> None:
        local = self._local()
        if local is not None:
            local.flush()


class Backplane:
    """
    Listens to the stores that tell what other processes change.

    Args:
        core: That of the cache.
        writes: What brings it to the stores in front of those.
    """

    __slots__ = ("_core", "_end", "_listening", "_stores", "_tasks", "_to_try", "_writes")

    def __init__(self, core: Core, writes: Writes) -> None:
        self._core = core
        self._writes = writes
        self._stores: list[tuple[int, Notifying]] = []
        if core.settings.backplane:
            for index, tier in enumerate(core.tiers):
                if isinstance(tier.store, Notifying):
                    self._stores.append((index, tier.store))
        self._tasks: set[Task[None]] = set()
        self._listening: list[Notifying] = []
        #: How many stores have not been listened to for the first time.
        self._to_try = 0
        #: Of the loop.
        self._end: ref[TimerHandle] | None = None
        core.bound.append(self._begin)

    def _begin(self, old: object) -> object:
        """Listen in the new event loop."""
        if self._stores and old is not None:
            # Since the old one was closed nobody has listened.
            self._core.local.flush()
        begun = self._tasks, self._core.gate
        self._tasks = set()
        self._listening = []
        self._core.gate = None
        loop = self._core.loop
        if loop is not None and self._stores:
            self._core.gate = gate = loop.create_future()
            self._to_try = len(self._stores)
            loop.call_later(min(_GATE, self._core.settings.store_timeout), _open, gate)
            # Nobody listens from its end on, and hits do not ask whether there is a loop.
            end = _End(self._core.local)
            self._end = ref(loop.call_later(_AGES, end, context=Context()))
            for index, store in self._stores:
                self._try(loop, index, store, gate)
        return begun

    def _try(
        self,
        loop: AbstractEventLoop,
        index: int,
        store: Notifying,
        gate: Future[None],
        is_first: bool = True,
    ) -> None:
        """Begin to listen to a store."""
        if self._core.is_closing:
            return
        listening = self._listen(index, store, gate, is_first)
        task = loop.create_task(listening, context=Context())
        if not is_first:  # perhaps in a loop that takes long to end, which does not cancel it again
            task._log_destroy_pending = False  # type: ignore[attr-defined]
        self._tasks.add(task)
        task.add_done_callback(partial(self._tried_once, loop, index, store, gate))

    def _tried_once(
        self,
        loop: AbstractEventLoop,
        index: int,
        store: Notifying,
        gate: Future[None],
        task: Task[None],
    ) -> None:
        """Try it again if somebody who cancels all tasks of the loop has cancelled this one."""
        if task in self._tasks:
            self._tasks.discard(task)
            if task.cancelled():  # later: there is to be no task in a loop that ends
                loop.call_later(_FIRST, self._try, loop, index, store, gate, False)

    async def _listen(
        self, index: int, store: Notifying, gate: Future[None], is_first: bool
    ) -> None:
        """Try it until it works."""
        delay = _FIRST
        while True:
            try:
                await store.listen(partial(self._receive, index), partial(self._lose, index))
            except Exception as error:
                level = logging.WARNING if is_first else logging.DEBUG
                logger.log(level, "a TieredCache cannot listen to its store: %s", error)
                if is_first:
                    self._tried(gate)
                is_first = False
                await asyncio.sleep(delay * random.random())
                delay = min(2.0 * delay, _LAST)
            else:
                self._listening.append(store)
                # What is in front of it may have been there while nobody listened.
                for tier in reversed(self._core.tiers[:index]):
                    await tier.invalidate((), (EVERYTHING,))
                if not is_first or gate.done():
                    self._core.local.flush()
                else:
                    self._tried(gate)
                return

    def _tried(self, gate: Future[None]) -> None:
        self._to_try -= 1
        if not self._to_try:
            _open(gate)

    def _receive(self, index: int, message: Message) -> None:
        """Forget what somebody else has changed in the store at *index*."""
        core, local, names = self._core, self._core.local, message.names
        core.counts.messages += 1
        if message.kind == "tags":
            local.invalidate_tags(names)
            self._writes.forward(index, tags=names)
        elif message.kind == "patterns":
            local.invalidate_patterns(names)
            self._writes.forward(index, patterns=names)
        else:
            local.drop(names)
            self._writes.forward(index, keys=names)

    def _lose(self, index: int) -> None:
        """The connection is lost, or there anew."""
        self._core.counts.lost += 1
        self._core.local.flush()
        self._writes.forward(index, patterns=(EVERYTHING,))

    def leave(self) -> list[Notifying]:
        """Listen to nobody else; return those that are still to be told."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        end = None if self._end is None else self._end()
        if end is not None:
            end.cancel()
        stores, self._listening = self._listening, []
        return stores


def _open(gate: Future[None]) -> None:
    if not gate.done():
        gate.set_result(None)
