"""A function with a cache in front of it."""

from collections.abc import Callable
from copy import deepcopy
from types import EllipsisType, MethodType
from typing import Final, TypeAlias, final

from penstock._pure import convert, loads
from penstock._pure.cache import Cache
from penstock._pure.keys import make_key
from penstock._pure.ready import Ready

__all__ = ["BoundMemo", "Memo"]

Args: TypeAlias = tuple[object, ...]
Kwargs: TypeAlias = dict[str, object]
Hook: TypeAlias = Callable[[object, Args, Kwargs], object]


@final
class Memo:
    """
    A function whose results are kept in a cache; `penstock.cached` makes it.

    Args:
        func: The function.
        cache: Where results are kept.
        key: ``key(*args, **kwargs)`` gives the cache key; None for the rules of functools.
        typed: Whether arguments of different types have different keys even if they are equal.
        ttl: Seconds that a result lives; None for ever, left out for the cache's ttl.
        ttl: The ttl of results that this stores itself; ``...`` for that of the cache.
        miss: ``miss(key, args, kwargs)`` is called, and its result returned, when there is no
            live entry; None to call the function and keep its result.
        ready: Whether a hit returns ``Ready(value)``.
        soft: Seconds before the end of an entry's life from which on it is stale.
        on_stale: ``on_stale(key, args, kwargs)`` is called when a stale entry is served.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: *soft* is out of its range.
    """

    #: Of the function, once functools.update_wrapper has been here; pickled by it.
    __name__: str
    __qualname__: str

    def __init__(
        self,
        func: Callable[..., object],
        cache: Cache[object, object],
        *,
        key: Callable[..., object] | None = None,
        typed: bool = False,
        ttl: convert.Ttl = ...,
        miss: Hook | None = None,
        ready: bool = False,
        soft: convert.Seconds | None = None,
        on_stale: Hook | None = None,
    ) -> None:
        convert.check_callable(func, "func")
        if not isinstance(cache, Cache):
            raise TypeError(f"cache must be a Cache, got {convert.type_name(cache)}")
        convert.check_optional_callable(key, "key")
        if not isinstance(ttl, EllipsisType):
            convert.optional_duration_ns(ttl, "ttl")
        convert.check_optional_callable(miss, "miss")
        #: The time left at which an entry turns stale; nothing is ever due this early.
        self._soft: Final = convert.optional_duration_ns(soft, "stale") or 0
        convert.check_optional_callable(on_stale, "on_stale")
        self._func: Final = func
        self._engine: Final = cache._engine
        self._key: Final = key
        self._typed: Final = bool(typed)
        self._ttl: Final = ttl
        self._miss: Final = miss
        self._ready: Final = bool(ready)
        self._on_stale: Final = on_stale

    def __init_subclass__(cls) -> None:
        raise TypeError("type 'penstock.Memo' is not an acceptable base type")

    def __call__(self, /, *args: object, **kwargs: object) -> object:
        key = self.make_key(*args, **kwargs)
        hashed = hash(key)
        found = self._engine.lookup(key, hashed)
        if found is None:
            if self._miss is not None:
                return self._miss(key, args, kwargs)
            call = self._func
            return loads.get_or_load(
                self._engine, key, hashed, lambda: call(*args, **kwargs), self._ttl
            )
        value, left = found
        if self._on_stale is not None and left is not None and left <= self._soft:
            self._on_stale(key, args, kwargs)
        return Ready(value) if self._ready else value

    def make_key(self, /, *args: object, **kwargs: object) -> object:
        """
        Return the key under which the result for these arguments is kept.

        Args:
            args: The positional arguments of the call.
            kwargs: Its keyword arguments.
        """
        if self._key is not None:
            return self._key(*args, **kwargs)
        return make_key(args, kwargs, typed=self._typed)

    def __get__(self, instance: object, owner: type | None = None) -> "Memo | BoundMemo":
        return self if instance is None else BoundMemo(self, instance)

    def __repr__(self) -> str:
        return f"<cached {self._func!r}>"

    def __reduce__(self) -> str:
        return self.__qualname__

    def __copy__(self) -> "Memo":
        return self

    def __deepcopy__(self, memo: object) -> "Memo":
        return self


@final
class BoundMemo:
    """
    A cached method of one object.

    Not made by callers: reading a Memo from an instance gives one.
    """

    __slots__ = ("__func__", "__self__", "__weakref__")

    def __init__(self, func: Memo, instance: object, /) -> None:
        self.__func__: Final = func
        self.__self__: Final = instance

    def __init_subclass__(cls) -> None:
        raise TypeError("type 'penstock.BoundMemo' is not an acceptable base type")

    def __call__(self, /, *args: object, **kwargs: object) -> object:
        return self.__func__(self.__self__, *args, **kwargs)

    def invalidate(self, /, *args: object, **kwargs: object) -> object:
        """
        Remove the result of this call on this object, and keep a load in progress from storing it.

        Args:
            args: The positional arguments of the call, without the object itself.
            kwargs: Its keyword arguments.
        """
        return self._forward("invalidate", args, kwargs)

    def refresh(self, /, *args: object, **kwargs: object) -> object:
        """
        Call the method on this object again, and store what it returns.

        Args:
            args: The positional arguments of the call, without the object itself.
            kwargs: Its keyword arguments.
        """
        return self._forward("refresh", args, kwargs)

    def make_key(self, /, *args: object, **kwargs: object) -> object:
        """
        Return the key under which the result for these arguments is kept.

        Args:
            args: The positional arguments of the call, without the object itself.
            kwargs: Its keyword arguments.
        """
        return self._forward("make_key", args, kwargs)

    def __getattr__(self, name: str) -> object:
        value: object = getattr(self.__func__, name)
        if name == "__wrapped__" and callable(value):
            return MethodType(value, self.__self__)
        return value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BoundMemo):
            return False
        return self.__self__ is other.__self__ and self.__func__ is other.__func__

    def __hash__(self) -> int:
        return hash((id(self.__self__), id(self.__func__)))

    def __copy__(self) -> "BoundMemo":
        return self

    def __deepcopy__(self, memo: dict[int, object]) -> "BoundMemo":
        return BoundMemo(self.__func__, deepcopy(self.__self__, memo))

    def __repr__(self) -> str:
        return f"<bound {self.__func__!r} of {self.__self__!r}>"

    def __reduce__(self) -> tuple[object, tuple[object, str]]:
        return getattr, (self.__self__, self.__func__.__name__)

    def _forward(self, name: str, args: Args, kwargs: Kwargs) -> object:
        method: Callable[..., object] = getattr(self.__func__, name)
        return method(self.__self__, *args, **kwargs)


def _of_the_function(name: str) -> property:
    return property(lambda bound: getattr(bound.__func__, name))


# Written so because type checkers take both for strings of the class.
for _name in ("__doc__", "__module__"):
    setattr(BoundMemo, _name, _of_the_function(_name))
