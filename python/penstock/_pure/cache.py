"""The cache."""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Final, TypeVar, cast, final, overload

from penstock._pure import convert, loads, pairs
from penstock._pure.base import CacheBase, to_seconds
from penstock._pure.convert import Ttl
from penstock._pure.flight import Flight

__all__ = ["Cache"]

K = TypeVar("K")
V = TypeVar("V")
T = TypeVar("T")


class _Missing(Enum):
    MISSING = None


_MISSING: Final = _Missing.MISSING


@final
class Cache(CacheBase[K, V]):
    """
    A bounded mapping with expiry, for use from any thread.

    Args:
        maxsize: Most entries, or with *weigher* the largest sum of weights; None for no limit.
        ttl: Seconds that an entry lives after it was set; None for ever.
        tti: Seconds that an entry lives after it was last set or read; None for ever.
        policy: What leaves first when there is no room: ``"lru"``, the least recently used.
        weigher: ``weigher(key, value) -> int``, called once whenever an entry is set.
        on_evict: ``on_evict(key, value, cause)``, called for every entry that left, after the
            operation; cause is ``"size"``, ``"expired"``, ``"replaced"`` or ``"deleted"``.
        jitter: Share of the ttl, below 1, by which each ttl is shortened at random at most.
        timer: A clock to use instead of the monotonic one; returns seconds.
        name: Under which metrics show the cache.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of its range.

    Cost: every operation on one key is O(1) amortised, O(log n) with deadlines; thread-safe. No
    caller's code runs while the lock is held.
    """

    __module__ = "penstock"
    __slots__ = ("__weakref__",)

    def __init_subclass__(cls) -> None:
        raise TypeError("type 'penstock.Cache' is not an acceptable base type")

    def __getitem__(self, key: K) -> V:
        found = self._engine.lookup(key, hash(key))
        if found is None:
            raise KeyError(key)
        return found[0]

    def __setitem__(self, key: K, value: V) -> None:
        self._engine.store(key, hash(key), value, ...)

    def __delitem__(self, key: K) -> None:
        if self._engine.remove(key, hash(key)) is None:
            raise KeyError(key)

    def __contains__(self, key: object) -> bool:
        return self._engine.peek(key, hash(key)) is not None  # type: ignore[arg-type]  # any key

    @overload
    def get(self, key: K, default: None = None) -> V | None: ...
    @overload
    def get(self, key: K, default: V) -> V: ...
    @overload
    def get(self, key: K, default: T) -> V | T: ...
    def get(self, key: K, default: T | None = None) -> V | T | None:
        """
        Return the value of *key*, or *default*.

        Args:
            key: Any hashable object.
            default: What to return if there is no live entry.
        """
        found = self._engine.lookup(key, hash(key))
        return default if found is None else found[0]

    @overload
    def peek(self, key: K, default: None = None) -> V | None: ...
    @overload
    def peek(self, key: K, default: V) -> V: ...
    @overload
    def peek(self, key: K, default: T) -> V | T: ...
    def peek(self, key: K, default: T | None = None) -> V | T | None:
        """
        Return the value of *key*, or *default*, without counting as a use.

        Args:
            key: Any hashable object.
            default: What to return if there is no live entry.
        """
        found = self._engine.peek(key, hash(key))
        return default if found is None else found[0]

    def set(self, key: K, value: V, *, ttl: Ttl = ...) -> None:
        """
        Store *value* under *key*; *ttl* seconds, None for no limit, default the cache's.

        Args:
            key: Any hashable object; an equal key already there stays.
            value: Any object.
            ttl: Seconds that this entry lives; None for ever, left out for the cache's ttl.

        Raises:
            ValueError: The ttl is out of range, or the entry alone exceeds maxsize.
        """
        self._engine.store(key, hash(key), value, ttl)

    @overload
    def setdefault(self: "Cache[K, T | None]", key: K, default: None = None) -> T | None: ...
    @overload
    def setdefault(self, key: K, default: V) -> V: ...
    def setdefault(self, key: K, default: object = None) -> object:
        """
        Return the value of *key*, storing *default* first if there is none.

        Args:
            key: Any hashable object.
            default: The value to store.
        """
        hashed = hash(key)
        found = self._engine.lookup(key, hashed)
        if found is not None:
            return found[0]
        self._engine.store(key, hashed, cast("V", default), ...)
        return default

    @overload
    def update(self, other: pairs.HasKeys[K, V], /, **kwargs: V) -> None: ...
    @overload
    def update(self, other: Iterable[tuple[K, V]] = (), /, **kwargs: V) -> None: ...
    def update(self, other: pairs.Source[K, V] = (), /, **kwargs: V) -> None:
        """
        Store each entry of *other*, as dict.update does.

        Args:
            other: Where the pairs come from.
            kwargs: More of them.
        """
        for key, value in pairs.from_update(other):
            self._engine.store(key, hash(key), value, ...)
        for name, value in kwargs.items():
            self._engine.store(cast("K", name), hash(name), value, ...)

    @overload
    def pop(self, key: K, /) -> V: ...
    @overload
    def pop(self, key: K, default: V, /) -> V: ...
    @overload
    def pop(self, key: K, default: T, /) -> V | T: ...
    def pop(self, key: K, default: T | _Missing = _MISSING, /) -> V | T:
        """
        Remove *key* and return its value, or the default given.

        Args:
            key: Any hashable object.
            default: What to return if there is no live entry.

        Raises:
            KeyError: There is none, and no default.
        """
        found = self._engine.remove(key, hash(key))
        if found is not None:
            return found[0]
        if isinstance(default, _Missing):
            raise KeyError(key)
        return default

    def get_many(self, keys: Iterable[K]) -> dict[K, V]:
        """
        Return the values that are there of *keys*, as a dict in the order asked.

        Args:
            keys: Any hashable objects; each counts as one read.
        """
        asked = [(key, hash(key)) for key in keys]
        return self._engine.lookup_many(asked)

    def set_many(self, items: Mapping[K, V] | Iterable[tuple[K, V]], *, ttl: Ttl = ...) -> None:
        """
        Store each pair of a mapping, or of an iterable of pairs, as `set` does.

        Args:
            items: A mapping, or an iterable of pairs.
            ttl: Seconds that these entries live; None for ever, left out for the cache's ttl.
        """
        self._engine.ttl_ns(ttl)
        for key, value in pairs.from_items(items):
            self._engine.store(key, hash(key), value, ttl)

    def get_or_load(self, key: K, loader: Callable[[K], V], *, ttl: Ttl = ...) -> V:
        """
        Return the value of *key*; load it with loader(key) if there is none, one thread at a time.

        Args:
            key: Any hashable object.
            loader: ``loader(key)``; one thread at a time calls it for a key, the others wait for
                it and share its value or its exception.
            ttl: Seconds that the entry lives; None for ever, left out for the cache's ttl.

        Raises:
            RecursiveLoad: The load would wait for itself.
        """
        hashed = hash(key)
        convert.check_callable(loader, "loader")
        self._engine.ttl_ns(ttl)
        found = self._engine.lookup(key, hashed)
        if found is not None:
            return found[0]
        return loads.get_or_load(self._engine, key, hashed, lambda: loader(key), ttl)

    def touch(self, key: K, *, ttl: Ttl = ...) -> bool:
        """
        Restart the life of *key* as if it had just been set; False if it is not there.

        Args:
            key: Any hashable object.
            ttl: Seconds that it lives from now; None for ever, left out for the cache's ttl.

        Returns:
            Whether there is a live entry.
        """
        return self._engine.touch(key, hash(key), ttl)

    def ttl_of(self, key: K) -> float | None:
        """
        Return the seconds that *key* has left, None if it has no limit.

        Args:
            key: Any hashable object.

        Raises:
            KeyError: There is no live entry.
        """
        found = self._engine.peek(key, hash(key))
        if found is None:
            raise KeyError(key)
        return to_seconds(found[1])

    def _begin(self, key: K, supersede: bool = False) -> Flight:
        """Register interest in a load of *key*; with supersede, a new one."""
        return loads.begin(self._engine, key, hash(key), supersede=supersede)

    def _commit(self, flight: Flight, value: V, seconds: float, ttl: Ttl = ...) -> bool:
        """Count a load and release its flight; store the value if that is still valid."""
        ns = loads.seconds_ns(seconds)
        return loads.commit(self._engine, flight, value, ns, ttl)

    def _abandon(self, flight: Flight, seconds: float | None = None) -> None:
        """Release a flight without a value; with seconds, count a failed load."""
        ns = None if seconds is None else loads.seconds_ns(seconds)
        loads.abandon(self._engine, flight, ns)

    def _invalidate(self, key: K) -> bool:
        """Remove *key* and keep a load of it in progress from being stored."""
        return self._engine.remove(key, hash(key)) is not None
