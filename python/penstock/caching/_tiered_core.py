"""What the parts of a cache in tiers share: the tiers, the event loop, and tasks in it."""

from __future__ import annotations

import asyncio
import logging
import random
from contextvars import Context
from dataclasses import replace
from math import inf
from typing import TYPE_CHECKING, NoReturn

from penstock.caching._tiered_stats import Counts
from penstock.caching._tiered_unwritten import Unwritten
from penstock.errors import ClosedError, WrongEventLoop
from penstock.stores._store import Reading, Record

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task
    from collections.abc import Callable, Coroutine

    from penstock._backend import Entry
    from penstock.caching._local import Local, Note
    from penstock.caching._tier import Tier
    from penstock.caching._tiered_group import Group
    from penstock.caching._tiered_options import Options, Settings

__all__ = ["Core"]

logger = logging.getLogger("penstock.caching")

_new = tuple.__new__
_CLOSED = "the TieredCache is closed"


class Core:
    """
    The tiers of a cache and what else its parts share.

    Args:
        local: The first tier.
        has_l1: Whether anything is kept there.
        tiers: Those behind it, nearest first.
        options: How things are loaded and kept, if a call says nothing else.
        settings: What is the same for all calls.
        timer: Monotonic clock, that of the first tier.
        clock: Wall clock.
    """

    __slots__ = (
        "bound", "clock", "counts", "gate", "has_l1", "is_closing", "local", "loop", "options",
        "settings", "tasks", "tiers", "timer", "unwritten", "writing",
    )  # fmt: skip

    def __init__(
        self,
        local: Local,
        has_l1: bool,
        tiers: list[Tier],
        options: Options,
        settings: Settings,
        timer: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self.local = local
        self.has_l1 = has_l1
        self.tiers = tiers
        self.options = options
        self.settings = settings
        self.timer = timer
        self.clock = clock
        self.counts = Counts()
        self.loop: AbstractEventLoop | None = None
        self.is_closing = False
        #: While it is not done, nothing is read or written: see `Backplane`.
        self.gate: Future[None] | None = None
        #: What goes on in the background: loads, fills, writes.
        self.tasks: set[Task[None]] = set()
        #: The last group that sets a key, until it has ended. What is read meanwhile may be older.
        self.writing: dict[str, Group] = {}
        #: What is on its way to the stores.
        self.unwritten = Unwritten(local)
        self.unwritten.begin_anew(self.writing)
        #: Called when there is a new event loop, with the old one, or None; they return what was
        #: under way there.
        self.bound: list[Callable[[AbstractEventLoop | None], object]] = []

    def join(self) -> AbstractEventLoop:
        """
        Return the running loop, which the cache is bound to from now on.

        Raises:
            RuntimeError: There is none.
            WrongEventLoop: The cache is bound to another one.
            ClosedError: It is closed.
        """
        loop = self.enter()
        if self.is_closing:
            self.refuse()
        return loop

    def join_stores(self) -> AbstractEventLoop | None:
        """The same, if there are stores; None if there are none, which need no loop."""
        if self.tiers:
            return self.join()
        if self.is_closing:
            self.refuse()
        return None

    def refuse(self) -> NoReturn:
        """Say that the cache is closed."""
        raise ClosedError(_CLOSED)

    def why(self) -> Exception | None:
        """Return why something is cancelled, if that is known."""
        return ClosedError(_CLOSED) if self.is_closing else None

    def enter(self) -> AbstractEventLoop:
        """The same, closed or not."""
        loop = asyncio.get_running_loop()
        old = self.loop
        if loop is old:
            return loop
        if old is not None and not old.is_closed():
            raise WrongEventLoop("the TieredCache is bound to another event loop")
        self.loop = loop
        self.tasks = set()
        self.writing = {}
        for tell in self.bound:
            tell(old)
        return loop

    def begin_anew(self) -> object:
        """Forget the event loop of the process that this one was forked from."""
        old, tasks = self.loop, self.tasks
        self.loop = None
        self.tasks = set()
        self.writing = {}
        return old, tasks, [tell(old) for tell in self.bound]

    async def pass_gate(self) -> None:
        """Wait until what others change is heard of here, or for a moment at most."""
        if self.gate is not None:
            await asyncio.wait([self.gate])  # which nobody's cancellation reaches
            self.gate = None

    def is_lost(self) -> bool:
        """Whether the event loop was closed, so that nothing can be done any more."""
        return self.loop is None or self.loop.is_closed()

    def spawn(
        self, work: Coroutine[object, object, None], context: Context | None = None
    ) -> Task[None]:
        """Begin a task that goes on whatever becomes of those who wait for it."""
        assert self.loop is not None
        # Without a context it is nobody's: it runs for many.
        task = self.loop.create_task(work, context=Context() if context is None else context)
        self.tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a task of a TieredCache failed", exc_info=error)

    async def look(self, index: int, key: str) -> Reading | None:
        """Ask the tier at *index* for a key; what is on its way there counts as being there."""
        number, token = self.unwritten.begin(), self.local.seq
        try:
            reading = await self.tiers[index].read([key])
            if reading is None:
                return None
            record = self.unwritten.sight(index, key, reading.records[0], token)
            return Reading([record], reading.base)
        finally:
            self.unwritten.close(number)

    def keep(
        self, key: str, record: Record, token: int, options: Options, early: float = 0.0
    ) -> Entry | None:
        """Store in the first tier what was read or loaded, unless it is invalid by now."""
        if not self.has_l1:
            return None
        return self.local.fill(
            key,
            record,
            token,
            l1_ttl=options.l1_ttl,
            jitter=options.jitter,
            refresh_after=options.refresh_after,
            early=early,
            revoked=key in self.writing,
        )

    def put(self, key: str, record: Record, options: Options) -> None:
        """Store in the first tier what a caller has set."""
        if self.has_l1:
            self.local.fill(
                key,
                record,
                self.local.token(),
                l1_ttl=options.l1_ttl,
                jitter=options.jitter,
                refresh_after=options.refresh_after,
            )

    def put_again(self, key: str, entry: Entry) -> None:
        """Store what a caller has set after something was invalidated that is invalidated again."""
        note: Note = entry.note
        left = note.fresh_until - self.local.timer()
        if left > 0.0:
            l1_ttl = None if left == inf else left
            self.put(key, note.record, replace(self.options, l1_ttl=l1_ttl))

    def record(self, value: object, options: Options) -> Record:
        """Return what is kept of a value that is there from now on."""
        ttl = options.ttl
        if options.jitter:
            ttl = self.shortened(ttl, options)
        # Its constructor costs as much as the rest.
        return _new(Record, (value, self.clock(), ttl, options.stale_for, options.tags, 0))

    def shortened(self, ttl: float | None, options: Options) -> float | None:
        """Return a ttl that is not that of all others which begin now."""
        jitter = options.jitter
        return ttl * (1.0 - jitter * random.random()) if ttl is not None and jitter else ttl
