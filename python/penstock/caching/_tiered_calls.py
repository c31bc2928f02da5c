"""What can be asked of a cache in tiers: the calls for keys, tags and patterns."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, overload

from penstock._backend import Front, Ready
from penstock.caching._loaded import tags_of
from penstock.caching._tiered_bulk import ABSENT, Bulk
from penstock.caching._tiered_options import Failure, check_key, check_keys
from penstock.caching._tiered_pending import give_up
from penstock.stores._rules import EVERYTHING, prefix_pattern
from penstock.stores._store import refuse_str

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from typing import Unpack

    from penstock._backend import Entry
    from penstock.caching._loaded import Loaded
    from penstock.caching._local import Local
    from penstock.caching._tier import Tier
    from penstock.caching._tiered_core import Core
    from penstock.caching._tiered_loads import Loads
    from penstock.caching._tiered_options import LoadOptions, Options, WriteOptions
    from penstock.caching._tiered_writes import Writes

__all__ = ["Calls"]

T = TypeVar("T")
V = TypeVar("V")


class Calls(Front):
    """
    The calls of a `TieredCache`; a hit in memory is answered by what this inherits.
    """

    __slots__ = ("_core", "_loads", "_local", "_options", "_read", "_tiers", "_timer", "_writes")

    _core: Core
    _loads: Loads
    _local: Local
    _options: Options
    _read: Callable[[str, object], Awaitable[Any]]
    _tiers: list[Tier]
    _timer: Callable[[], float]
    _writes: Writes

    if TYPE_CHECKING:  # they are inherited, and native

        @overload
        def get(self, key: str, default: None = None) -> Awaitable[Any]: ...
        @overload
        def get(self, key: str, default: T) -> Awaitable[Any | T]: ...
        def get(self, key: str, default: object = None) -> Awaitable[Any]:
            """
            Return an awaitable of the value of *key*, or of *default*.

            Args:
                key: A str.
                default: What there is instead, if no tier has it.
            """
            ...

        @overload  # type: ignore[override]  # of all options, and others are refused
        def get_or_load(
            self,
            key: str,
            loader: Callable[[str], Awaitable[Loaded[V]]],
            **options: Unpack[LoadOptions],
        ) -> Awaitable[V]: ...
        @overload
        def get_or_load(
            self, key: str, loader: Callable[[str], Awaitable[V]], **options: Unpack[LoadOptions]
        ) -> Awaitable[V]: ...
        @overload
        def get_or_load(
            self, key: str, loader: Callable[[str], V], **options: Unpack[LoadOptions]
        ) -> Awaitable[V]: ...
        def get_or_load(
            self, key: str, loader: Callable[[str], Any], **options: Any
        ) -> Awaitable[Any]:
            """
            Return an awaitable of the value of *key*; what no tier has is loaded.

            Args:
                key: A str.
                loader: loader(key): a coroutine function, or a function.
                options: As those of the cache, for this call and what it loads; *tags*.
            """
            ...

    def _get(self, key: str, default: object, entry: Entry | None) -> Awaitable[Any]:
        """Answer what is not a plain hit in memory."""
        if entry is not None:
            state = self._local.state(entry, self._timer())
            if state == "fresh" or state == "refresh":
                value = entry.value
                if type(value) is not Failure:
                    return Ready(value)
                self._core.counts.misses += 1
                self._core.counts.unserved += 1
                return Ready(default)
            self._core.counts.unserved += 1
        check_key(key)
        if not self._tiers:
            if self._core.is_closing:
                self._core.refuse()
            self._core.counts.misses += 1
            return Ready(default)
        return self._read(key, default)

    def _get_or_load(
        self, key: str, loader: Callable[[str], Any], entry: Entry | None, **options: Any
    ) -> Awaitable[Any]:
        """Answer what is not a plain hit in memory."""
        return self._loads.ask(key, loader, entry, options)

    def _reload(
        self, key: str, loader: Callable[[str], Any], **options: Unpack[LoadOptions]
    ) -> Awaitable[Any]:
        """Load *key* whatever there is, and keep what is there if that fails."""
        return self._loads.reload(key, loader, dict(options))

    async def get_many(self, keys: Iterable[str]) -> dict[str, Any]:
        """
        Return the values of those of *keys* that some tier has.

        Args:
            keys: Any number of str.

        Raises:
            TypeError: One is no str.
            DeadlineExceeded: The ambient ``deadline()`` is over.

        Cost: a future for each key that is not in memory; one call of each store for 500 keys.
        """
        refuse_str(keys)
        asked: dict[str, Awaitable[Any]] = {}
        values: dict[str, Any] = {}
        try:
            for key in keys:
                if key not in asked:
                    asked[key] = self.get(key, ABSENT)
            for key, awaitable in asked.items():
                value = await awaitable
                if value is not ABSENT:
                    values[key] = value
        except BaseException:
            give_up(asked.values())
            raise
        return values

    async def get_or_load_many(
        self,
        keys: Iterable[str],
        load_many: Callable[[list[str]], Any],
        **options: Unpack[LoadOptions],
    ) -> dict[str, Any]:
        """
        Return the values of *keys*; those that no tier has are loaded by one call.

        Args:
            keys: Any number of str.
            load_many: load_many(keys): a coroutine function, or a function, that returns a mapping,
                or as many values in the same order. A key that the mapping does not have is left
                out. A value may be a `Loaded`.
            options: As those of `get_or_load`; without leases.

        Raises:
            TypeError: A key is no str.
            BatchSizeMismatch: There are more or fewer values than keys.
            Exception: What the loader raises, unless there are old values for all of them.

        Cost: as that of `get_many`, and a task for the call. What another call loads already is
            waited for.
        """
        refuse_str(keys)
        if "tags" in options:  # they may be gone through but once
            options["tags"] = tags_of(options["tags"])
        asked: dict[str, Awaitable[Any]] = {}
        values: dict[str, Any] = {}
        bulk = Bulk(load_many, self._loads.start_bulk)
        try:
            for key in keys:
                if key not in asked:
                    asked[key] = self.get_or_load(key, bulk, **options)
            bulk.seal()
            for key, awaitable in asked.items():
                value = await awaitable
                if value is not ABSENT:
                    values[key] = value
        except BaseException:
            give_up(asked.values())
            bulk.seal()  # others may have joined
            raise
        return values

    def set(self, key: str, value: object, **options: Unpack[WriteOptions]) -> Awaitable[bool]:
        """
        Set the value of *key*, in memory at once and in all stores.

        Args:
            key: A str.
            value: Anything that the stores can encode.
            options: *ttl*, *l1_ttl* and *stale_for* as those of the cache; *tags*.

        Returns:
            An awaitable: True when every store has taken it. False: one has not, and gets it later
            if it can. It need not be awaited.

        Raises:
            TypeError: A store cannot encode it; nothing is set. The key is no str.
            ValueError: The same; or an option is out of its range.
            DeadlineExceeded: When awaited: the ambient ``deadline()`` is over. It goes on.

        Cost: a future; one call of each store for all of a tick, the deepest first.
        """
        chosen = self._options.changed(dict(options)) if options else self._options
        return self._writes.set_one(check_key(key), value, chosen)

    def set_many(
        self, values: Mapping[str, object], **options: Unpack[WriteOptions]
    ) -> Awaitable[bool]:
        """
        Set many values; see `set`.

        Args:
            values: By their keys.
            options: As those of `set`.

        Returns:
            An awaitable: True when every store has taken all of them.
        """
        check_keys(values)
        return self._writes.set(values, self._options.changed(dict(options)))

    def delete(self, key: str) -> Awaitable[bool]:
        """
        Remove *key* from all tiers; what is being loaded of it is not kept.

        Args:
            key: A str.

        Returns:
            An awaitable: True when every store has done it. False: one has not, and does it when it
            answers again; until then this process does not see what it has.

        Cost: as that of `set`.
        """
        return self._writes.delete((check_key(key),))

    def delete_many(self, keys: Iterable[str]) -> Awaitable[bool]:
        """
        Remove many keys; see `delete`.

        Args:
            keys: Any number of str.

        Returns:
            An awaitable: True when every store has removed all of them.
        """
        return self._writes.delete(check_keys(keys))

    def invalidate_tags(self, *tags: str) -> Awaitable[bool]:
        """
        Make invalid what has one of *tags*, in all tiers.

        Args:
            tags: Any number of str.

        Returns:
            An awaitable, as that of `delete`.

        Cost: O(tags), whatever has them.
        """
        return self._writes.invalidate(check_keys(tags, "tag"), ())

    def invalidate_prefix(self, prefix: str) -> Awaitable[bool]:
        """
        Make every key invalid that begins with *prefix*, in all tiers.

        Args:
            prefix: A str, not empty.

        Returns:
            An awaitable, as that of `delete`.

        Cost: O(1), however many there are.
        """
        if not check_key(prefix, "prefix"):
            raise ValueError("prefix must not be empty: use clear()")
        return self._writes.invalidate((), (prefix_pattern(prefix),))

    def invalidate_glob(self, pattern: str) -> Awaitable[bool]:
        """
        Make every key invalid that matches *pattern*, in all tiers.

        Args:
            pattern: With ``*``, ``?`` and ``[...]``, as fnmatch.fnmatchcase takes them.

        Returns:
            An awaitable, as that of `delete`.

        Cost: O(1), however many there are; then a look at the pattern for each read of what is
            older.
        """
        return self._writes.invalidate((), (check_key(pattern, "pattern"),))

    def clear(self) -> Awaitable[bool]:
        """
        Make everything invalid, in all tiers.

        Returns:
            An awaitable, as that of `delete`.

        Cost: O(n) of what is in memory.
        """
        return self._writes.invalidate((), (EVERYTHING,))
