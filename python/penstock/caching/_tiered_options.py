"""What a cache in tiers takes, checked, for all of it and for single calls."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict

from penstock import _backend
from penstock.caching._loaded import check_text, tags_of
from penstock.flow._callables import is_coroutine_function
from penstock.flow._checks import check_jitter, check_number
from penstock.stores._store import refuse_str

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import EllipsisType

__all__ = [
    "Failure",
    "LoadOptions",
    "Options",
    "Seconds",
    "Settings",
    "WriteOptions",
    "check_key",
    "check_keys",
    "check_loader",
    "check_options",
    "check_settings",
    "check_stores",
]

Seconds = float | timedelta
Errors = type[Exception] | tuple[type[Exception], ...]

#: How late a refresh may be drawn: more than that has no meaning.
_MOST_EARLY: Final = 1_000.0


class Failure(NamedTuple):
    """An error that is cached in the place of a value."""

    error: Exception


class WriteOptions(TypedDict, total=False):
    """What a single write takes; what is left out is as the cache says."""

    ttl: Seconds | EllipsisType | None
    l1_ttl: Seconds | EllipsisType | None
    jitter: float | EllipsisType
    stale_for: Seconds | EllipsisType
    tags: Iterable[str]


class LoadOptions(WriteOptions, total=False):
    """What a single load takes; what is left out is as the cache says."""

    refresh_after: Seconds | EllipsisType | None
    early_refresh: float | EllipsisType
    throttle: Seconds | EllipsisType
    soft_timeout: Seconds | EllipsisType | None
    hard_timeout: Seconds | EllipsisType | None
    negative_ttl: Seconds | EllipsisType | None
    negative_errors: Errors | EllipsisType
    cache_if: Callable[[Any], object] | EllipsisType | None
    lease: Seconds | EllipsisType | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """
    How something is loaded and kept; durations in seconds, None for without end.
    """

    ttl: float | None
    l1_ttl: float | None = None
    jitter: float = 0.0
    stale_for: float = 0.0
    throttle: float = 0.0
    tags: tuple[str, ...] = ()
    refresh_after: float | None = None
    early_refresh: float = 0.0
    soft_timeout: float | None = None
    hard_timeout: float | None = None
    negative_ttl: float | None = None
    negative_errors: tuple[type[Exception], ...] = ()
    cache_if: Callable[[Any], object] | None = None
    lease: float | None = None

    def changed(self, given: dict[str, Any]) -> Options:
        """
        Return them with what a call gives of its own.

        Raises:
            TypeError: There is no such option, or one has the wrong type.
            ValueError: One is out of its range.
        """
        own: dict[str, Any] = {}
        for name, value in given.items():
            check = _CHECKS.get(name)
            if check is None:
                raise TypeError(f"there is no option {name!r}, only {', '.join(sorted(_CHECKS))}")
            if value is not ...:
                own[name] = check(name, value)
        return _check_together(replace(self, **own)) if own else self


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """
    What is the same for all calls of a cache; durations in seconds.
    """

    completion_timeout: float
    store_timeout: float
    backplane: bool


def _seconds(name: str, value: Any) -> float:
    return _backend.duration(name, value)


def _maybe_none(name: str, value: Any) -> float | None:
    return None if value is None else _backend.duration(name, value)


def _maybe_zero(name: str, value: Any) -> float:
    if value == timedelta() or (type(value) in (int, float) and value == 0):
        return 0.0
    return _backend.duration(name, value)


def _share(name: str, value: Any) -> float:
    number = check_number(name, value)
    if not 0.0 <= number <= _MOST_EARLY:
        raise ValueError(f"{name} must be >= 0 and <= {_MOST_EARLY:g}, got {value!r}")
    return number


def _errors(name: str, value: Any) -> tuple[type[Exception], ...]:
    types = value if isinstance(value, tuple) else (value,)
    for one in types:
        if not (isinstance(one, type) and issubclass(one, Exception)):
            raise TypeError(f"{name} must be types of Exception, got {one!r}")
    return types


def _predicate(name: str, value: Any) -> Callable[[Any], object] | None:
    if value is not None and not callable(value):
        raise TypeError(f"{name} must be callable, got {type(value).__name__}")
    if value is not None and is_coroutine_function(value):
        raise TypeError(f"{name} must be a plain function, got a coroutine function")
    return value  # type: ignore[no-any-return]  # just checked


def _tags(_: str, value: Any) -> tuple[str, ...]:
    return tags_of(value)


_CHECKS: Final[dict[str, Callable[[str, Any], object]]] = {
    "cache_if": _predicate,
    "early_refresh": _share,
    "hard_timeout": _maybe_none,
    "jitter": check_jitter,
    "l1_ttl": _maybe_none,
    "lease": _maybe_none,
    "negative_errors": _errors,
    "negative_ttl": _maybe_none,
    "refresh_after": _maybe_none,
    "soft_timeout": _maybe_none,
    "stale_for": _maybe_zero,
    "tags": _tags,
    "throttle": _maybe_zero,
    "ttl": _maybe_none,
}


def _check_together(options: Options) -> Options:
    if options.negative_errors and options.negative_ttl is None:
        raise ValueError("negative_errors needs negative_ttl: for how long they are kept")
    ttl, negative_ttl = options.ttl, options.negative_ttl
    if ttl is not None and negative_ttl is not None and negative_ttl > ttl:
        return replace(options, negative_ttl=ttl)  # it is the shorter one
    return options


def check_options(given: dict[str, Any]) -> Options:
    """
    Return the options of a cache.

    Raises:
        TypeError: One has the wrong type.
        ValueError: One is out of its range.
    """
    return Options(ttl=None).changed(given)


def check_settings(
    *, completion_timeout: Seconds, store_timeout: Seconds, backplane: bool
) -> Settings:
    """
    Return the settings of a cache.

    Raises:
        TypeError: One has the wrong type.
        ValueError: One is out of its range.
    """
    return Settings(
        completion_timeout=_seconds("completion_timeout", completion_timeout),
        store_timeout=_seconds("store_timeout", store_timeout),
        backplane=bool(backplane),
    )


def check_key(key: object, what: str = "key") -> str:
    """Accept a str that is text, and so can be sent: it would harm what it is sent with."""
    if not isinstance(key, str):
        raise TypeError(f"{what} must be a str, got {type(key).__name__}")
    if not key.isascii():
        check_text(key, what)
    return key


def check_keys(keys: Iterable[object], what: str = "key") -> list[str]:
    """Accept several str, and return each of them once."""
    refuse_str(keys, what)
    return [check_key(key, what) for key in dict.fromkeys(keys)]


def check_stores(stores: tuple[object, ...]) -> None:
    """Accept what has the methods of a store, each once."""
    for store in stores:
        if not callable(getattr(store, "get_many", None)):
            raise TypeError(f"stores must be stores, got {type(store).__name__}")
    if len({id(store) for store in stores}) < len(stores):
        raise ValueError("a store must be given once")


def check_loader(loader: object) -> None:
    """Accept what can be called."""
    if not callable(loader):
        raise TypeError(f"loader must be callable, got {type(loader).__name__}")
