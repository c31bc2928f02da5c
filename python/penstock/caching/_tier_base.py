"""What all calls of a tier have in common: whether, for how long, and what is counted of them."""

from __future__ import annotations

import asyncio
import logging
import time
from math import inf
from typing import TYPE_CHECKING, Any, Final, TypeAlias, TypeVar

from penstock import _components
from penstock._backend import duration
from penstock.caching._tier_breaker import REFUSED, TierBreaker
from penstock.caching._tier_call import Call
from penstock.caching._tier_pending import Pending
from penstock.caching._tier_recovery import Recovery
from penstock.caching._tier_stats import TIER_FIELDS, Counts, TierStats
from penstock.errors import StoreError, StoreTimeout, StoreUnavailable
from penstock.stores._store import Leasing, Notifying

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import timedelta

    from penstock.caching._tier import Tier
    from penstock.flow import CircuitBreaker
    from penstock.stores import Change, Reading, Store

__all__ = ["TierBase"]

logger = logging.getLogger("penstock.caching")

T = TypeVar("T")

#: Of a store: tells whether it will call the second argument, with an answer or an error.
AskMany: TypeAlias = (
    "Callable[[Sequence[str], Callable[[Reading | None, BaseException | None], None]], bool]"
)

#: What says that a store does not want something, and what that it does not answer.
_REFUSALS: Final = (StoreError, TypeError, ValueError)
_FAILURES: Final = (StoreTimeout, StoreUnavailable)


#: What is changed by one call at most; and if that takes too long, again and again.
_MOST: Final = 1000
_LEAST: Final = 16


