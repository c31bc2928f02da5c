"""Reads of a cache in tiers: those of one tick ask each store once."""

from __future__ import annotations

import logging
from asyncio import CancelledError, _get_running_loop
from collections import deque
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from penstock.caching._tiered_fills import fill
from penstock.caching._tiered_pending import Pending, cut, refuse
from penstock.flow._deadline import ambient

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable
    from typing import Any

    from penstock.caching._tiered_core import Core
    from penstock.caching._tiered_flight import Flight
    from penstock.stores import Reading, Record

    #: The token of a key, then who waits for it: futures with what they get if it is not there, and
    #: loads.
    Waiters: TypeAlias = list[Any]
    Batch: TypeAlias = dict[str, Waiters]
    Hit: TypeAlias = Callable[[Flight, Record], object]
    Miss: TypeAlias = Callable[["Flight", list[int | None], "Record | None"], object]

__all__ = ["Reads"]

logger = logging.getLogger("penstock.caching")

#: Keys in one call.
_MOST: Final = 500
#: Calls that are begun at once for what one step of the event loop asks for.
_AT_ONCE: Final = 4


class _Search:
    """
    What is still missing of a batch.

    Args:
        keys: All of them.
        number: That of the read; see `Unwritten`.
    """

    __slots__ = ("bases", "keys", "number", "stale")

    def __init__(self, keys: list[str], number: int) -> None:
        self.keys = keys
        self.number = number
        #: The clocks of the tiers that were asked, None for those that did not answer.
        self.bases: list[int | None] = []
        #: What may serve as a fallback.
        self.stale: dict[str, Record] = {}

    def split(self, records: list[Record | None], now: float) -> list[tuple[str, Record]]:
        """Return what is fresh of what a tier has, and go on with the others."""
        found: list[tuple[str, Record]] = []
        missing: list[str] = []
        for key, record in zip(self.keys, records, strict=True):
            if record is None:
                missing.append(key)
            # As `Record.remaining` has it, which would cost as much as all the rest.
            elif (ttl := record.ttl) is None or (ttl > 0.0 and now - record.born < ttl):
                found.append((key, record))
            else:
                missing.append(key)
                there = self.stale.get(key)
                if there is None or there.born < record.born:
                    self.stale[key] = record
        self.keys = missing
        return found


