"""Writes of a cache in tiers: one after another, the deepest tier first."""

from __future__ import annotations

import logging
from asyncio import CancelledError, _get_running_loop
from collections import deque
from typing import TYPE_CHECKING

from penstock._backend import Entry, Ready
from penstock.caching._tiered_group import MOST, RULES, Group
from penstock.caching._tiered_pending import Pending, cut
from penstock.flow._deadline import ambient
from penstock.stores._rules import EVERYTHING

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Task
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from penstock.caching._tiered_core import Core
    from penstock.caching._tiered_options import Options

__all__ = ["Writes"]

logger = logging.getLogger("penstock.caching")


class Writes:
    """
    Brings what is written to the first tier at once, and to the others in the order of the calls.

    Args:
        core: That of the cache.
    """

    __slots__ = (
        "_core", "_forwards", "_groups", "_is_due", "_local", "_running", "_task", "_turn",
        "_unwritten",
    )  # fmt: skip

    def __init__(self, core: Core) -> None:
        self._core = core
        self._local = core.local
        self._unwritten = core.unwritten
        self._groups: deque[Group] = deque()
        #: What others have changed, by the number of tiers that get it, until it is begun.
        self._forwards: dict[int, Group] = {}
        #: Whether it is the turn of what is written here.
        self._turn = False
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
        return self._running is None and not self._groups and not self._forwards

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
        loop = core.join_stores()
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
        seq = self._local.seq
        for key, record in records.items():
            group.sets.pop(key, None)  # the last one of a key goes last
            group.sets[key] = record, encoded[key], seq
            core.writing[key] = group
        return self._wait(loop, group, records)

    def set_one(self, key: str, value: object, options: Options) -> Awaitable[bool]:
        """Set one value: the same, but that this is what most calls do."""
        core, local = self._core, self._local
        loop = _get_running_loop()
        tiers = core.tiers
        if core.is_closing or (tiers and (loop is not core.loop or loop is None)):
            loop = core.join_stores()
        record = core.record(value, options)
        if len(tiers) == 1:  # a comprehension is a call
            encoded = [tiers[0].encode(key, record)]
        else:
            encoded = [tier.encode(key, record) for tier in tiers]
        core.counts.sets += 1
        what = (key,)
        local.revoke(what)
        if core.has_l1:
            l1_ttl, jitter, after = options.l1_ttl, options.jitter, options.refresh_after
            local.fill(key, record, local.seq, l1_ttl=l1_ttl, jitter=jitter, refresh_after=after)
        if not tiers or loop is None:
            return Ready(True)
        groups = self._groups
        group = groups[-1] if groups else None
        if group is None or group.deletes:
            group = self._group(lambda group: group.takes_set(what))
        elif group.tags or group.patterns or len(group.sets) >= MOST:
            group = self._group(_never)
        sets = group.sets
        if key in sets:
            del sets[key]  # the last one goes last
        core.writing[key] = group
        sets[key] = record, encoded, local.seq
        future = Pending(loop=loop)
        due = ambient()
        if due is not None:
            cut(future, due, is_wanted=False)
        group.waiters.append((future, what))
        return future

    def delete(self, keys: Sequence[str]) -> Awaitable[bool]:
        """Delete *keys*."""
        core = self._core
        loop = core.join_stores()
        core.counts.deletes += len(keys)
        self._local.drop(keys)
        if loop is None:
            return Ready(True)
        group = self._group(Group.takes_removal)
        group.deletes.update(dict.fromkeys(keys))
        self._unwritten.delete(group, keys)
        return self._wait(loop, group, keys)

    def invalidate(self, tags: Sequence[str], patterns: Sequence[str]) -> Awaitable[bool]:
        """Make invalid what has one of *tags*, or a key that matches one of *patterns*."""
        core, local = self._core, self._local
        loop = core.join_stores()
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
        self._unwritten.invalidate(group, tags, patterns)
        return self._wait(loop, group, (RULES,))

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
            group = self._forwards.get(depth)
            if group is None:
                group = self._forwards[depth] = Group(depth)
                self._unwritten.forward(group)
                self._begin()
            group.remove(keys, tags, patterns)

    def _group(self, fits: Callable[[Group], bool]) -> Group:
        """Return the last group, or another one behind it."""
        group = self._groups[-1] if self._groups else None
        if group is None or not fits(group):
            group = Group(len(self._core.tiers))
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
        future = Pending(loop=loop)
        due = ambient()
        if due is not None:
            cut(future, due, is_wanted=False)
        group.waiters.append((future, what))
        return future

    def _start(self) -> None:
        is_due, self._is_due = self._is_due, False
        if is_due and self._task is None:  # an eager one was not known yet to go on
            task = self._core.spawn(self._run())
            task.add_done_callback(self._ended)
            if not task.done():
                self._task = task

    def _ended(self, task: Task[None]) -> None:
        """Cancelled, be it before the first step, it has left something."""
        if task is self._task:
            self._task = None
        if task.cancelled() or task.exception() is not None:
            while self._groups or self._forwards:
                self._settle(self._next(), is_over=False)

    def _next(self) -> Group:
        """
        Return what is to be done next.

        What others have changed comes first, since what is written here is newer; but if there is
        more of it than of that, they take turns.
        """
        if self._forwards and not (self._turn and self._groups):
            self._turn = True
            return self._forwards.pop(next(iter(self._forwards)))
        self._turn = False
        return self._groups.popleft()

    async def _run(self) -> None:
        await self._core.pass_gate()
        while self._groups or self._forwards:
            group = self._running = self._next()
            try:
                for index in reversed(range(group.depth)):
                    await group.apply(index, self._core.tiers[index])
            except CancelledError:  # by the end of the loop, for example
                self._settle(group, is_over=False)
                raise
            except Exception:  # no tier raises any
                logger.exception("writing to the stores of a TieredCache failed")
                group.fail()
            self._settle(group, is_over=True)
        self._task = None

    def _settle(self, group: Group, *, is_over: bool) -> None:
        """Be done with a group, and tell those who wait."""
        self._running = None
        try:
            if group.depth == len(self._core.tiers):
                self._revoke(group)
        except Exception:  # of a clock, say
            logger.exception("memory may be older than the stores of a TieredCache: it is cleared")
            self._local.clear()
        finally:
            self._unwritten.end(group)
            if is_over:
                group.tell()
            else:
                group.cancel(self._core.why())

    def _revoke(self, group: Group) -> None:
        """What was read or loaded before all stores had it may be older: it is not to be kept."""
        local, writing = self._local, self._core.writing
        ended: list[str] = []
        for key in group.sets:
            # What is set once more is revoked when that has ended.
            if writing.get(key) is group:
                del writing[key]
                ended.append(key)
        local.revoke(ended)
        local.drop([key for key in group.deletes if key not in writing])
        if group.tags or group.patterns:
            kept = self._set_since()
            if group.tags:
                local.invalidate_tags(group.tags)
            if group.patterns:
                local.invalidate_patterns(group.patterns)
            for key, entry in kept:
                later = writing[key]
                record, encoded, _ = later.sets[key]
                later.sets[key] = record, encoded, local.seq
                if entry is not None:
                    self._core.put_again(key, entry)

    def _set_since(self) -> list[tuple[str, Entry | None]]:
        """Return what was set since an invalidation began that now ends, and its entries."""
        local, own = self._local, self._unwritten.own
        now = local.timer()
        found: list[tuple[str, Entry | None]] = []
        for key in self._core.writing:
            if own(key) is not None:
                entry = local.peek(key)
                is_fresh = entry is not None and local.state(entry, now) in {"fresh", "refresh"}
                found.append((key, entry if is_fresh else None))
        return found

    def _begin_anew(self, _: object) -> object:
        """Nobody waits any more who could be told something."""
        begun = self._groups, self._forwards, self._running, self._task
        self._groups = deque()
        self._forwards = {}
        self._running = None
        self._is_due = False
        self._task = None
        self._unwritten.begin_anew(self._core.writing)
        return begun


def _never(_: Group) -> bool:
    return False
