"""Writes that go to the stores of a cache in tiers together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.caching._tiered_pending import refuse
from penstock.stores._rules import EVERYTHING, Rules

if TYPE_CHECKING:
    from collections.abc import Iterable

    from penstock.caching._tier import Tier
    from penstock.caching._tiered_pending import Pending
    from penstock.stores import Record

__all__ = ["MOST", "RULES", "Group"]

#: Keys in one group.
MOST: Final = 5000
#: Stands for tags and patterns among what a store has not taken.
RULES: Final = object()


class Group:
    """
    Writes that go to a store together: first what is set, then what is deleted and invalidated.

    Args:
        depth: How many of the tiers, nearest first, get them.
    """

    __slots__ = ("_rules", "deletes", "depth", "failed", "patterns", "sets", "tags", "waiters")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        #: Records, what each tier has encoded them to, and the token of the first tier then.
        self.sets: dict[str, tuple[Record, list[bytes], int]] = {}
        self.deletes: dict[str, None] = {}
        self.tags: dict[str, None] = {}
        self.patterns: dict[str, None] = {}
        #: The patterns, to look for keys, if somebody has done that.
        self._rules: Rules | None = None
        #: Keys that a store has not taken; `RULES` for tags and patterns.
        self.failed: set[object] = set()
        #: Who waits, and for what of it.
        self.waiters: list[tuple[Pending, Iterable[object]]] = []

    def takes_set(self, keys: Iterable[str]) -> bool:
        """Whether nothing here removes what *keys* are set to."""
        if self.tags or self.patterns or len(self.sets) >= MOST:
            return False
        return self.deletes.keys().isdisjoint(keys)

    def takes_removal(self) -> bool:
        """Whether more can be deleted and invalidated together with what is here."""
        return len(self.deletes) < MOST

    def remove(self, keys: Iterable[str], tags: Iterable[str], patterns: Iterable[str]) -> None:
        """Remove all these as well."""
        self.deletes.update(dict.fromkeys(keys))
        self.tags.update(dict.fromkeys(tags))
        self.patterns.update(dict.fromkeys(patterns))
        if len(self.deletes) + len(self.tags) > MOST:
            self.deletes.clear()
            self.tags.clear()
            self.patterns = {EVERYTHING: None}
        self._rules = None

    def names(self, key: str, tags: Iterable[str]) -> bool:
        """Whether it removes *key*, or one of its *tags*."""
        if key in self.deletes or not self.tags.keys().isdisjoint(tags):
            return True
        if not self.patterns:
            return False
        if self._rules is None:
            self._rules = Rules(dict.fromkeys(self.patterns, 1))
        return self._rules.newest(key) > 0

    async def apply(self, index: int, tier: Tier) -> None:
        """Bring all of it to the tier at *index*."""
        if self.sets:
            items = [(key, record) for key, (record, _, _) in self.sets.items()]
            encoded = [encoded[index] for _, encoded, _ in self.sets.values()]
            stored = await tier.set(items, encoded)
            self.failed.update(key for key, ok in zip(self.sets, stored, strict=True) if not ok)
        if self.deletes and not await tier.delete(list(self.deletes)):
            self.failed.update(self.deletes)
        tags, patterns = list(self.tags), list(self.patterns)
        if (tags or patterns) and not await tier.invalidate(tags, patterns):
            self.failed.add(RULES)

    def fail(self) -> None:
        """Nobody knows what a store has taken of it."""
        self.failed.update(self.sets, self.deletes, [RULES])

    def tell(self) -> None:
        """Tell everybody whether every store has taken it."""
        failed = self.failed
        for future, what in self.waiters:
            if not future.done():
                future.set_result(not failed or failed.isdisjoint(what))

    def cancel(self, error: Exception | None) -> None:
        """Tell everybody that nobody knows."""
        for future, _ in self.waiters:
            refuse(future, error, is_wanted=False)
