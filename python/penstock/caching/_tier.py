"""A store as a tier of a cache: bounded in time, left alone while it fails, and made up for it."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from penstock.caching._tier_breaker import REFUSED
from penstock.caching._tier_changes import TierChanges
from penstock.errors import StoreError
from penstock.stores._store import Grant, Leasing, Reading

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Callable, Sequence

    from penstock.caching._tier_call import Call
    from penstock.stores import Record

__all__ = ["Tier"]

_NO_LEASE: Final = Grant(0)


class Tier(TierChanges):
    """
    A store behind a cache, that neither fails nor keeps anybody waiting for long.

    What is asked of it is answered within *timeout*: if the store does not, by "nothing there", or
    "not done". A change that the store has missed is replayed when it answers again; until then
    what it has of these keys, tags and patterns is not served. Changes are made one after another;
    who gives one up does not undo it.

    Args:
        store: The store.
        timeout: Seconds (or a timedelta) for each call.
        failures: Failures in a row at which the circuit breaker opens.
        failure_rate: Share of failures at which it opens too.
        min_calls: Of at least so many calls.
        window: In so many seconds.
        open_for: Seconds until it lets one call through on trial.
        max_open_for: Seconds, when that fails again and again.
        max_pending: Missed changes that are remembered; beyond, the store forgets everything.
        backoff: Seconds: the shortest and the longest of the pauses between two attempts to replay.
        keep_sets: Seconds after which a missed value is no longer replayed, but deleted.
        timer: Monotonic clock.
        clock: Wall clock.
        moment: The clock of `Change.at`, which stores know: ``time.monotonic``.
        name: Under which metrics show it.

    Cost: a task and a timer for each call. One event loop; a closed one is replaced.
    """

    __slots__ = ()

    # --- reading ----------------------------------------------------------------------------------

    async def read(self, keys: Sequence[str]) -> Reading | None:
        """
        Ask for *keys*.

        Args:
            keys: One or more.

        Returns:
            What is there and may be served, and the clock; None if the store did not tell.

        Cost: some 15 us beside what the store takes, for all keys together.
        """
        removals = self._removals()
        lease = self._begin()
        if lease == REFUSED:
            return None
        call: Call[Reading] = self._call(partial(self._end_read, lease), self._store.get_many, keys)
        try:
            await call.waiter
        except asyncio.CancelledError:
            call.give_up()
            raise
        return None if call.error is not None else self._served(keys, call.result, removals)

    def ask(self, keys: Sequence[str], answered: Callable[[Reading | None], None]) -> bool:
        """
        Ask for *keys* now, without a task and a timer, if the store can be asked so.

        Args:
            keys: One or more.
            answered: Called once, from the loop, with what `read` would return; not before this
                has returned.

        Returns:
            Whether it is asked. If not, nothing was done, and `read` does it.

        Cost: some 2 us beside what the store takes, for all keys together.
        """
        ask_many = self._ask_many
        if ask_many is None:
            return False
        lease = self._begin()
        if lease == REFUSED:
            asyncio.get_running_loop().call_soon(answered, None)
            return True
        removals, at = self._removals(), self._timer()
        try:
            is_asked = ask_many(keys, partial(self._answer, keys, answered, lease, removals, at))
        except Exception as error:
            self._breaker.end(lease, "failure")
            self._fail(error)
            return False
        if not is_asked:
            self._breaker.end(lease, "ignored")
        return is_asked

    def _answer(
        self,
        keys: Sequence[str],
        answered: Callable[[Reading | None], None],
        lease: int,
        removals: int,
        at: float,
        reading: Reading | None,
        error: BaseException | None,
    ) -> None:
        """Pass on what the store has answered."""
        self._counts.reads += 1
        self._counts.read_seconds += self._timer() - at
        if error is not None or reading is None:
            self._breaker.end(lease, "failure" if isinstance(error, Exception) else "ignored")
            if error is not None:
                self._fail(error)
            answered(None)
        else:
            self._breaker.end(lease, "success")
            answered(self._served(keys, reading, removals))

    def _served(self, keys: Sequence[str], reading: Reading, removals: int) -> Reading | None:
        """Return what may be served of an answer, and count it."""
        if len(reading.records) != len(keys):
            self._fail(StoreError(f"{len(reading.records)} answers for {len(keys)} keys"))
            return None
        if self._removals() != removals:
            # The answer may be older than what was made up for since it was asked for.
            self._counts.hidden += len(reading.records) - reading.records.count(None)
            reading = Reading([None] * len(reading.records), reading.base)
        elif not self._is_whole():
            reading = self._shown(keys, reading)
        self._count(reading.records)
        return reading

    def _shown(self, keys: Sequence[str], reading: Reading) -> Reading:
        """Return what may be served before the store has got what it missed."""
        self._recover()
        hides = self._hides
        records = [
            None if record is None or hides(key, record) else record
            for key, record in zip(keys, reading.records, strict=True)
        ]
        self._counts.hidden += records.count(None) - reading.records.count(None)
        return Reading(records, reading.base)

    def _count(self, records: list[Record | None]) -> None:
        """Count what is fresh, and all else as missing."""
        now, hits = self._clock(), 0
        for record in records:
            if record is not None and (record.ttl is None or now - record.born < record.ttl):
                hits += 1
        self._counts.hits += hits
        self._counts.misses += len(records) - hits

    def _end_read(self, lease: int, call: Call[Reading]) -> None:
        self._counts.reads += 1
        self._counts.read_seconds += self._timer() - call.at
        self._end_call(lease, call)

    # --- leases -----------------------------------------------------------------------------------

    async def acquire(self, key: str, seconds: float) -> Grant:
        """
        Ask for the lease of *key*.

        Args:
            key: A key.
            seconds: For how long.

        Returns:
            What the store says; without a token and with nothing to wait for if it does not.
        """
        store = self._store
        if not isinstance(store, Leasing):
            return _NO_LEASE
        lease = self._begin()
        if lease == REFUSED:
            return _NO_LEASE
        call = self._call(partial(self._end_refusable, lease), store.acquire, key, seconds)
        task = call.task
        if task is not None:
            task.add_done_callback(partial(self._return_late, key, call))
        try:
            await call.waiter
        except asyncio.CancelledError:
            if call.task is None and call.error is None:
                self._return(key, call.result)
            raise
        return _NO_LEASE if call.error is not None else call.result

    def _return_late(self, key: str, call: Call[Grant], task: Task[Grant | None]) -> None:
        """Give a lease back that came when nobody waited for it any more."""
        is_late = call.error is not None or call.waiter.cancelled()
        if is_late and not task.cancelled() and task.exception() is None:
            self._return(key, task.result())

    def _return(self, key: str, grant: Grant | None) -> None:
        if grant is not None and grant.token:
            self._begin_release(key, grant.token)

    async def released(self, key: str, timeout: float) -> None:  # noqa: ASYNC109  # of the store
        """
        Wait until the lease of *key* is free, or for *timeout* seconds, or until the store fails.

        Args:
            key: A key.
            timeout: Seconds.
        """
        store = self._store
        if isinstance(store, Leasing):
            call = self._call(None, store.released, key, timeout, timeout=max(0.0, timeout))
            try:
                await call.waiter
            except asyncio.CancelledError:
                call.give_up()
                raise

    async def release(self, key: str, token: int) -> None:
        """
        Give the lease of *key* back; one that the store does not get back ends by itself.

        Args:
            key: A key.
            token: That of the grant.
        """
        call = self._begin_release(key, token)
        if call is not None:
            await call.waiter

    def _begin_release(self, key: str, token: int) -> Call[None] | None:
        store = self._store
        lease = self._begin() if isinstance(store, Leasing) else REFUSED
        if lease == REFUSED or not isinstance(store, Leasing):
            return None
        return self._write(partial(self._end_write, lease), store.release, key, token)
