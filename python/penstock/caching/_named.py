"""`tiered_caches`: caches with names, from one mapping of settings."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, cast

from penstock._backend import Cache
from penstock.caching._tiered import TieredCache

if TYPE_CHECKING:
    from penstock.stores import Store

__all__ = ["tiered_caches"]

#: What a setting may be of the options of a TieredCache: whatever a file can hold.
_OPTIONS: Final = (
    "early_refresh",
    "hard_timeout",
    "jitter",
    "l1_ttl",
    "lease",
    "negative_ttl",
    "refresh_after",
    "soft_timeout",
    "stale_for",
    "store_timeout",
    "throttle",
    "ttl",
)
_SETTINGS: Final = tuple(sorted((*_OPTIONS, "maxsize", "store")))
_REDIS: Final = ("redis://", "rediss://", "unix://")
_SQLITE: Final = "sqlite:"


def tiered_caches(
    settings: Mapping[str, Mapping[str, Any]], *, stores: Mapping[str, Store] | None = None
) -> dict[str, TieredCache]:
    """
    Make a `TieredCache` for each entry of *settings*.

    Args:
        settings: By the name of the cache its settings: ``maxsize`` (entries in memory; 10,000;
            None: any number), ``store`` (see below), and ``ttl``, ``l1_ttl``, ``stale_for`` and the
            other options of `TieredCache` that are numbers. Without ``ttl``, or with None, values
            are kept for ever. A store is ``"sqlite:<path>"``, a Redis URL, or one of *stores* by
            its name; a list has the nearest first. In a file or a server each cache has a
            namespace: its name.
        stores: Stores that were made elsewhere. Each can serve one cache: a store has one
            namespace.

    Returns:
        The caches by their names, which are also their names among the metrics. Nothing is opened
        before they are used.

    Raises:
        TypeError: A setting is of a wrong type.
        ValueError: A setting is unknown or out of range; a store is unknown, or was given to two.
    """
    if not isinstance(settings, Mapping):
        raise TypeError(f"settings must be a mapping, got {type(settings).__name__}")
    known = _Stores({} if stores is None else dict(stores))
    made: dict[str, TieredCache] = {}
    for name, options in cast("Mapping[object, Any]", settings).items():  # it may be a file's
        if not isinstance(name, str) or not name:
            raise TypeError(f"a cache has a str as its name, got {name!r}")
        try:
            made[name] = _make(name, options, known)
        except (TypeError, ValueError) as error:
            kind = TypeError if isinstance(error, TypeError) else ValueError
            raise kind(f"cache {name!r}: {error}") from error
    return made


def _make(name: str, settings: Mapping[str, Any], known: _Stores) -> TieredCache:
    if not isinstance(settings, Mapping):
        raise TypeError(f"settings must be a mapping, got {type(settings).__name__}")
    for each in settings:
        if each not in _SETTINGS:
            raise ValueError(f"unknown setting {each!r}{_hint(each)}; there are {_all(_SETTINGS)}")
    options = {each: value for each, value in settings.items() if each in _OPTIONS}
    options.setdefault("ttl", None)
    if "maxsize" in settings:
        size = settings["maxsize"]
        # Of a TieredCache it would be none at all, which nobody means by no limit.
        options["l1"] = Cache(None, name=f"{name}.l1") if size is None else size
    # Last: they are what may be open.
    where = settings.get("store", [])
    addresses = [where] if isinstance(where, str) else where
    if not isinstance(addresses, list | tuple):
        raise TypeError(f"store must be a str or a list of them, got {type(where).__name__}")
    return TieredCache(*[known.take(each, name) for each in addresses], name=name, **options)


class _Stores:
    """Where caches may have what is not in memory."""

    __slots__ = ("_by_name", "_taken")

    def __init__(self, by_name: dict[str, Store]) -> None:
        self._by_name = by_name
        self._taken: dict[str, str] = {}

    def take(self, address: object, cache: str) -> Store:
        """Return the store for *cache*."""
        if not isinstance(address, str):
            raise TypeError(f"store must be a str or a list of them, got {type(address).__name__}")
        if address in self._by_name:
            owner = self._taken.setdefault(address, cache)
            if owner != cache:
                what = f"store {address!r} is that of cache {owner!r} already"
                raise ValueError(f"{what}: make one with a namespace of its own for each")
            return self._by_name[address]
        if address.startswith(_SQLITE) and address != _SQLITE:
            from penstock.stores import SqliteStore

            return SqliteStore(address.removeprefix(_SQLITE), namespace=cache)
        if address.startswith(_REDIS):
            from penstock.stores import RedisStore

            return RedisStore(address, namespace=f"penstock:{cache}")
        names = _all(self._by_name) if self._by_name else "none"
        forms = "'sqlite:<path>', a redis:// URL, or the name of one of the stores that were given"
        raise ValueError(f"unknown store {address!r}: {forms} ({names})")


def _all(names: Mapping[str, object] | tuple[str, ...]) -> str:
    return ", ".join(map(repr, names))


def _hint(name: object) -> str:
    near = get_close_matches(name, _SETTINGS, n=1) if isinstance(name, str) else []
    return f" (did you mean {near[0]!r}?)" if near else ""
