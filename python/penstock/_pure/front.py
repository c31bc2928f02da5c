"""What stands before the loads of a cache in tiers: the answer of a hit in memory."""

from typing import TYPE_CHECKING, Final, NoReturn, Self, final

from penstock._pure import convert
from penstock._pure.cache import Cache
from penstock._pure.ready import Ready

__all__ = ["Entry", "Front"]


@final
class Entry:
    """
    A value in the first tier, and what the tiers know of it.

    Args:
        value: What a hit gives.
        note: Whatever the subclass of Front wants to know of it.
        grace: Seconds before its deadline from which on it is looked at before it is served.
    """

    __module__ = "penstock._native"
    __slots__ = ("_grace", "_note", "_seen", "_value")

    def __init__(self, value: object, note: object, grace: float = 0.0) -> None:
        self._grace = convert.grace_ns(grace)
        self._value: Final = value
        self._note: Final = note
        self._seen = -1

    def __init_subclass__(cls) -> None:
        raise TypeError("type 'penstock._native.Entry' is not an acceptable base type")

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    @property
    def value(self) -> object:
        """
        What a hit gives.
        """
        return self._value

    @property
    def note(self) -> object:
        """
        What the subclass of Front wants to know of it.
        """
        return self._note

    @property
    def grace(self) -> float:
        """
        Seconds before its deadline from which on it is looked at before it is served.
        """
        return self._grace / 1e9

    @property
    def epoch(self) -> int:
        """
        That of the front when it was looked at last; -1 before that.
        """
        return self._seen

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        self._seen = convert.check_epoch(epoch)


class Front:
    """The answers of a first tier in memory; a subclass has the hooks that give all others."""

    __module__ = "penstock._native"
    __slots__ = ("__weakref__", "_cache", "_epoch_now")

    _cache: Cache[object, object] | None
    _epoch_now: int

    if TYPE_CHECKING:  # methods of the subclass

        def _get(self, key: object, default: object, entry: Entry | None) -> object: ...
        def _get_or_load(
            self, key: object, loader: object, entry: Entry | None, **options: object
        ) -> object: ...

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self._cache = None
        self._epoch_now = 0
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError(f"cannot pickle {type(self).__name__!r} object")

    def _attach(self, cache: Cache[object, object]) -> None:
        """Answer from this cache from now on."""
        if not isinstance(cache, Cache):
            raise TypeError(f"cache must be a Cache, got {convert.type_name(cache)}")
        if self._cache is not None:
            raise RuntimeError("the front has its cache already")
        self._cache = cache

    @property
    def _epoch(self) -> int:
        """Entries of another epoch are looked at before they are served."""
        return self._epoch_now

    @_epoch.setter
    def _epoch(self, epoch: int) -> None:
        self._epoch_now = convert.check_epoch(epoch)

    def get(self, key: object, default: object = None) -> object:
        """
        Return an awaitable of the value of *key*, or of *default*.

        Args:
            key: Hashable.
            default: What there is instead.
        """
        entry, served = self._look(key)
        return served or self._get(key, default, entry)

    def get_or_load(self, key: object, loader: object, **options: object) -> object:
        """
        Return an awaitable of the value of *key*; what is not there is loaded.

        Args:
            key: Hashable.
            loader: Called with the key.
            options: For the subclass.
        """
        entry, served = self._look(key)
        return served or self._get_or_load(key, loader, entry, **options)

    def _look(self, key: object) -> tuple[Entry | None, Ready[object] | None]:
        """Return the entry of *key*, and what to serve of it at once."""
        if self._cache is None:
            raise RuntimeError("the front has no cache")
        found = self._cache._engine.lookup(key, hash(key))
        if found is None or not isinstance(found[0], Entry):
            return None, None
        entry, left = found[0], found[1]
        if entry._seen != self._epoch_now or (left is not None and left <= entry._grace):
            return entry, None
        return entry, Ready(entry._value)
