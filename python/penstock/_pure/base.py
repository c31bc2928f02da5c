"""What a cache is as a whole: its options, size, views and statistics."""

from collections.abc import (
    Callable,
    ItemsView,
    Iterator,
    KeysView,
    Mapping,
    MutableMapping,
    ValuesView,
)
from typing import Literal, NoReturn, SupportsIndex, TypeVar

from penstock._pure import convert, named
from penstock._pure.convert import Seconds
from penstock._pure.engine import Engine
from penstock._pure.entry import Cause, Victims
from penstock._pure.stats import CacheStats, Counters
from penstock._pure.table import Table

__all__ = ["CacheBase", "to_seconds"]

K = TypeVar("K")
V = TypeVar("V")


class CacheBase(MutableMapping[K, V]):
    """The half of ``Cache`` that deals with all entries; the other half deals with one key."""

    __slots__ = ("_engine", "_name")

    __hash__ = None  # type: ignore[assignment]  # as every mutable mapping

    def __init__(
        self,
        maxsize: SupportsIndex | None,
        *,
        ttl: Seconds | None = None,
        tti: Seconds | None = None,
        policy: Literal["lru"] = "lru",
        weigher: Callable[[K, V], int] | None = None,
        on_evict: Callable[[K, V, Cause], object] | None = None,
        jitter: float = 0.0,
        timer: Callable[[], float] | None = None,
        name: str | None = None,
    ) -> None:
        size = convert.check_maxsize(maxsize)
        ttl_ns = convert.optional_duration_ns(ttl, "ttl")
        tti_ns = convert.optional_duration_ns(tti, "tti")
        convert.check_policy(policy)
        convert.check_optional_callable(weigher, "weigher")
        convert.check_optional_callable(on_evict, "on_evict")
        share = convert.check_jitter(jitter)
        convert.check_optional_callable(timer, "timer")
        convert.check_name(name)
        timed = ttl_ns is not None or tti_ns is not None
        table: Table[K, V] = Table(size, tti_ns, timed=timed)
        self._engine = Engine(table, ttl_ns, share, weigher, on_evict, timer)
        self._name = name
        if name is not None:
            named.tell(self)

    @property
    def maxsize(self) -> int | None:
        """
        The largest size or sum of weights, None for no limit.
        """
        return self._engine.table.maxsize

    @property
    def ttl(self) -> float | None:
        """
        Seconds that an entry lives after it was set.
        """
        return to_seconds(self._engine.ttl)

    @property
    def tti(self) -> float | None:
        """
        Seconds that an entry lives after it was last set or read.
        """
        return to_seconds(self._engine.table.tti)

    @property
    def policy(self) -> Literal["lru"]:
        """
        The name of the eviction policy.
        """
        return "lru"

    @property
    def name(self) -> str | None:
        """
        The name given to the cache.
        """
        return self._name

    def __len__(self) -> int:
        return self._engine.sweep(lambda out, now: len(self._engine.table.order))

    def __iter__(self) -> Iterator[K]:
        return iter([key for key, _ in self._engine.pairs()])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mapping):
            return NotImplemented
        return dict(self.items()) == dict(other.items())

    def __repr__(self) -> str:
        name = "" if self._name is None else f", name={self._name!r}"
        size = self._engine.count()
        return f"Cache(maxsize={self.maxsize}, size={size}, policy='lru'{name})"

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(
            "cannot pickle 'Cache' object: it belongs to one process; "
            "save dict(cache.items()) instead"
        )

    def keys(self) -> KeysView[K]:
        """
        Return a view of the keys there are now, least recently used first.

        Returns:
            A view of a dict of their own: it does not change with the cache.
        """
        return dict(self._engine.pairs()).keys()

    def values(self) -> ValuesView[V]:
        """
        Return a view of the values there are now, least recently used first.

        Returns:
            A view of a dict of their own: it does not change with the cache.
        """
        return dict(self._engine.pairs()).values()

    def items(self) -> ItemsView[K, V]:
        """
        Return a view of the entries there are now, least recently used first.

        Returns:
            A view of a dict of their own: it does not change with the cache.
        """
        return dict(self._engine.pairs()).items()

    def popitem(self) -> tuple[K, V]:
        """
        Remove and return the least recently used entry.

        Raises:
            KeyError: The cache is empty.
        """
        found = self._engine.remove_oldest()
        if found is None:
            raise KeyError("popitem(): cache is empty")
        return found

    def expire(self) -> int:
        """
        Remove every entry whose time is over, and return how many there were.

        Returns:
            How many there were.
        """
        return self._engine.sweep(lambda out, now: len(out))

    def resize(self, maxsize: SupportsIndex | None) -> None:
        """
        Change *maxsize*, evicting what no longer fits.

        Args:
            maxsize: As in the constructor.
        """
        size = convert.check_maxsize(maxsize)
        table = self._engine.table

        def act(out: Victims[K, V], now: int) -> None:
            table.maxsize = size
            table.make_room(0, now, out)

        self._engine.sweep(act)

    def clear(self) -> None:
        """
        Remove every entry.
        """
        out: Victims[K, V] = []
        with self._engine.guard.lock:
            self._engine.table.clear(out)
            self._engine.guard.invalidate_all()
        self._engine.report(out)

    def stats(self) -> CacheStats:
        """
        Return what the cache has done so far.
        """
        table = self._engine.table
        return self._engine.sweep(
            lambda out, now: table.counters.snapshot(len(table.order), table.weight, table.maxsize)
        )

    def _figures(self) -> CacheStats:
        """The statistics with what expired and is still there, so that a scrape costs O(1)."""
        table = self._engine.table
        with self._engine.guard.lock:
            return table.counters.snapshot(len(table.order), table.weight, table.maxsize)

    def reset_stats(self) -> None:
        """
        Start counting from zero.
        """
        with self._engine.guard.lock:
            self._engine.table.counters = Counters()


def to_seconds(ns: int | None) -> float | None:
    return None if ns is None else ns / 1e9
