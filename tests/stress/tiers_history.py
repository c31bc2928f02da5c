"""What several processes did to one cache, and whether what they have read can be true."""

from __future__ import annotations

import bisect
import json
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from math import inf
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Event", "History", "read_history"]


@dataclass(frozen=True)
class Event:
    """
    One operation of one process.

    Attributes:
        process: Who did it.
        kind: "get" | "load" | "set" | "delete" | "tags" | "patterns", "made" for a call of a
            loader, "passed" for a barrier.
        names: Keys, tags or patterns.
        start: When it began, by the clock that all processes of a machine share.
        end: When it was over; inf if it never was, since its process was killed.
        value: What was read, written or made. None: absent.
        tags: Those of what was written or made.
        ok: Whether it was acknowledged, where it says so.
    """

    process: int
    kind: str
    names: tuple[str, ...]
    start: float
    end: float = inf
    value: str | None = None
    tags: tuple[str, ...] = ()
    ok: bool = True

    @property
    def settled(self) -> float:
        """
        When what it gave was surely older than anything that began later.

        That is the end of a set. What a loader makes is as old as the beginning of its call: the
        result of one that began before an invalidation must not outlive that.
        """
        return self.start if self.kind == "made" else self.end

    def hits(self, key: str, tags: Iterable[str]) -> bool:
        """Whether it replaces or removes *key*, when that has *tags*."""
        if self.kind == "tags":
            return not set(self.names).isdisjoint(tags)
        if self.kind == "patterns":
            return any(fnmatchcase(key, pattern) for pattern in self.names)
        return key in self.names


class _Latest:
    """Of writes the latest beginning among those that had ended at some time."""

    def __init__(self, writes: Iterable[Event]) -> None:
        self._ends: list[float] = []
        self._best: list[Event] = []
        for write in sorted(writes, key=lambda each: each.end):
            last = self._best[-1] if self._best else write
            self._ends.append(write.end)
            self._best.append(max(last, write, key=lambda each: each.start))

    def before(self, when: float) -> Event | None:
        at = bisect.bisect_left(self._ends, when)
        return self._best[at - 1] if at else None


@dataclass
class History:
    """
    All that happened.

    Attributes:
        events: In any order.
        bound: Seconds after which an acknowledged write of another process is to be seen; None:
            after the next barrier that the reader has passed.
    """

    events: list[Event]
    bound: float | None = 0.0
    _latest: dict[tuple[object, ...], _Latest] = field(default_factory=dict)

    def problems(self) -> list[str]:
        """Return what cannot be true, in sentences; nothing if all is well."""
        self._sources = {
            (event.names[0], event.value): event
            for event in self.events
            if event.kind in {"set", "made"} and event.value is not None
        }
        self._writes = [
            event
            for event in self.events
            if event.kind in {"set", "delete", "tags", "patterns"} and event.end < inf
        ]
        self._passed: dict[int, list[Event]] = {}
        for event in sorted(self.events, key=lambda each: each.end):
            if event.kind == "passed":
                self._passed.setdefault(event.process, []).append(event)
        reads = [event for event in self.events if event.kind in {"get", "load"}]
        self._alike: dict[tuple[object, ...], list[Event]] = {}
        for read in reads:
            self._alike.setdefault((read.process, read.names[0], read.value), []).append(read)
        return [problem for read in reads if (problem := self._problem(read))]

    def _problem(self, read: Event) -> str:
        if read.value is None:
            return ""
        source = self._sources.get((read.names[0], read.value))
        if source is None:
            return f"{_say(read)}: nobody has ever written that"
        if source.start > read.end:
            return f"{_say(read)}: before it was there, {_say(source)}"
        for own, when in ((True, read.start), (False, self._horizon(read))):
            write = self._writes_on(read.process, source, own=own).before(when)
            if write is not None and source.settled < write.start:
                whose = "its own" if own else "an acknowledged"
                return f"{_say(read)}: {_say(source)} is older than {whose} {_say(write)}"
        return ""

    def _horizon(self, read: Event) -> float:
        """Return the time up to which *read* has to know what others have done."""
        if self.bound is not None:
            # Who joins a read or a load of his own process knows what was known when that began.
            same = self._alike[read.process, read.names[0], read.value]
            return (
                min(other.start for other in same if other.start <= read.start <= other.end)
                - self.bound
            )
        passed = self._passed.get(read.process, [])
        at = bisect.bisect_left(passed, read.start, key=lambda each: each.end)
        return passed[at - 1].start if at else -inf

    def _writes_on(self, process: int, source: Event, *, own: bool) -> _Latest:
        """Return the writes that count for a reader of what *source* gave."""
        name = (process, own, source.names[0], source.tags)
        found = self._latest.get(name)
        if found is None:
            found = self._latest[name] = _Latest(
                write
                for write in self._writes
                if (write.process == process if own else write.ok)
                and write.hits(source.names[0], source.tags)
            )
        return found


def _say(event: Event) -> str:
    what = event.value or ",".join(event.names)
    span = f"{event.start:.6f}..{event.end:.6f}"
    said = "" if event.ok else ", not acknowledged"
    return f"{event.kind} {event.names[0]}={what} by {event.process} ({span}{said})"


def read_history(paths: Iterable[Path]) -> list[Event]:
    """Return what processes have written down: a line when something begins, one when it ends."""
    events: list[Event] = []
    for path in paths:
        begun: dict[int, dict[str, Any]] = {}
        for line in path.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:  # its process was killed while it wrote
                continue
            number = entry.pop("n")
            begun.setdefault(number, {}).update(entry)
        for entry in begun.values():
            events.extend(_events_of(entry))
    return events


def _events_of(entry: dict[str, Any]) -> Iterable[Event]:
    found = entry.pop("found", None)
    names, tags = tuple(entry.pop("names")), tuple(entry.pop("tags", ()))
    if entry["kind"] in {"get", "load"}:
        # A read of many keys is as many reads.
        for name, value in (found or {}).items():
            yield Event(names=(name,), tags=tags, **{**entry, "value": value})
    else:
        yield Event(names=names, tags=tags, **entry)