class TierBase:
    """
    A store, its circuit breaker, its figures, and what it has missed.
    """

    __slots__ = (
        "__weakref__",
        "_ask_many",
        "_behind",
        "_breaker",
        "_clock",
        "_counts",
        "_is_closed",
        "_loop",
        "_moment",
        "_nearer",
        "_pending",
        "_recovery",
        "_size",
        "_store",
        "_takes_encoded",
        "_timeout",
        "_timer",
        "_writes",
        "encode",
        "leasing",
        "name",
        "notifying",
        "refused",
    )

    def __init__(
        self,
        store: Store,
        *,
        timeout: float | timedelta = 0.25,
        failures: int = 5,
        failure_rate: float = 0.5,
        min_calls: int = 10,
        window: float = 10.0,
        open_for: float = 2.0,
        max_open_for: float = 5.0,
        max_pending: int = 10_000,
        backoff: tuple[float, float] = (0.1, 5.0),
        keep_sets: float = 60.0,
        timer: Callable[[], float] = time.monotonic,
        clock: Callable[[], float] = time.time,
        moment: Callable[[], float] = time.monotonic,
        name: str | None = None,
    ) -> None:
        self._store = store
        #: ``encode(key, record)`` of the store; without a call between, since every set has it.
        self.encode = store.encode
        self._timeout = duration("timeout", timeout)
        self._timer = timer
        self._clock = clock
        self._moment = moment
        self._counts = Counts()
        self._is_closed = False
        self._loop: AbstractEventLoop | None = None
        # Changes that have not ended: who asked for them may be gone.
        self._writes: set[Call[Any]] = set()
        #: Under which metrics show it.
        self.name = name
        #: Whether the store has leases, and whether it tells what other processes change.
        self.leasing = isinstance(store, Leasing)
        self.notifying = isinstance(store, Notifying)
        #: How many fills the store has refused: something newer is there.
        self.refused = 0
        self._ask_many = _prompt(store, self._timeout)
        #: How much is changed by one call: less if it took too long.
        self._size = _MOST
        self._takes_encoded: bool = getattr(store, "takes_encoded", False)
        self._breaker = TierBreaker(
            in_a_row=failures,
            failure_rate=failure_rate,
            min_calls=min_calls,
            window=window,
            open_for=open_for,
            max_open_for=max_open_for,
            trial_timeout=2.0 * self._timeout,
            on_change=self._changed,
            timer=timer,
        )
        self._pending = Pending(max_pending)
        self._nearer: Sequence[Tier] = ()
        #: What the stores behind this one have missed.
        self._behind: Sequence[Pending] = ()
        self._recovery = Recovery(
            store,
            self._probe,
            self._pending,
            backoff=backoff,
            keep_sets=keep_sets,
            timer=moment,
            clock=clock,
            pass_on=self._pass_on,
            done=self._recovered,
        )
        _components.enter(self)

    @property
    def store(self) -> Store:
        """
        The store.
        """
        return self._store

    @property
    def closed(self) -> bool:
        """
        Whether it asks the store for nothing any more.
        """
        return self._is_closed

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._store.name!r}, state={self._breaker.state!r})"

    def stats(self) -> TierStats:
        """
        Return what it has done so far.
        """
        counts, pending = self._counts, self._pending
        breaker = self._breaker.stats()
        return TierStats(
            name=self._store.name,
            state=breaker.state,
            reads=counts.reads,
            hits=counts.hits,
            misses=counts.misses,
            hidden=counts.hidden,
            sets=counts.sets,
            fills=counts.fills,
            deletes=counts.deletes,
            invalidations=counts.invalidations,
            errors=counts.errors,
            timeouts=counts.timeouts,
            refused=breaker.rejected,
            opened=breaker.opened,
            pending=len(pending),
            queued=pending.queued,
            replayed=self._recovery.replayed,
            overflows=pending.overflows,
            undecodable=getattr(self._store.stats(), "undecodable", 0),
            read_seconds=counts.read_seconds,
            write_seconds=counts.write_seconds,
            last_error=counts.last_error,
        )

    async def aclose(
        self,
        timeout: float = 1.0,  # noqa: ASYNC109  # of a part of it
        *,
        close_store: bool = False,
    ) -> None:
        """
        Wait for what is being changed, try once more to replay what was missed, and stop.

        Args:
            timeout: Seconds for the replay.
            close_store: Whether to close the store as well.
        """
        await self._recovery.stop()
        self._adopt(asyncio.get_running_loop())
        while self._writes:  # none takes longer than a call may
            await asyncio.wait([call.ended() for call in self._writes])
        if self._pending and not self._is_closed:
            attempt = asyncio.ensure_future(self._recovery.attempt())
            try:
                await asyncio.wait([attempt], timeout=timeout)
            finally:
                attempt.cancel()
            await asyncio.wait([attempt])
        self._is_closed = True
        await self._recovery.stop()
        if close_store:
            await self._probe(self._store.aclose)

    def begin_anew(self) -> object:
        """
        Leave what is under way to the parent, in a forked process.

        Returns:
            What must not be finalized here.
        """
        writes, self._writes = self._writes, set()
        return writes, self._recovery.begin_anew()

    # --- calls ------------------------------------------------------------------------------------

    def _begin(self) -> int:
        """Return a lease of the circuit breaker for a call, or REFUSED."""
        return REFUSED if self._is_closed else self._breaker.begin()

    def _call(
        self,
        settle: Callable[[Call[T]], object] | None,
        function: Callable[..., Awaitable[T]],
        *args: object,
        timeout: float | None = None,
    ) -> Call[T]:
        """Begin a call."""
        call = self._made(settle, timeout)
        call.begin(function, args)
        return call

    def _made(
        self, settle: Callable[[Call[T]], object] | None, timeout: float | None = None
    ) -> Call[T]:
        """Return a call that is to begin now."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._adopt(loop)
        call = Call(loop, self._timeout if timeout is None else timeout, settle)
        call.at = self._timer()
        return call

    def _adopt(self, loop: AbstractEventLoop) -> None:
        """Go on in another loop than before: what was being changed there may not be."""
        self._loop = loop
        for call in [call for call in self._writes if call.loop is not loop]:
            call.abandon()

    def _write(
        self,
        settle: Callable[[Call[T]], object],
        function: Callable[..., Awaitable[T]],
        *args: object,
    ) -> Call[T]:
        """Begin a call that goes on whatever becomes of who asked for it."""
        call = self._made(settle)
        self._writes.add(call)
        call.begin(function, args)
        return call

    def _end_call(self, lease: int, call: Call[Any]) -> None:
        """Count what became of a call."""
        error = call.error
        if error is None:
            self._breaker.end(lease, "success")
        elif isinstance(error, Exception):
            self._breaker.end(lease, "failure")
            self._fail(error)
        else:  # given up: that says nothing about the store
            self._breaker.end(lease, "ignored")

    def _end_write(self, lease: int, call: Call[Any]) -> None:
        """Count what became of a call that changes something."""
        self._writes.discard(call)
        self._counts.write_seconds += self._timer() - call.at
        if isinstance(call.error, StoreTimeout):
            self._size = max(_LEAST, self._size // 2)
        elif call.error is None and self._size < _MOST:
            # Slowly: each time it is too much again, some of it is missed.
            self._size = min(_MOST, self._size + 1 + self._size // 32)
        self._end_refusable(lease, call)

    def _end_refusable(self, lease: int, call: Call[Any]) -> None:
        """Count what became of a call that a store may refuse though it is well."""
        error = call.error
        if isinstance(error, _REFUSALS) and not isinstance(error, _FAILURES):
            # A store that takes no writes now, or not this one, can be read all the same.
            self._breaker.end(lease, "ignored")
            self._fail(error)
        else:
            self._end_call(lease, call)

    def _fail(self, error: BaseException) -> None:
        counts = self._counts
        counts.errors += 1
        counts.timeouts += isinstance(error, StoreTimeout)
        # Not the error itself, which holds all that was there where it was raised.
        counts.last_error = f"{type(error).__name__}: {error}"

    async def _probe(
        self, function: Callable[..., Awaitable[object]], *args: object
    ) -> BaseException | None:
        """Call the store whatever the circuit breaker says, and return what it raised."""
        timeout = max(self._timeout, 1.0) if args else self._timeout
        call = self._call(None, function, *args, timeout=timeout)
        try:
            await call.waiter
        except asyncio.CancelledError:
            call.give_up()
            raise
        if call.error is not None:
            self._fail(call.error)
        return call.error

    def _changed(self, _breaker: CircuitBreaker, _old: str, new: str) -> None:
        if new == "open":
            logger.warning("%s is left alone: %s", self._store.name, self._counts.last_error)
        elif new == "closed":
            logger.info("%s is asked again", self._store.name)

    # --- what was missed --------------------------------------------------------------------------

    async def _pass_on(self, changes: list[Change]) -> None:
        """Remove from the tiers in front what may have come there from this one."""
        names: dict[str, list[str]] = {"keys": [], "tags": [], "patterns": []}
        for change in changes:
            names.get(change.kind, names["keys"]).extend(change.names)
        for tier in reversed(self._nearer):
            await tier.delete(names["keys"])
            await tier.invalidate(names["tags"], names["patterns"])

    def _recovered(self) -> None:
        """Ask the store again: it has taken all that it missed."""
        if self._breaker.state != "closed":
            self._breaker.reset()


def _prompt(store: Store, timeout: float) -> AskMany | None:
    """Return how to ask a store without a task, if that is bounded as well as with one."""
    ask_many: AskMany | None = getattr(store, "ask_many", None)
    return ask_many if getattr(store, "timeout", inf) <= timeout else None


_components.describe("cache_tier", TierStats, TIER_FIELDS)
