"""Single flight: threads that miss the same key share one load."""

import os
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar, cast

from penstock._pure.convert import Ttl
from penstock._pure.engine import Engine, Place
from penstock._pure.entry import Entry, Victims
from penstock._pure.flight import Flight, Load

__all__ = ["abandon", "begin", "commit", "get_or_load", "seconds_ns", "set_recursive_load"]

K = TypeVar("K")
V = TypeVar("V")


class _Waits:
    """Which load each blocked thread waits for: one graph over all caches, to see every cycle."""

    __slots__ = ("error", "loads", "lock")

    def __init__(self) -> None:
        self.error: type[Exception] = RuntimeError
        self.renew()

    def renew(self) -> None:
        """In a forked child: no other thread waits."""
        self.lock = threading.RLock()
        self.loads: dict[int, Load] = {}


_waits = _Waits()


def set_recursive_load(cls: type[Exception], /) -> None:
    """
    Set the class of the error raised by a load that would wait for itself.

    Args:
        cls: Its class, called with the message; RuntimeError until it is set.
    """
    _waits.error = cls


def begin(engine: Engine[K, V], key: K, hashed: int, *, supersede: bool) -> Flight:
    """Register interest in a load of the key."""

    def act(place: Place[K, V]) -> Flight:
        flight = place.flight
        if supersede:
            engine.guard.invalidate(flight)
            flight = None
        return engine.guard.join(flight, place.flights, key, hashed)

    return engine.locked(key, hashed, act)


def commit(engine: Engine[K, V], flight: Flight, value: V, ns: int, ttl: Ttl) -> bool:
    """Count a load, store its value if it still may be, and release the flight."""
    out: Victims[K, V] = []
    stored = _commit(engine, flight, None, value, ns, ttl, out)
    engine.report(out)
    return stored


def abandon(engine: Engine[K, V], flight: Flight, ns: int | None, run: Load | None = None) -> None:
    """Release the flight, and count a failed load if its duration is given."""
    with engine.guard.lock:
        if ns is not None:
            engine.table.counters.load_failures += 1
            engine.table.counters.load_ns += ns
        engine.guard.leave(flight, run)


def get_or_load(engine: Engine[K, V], key: K, hashed: int, load: Callable[[], V], ttl: Ttl) -> V:
    """The value of a key that was just missed: from this thread's load or from another's."""
    while True:
        found, flight, run = _enter(engine, key, hashed)
        if found is not None:
            return found[0]
        try:
            if flight is not None:
                return _lead(engine, flight, run, load, ttl)
            _wait(key, run)
            if run.error is None:
                return cast("V", run.value)
            if isinstance(run.error, Exception):
                raise run.error
        finally:
            # An exception refers to this frame: do not refer back to it.
            del run


def seconds_ns(seconds: float) -> int:
    """Convert a measured duration."""
    return max(0, int(seconds * 1e9))


def _enter(
    engine: Engine[K, V], key: K, hashed: int
) -> tuple[tuple[V] | None, Flight | None, Load]:
    """Look again, uncounted; else lead a load of the key (with a flight) or join another's."""
    now = engine.now()
    mine = Load()

    def act(place: Place[K, V]) -> tuple[tuple[V] | None, Flight | None, Load]:
        entry = place.entry
        if entry is not None and entry.deadline > now:
            engine.table.use(entry, now)
            return (entry.value,), None, mine
        flight = place.flight
        if flight is not None and flight.load is not None:
            return None, None, flight.load
        flight = engine.guard.join(flight, place.flights, key, hashed)
        flight.load = mine
        return None, flight, mine

    return engine.locked(key, hashed, act)


def _lead(engine: Engine[K, V], flight: Flight, run: Load, load: Callable[[], V], ttl: Ttl) -> V:
    began: int | None = None
    out: Victims[K, V] = []
    try:
        try:
            began = engine.clock.now()
            value = load()
            ns = engine.clock.now() - began
        except BaseException:
            _fail(engine, flight, run, began)
            raise
        _commit(engine, flight, run, value, ns, ttl, out)
    except BaseException as error:
        run.finish(None, error)
        raise
    else:
        run.finish(value)
    finally:
        del run
    engine.report(out)
    return value


def _fail(engine: Engine[K, V], flight: Flight, run: Load, began: int | None) -> None:
    if began is None:
        abandon(engine, flight, None, run)
        return
    ns = 0
    # The load's own error matters more than what a timer has to say.
    with suppress(Exception):
        ns = engine.clock.now() - began
    abandon(engine, flight, ns, run)


def _commit(
    engine: Engine[K, V],
    flight: Flight,
    run: Load | None,
    value: V,
    ns: int,
    ttl: Ttl,
    out: Victims[K, V],
) -> bool:
    try:
        return flight.valid and _store(engine, flight, value, ttl, out)
    finally:
        with engine.guard.lock:
            engine.table.counters.loads += 1
            engine.table.counters.load_ns += ns
            engine.guard.leave(flight, run)


def _store(engine: Engine[K, V], flight: Flight, value: V, ttl: Ttl, out: Victims[K, V]) -> bool:
    key = cast("K", flight.key)
    life = engine.ttl_ns(ttl)
    weight = engine.weigh(key, value)
    maxsize = engine.table.maxsize
    if maxsize is not None and weight > maxsize:
        return False
    now = engine.now(life)
    entry = Entry(key, flight.hashed, value, weight)
    entry.fixed = engine.deadline(life, now)

    def act(place: Place[K, V]) -> bool:
        if flight.valid:
            engine.table.put(place.entry, place.chain, entry, now, out)
        return flight.valid

    return engine.locked(key, flight.hashed, act)


def _wait(key: object, run: Load) -> None:
    """Wait for another thread's load, unless that would never end."""
    me = threading.get_ident()
    if run.leader == me:
        raise _waits.error(f"key {key!r} is already being loaded by this thread")
    with _waits.lock:
        circular = _leads_to(me, run)
        # Only a signal handler that loads while its thread waits finds an earlier one.
        before = _waits.loads.get(me)
        if not circular:
            _waits.loads[me] = run
    if circular:
        raise _waits.error(f"loading key {key!r} would wait for itself")
    try:
        run.done.wait()
    finally:
        with _waits.lock:
            _waits.loads.pop(me, None)
            if before is not None:
                _waits.loads[me] = before


def _leads_to(thread: int, run: Load | None) -> bool:
    """Whether whoever runs the load waits, over any number of others, for this thread."""
    while run is not None and not run.done.is_set():
        if run.leader == thread:
            return True
        run = _waits.loads.get(run.leader)
    return False


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_waits.renew)
