"""The connections of a pool, and the threads that use them."""

from __future__ import annotations

import os
from asyncio import get_running_loop
from contextvars import Context
from threading import Lock
from time import monotonic
from typing import TYPE_CHECKING, Any
from weakref import WeakSet, finalize, ref

from penstock.errors import ClosedError
from penstock.flow._deadline import ambient
from penstock.flow._executor import Executor
from penstock.flow._executor._lifetime import at_fork
from penstock.flow._executor._mailbox import mailbox
from penstock.pools._sqlite_connection import open_link, tidy_up
from penstock.pools._sqlite_lane import Lane
from penstock.pools._sqlite_stats import Counts

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Callable

    from penstock.pools._sqlite_connection import Link
    from penstock.pools._sqlite_options import Options
    from penstock.pools._sqlite_use import Use

__all__ = ["Store", "closed"]

_UNLIMITED = 2**62

_stores: WeakSet[Store] = WeakSet()
#: Connections of a parent process: to close them would take its locks off, and spoil its log.
_graveyard: list[Link] = []


class Store:
    """
    What a pool has: connections, threads and counters. It does not refer to the pool.
    """

    __slots__ = (
        "__weakref__", "_executor", "_founding", "_period", "_seen", "_tidied_by", "counts",
        "inline", "is_closed", "is_dead", "is_founded", "links", "options", "reader", "refusal",
        "timer", "uses", "writer",
    )  # fmt: skip

    def __init__(
        self, options: Options, timer: Callable[[], float] | None, name: str | None
    ) -> None:
        self.options = options
        self.timer = monotonic if timer is None else timer
        self.counts = Counts()
        #: All that are open, and whether they write.
        self.links: dict[Link, bool] = {}
        #: All that are in use. Weak: each refers to who waits for it, in a loop that may be gone.
        self.uses: dict[int, ref[Use]] = {}
        #: Why nobody may use it any more, or None.
        self.refusal: Exception | None = None
        #: Whether it was closed with somebody still using it.
        self.is_dead = False
        self.is_closed = False
        self.is_founded = False
        self._seen = 0
        self._period = _period(options)
        #: The loop that has a timer for it.
        self._tidied_by: ref[AbstractEventLoop] | None = None
        self._founding = Lock()
        self.reader = Lane(self, writes=False)
        self.writer = Lane(self, writes=True)
        #: Those for the event loops, which need no permit: a loop that finds none goes to a thread.
        self.inline = Lane(self, writes=False)
        # One for each that may be in use, and one to open and close them.
        self._executor = Executor(
            options.readers + 2, f"{name or 'penstock-sqlite'}", context=False
        )
        finalize(self, _close_all, self.links, os.getpid())
        _watch(self)

    def check(self) -> None:
        """
        Do nothing if the pool may be used.

        Raises:
            ClosedError: It is closed.
            RuntimeError: It is that of a parent process.
        """
        if self.refusal is not None:
            raise type(self.refusal)(*self.refusal.args)

    def submit(self, call: Callable[..., object], *args: Any) -> None:
        """Have a thread call it; it is up to the call to tell how that went."""
        if ambient() is None:
            self._executor.submit(call, *args)
        else:  # the time of the caller is his own business, and not that of the thread
            Context().run(self._executor.submit, call, *args)

    async def run(self, call: Callable[[], object]) -> None:
        """Have a thread call it, and wait for that; whoever is cancelled does not wait longer."""
        loop = get_running_loop()
        future: Future[None] = loop.create_future()
        box = mailbox(loop)

        def work() -> None:
            try:
                call()
            except BaseException as error:
                box.post(future, None, error)
            else:
                box.post(future, None, None)

        self.submit(work)
        await future

    def open(self, writes: bool, is_stopped: Callable[[], bool] = lambda: False) -> Link:
        """Open a connection; in a thread."""
        options, timer = self.options, self.timer
        if not writes and not self.is_founded:
            with self._founding:
                if not self.is_founded:  # one that reads only makes no file, and sets no WAL
                    open_link(options, True, timer, is_stopped).close()
                    self.is_founded = True
        link = open_link(options, writes, timer, is_stopped)
        self.is_founded = True
        self.links[link] = writes
        self.counts.opened += 1
        return link

    def close(self, link: Link) -> None:
        """Close a connection; in a thread, since the last one tidies up the file."""
        if self.links.pop(link, None) is not None:
            self.counts.closed += 1
        link.close()

    def tidy(self) -> None:
        """Close readers that were idle too long, or have lived long enough; in a thread."""
        now = self.timer()
        idle = self.options.max_idle
        if self._seen != self.counts.inline:  # those reads have no time for notes
            self._seen = self.counts.inline
            for link in list(self.inline.idle):
                link.since = now
        before = float("-inf") if idle is None else now - idle
        for lane in (self.reader, self.inline):
            lane.close_idle(before, now)

    def keep_tidy(self, loop: AbstractEventLoop) -> None:
        """Have idle readers closed some time, by this loop if no other one does it."""
        if self._period is None or self.is_dead:
            return
        other = None if self._tidied_by is None else self._tidied_by()
        if other is None or other.is_closed():
            self._tidied_by = ref(loop)
            store: ref[Store] = ref(self)
            # In a context of its own: that of the caller is his, and all that is in it.
            loop.call_later(self._period, _tidy, store, loop, context=Context())

    def tidy_again(self, loop: AbstractEventLoop) -> None:
        """Have a thread tidy up, and do so once more later if there is anything to do then."""
        self._tidied_by = None
        if self.refusal is None and (self.reader.idle or self.inline.idle):
            self.submit(self.tidy)
        if self.refusal is None and not all(self.links.values()):
            self.keep_tidy(loop)

    def close_idle(self) -> None:
        """Close all that is not in use; in a thread."""
        has_writer = bool(self.writer.idle)
        for lane in (self.reader, self.inline, self.writer):
            lane.close_idle()
        if self.is_founded and not has_writer and not self.links:
            tidy_up(self.options.path)  # a reader cannot, and a writer that comes last has done so

    def kill(self) -> None:
        """Take the connections from those who still use them."""
        self.is_dead = True
        for entry in list(self.uses.values()):
            use = entry()
            if use is not None:
                use.kill()
        for lane in (self.reader, self.writer):
            lane.line.resize(_UNLIMITED)  # who waits learns that there will be none

    def shut_down(self) -> None:
        """End the threads, when they have done what they do."""
        self.is_closed = True
        self._executor.shutdown(wait=False)

    def orphan(self) -> None:
        """Be of no use, in a fork of the process."""
        path = self.options.path
        message = f"the pool of {path!r} was made before the fork: make another one in the child"
        self.refusal = RuntimeError(message)
        _graveyard.extend(self.links)
        self.links.clear()
        for lane in (self.reader, self.writer, self.inline):
            lane.idle.clear()


def _period(options: Options) -> float | None:
    """Return after how many seconds to look what is idle or old, None for never."""
    given = [s for s in (options.max_idle, options.max_lifetime) if s is not None]
    return max(min(given) / 4, 0.01) if given else None


def _tidy(store: ref[Store], loop: AbstractEventLoop) -> None:
    it = store()
    if it is not None:
        it.tidy_again(loop)


def closed(path: str) -> ClosedError:
    """Return what is raised after the end."""
    return ClosedError(f"the pool of {path!r} is closed")


def _watch(store: Store) -> None:
    global _watched  # noqa: PLW0603
    if not _watched:
        _watched = True
        at_fork(_in_fork)
    _stores.add(store)


_watched = False


def _in_fork() -> None:
    for store in list(_stores):
        store.orphan()


def _close_all(links: dict[Link, bool], pid: int) -> None:
    """Close what a pool has left open that nobody can use any more."""
    if os.getpid() == pid:
        for link in list(links):
            link.close()
