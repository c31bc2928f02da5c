"""Writes of a cache in tiers: one after another, the deepest tier first."""

from __future__ import annotations

import logging
from asyncio import CancelledError, _get_running_loop
from collections import deque
from typing import TYPE_CHECKING, Final

from penstock._backend import Ready
from penstock.caching._tiered_pending import Pending, cut, pending, refuse
from penstock.flow._deadline import ambient
from penstock.stores._rules import EVERYTHING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from penstock._backend import Entry
    from penstock.caching._tier import Tier
    from penstock.caching._tiered_core import Core
    from penstock.caching._tiered_options import Options
    from penstock.stores import Record

__all__ = ["Writes"]

logger = logging.getLogger("penstock.caching")

#: Keys in one call.
_MOST: Final = 5000
_RULES: Final = object()


class Group:
    """
    Writes that go to a store together: first what is set, then what is deleted and invalidated.

    Args:
        depth: How many of the tiers, nearest first, get them.
    """

    __slots__ = ("deletes", "depth", "failed", "patterns", "sets", "tags", "waiters")

    def __init__(self, depth: int) -> None:
        self.depth = depth
        #: Records, and what each tier has encoded them to.
        self.sets: dict[str, tuple[Record, list[bytes]]] = {}
        self.deletes: dict[str, None] = {}
        self.tags: dict[str, None] = {}
        self.patterns: dict[str, None] = {}
        #: Keys that a store has not taken; `_RULES` for tags and patterns.
        self.failed: set[object] = set()
        #: Who waits, and for what of it.
        self.waiters: list[tuple[Pending, Iterable[object]]] = []

    def takes_set(self, keys: Iterable[str]) -> bool:
        """Whether nothing here removes what *keys* are set to."""
        if self.tags or self.patterns or len(self.sets) >= _MOST:
            return False
        return self.deletes.keys().isdisjoint(keys)

    def takes_removal(self) -> bool:
        """Whether more can be deleted and invalidated together with what is here."""
        return len(self.deletes) < _MOST

    async def apply(self, index: int, tier: Tier) -> None:
        """Bring all of it to the tier at *index*."""
        if self.sets:
            items = [(key, record) for key, (record, _) in self.sets.items()]
            stored = await tier.set(items, [encoded[index] for _, encoded in self.sets.values()])
            self.failed.update(key for key, ok in zip(self.sets, stored, strict=True) if not ok)
        if self.deletes and not await tier.delete(list(self.deletes)):
            self.failed.update(self.deletes)
        tags, patterns = list(self.tags), list(self.patterns)
        if (tags or patterns) and not await tier.invalidate(tags, patterns):
            self.failed.add(_RULES)

    def tell(self) -> None:
        """Tell everybody whether every store has taken it."""
        failed = self.failed
        for future, what in self.waiters:
            if not future.done():
                future.set_result(not failed or failed.isdisjoint(what))

    def cancel(self, error: Exception | None) -> None:
        """Tell everybody that nobody knows."""
        for future, _ in self.waiters:
            refuse(future, error)


