"""What a tier has missed: it is noted, not served, and made up for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from penstock.caching._tier_base import TierBase

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from penstock.caching._tier import Tier
    from penstock.caching._tier_call import Call
    from penstock.stores import Record
    from penstock.stores._store import Kind

__all__ = ["TierMissed"]


class TierMissed(TierBase):
    """
    A store that may miss changes.
    """

    __slots__ = ()

    def place(self, nearer: Sequence[Tier], behind: Sequence[Tier]) -> None:
        """
        Say between which other tiers it is.

        What one behind has missed may come back from there to this one, by other processes: until
        it is made up for, it is not served here either, and then removed here once more.

        Args:
            nearer: Those in front of it.
            behind: Those that are asked after it.
        """
        self._nearer = nearer
        self._behind = [tier._pending for tier in behind]

    def pending(self, key: str, tags: Sequence[str] = ()) -> bool:
        """
        Whether the store has missed a change that concerns *key*, and has not got it yet.

        Args:
            key: A key.
            tags: Those of its record, if that is known.
        """
        return bool(self._pending) and self._pending.hides(key, tags)

    def _removals(self) -> int:
        """Return how often something was made up for: answers from before that may be too old."""
        removals = self._pending.removals
        for pending in self._behind:
            removals += pending.removals
        return removals

    def _is_whole(self) -> bool:
        """Whether nothing was missed, here or behind."""
        return not self._pending and not any(self._behind)

    def _hides(self, key: str, record: Record) -> bool:
        """Whether what the store has of *key* must not be served."""
        if self._pending and self._pending.hides(key, record.tags):
            return True
        return any(pending.outdates(key, record) for pending in self._behind)

    def _end_change(
        self, lease: int, what: list[tuple[Kind, Sequence[str]]], at: float, call: Call[None]
    ) -> None:
        """Note what became of a change."""
        self._end_write(lease, call)
        for kind, names in what:
            if call.error is not None:
                self._miss(kind, names, at)
            else:
                self._settle(kind, names, at)
        self._recover_after(call)

    def _end_set(
        self, lease: int, items: Sequence[tuple[str, Record]], at: float, call: Call[list[bool]]
    ) -> None:
        """Note what became of what callers have set."""
        self._end_write(lease, call)
        if call.error is None:
            stored = call.result
        elif isinstance(call.error, TypeError | ValueError):
            stored = [False] * len(items)
        else:
            self._miss_sets(items, at)
            self._recover_after(call)
            return
        taken: list[str] = []
        left: list[str] = []
        for (key, _), is_stored in zip(items, stored, strict=True):
            (taken if is_stored else left).append(key)
        self._settle("set", taken, at)
        # What was there before must not be served.
        self._miss("delete", left, at)
        self._recover_after(call)

    def _settle(self, kind: Kind, names: Iterable[str], at: float) -> None:
        if self._pending:
            self._pending.settle(kind, names, at)

    def _miss(self, kind: Kind, names: Iterable[str], at: float) -> None:
        """Remember a change that the store has missed."""
        if not self._is_closed:
            for name in names:
                self._pending.note(kind, name, None, at)

    def _miss_sets(self, items: Iterable[tuple[str, Record]], at: float) -> None:
        if not self._is_closed:
            for key, record in items:
                self._pending.note("set", key, record, at)

    def _recover(self) -> None:
        if self._pending and not self._is_closed:
            self._recovery.start()

    def _recover_after(self, call: Call[Any]) -> None:
        # One that was cancelled was so because its loop ends: whoever asks next begins it.
        if not isinstance(call.error, asyncio.CancelledError):
            self._recover()
