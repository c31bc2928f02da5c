"""The one thread of the process that reads resources, and lets limits follow them."""

from __future__ import annotations

import atexit
import logging
import os
from contextlib import suppress
from contextvars import Context
from itertools import count
from queue import Empty, SimpleQueue
from threading import Thread, current_thread
from time import monotonic
from typing import TYPE_CHECKING, Protocol
from weakref import ref

from penstock.flow._resources import Resources

if TYPE_CHECKING:
    from penstock.flow._resources import ResourceReading

__all__ = ["Sampler", "Steps", "enlist"]

logger = logging.getLogger("penstock.flow")

_THREAD_NAME = "penstock-resources"

#: Longest wait in seconds: some platforms refuse to wait for very long ones.
_LONGEST_WAIT = 3600.0

#: Seconds for which the end of the program waits for a reading that is under way.
_PATIENCE = 1.0


class Sampler(Protocol):
    """What reads resources: `Resources`, or something of a test."""

    def read(self) -> ResourceReading:
        """Return what is in use now."""
        ...


class Steps(Protocol):
    """What is to be told of each reading."""

    @property
    def interval(self) -> float:
        """Seconds between readings."""
        ...

    @property
    def sampler(self) -> Sampler | None:
        """What reads; None for one that all share that have the same interval."""
        ...

    def step(self, reading: ResourceReading) -> int:
        """Follow a reading."""
        ...


class _Entry:
    """Something to step for as long as its owner lives."""

    __slots__ = ("due", "has_failed", "key", "owner", "steps")

    def __init__(self, owner: object, steps: Steps) -> None:
        # Never used again, unlike an id.
        self.key = next(_keys)
        self.owner = ref(owner, self._forget)
        self.steps = steps
        self.due = _next(monotonic(), steps.interval)
        self.has_failed = False

    def _forget(self, _: object) -> None:
        """The owner died. This runs wherever that happens: it must not take a lock."""
        stepper = _running.get(_THE)
        if stepper is not None and stepper.entries.pop(self.key, None) is not None:
            stepper.wakes.put(None)


class _Stepper:
    """The thread, and what it steps."""

    __slots__ = ("_shared", "entries", "is_stopping", "thread", "wakes")

    def __init__(self) -> None:
        self.entries: dict[int, _Entry] = {}
        # Unlike an Event it may be put into by a finalizer that interrupts whoever is at it.
        self.wakes: SimpleQueue[None] = SimpleQueue()
        self.is_stopping = False
        self._shared: dict[float, Resources] = {}
        self.thread = Thread(target=self._run, name=_THREAD_NAME, daemon=True)

    def start(self) -> None:
        """Begin; the thread ends by itself when there is nothing left to step."""
        # In a context of its own: that of the caller may hold a whole request.
        Context().run(self.thread.start)

    def stop(self) -> None:
        """End soon, whatever is left."""
        self.is_stopping = True
        self.wakes.put(None)

    def _run(self) -> None:
        while not self.is_stopping:
            wait = self._round()
            if wait is None:
                _retire(self)
                break
            with suppress(Empty):
                self.wakes.get(timeout=min(wait, _LONGEST_WAIT))

    def _round(self) -> float | None:
        """Step what is due; return the seconds until something is, None if nothing is left."""
        now = monotonic()
        readings: dict[int, ResourceReading] = {}
        for key, entry in list(self.entries.items()):
            if entry.owner() is None:
                self.entries.pop(key, None)
            elif entry.due <= now:
                self._step(entry, readings)
                entry.due = _next(monotonic(), entry.steps.interval)
        soonest = min((entry.due for entry in list(self.entries.values())), default=None)
        return None if soonest is None else max(soonest - monotonic(), 0.0)

    def _sampler_for(self, interval: float) -> Sampler:
        sampler = self._shared.get(interval)
        if sampler is None:
            sampler = self._shared[interval] = Resources()
        return sampler

    def _step(self, entry: _Entry, readings: dict[int, ResourceReading]) -> None:
        steps = entry.steps
        try:
            sampler = steps.sampler or self._sampler_for(steps.interval)
            # The rates of a reading are those since the one before: of each sampler one in a round.
            reading = readings.get(id(sampler))
            if reading is None:
                reading = readings[id(sampler)] = sampler.read()
            steps.step(reading)
        except BaseException:  # what ends this step must not end the thread
            if not entry.has_failed:
                entry.has_failed = True
                logger.exception("%r cannot follow the resources; its limit stays", steps)


_THE = "stepper"

_keys = count()

# The one that runs. Every change is one operation on a dict: a limiter may be made or die within a
# finalizer, and a fork may come in between of anything.
_running: dict[str, _Stepper] = {}


def enlist(owner: object, steps: Steps) -> None:
    """
    Step *steps* every interval for as long as *owner* lives.

    Args:
        owner: Referred to weakly. *steps* must not refer to it strongly.
        steps: What is told of the readings.

    Raises:
        RuntimeError: The thread cannot be started.
    """
    _enter(_Entry(owner, steps))


def _enter(entry: _Entry) -> None:
    while True:
        stepper = _running.get(_THE)
        if stepper is None:
            fresh = _Stepper()
            fresh.entries[entry.key] = entry
            stepper = _running.setdefault(_THE, fresh)
            if stepper is fresh:
                break
        stepper.entries[entry.key] = entry
        stepper.wakes.put(None)
        if _running.get(_THE) is stepper:
            return  # should it retire now, it sees the entry
    try:
        stepper.start()
    except BaseException:
        _running.pop(_THE, None)
        raise


def _retire(stepper: _Stepper) -> None:
    """Let the thread end, and hand over what came in the meantime."""
    if _running.get(_THE) is stepper:
        del _running[_THE]
    for entry in list(stepper.entries.values()):
        _enter(entry)


def _next(now: float, interval: float) -> float:
    """Return the next of the moments that all have in common that have the same interval."""
    return (now // interval + 1) * interval


def _in_fork() -> None:
    """Go on in the child, where the thread does not exist."""
    stepper = _running.pop(_THE, None)
    entries = [] if stepper is None else list(stepper.entries.values())
    for entry in entries:
        if entry.owner() is not None:
            with suppress(RuntimeError):  # no thread to be had: limits stay as they are
                _enter(entry)


def _at_exit() -> None:
    # A daemon thread that is in the middle of something can crash the interpreter's end.
    stepper = _running.pop(_THE, None)
    if stepper is not None and stepper.thread is not current_thread():
        stepper.stop()
        stepper.thread.join(_PATIENCE)


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_fork)