class Writes:
    """
    Brings what is written to the first tier at once, and to the others in the order of the calls.

    Args:
        core: That of the cache.
    """

    __slots__ = ("_core", "_groups", "_is_due", "_local", "_running", "_task")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._local = core.local
        self._groups: deque[Group] = deque()
        self._running: Group | None = None
        #: Whether the task begins in the next step of the event loop.
        self._is_due = False
        self._task: Task[None] | None = None
        core.bound.append(self._begin_anew)

    @property
    def waiting(self) -> int:
        """How many calls wait."""
        groups = [*self._groups] if self._running is None else [self._running, *self._groups]
        return sum(len(group.waiters) for group in groups)

    def is_idle(self) -> bool:
        """Whether everything is where it belongs."""
        return self._running is None and not self._groups

    def set(self, values: Mapping[str, object], options: Options) -> Awaitable[bool]:
        """
        Set values.

        Args:
            values: By their keys.
            options: How they are kept.

        Raises:
            TypeError: A store cannot encode one of them; nothing is set.
            ValueError: The same.
        """
        core = self._core
        loop = core.join() if core.tiers else None
        records = {key: core.record(value, options) for key, value in values.items()}
        encoded = {
            key: [tier.encode(key, record) for tier in core.tiers]
            for key, record in records.items()
        }
        core.counts.sets += len(records)
        # What is being read or loaded is older.
        self._local.revoke(records)
        for key, record in records.items():
            core.put(key, record, options)
        if loop is None:
            return Ready(True)
        group = self._group(lambda group: group.takes_set(records))
        for key, record in records.items():
            # The last one of a key goes last.
            if group.sets.pop(key, None) is None:
                core.writing[key] = core.writing.get(key, 0) + 1
            group.sets[key] = record, encoded[key]
        return self._wait(loop, group, records)

    def set_one(self, key: str, value: object, options: Options) -> Awaitable[bool]:
        """Set one value: the same, but that this is what most calls do."""
        core, local = self._core, self._local
        loop = _get_running_loop()
        if core.tiers and (loop is not core.loop or loop is None or core.is_closing):
            loop = core.join()
        record = core.record(value, options)
        encoded = [tier.encode(key, record) for tier in core.tiers]
        core.counts.sets += 1
        what = (key,)
        local.revoke(what)
        if core.has_l1:
            l1_ttl, after = options.l1_ttl, options.refresh_after
            local.fill(key, record, local.seq, l1_ttl=l1_ttl, refresh_after=after)
        if not core.tiers or loop is None:
            return Ready(True)
        groups = self._groups
        group = groups[-1] if groups else None
        if group is None or group.deletes or group.depth != len(core.tiers):
            group = self._group(lambda group: group.takes_set(what))
        elif group.tags or group.patterns or len(group.sets) >= _MOST:
            group = self._group(_never)
        sets = group.sets
        if key in sets:
            del sets[key]  # the last one goes last
        else:
            core.writing[key] = core.writing.get(key, 0) + 1
        sets[key] = record, encoded
        future = Pending(loop=loop)
        due = ambient()
        if due is not None:
            cut(future, due)
        group.waiters.append((future, what))
        return future

    def delete(self, keys: Sequence[str]) -> Awaitable[bool]:
        """Delete *keys*."""
        core = self._core
        loop = core.join() if core.tiers else None
        core.counts.deletes += len(keys)
        self._local.drop(keys)
        if loop is None:
            return Ready(True)
        group = self._group(Group.takes_removal)
        group.deletes.update(dict.fromkeys(keys))
        return self._wait(loop, group, keys)

    def invalidate(self, tags: Sequence[str], patterns: Sequence[str]) -> Awaitable[bool]:
        """Make invalid what has one of *tags*, or a key that matches one of *patterns*."""
        core, local = self._core, self._local
        loop = core.join() if core.tiers else None
        core.counts.invalidations += len(tags) + len(patterns)
        if EVERYTHING in patterns:
            local.clear()
        if tags:
            local.invalidate_tags(tags)
        if patterns:
            local.invalidate_patterns(patterns)
        if loop is None:
            return Ready(True)
        group = self._group(Group.takes_removal)
        group.tags.update(dict.fromkeys(tags))
        group.patterns.update(dict.fromkeys(patterns))
        return self._wait(loop, group, (_RULES,))

    def forward(
        self,
        depth: int,
        *,
        keys: Sequence[str] = (),
        tags: Sequence[str] = (),
        patterns: Sequence[str] = (),
    ) -> None:
        """
        Bring what another process has changed to the nearer tiers, which it may not reach.

        Args:
            depth: How many of them.
            keys: What it has set or deleted.
            tags: What it has invalidated.
            patterns: The same.
        """
        if depth:
            group = Group(depth)
            # Before what is written here: that is newer.
            self._groups.appendleft(group)
            self._begin()
            group.deletes.update(dict.fromkeys(keys))
            group.tags.update(dict.fromkeys(tags))
            group.patterns.update(dict.fromkeys(patterns))

    def _group(self, fits: Callable[[Group], bool]) -> Group:
        """Return the last group, or another one behind it."""
        depth = len(self._core.tiers)
        group = self._groups[-1] if self._groups else None
        if group is None or group.depth != depth or not fits(group):
            group = Group(depth)
            self._groups.append(group)
        self._begin()
        return group

    def _begin(self) -> None:
        """Go on in the next step of the event loop."""
        if self._task is None and not self._is_due:
            self._is_due = True
            assert self._core.loop is not None
            self._core.loop.call_soon(self._start)

    def _wait(self, loop: AbstractEventLoop, group: Group, what: Iterable[object]) -> Pending:
        future = pending(loop)
        group.waiters.append((future, what))
        return future

    def _start(self) -> None:
        if self._is_due:
            self._is_due = False
            task = self._core.spawn(self._run())
            task.add_done_callback(self._ended)
            if not task.done():
                self._task = task

    def _ended(self, task: Task[None]) -> None:
        """Cancelled, be it before the first step, it has left something."""
        if task is self._task:
            self._task = None
        if task.cancelled():
            while self._groups:
                self._settle(self._groups.popleft(), is_over=False)

    async def _run(self) -> None:
        await self._core.pass_gate()
        while self._groups:
            group = self._running = self._groups.popleft()
            try:
                for index in reversed(range(group.depth)):
                    await group.apply(index, self._core.tiers[index])
            except CancelledError:  # by the end of the loop, for example
                self._settle(group, is_over=False)
                raise
            except Exception:  # no tier raises any
                logger.exception("writing to the stores of a TieredCache failed")
                group.failed.update(group.sets, group.deletes, [_RULES])
            self._settle(group, is_over=True)
        self._task = None

    def _settle(self, group: Group, *, is_over: bool) -> None:
        """What was read or loaded before all stores had it may be older: it is not to be kept."""
        core, local = self._core, self._local
        self._running = None
        for key in group.sets:
            left = core.writing.pop(key) - 1
            if left:
                core.writing[key] = left
        local.revoke(group.sets)
        # What was set since then is newer.
        later = [key for key in group.deletes if key in core.writing]
        local.revoke(later)
        local.drop(group.deletes.keys() - later)
        if group.tags or group.patterns:
            kept = self._set_since()
            if group.tags:
                local.invalidate_tags(group.tags)
            if group.patterns:
                local.invalidate_patterns(group.patterns)
            for key, entry in kept:
                core.put_again(key, entry)
        if is_over:
            group.tell()
        else:
            group.cancel(core.why())

    def _set_since(self) -> list[tuple[str, Entry]]:
        """Return the entries that were set since an invalidation began that now ends."""
        local = self._local
        now = local.timer()
        found = []
        for key in self._core.writing:
            entry = local.cache.peek(key)
            if entry is not None and local.state(entry, now) in {"fresh", "refresh"}:
                found.append((key, entry))
        return found

    def _begin_anew(self, _: object) -> object:
        """Nobody waits any more who could be told something."""
        begun = self._groups, self._running, self._task
        self._groups = deque()
        self._running = None
        self._is_due = False
        self._task = None
        return begun


def _never(_: Group) -> bool:
    return False