class Reads:
    """
    Gathers what is asked for in one tick, and asks the tiers one after another.

    Args:
        core: That of the cache.
    """

    __slots__ = ("_asked", "_batch", "_core", "_hit", "_local", "_miss", "_prompt", "_rest")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._local = core.local
        #: What is to be read in the next step of the event loop.
        self._batch: Batch | None = None
        # What is being read, so that others can wait for it as well.
        self._asked: Batch = {}
        #: What is to be read when something else has been.
        self._rest: deque[Batch] = deque()
        #: What is being read without a task.
        self._prompt: dict[int, Batch] = {}
        core.bound.append(self._begin_anew)
        core.local.opened.append(self._oldest)

    def tell(self, hit: Hit, miss: Miss) -> None:
        """Say whom to tell what became of the keys that are to be loaded."""
        self._hit = hit
        self._miss = miss

    def get(self, key: str, default: object) -> Pending:
        """Return a future of the value of *key*."""
        core = self._core
        loop = _get_running_loop()
        if loop is None or loop is not core.loop or core.is_closing:
            loop = core.join()
        future = Pending(loop=loop)
        if key in core.writing and (own := self._own(key)) is not None:
            core.counts.tier_hits += 1
            future.set_result(own.value)
            return future
        due = ambient()
        if due is not None:
            cut(future, due)
        waiters = self._asked.get(key)
        if waiters is None or (waiters[0] != self._local.seq and not self._shared(key, waiters[0])):
            waiters = self._ask(key)
        waiters.append((future, default))
        return future

    def add(self, flight: Flight) -> None:
        """Look for the key of a load; it is told what came of that."""
        key = flight.key
        if key in self._core.writing and (own := self._own(key)) is not None:
            flight.token = self._local.seq
            self._hit(flight, own)
            return
        waiters = self._asked.get(key)
        if waiters is None or not self._shared(key, waiters[0]):
            waiters = self._ask(key)
        flight.token = waiters[0]
        waiters.append(flight)

    def _own(self, key: str) -> Record | None:
        """Return what is being set, and may not be in any store yet."""
        core = self._core
        record = core.unwritten.own(key)
        return record if record is not None and record.remaining(core.clock()) > 0.0 else None

    def _shared(self, key: str, token: int) -> bool:
        """Whether what is being read is still what somebody may see who asks now."""
        local = self._local
        # Of its tags nothing is known.
        if token == local.seq:
            return True
        return local._epoch <= token and local.valid(key, (), token)

    def _ask(self, key: str) -> Waiters:
        """Return who waits for a key that is read from now on."""
        batch = self._batch
        if batch is None:
            loop = self._core.loop
            assert loop is not None
            batch = self._batch = {}
            loop.call_soon(self._send)
        waiters = batch.get(key)
        if waiters is None:
            waiters = batch[key] = [0]
        # It is not read before the next step.
        waiters[0] = self._local.seq
        self._asked[key] = waiters
        return waiters

    def _send(self) -> None:
        batch, self._batch = self._batch, None
        if batch is None:
            return
        if len(batch) <= _MOST:
            self._read(batch)
            return
        items = iter(batch.items())
        while chunk := dict(islice(items, _MOST)):
            self._rest.append(chunk)
        for _ in range(_AT_ONCE):
            self._go_on()

    def _go_on(self) -> None:
        """Read some of what is too much to be read at once: each call has little time."""
        if self._rest:
            self._read(self._rest.popleft())

    def _read(self, batch: Batch) -> None:
        """Ask the nearest tier without a task, if it can be asked so."""
        core = self._core
        search = _Search(list(batch), core.unwritten.begin())
        if core.gate is None:
            self._prompt[id(batch)] = batch
            if core.tiers[0].ask(search.keys, partial(self._answered, batch, search)):
                return
            del self._prompt[id(batch)]
        self._spawn(batch, search)

    def _answered(self, batch: Batch, search: _Search, reading: Reading | None) -> None:
        """Give everybody what the nearest tier has, and go on with the others."""
        if self._prompt.pop(id(batch), None) is None:
            return  # closed meanwhile
        core = self._core
        try:
            self._look(batch, search, reading)
            if search.keys:
                if len(core.tiers) > 1:
                    self._spawn(batch, search)
                    return
                self._end(batch, search)
        except Exception as error:  # whoever has called is not to suffer from it
            self._go_without(batch, error)
        core.unwritten.close(search.number)
        self._go_on()

    def _spawn(self, batch: Batch, search: _Search) -> None:
        """Go on in a task."""
        task = self._core.spawn(self._run(batch, search))
        task.add_done_callback(partial(self._over, batch, search))

    def _over(self, batch: Batch, search: _Search, task: Task[None]) -> None:
        if task.cancelled():  # by the end of the loop, for example; be it before the first step
            self._cancel(batch, self._core.why())
        self._core.unwritten.close(search.number)
        self._go_on()

    async def _run(self, batch: Batch, search: _Search) -> None:
        """Ask one tier after another for what is still missing."""
        try:
            await self._fall(batch, search)
        except CancelledError:
            self._cancel(batch, self._core.why())
            raise
        except Exception as error:
            self._go_without(batch, error)

    def _go_without(self, batch: Batch, error: Exception) -> None:
        """Something is wrong, with a clock, say: whoever still waits goes without the stores."""
        logger.error("reading the stores of a TieredCache failed", exc_info=error)
        bases: list[int | None] = [None] * len(self._core.tiers)
        for key, waiters in batch.items():
            waiters[1:] = [waiter for waiter in waiters[1:] if _waits(waiter)]
            try:
                self._give_up(key, waiters, bases, None)
            except Exception as other:
                logger.exception("nobody could be told that %r is missing", key)
                self._cancel({key: waiters}, other)

    async def _fall(self, batch: Batch, search: _Search) -> None:
        core = self._core
        if core.gate is not None:
            await core.pass_gate()
        for tier in core.tiers[len(search.bases) :]:
            self._look(batch, search, await tier.read(search.keys))
            if not search.keys:
                return
        self._end(batch, search)

    def _look(self, batch: Batch, search: _Search, reading: Reading | None) -> None:
        """Give everybody what a tier has."""
        bases = search.bases
        if reading is None:
            bases.append(None)
            return
        unwritten, records = self._core.unwritten, reading.records
        if not unwritten.is_empty():
            sight, index = unwritten.sight, len(bases)
            records = [
                sight(index, key, record, batch[key][0])
                for key, record in zip(search.keys, records, strict=True)
            ]
        found = search.split(records, self._core.clock())
        if found:
            self._serve(batch, found)
            if bases:
                self._core.spawn(fill(self._core, found, bases.copy()))
        bases.append(reading.base)

    def _end(self, batch: Batch, search: _Search) -> None:
        """Tell everybody whose key no tier has."""
        for key in search.keys:
            self._give_up(key, batch[key], search.bases, search.stale.get(key))

    def _serve(self, batch: Batch, found: list[tuple[str, Record]]) -> None:
        """Give everybody what was found."""
        core, asked, options = self._core, self._asked, self._core.options
        fill_first = self._local.fill if core.has_l1 else None
        l1_ttl, jitter, after = options.l1_ttl, options.jitter, options.refresh_after
        writing = core.writing
        served = 0
        for key, record in found:
            waiters = batch[key]
            other = asked.pop(key, None)
            if other is not waiters and other is not None:
                asked[key] = other
            first = waiters[1]
            # Mostly one waits, for no load.
            if len(waiters) > 2 or type(first) is not tuple:
                served += self._serve_all(key, record, waiters)
                continue
            if fill_first is not None:
                fill_first(
                    key, record, waiters[0], l1_ttl=l1_ttl, jitter=jitter, refresh_after=after,
                    revoked=key in writing,
                )  # fmt: skip
            future = first[0]
            if not future.done():
                future.set_result(record.value)
                served += 1
        core.counts.tier_hits += served

    def _serve_all(self, key: str, record: Record, waiters: Waiters) -> int:
        """Give it to all who wait for a key; return how many reads they are."""
        options = self._core.options
        flights: list[Flight] = [waiter for waiter in waiters[1:] if type(waiter) is not tuple]
        if flights:
            options = flights[-1].options
        self._core.keep(key, record, waiters[0], options)
        for flight in flights:
            self._hit(flight, record)
        served = 0
        for waiter in waiters[1:]:
            if type(waiter) is tuple and not waiter[0].done():
                waiter[0].set_result(record.value)
                served += 1
        return served

    def _give_up(
        self, key: str, waiters: Waiters, bases: list[int | None], stale: Record | None
    ) -> None:
        """Tell everybody that nothing was found."""
        if self._asked.get(key) is waiters:
            del self._asked[key]
        each = iter(waiters)
        next(each)
        for waiter in each:
            if type(waiter) is tuple:
                future, default = waiter
                if not future.done():
                    future.set_result(default)
                    self._core.counts.misses += 1
            else:
                self._miss(cast("Flight", waiter), bases, stale)

    def close(self) -> None:
        """Wait for no answer any more."""
        left = [*self._prompt.values(), *self._rest]
        self._prompt.clear()
        self._rest.clear()
        for batch in left:
            self._cancel(batch, self._core.why())

    def is_asking(self) -> bool:
        """Whether somebody waits for a store to answer, without a task."""
        return bool(self._prompt)

    def is_idle(self) -> bool:
        """Whether everybody has been told."""
        return not self._batch and not self._prompt and not self._rest

    def _cancel(self, batch: Batch, error: Exception | None) -> None:
        for key, waiters in batch.items():
            if self._asked.get(key) is waiters:
                del self._asked[key]
            for waiter in waiters[1:]:
                if type(waiter) is tuple:
                    refuse(waiter[0], error)
                else:
                    waiter.cancel(error)

    def _oldest(self) -> int | None:
        """Return the oldest token of what is being read."""
        return min((waiters[0] for waiters in self._asked.values()), default=None)

    def _begin_anew(self, _: object) -> object:
        """Nobody waits any more who could be told something."""
        begun = self._batch, self._asked, self._prompt, self._rest
        self._batch = None
        self._asked = {}
        self._prompt = {}
        self._rest = deque()
        return begun


def _waits(waiter: Any) -> bool:
    """Whether nobody has told him whether it is there."""
    if type(waiter) is tuple:
        return not waiter[0].done()
    return not (waiter.ended or waiter.loading or hasattr(waiter, "bases"))
