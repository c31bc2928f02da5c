"""`Pool`: connections of any kind that many tasks share."""

from __future__ import annotations

from asyncio import get_running_loop
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from penstock import _components, _forks
from penstock._waiters import seconds_of
from penstock.errors import ClosedError, WrongEventLoop
from penstock.flow._checks import check_name, check_timer
from penstock.pools._pool_closing import abandon, finish
from penstock.pools._pool_families import POOL_FIELDS
from penstock.pools._pool_lease import Lease
from penstock.pools._pool_options import check_options, check_sizes
from penstock.pools._pool_stats import Counts, PoolReport, PoolStats
from penstock.pools._pool_stock import Stock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import timedelta
    from types import EllipsisType, TracebackType
    from typing import Self

    from penstock.pools._pool_options import Options

__all__ = ["Pool"]

C = TypeVar("C")


class Pool(Generic[C]):
    """
    Connections of any kind: made when they are needed, used by one task at a time, and kept.

    Whoever is cancelled in the middle of something leaves a connection that nobody can know the
    state of: it is cut off, never handed to the next one. Who waits is served in the order of
    coming, by whatever comes first: a connection that is given back, or one that was made.

    Args:
        factory: Makes a connection: a coroutine function, or a function.
        min_size: How many are kept, once the pool was used or entered.
        max_size: How many there may be. The server may see some more for a moment: one that is
            being closed is not counted.
        acquire_timeout: Seconds to wait for one; 0: not to wait, None: as long as it takes.
        max_waiters: How many may wait for one to come back; more are turned away. Those for whom
            one is being made, or may be, do not count. None: any number.
        max_idle: Seconds after which one that nobody uses is closed, if there are more than
            *min_size*; None: never.
        max_lifetime: Seconds after which one is replaced, when nobody uses it; None: never.
        lifetime_jitter: By which part of that, at most, a life is shortened at random, so that not
            all end at the same time.
        check: ``check(connection)``, for one that was idle: it is bad if this raises, returns
            False, or takes longer than *check_timeout*.
        check_after: Seconds since it was last known to be good, before which it is not checked.
        check_timeout: Seconds for a check.
        keepalive: Seconds after which one that nobody uses is checked all the same; None: never.
        reset: ``reset(connection)``, for each that was given back, before somebody else has it.
        reset_timeout: Seconds for a reset, and for *close*.
        close: ``close(connection)``: closes it in good order. By default its method ``aclose`` or
            ``close``.
        terminate: ``terminate(connection)``: cuts it off at once; a plain function. By default its
            method ``terminate``, ``abort`` or ``close`` that is a plain one.
        is_clean: ``is_clean(connection)``: whether nothing is under way on it, nothing is left of
            its user, and it is not known to be lost; a plain, quick function. It is asked before
            a connection is handed out, and when it is given back, whatever ended the block.
            Without it, one whose block was left by an error is taken to be dirty.
        max_connecting: How many are made at a time.
        connect_timeout: Seconds for *factory*.
        connect_backoff: ``(base, cap)`` of the delays after an attempt that failed.
        leak_after: Seconds in use after which the log shows where one was acquired; None: never.
        timer: Seconds on a clock of your own, by which they are idle, or old.
        name: Shows the statistics among the metrics under this name.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: One is out of its range.

    Cost: O(1) without a step of the event loop, where a connection is there that was used lately.
        Bound to the event loop that uses it first; begins anew when that is closed, and in a
        process that was forked.

    Source: the line is that of psycopg_pool and HikariCP, whose defaults most of these are.
    """

    __slots__ = (
        "__weakref__", "_acquire_timeout", "_counts", "_is_closed", "_name", "_options", "_stock",
        "_timer",
    )  # fmt: skip

    def __init__(
        self,
        factory: Callable[[], Awaitable[C] | C],
        *,
        min_size: int = 0,
        max_size: int = 10,
        acquire_timeout: float | timedelta | None = 5.0,
        max_waiters: int | None = None,
        max_idle: float | timedelta | None = 300.0,
        max_lifetime: float | timedelta | None = 1800.0,
        lifetime_jitter: float = 0.1,
        check: Callable[[C], object] | None = None,
        check_after: float | timedelta = 0.5,
        check_timeout: float | timedelta = 1.0,
        keepalive: float | timedelta | None = None,
        reset: Callable[[C], object] | None = None,
        reset_timeout: float | timedelta = 5.0,
        close: Callable[[C], object] | None = None,
        terminate: Callable[[C], object] | None = None,
        is_clean: Callable[[C], object] | None = None,
        max_connecting: int = 2,
        connect_timeout: float | timedelta = 5.0,
        connect_backoff: tuple[float | timedelta, float | timedelta] = (0.05, 5.0),
        leak_after: float | timedelta | None = None,
        timer: Callable[[], float] | None = None,
        name: str | None = None,
    ) -> None:
        given: dict[str, Any] = {key: value for key, value in locals().items() if key != "self"}
        self._options: Options[C] = check_options(given)
        check_timer(timer)
        check_name(name)
        self._acquire_timeout = self._options.acquire_timeout
        self._timer = timer
        self._name = name
        self._counts = Counts()
        self._stock: Stock[C] | None = None
        self._is_closed = False
        _components.enter(self)
        _forks.enter(self)

    @property
    def name(self) -> str | None:
        """
        The name given to the pool.
        """
        return self._name

    @property
    def closed(self) -> bool:
        """
        Whether it hands out nothing more.
        """
        return self._is_closed

    def acquire(self, timeout: float | timedelta | EllipsisType | None = ...) -> Lease[C]:
        """
        Return a connection, for ``async with`` or to be awaited.

        ::

            async with pool.acquire() as conn: ...

            conn = await pool.acquire()  # then pool.release(conn)

        A block that is left by an error, or cancelled, terminates the connection, unless
        *is_clean* says that there is no need to.

        Args:
            timeout: Seconds to wait at most, in place of *acquire_timeout*; 0: only if one is idle.

        Raises:
            PoolTimeout: When awaited: none became free in time. Its ``__cause__`` is why the last
                attempt to connect failed, if it did.
            DeadlineExceeded: When awaited: the ambient ``deadline()`` was over first.
            LimitExceeded: When awaited: *max_waiters* wait already.
            ClosedError: When awaited: the pool is closed.
        """
        return Lease(self, self._acquire_timeout if timeout is ... else seconds_of(timeout))

    def release(self, connection: C, *, discard: bool = False) -> None:
        """
        Give back a connection that was awaited.

        Args:
            connection: What `acquire` gave.
            discard: Whether it may not be used again: something was broken off.

        Raises:
            RuntimeError: The pool has not leased it. Whoever gives a connection back twice is told
                so only if nobody has it meanwhile.
            WrongEventLoop: This is another event loop than that of the pool, or another thread.
        """
        stock = self._stock
        link = None if stock is None else stock.links.get(id(connection))
        if link is None or link.raw is not connection:
            if self._is_closed:
                return  # it was cut off meanwhile
            raise RuntimeError("the connection is not one that this pool has leased")
        link.stock.give_back(link, failed=discard, discard=discard)

    def resize(self, *, min_size: int | None = None, max_size: int | None = None) -> None:
        """
        Change how many connections there are, at least or at most.

        What is in use stays in use, and is closed when it is given back if there are too many.

        Raises:
            TypeError: A size is no int.
            ValueError: One is out of its range.
            WrongEventLoop: This is another event loop than that of the pool, or another thread.
        """
        options = self._options
        low = options.min_size if min_size is None else min_size
        high = options.max_size if max_size is None else max_size
        sizes = check_sizes(low, high)
        stock = self._stock
        is_used = stock is not None and stock.refusal is None and stock.is_here()
        options.min_size, options.max_size = sizes
        if stock is not None and is_used:
            stock.keeper.tick()

    async def aclose(self, timeout: float | timedelta | None = 30) -> PoolReport:  # noqa: ASYNC109  # of closing, not of the wait
        """
        Hand out nothing more, and close all connections, those in use when they are given back.

        Args:
            timeout: Seconds after which those that are still in use are cut off; None: never. So
                they are when this is cancelled.

        Returns:
            How many were closed in good order, how many were cut off, and how many of those were
            in use.

        Raises:
            WrongEventLoop: This is another event loop than that of the pool.
        """
        seconds = seconds_of(timeout)
        stock = self._stock
        is_here = stock is None or stock.is_here()
        self._is_closed = True
        if stock is None:
            return PoolReport(0, 0, 0)
        if not is_here:
            abandon(stock)
        return await finish(stock, _CLOSED, seconds)

    async def __aenter__(self) -> Self:
        self._stocked().connector.want()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def stats(self) -> PoolStats:
        """
        Return what the pool has done so far.
        """
        counts, options, stock = self._counts, self._options, self._stock
        size = idle = leased = waiting = connecting = resetting = 0
        waited = timeouts = cancelled = 0
        wait = 0.0
        if stock is not None:
            size, idle, leased, waiting = stock.sizes()
            connecting, resetting = len(stock.connector.active), stock.resetting
            *_, waited, _, timeouts, cancelled, wait = stock.line._stats()
        return PoolStats(
            size=size,
            idle=idle,
            leased=leased,
            connecting=connecting,
            resetting=resetting,
            waiting=waiting,
            min_size=options.min_size,
            max_size=options.max_size,
            waited=counts.waited + waited,
            timeouts=counts.timeouts + timeouts,
            cancelled=counts.cancelled + cancelled,
            wait_seconds=counts.wait_seconds + wait,
            **{each: getattr(counts, each) for each in _COUNTED},
        )

    def __repr__(self) -> str:
        stats = self.stats()
        name = "" if self._name is None else f", name={self._name!r}"
        state = "closed" if self.closed else f"{stats.leased} of {stats.size} in use"
        return f"{type(self).__name__}({state}, max_size={stats.max_size}{name})"

    # --- for leases -------------------------------------------------------------------------------

    def _stocked(self) -> Stock[C]:
        """Return what there is on the running loop."""
        if self._is_closed:
            raise ClosedError(_CLOSED)
        loop, stock = get_running_loop(), self._stock
        if stock is not None:
            if stock.loop is loop:
                return stock
            if not stock.loop.is_closed():
                raise WrongEventLoop("the pool is in use on another event loop, make another")
            self._note(stock)
            abandon(stock)
        self._stock = stock = Stock(self._options, self._counts, loop, self._timer)
        return stock

    def _note(self, stock: Stock[C]) -> None:
        """Keep what a line has counted that is no more."""
        counts = self._counts
        *_, waited, _, timeouts, cancelled, wait = stock.line._stats()
        counts.waited += waited
        counts.timeouts += timeouts
        counts.cancelled += cancelled
        counts.wait_seconds += wait

    def _begin_anew(self) -> object:
        """Leave the connections to the parent of this process."""
        stock, self._stock = self._stock, None
        return stock


_CLOSED = "the pool is closed"

#: What the statistics show as it was counted.
_COUNTED = tuple(
    each
    for each in Counts.__slots__
    if each not in {"waited", "timeouts", "cancelled", "wait_seconds"}
)

_components.describe("pool", PoolStats, POOL_FIELDS)
