"""The connections of a pool on one event loop: who has them, and where they go next."""

from __future__ import annotations

import asyncio
import logging
from asyncio import BaseEventLoop, _get_running_loop
from math import inf
from random import random
from time import monotonic
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from penstock.errors import ClosedError, LimitExceeded, PoolTimeout, WrongEventLoop
from penstock.pools._pool_chores import Chore
from penstock.pools._pool_closing import abandon
from penstock.pools._pool_connecting import Connector
from penstock.pools._pool_housekeeping import Keeper
from penstock.pools._pool_leaks import here
from penstock.pools._pool_line import AGAIN, Line
from penstock.pools._pool_link import BUSY, GONE, IDLE, LEASED, Link
from penstock.pools._pool_proof import proven

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from penstock.pools._pool_options import Options
    from penstock.pools._pool_stats import Counts

__all__ = ["GIVEN_BACK", "Stock"]

C = TypeVar("C")

logger = logging.getLogger("penstock.pools")

GIVEN_BACK = "the connection was given back already"


class Stock(Generic[C]):
    """
    The connections of a pool on one event loop.

    Whatever changes here changes between two steps of the loop, never across an await: there is
    no step at which somebody who is cancelled can leave it half done. A permit of the line stands
    for a connection; who holds one either puts the connection back, or drops it together with
    the permit.
    """

    __slots__ = (
        "__weakref__", "_fresh_for", "_has_no_eyes", "chores", "connector", "counts", "half_closed",
        "idle", "keeper", "line", "links", "loop", "now", "options", "quiet", "refusal",
        "resetting", "terminated",
    )  # fmt: skip

    def __init__(
        self,
        options: Options[C],
        counts: Counts,
        loop: AbstractEventLoop,
        timer: Callable[[], float] | None,
    ) -> None:
        self.options = options
        self.counts = counts
        self.loop = loop
        #: That of asyncio's own loops is a method around time.monotonic.
        time = monotonic if type(loop).time is BaseEventLoop.time else loop.time
        self.now: Callable[[], float] = timer or time
        self.line = Line(self, timer)
        #: By the id of what the factory returned: all but those that are being made.
        self.links: dict[int, Link[C]] = {}
        #: Used last is last, and handed out first.
        self.idle: list[Link[C]] = []
        self.resetting = 0
        #: For how long one that is known to be good is handed out without another look.
        self._fresh_for = min(
            inf if options.check is None else options.check_after,
            inf if options.max_idle is None else options.max_idle,
        )
        #: Whether nobody can tell by looking at a connection what state it is in.
        self._has_no_eyes = options.is_clean is None
        self.chores: set[Chore] = set()
        self.connector = Connector(self)
        self.keeper = Keeper(self)
        #: What those are told who come since it is closed.
        self.refusal: str | None = None
        #: What is being closed in good order, and how many were cut off since the pool closes.
        self.half_closed: set[Link[C]] = set()
        self.terminated = 0
        self.quiet = asyncio.Event()

    # --- out --------------------------------------------------------------------------------------

    def grab(self) -> Link[C] | None:
        """Lease a connection that was used lately, if there is one and nobody waits."""
        idle = self.idle
        if not idle or _get_running_loop() is not self.loop:
            return None
        link = idle[-1]
        now = self.now()
        if now - link.seen >= self._fresh_for or now >= link.ends:
            return None
        if not (self._has_no_eyes or self.is_clean(link)) or not self.line.try_acquire():
            return None
        del idle[-1]
        if link.is_new:
            self._accept(link)
        # Not by _lease(): nearly all are leased here, and a call is a tenth of what that costs.
        link.state = LEASED
        link.since = now
        link.lease += 1
        self.counts.acquired += 1
        if self.options.leak_after is not None:
            self._watch(link, self.options.leak_after)
        return link

    async def take(self, seconds: float | None) -> Link[C]:
        """Lease a connection, or wait for one."""
        if self.refusal is not None:
            raise ClosedError(self.refusal)
        line, loop = self.line, self.loop
        until = None if seconds is None else loop.time() + seconds
        priority = 0
        while True:
            if not line.try_acquire():
                if not priority:
                    self._check_room()
                left = None if until is None else max(until - loop.time(), 0.0)
                self.connector.want(1)
                try:
                    await line.acquire(priority=priority, deadline=left)
                except PoolTimeout:
                    # Not the rest of the time, after a connection that was no good.
                    raise (line.too_late(seconds or 0.0)) from self.last_error
            if self.refusal is not None:
                line.release()
                raise ClosedError(self.refusal)
            link = self.idle.pop()
            link.state = BUSY
            if await proven(self, link, until):
                if link.is_new:
                    self._accept(link)
                self._lease(link, self.now())
                return link
            priority = AGAIN

    def _check_room(self) -> None:
        most = self.options.max_waiters
        if most is None:
            return
        # Without those for whom one is being made, or may be.
        waiting = self.line.waiting - max(self.options.max_size - len(self.links), 0)
        if waiting >= most:
            self.counts.rejected += 1
            message = f"{waiting} wait already for one to come back, and at most {most} may"
            raise LimitExceeded(message, waiting=waiting, max_waiting=most)

    def _lease(self, link: Link[C], now: float) -> None:
        link.state = LEASED
        link.since = now
        link.lease += 1
        self.counts.acquired += 1
        if self.options.leak_after is not None:
            self._watch(link, self.options.leak_after)

    def _watch(self, link: Link[C], leak_after: float) -> None:
        """Note who has it, to say so if it does not come back."""
        link.stack, link.is_told = here(), False
        self.keeper.wake(leak_after)

    # --- back -------------------------------------------------------------------------------------

    def give_back(self, link: Link[C], *, failed: bool, discard: bool = False) -> None:
        """
        End a lease.

        Args:
            link: What was leased.
            failed: Whether the use of it broke off.
            discard: Whether it is not to be used again, whatever *is_clean* says.

        Raises:
            RuntimeError: It was given back before.
            WrongEventLoop: It is given back in another thread, or on another event loop.
        """
        if link.state is not LEASED:
            if link.state is GONE and self.refusal is not None:
                return  # the pool has cut it off
            raise RuntimeError(GIVEN_BACK)
        if _get_running_loop() is not self.loop and not self.is_here():
            abandon(self)
            return
        now = self.now()
        self.counts.use_seconds += now - link.since
        options = self.options
        link.stack = None
        is_dirty = (failed or discard) if self._has_no_eyes else discard or not self.is_clean(link)
        if is_dirty:
            self.drop(link, "dirty")
        elif self.refusal is not None or len(self.links) > options.max_size:
            self.retire(link, "other")
        elif now >= link.ends:
            self.retire(link, "lifetime")
        elif options.reset is None:
            self.put(link, now)
        else:
            self._reset(link)

    def _reset(self, link: Link[C]) -> None:
        link.state = BUSY
        self.resetting += 1
        self.counts.resets += 1

        def then(_: object, error: BaseException | None) -> None:
            self.resetting -= 1
            self.settle(link, is_good=error is None, reason="reset")

        self.start((self.options.reset, link.raw), self.options.reset_timeout, then)

    def settle(self, link: Link[C], *, is_good: bool, reason: str) -> None:
        """Put a connection back, or drop it, after something that was done with it."""
        if link.state is GONE:
            return
        if not is_good:
            self.drop(link, reason)
        elif self.refusal is not None or len(self.links) > self.options.max_size:
            self.retire(link, "other")
        else:
            self.put(link, self.now())

    def put(self, link: Link[C], now: float) -> None:
        """Let the next one have it."""
        link.state = IDLE
        if link.is_new:
            self._accept(link)
        link.used = link.seen = now
        self.idle.append(link)
        self.line.release()

    def _accept(self, link: Link[C]) -> None:
        """Note that a new connection was good."""
        link.is_new = False
        self.connector.prove()

    # --- in and out of the pool -------------------------------------------------------------------

    def add(self, raw: C) -> None:
        """Take in a new connection."""
        options, now = self.options, self.now()
        life = options.max_lifetime
        ends = inf if life is None else now + life * (1 - options.lifetime_jitter * random())
        link: Link[C] = Link(self, raw, ends, now)
        if self.refusal is not None or len(self.links) >= options.max_size:
            self.close(link)
            return
        self.links[id(raw)] = link
        self.idle.append(link)
        self.keeper.wake(ends - now)
        self.line.resize(len(self.links) + 1)

    def drop(self, link: Link[C], reason: str) -> None:
        """Cut off a connection whose permit one has."""
        self.forget(link, reason)
        try:
            self.terminate(link)
        finally:
            self.give_up_permit()

    def retire(self, link: Link[C], reason: str) -> None:
        """Close a connection in good order whose permit one has."""
        self.forget(link, reason)
        self.close(link)
        self.give_up_permit()

    def forget(self, link: Link[C], reason: str) -> None:
        """Do not count it any more."""
        link.state = GONE
        del self.links[id(link.raw)]
        counter = f"closed_{reason}"
        setattr(self.counts, counter, getattr(self.counts, counter) + 1)

    def give_up_permit(self) -> None:
        """Do without a permit whose connection is gone."""
        if self.refusal is None:
            self.line.resize(len(self.links) + 1)
        self.line.release()
        self.connector.want()
        self.check_quiet()

    def terminate(self, link: Link[C]) -> None:
        """Cut a connection off, whatever comes of it."""
        link.state = GONE
        self.terminated += 1
        try:
            self.options.terminate(link.raw)
        except Exception:
            logger.warning("a connection could not be terminated: %r", link.raw, exc_info=True)

    def discard(self, raw: C) -> None:
        """Cut off what came too late to be taken in."""
        self.terminate(Link(self, raw, inf, self.now()))

    def close(self, link: Link[C]) -> None:
        """Close a connection in good order; cut it off if that fails, or takes too long."""
        link.state = GONE
        self.half_closed.add(link)

        def then(_: object, error: BaseException | None) -> None:
            self.half_closed.discard(link)
            if error is not None:
                self.terminate(link)
            self.check_quiet()

        self.start((self.options.close, link.raw), self.options.reset_timeout, then)

    def check_quiet(self) -> None:
        """Tell those who close the pool when there is nothing left."""
        if self.refusal is not None and not self.links and not self.half_closed:
            self.quiet.set()

    # --- what others need -------------------------------------------------------------------------

    def start(
        self,
        call: tuple[Any, ...],
        seconds: float,
        then: Callable[[Any, BaseException | None], object],
        late: Callable[[Any], object] | None = None,
    ) -> Chore:
        """Do something in a task of the pool."""
        return Chore(self.chores, self.loop, call, seconds, then, late)

    def claim(self, link: Link[C]) -> bool:
        """Take an idle connection out, unless somebody is about to have it."""
        if not self.line.try_acquire():
            return False
        self.idle.remove(link)
        link.state = BUSY
        return True

    def is_here(self) -> bool:
        """
        Whether this is where connections are used; not if the event loop is closed.

        Raises:
            WrongEventLoop: The event loop runs elsewhere, or this is another one.
        """
        loop, running = self.loop, _get_running_loop()
        if loop.is_closed():
            return False
        # Between two runs of a loop, nobody who finalizes a task comes in between.
        if running is not loop and (running is not None or loop.is_running()):
            raise WrongEventLoop("a pool is used on its own event loop, and in no other thread")
        return True

    def is_clean(self, link: Link[C]) -> bool:
        """Whether nothing is under way on it, as far as its owner can tell."""
        is_clean = self.options.is_clean
        if is_clean is None:
            return True
        try:
            return bool(is_clean(link.raw))
        except Exception:
            logger.warning("is_clean failed for %r", link.raw, exc_info=True)
            return False

    @property
    def last_error(self) -> BaseException | None:
        """What the last attempt to connect failed with, None if it succeeded."""
        return self.connector.last_error

    def sizes(self) -> tuple[int, int, int, int]:
        """Return how many there are, idle, leased, and waited for."""
        ready, idle = len(self.links), len(self.idle)
        size = ready + len(self.connector.active)
        return size, idle, ready - idle - self.resetting, self.line.waiting
