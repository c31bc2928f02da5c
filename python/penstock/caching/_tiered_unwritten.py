"""What a process has changed and its stores may not have yet: it goes by it all the same."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

from penstock.stores._rules import Rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.caching._local import Local
    from penstock.caching._tiered_group import Group
    from penstock.stores import Record

__all__ = ["Unwritten"]


#: What tokens are subtracted from, so that of several patterns the oldest counts.
_TOP: Final = 1 << 62


class Unwritten:
    """
    What groups of writes on their way to the stores change, as those see it who read meanwhile.

    What a store answers may be from before a write, though that has ended by then. So a group stays
    here until every read has ended that was under way when it ended. Who asked before something was
    written may see what was there.

    Args:
        local: The first tier, for its tokens.
    """

    __slots__ = (
        "_deletes", "_ended", "_forwards", "_late", "_local", "_number", "_open", "_patterns",
        "_rules", "_tags", "sets",
    )  # fmt: skip

    def __init__(self, local: Local) -> None:
        self._local = local
        self.begin_anew({})

    def begin_anew(self, sets: dict[str, Group]) -> None:
        """
        Forget everything.

        Args:
            sets: Where there will be the last group that sets a key, until it has ended.
        """
        self.sets = sets
        # The same of those that have ended.
        self._late: dict[str, Group] = {}
        # The last group that removes something, and the token of the first one.
        self._deletes: dict[str, tuple[Group, int]] = {}
        self._tags: dict[str, tuple[Group, int]] = {}
        self._patterns: dict[str, tuple[Group, int]] = {}
        # The same patterns, to look for keys; None: to be made.
        self._rules: Rules | None = None
        # What others have changed, on its way to the nearer tiers.
        self._forwards: list[Group] = []
        # The reads under way, and the groups that have ended since they began, with their numbers.
        self._number = 0
        self._open: dict[int, None] = {}
        self._ended: deque[tuple[int, Group]] = deque()

    def delete(self, group: Group, keys: Iterable[str]) -> None:
        """*keys* are deleted by a group."""
        _note(self._deletes, group, keys, self._local.seq)

    def invalidate(self, group: Group, tags: Iterable[str], patterns: Iterable[str]) -> None:
        """*tags* and *patterns* are invalidated by a group."""
        seq = self._local.seq
        _note(self._tags, group, tags, seq)
        if patterns:
            _note(self._patterns, group, patterns, seq)
            self._rules = None

    def forward(self, group: Group) -> None:
        """A group brings what others have changed to the nearer tiers."""
        self._forwards.append(group)

    def end(self, group: Group) -> None:
        """A group has ended; what it has set is in `sets` no more."""
        if not self._open:
            self._remove(group)
            return
        self._late.update(dict.fromkeys(group.sets, group))
        self._ended.append((self._number, group))

    def begin(self) -> int:
        """Return a number for a read that begins."""
        self._number = number = self._number + 1
        self._open[number] = None
        return number

    def close(self, number: int) -> None:
        """The read of this number has ended."""
        opened, ended = self._open, self._ended
        opened.pop(number, None)
        if ended:
            oldest = next(iter(opened), self._number + 1)
            while ended and ended[0][0] < oldest:
                self._remove(ended.popleft()[1])

    def is_empty(self) -> bool:
        """Whether the stores have everything."""
        return not (
            self.sets
            or self._late
            or self._deletes
            or self._tags
            or self._patterns
            or self._forwards
        )

    def own(self, key: str) -> Record | None:
        """Return what is being set, unless something has made it invalid since."""
        group = self.sets.get(key)
        if group is None:
            return None
        record, _, seq = group.sets[key]
        return record if self._local.permits(key, record.tags, seq) else None

    def sight(self, index: int, key: str, record: Record | None, token: int) -> Record | None:
        """
        Return what may be served of what a store has answered.

        Args:
            index: Of its tier.
            key: A key.
            record: What the store has of it.
            token: That of the first tier when it was asked for.
        """
        own = self.own(key)
        if own is not None:
            return own
        group = self.sets.get(key) or self._late.get(key)
        if record is None or (group is not None and group.sets[key][2] <= token):
            return None
        tags = record.tags
        if _names(self._deletes, (key,), token) or (tags and _names(self._tags, tags, token)):
            return None
        if self._patterns and _TOP - self._ruled(key) <= token:
            return None
        for group in self._forwards:
            if group.depth > index and group.names(key, tags):
                return None
        return record

    def _ruled(self, key: str) -> int:
        """Return what the oldest token of the patterns that match *key* was subtracted to."""
        if self._rules is None:
            self._rules = Rules({name: _TOP - seq for name, (_, seq) in self._patterns.items()})
        return self._rules.newest(key)

    def _remove(self, group: Group) -> None:
        late = self._late
        if late:
            for key in group.sets:
                if late.get(key) is group:
                    del late[key]
        _forget(self._deletes, group, group.deletes)
        _forget(self._tags, group, group.tags)
        if group.patterns:
            _forget(self._patterns, group, group.patterns)
            self._rules = None
        if group in self._forwards:
            self._forwards.remove(group)


def _note(
    table: dict[str, tuple[Group, int]], group: Group, names: Iterable[str], seq: int
) -> None:
    for name in names:
        there = table.get(name)
        table[name] = group, seq if there is None else there[1]


def _names(table: dict[str, tuple[Group, int]], names: Iterable[str], token: int) -> bool:
    """Whether one of *names* was removed before *token*."""
    for name in names:
        there = table.get(name)
        if there is not None and there[1] <= token:
            return True
    return False


def _forget(table: dict[str, tuple[Group, int]], group: Group, names: Iterable[str]) -> None:
    for name in names:
        there = table.get(name)
        if there is not None and there[0] is group:
            del table[name]
