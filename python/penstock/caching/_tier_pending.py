"""The changes that a store has missed: the newest of each name, in bounded memory."""

from __future__ import annotations

import logging
from operator import attrgetter
from typing import TYPE_CHECKING, Final

from penstock.stores._rules import Rules
from penstock.stores._store import Change

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from penstock.stores import Record
    from penstock.stores._store import Kind

__all__ = ["Pending"]

logger = logging.getLogger("penstock.caching")

_EVERYTHING: Final = "*"


class Pending:
    """
    Changes that a store has missed.

    Args:
        limit: How many are remembered; beyond, the store is to forget everything instead.
    """

    __slots__ = ("_limit", "_rules", "_what", "overflows", "queued", "removals")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        # "key", "tags" or "patterns", and the name; in the order in which they were noted.
        self._what: dict[tuple[str, str], Change] = {}
        # Of the patterns among them.
        self._rules: Rules | None = None
        #: How often something has left.
        self.removals = 0
        self.queued = 0
        self.overflows = 0

    def __len__(self) -> int:
        return len(self._what)

    def changes(self) -> list[Change]:
        """Return all of them, the oldest first."""
        return sorted(self._what.values(), key=attrgetter("at"))

    def note(self, kind: Kind, name: str, record: Record | None, at: float) -> None:
        """Note a change, unless there is a newer one."""
        what = (_group(kind), name)
        there = self._what.pop(what, None)
        if there is not None and there.at > at:
            self._what[what] = there
            return
        self._what[what] = Change(kind, (name,), record, at)
        self.queued += 1
        if kind == "patterns":
            self._rule(name)
        if len(self._what) > self._limit:
            self._overflow(at)

    def settle(self, kind: Kind, names: Iterable[str], at: float) -> None:
        """Forget what a change that the store has taken makes needless."""
        group = _group(kind)
        gone = [
            there
            for name in names
            if (there := self._what.get((group, name))) is not None and there.at <= at
        ]
        if gone:
            self.discard(gone)

    def discard(self, changes: Sequence[Change]) -> int:
        """Forget changes, unless newer ones have taken their places; return how many."""
        count = 0
        for change in changes:
            what = (_group(change.kind), change.names[0])
            if self._what.get(what) is change:
                del self._what[what]
                count += 1
        self.removals += 1
        if self._rules is not None:
            self._rules = None
            for group, name in self._what:
                if group == "patterns":
                    self._rule(name)
        return count

    def replace(self, old: Change, new: Change) -> None:
        """Put a change in the place of another one, unless a newer one has taken it."""
        what = (_group(old.kind), old.names[0])
        if self._what.get(what) is old:
            self._what[what] = new

    def hides(self, key: str, tags: Sequence[str] = ()) -> bool:
        """Whether what the store has of *key* may be what a missed change has made invalid."""
        what = self._what
        if ("key", key) in what or (self._rules is not None and self._rules.newest(key) > 0):
            return True
        return any(("tags", tag) in what for tag in tags)

    def outdates(self, key: str, record: Record) -> bool:
        """Whether what a nearer store has of *key* may be from before a missed change."""
        change = self._what.get(("key", key))
        if change is not None and change.record is not None:
            # Its birth tells whether it is what was set, as do its times and tags.
            return change.record[1:5] != record[1:5]
        return self.hides(key, record.tags)

    def _rule(self, pattern: str) -> None:
        if self._rules is None:
            self._rules = Rules()
        self._rules.add(pattern, 1)

    def _overflow(self, at: float) -> None:
        """Remember nothing but that everything has to go."""
        logger.warning("more than %d changes missed: all will be forgotten", self._limit)
        at = max(at, *(change.at for change in self._what.values()))
        self._what.clear()
        self._rules = None
        self.overflows += 1
        self._what["patterns", _EVERYTHING] = Change("patterns", (_EVERYTHING,), None, at)
        self._rule(_EVERYTHING)


def _group(kind: Kind) -> str:
    """Return among which names a change belongs: a newer one there makes it needless."""
    return "key" if kind in {"set", "delete"} else kind
