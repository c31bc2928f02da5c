"""Every bad argument is refused, with the exact message."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from types import ModuleType

import pytest

LARGEST = 2**63 - 1
Case = tuple[object, type[Exception], str]

BAD_MAXSIZES: list[Case] = [
    (True, TypeError, "maxsize must be an int or None, got bool"),
    (False, TypeError, "maxsize must be an int or None, got bool"),
    (1.0, TypeError, "maxsize must be an int or None, got float"),
    ("1", TypeError, "maxsize must be an int or None, got str"),
    ([], TypeError, "maxsize must be an int or None, got list"),
    (..., TypeError, "maxsize must be an int or None, got ellipsis"),
    (0, ValueError, "maxsize must be >= 1, got 0"),
    (-1, ValueError, "maxsize must be >= 1, got -1"),
    (-(10**30), ValueError, f"maxsize must be >= 1, got {-(10**30)}"),
    (2**63, ValueError, f"maxsize must be <= {LARGEST}, got {2**63}"),
    (10**30, ValueError, f"maxsize must be <= {LARGEST}, got {10**30}"),
]

BAD_DURATIONS: list[Case] = [
    (True, TypeError, "{name} must be a number of seconds or a timedelta, got bool"),
    ("5", TypeError, "{name} must be a number of seconds or a timedelta, got str"),
    (5j, TypeError, "{name} must be a number of seconds or a timedelta, got complex"),
    (Decimal(5), TypeError, "{name} must be a number of seconds or a timedelta, got Decimal"),
    (Fraction(5), TypeError, "{name} must be a number of seconds or a timedelta, got Fraction"),
    ([], TypeError, "{name} must be a number of seconds or a timedelta, got list"),
    (float("nan"), ValueError, "{name} must be finite, got nan"),
    (float("inf"), ValueError, "{name} must be finite, got inf"),
    (float("-inf"), ValueError, "{name} must be finite, got -inf"),
    (0, ValueError, "{name} must be > 0, got 0"),
    (0.0, ValueError, "{name} must be > 0, got 0.0"),
    (-0.0, ValueError, "{name} must be > 0, got -0.0"),
    (-1.5, ValueError, "{name} must be > 0, got -1.5"),
    (-(10**400), ValueError, f"{{name}} must be > 0, got {-(10**400)}"),
    (timedelta(0), ValueError, "{name} must be > 0, got datetime.timedelta(0)"),
    (
        timedelta(seconds=-1),
        ValueError,
        "{name} must be > 0, got datetime.timedelta(days=-1, seconds=86399)",
    ),
    (9_000_000_001, ValueError, "{name} must be <= 9000000000 seconds, got 9000000001"),
    (9.1e9, ValueError, "{name} must be <= 9000000000 seconds, got 9100000000.0"),
    (10**400, ValueError, f"{{name}} must be <= 9000000000 seconds, got {10**400}"),
    (
        timedelta.max,
        ValueError,
        f"{{name}} must be <= 9000000000 seconds, got {timedelta.max!r}",
    ),
]

BAD_OPTIONS: list[tuple[str, object, type[Exception], str]] = [
    ("policy", "lfu", ValueError, "policy must be 'lru', got 'lfu'"),
    ("policy", "LRU", ValueError, "policy must be 'lru', got 'LRU'"),
    ("policy", None, ValueError, "policy must be 'lru', got None"),
    ("policy", b"lru", ValueError, "policy must be 'lru', got b'lru'"),
    ("weigher", 1, TypeError, "weigher must be callable, got int"),
    ("on_evict", "f", TypeError, "on_evict must be callable, got str"),
    ("timer", 0.0, TypeError, "timer must be callable, got float"),
    ("jitter", True, TypeError, "jitter must be a number, got bool"),
    ("jitter", "0", TypeError, "jitter must be a number, got str"),
    ("jitter", None, TypeError, "jitter must be a number, got NoneType"),
    ("jitter", 1, ValueError, "jitter must be >= 0 and < 1, got 1"),
    ("jitter", 1.0, ValueError, "jitter must be >= 0 and < 1, got 1.0"),
    ("jitter", -0.1, ValueError, "jitter must be >= 0 and < 1, got -0.1"),
    ("jitter", float("nan"), ValueError, "jitter must be >= 0 and < 1, got nan"),
    ("jitter", 10**400, ValueError, f"jitter must be >= 0 and < 1, got {10**400}"),
    ("name", 1, TypeError, "name must be a str, got int"),
    ("name", b"x", TypeError, "name must be a str, got bytes"),
]


def refuse(kind: type[Exception], message: str, call: Callable[[], object]) -> None:
    with pytest.raises(kind) as caught:
        call()
    assert type(caught.value) is kind
    assert str(caught.value) == message


@pytest.mark.parametrize(("value", "kind", "message"), BAD_MAXSIZES)
def test_a_bad_maxsize_is_refused(
    backend: ModuleType, value: object, kind: type[Exception], message: str
) -> None:
    refuse(kind, message, lambda: backend.Cache(value))
    cache = backend.Cache(5)
    refuse(kind, message, lambda: cache.resize(value))
    assert cache.maxsize == 5


def test_the_largest_and_the_smallest_maxsize_are_accepted(backend: ModuleType) -> None:
    assert backend.Cache(LARGEST).maxsize == LARGEST
    assert backend.Cache(1).maxsize == 1
    assert backend.Cache(maxsize=None).maxsize is None


@pytest.mark.parametrize("name", ["ttl", "tti"])
@pytest.mark.parametrize(("value", "kind", "message"), BAD_DURATIONS)
def test_a_bad_duration_is_refused(
    backend: ModuleType, name: str, value: object, kind: type[Exception], message: str
) -> None:
    refuse(kind, message.format(name=name), lambda: backend.Cache(1, **{name: value}))


@pytest.mark.parametrize(("value", "kind", "message"), BAD_DURATIONS)
def test_a_bad_ttl_of_an_entry_is_refused_and_changes_nothing(
    backend: ModuleType, value: object, kind: type[Exception], message: str
) -> None:
    cache = backend.Cache(5)
    cache["a"] = 1
    calls: list[Callable[[], object]] = [
        lambda: cache.set("a", 2, ttl=value),
        lambda: cache.set("b", 2, ttl=value),
        lambda: cache.touch("a", ttl=value),
        lambda: cache.touch("x", ttl=value),
        lambda: cache.set_many({"b": 2}, ttl=value),
        lambda: cache.get_or_load("a", str, ttl=value),
        lambda: cache.get_or_load("b", str, ttl=value),
    ]
    for call in calls:
        refuse(kind, message.format(name="ttl"), call)
    assert list(cache.items()) == [("a", 1)]
    assert cache.stats() == backend.CacheStats(size=1, weight=1, maxsize=5)


@pytest.mark.parametrize(("value", "kind", "message"), BAD_DURATIONS)
def test_a_bad_duration_is_refused_under_any_name(
    backend: ModuleType, value: object, kind: type[Exception], message: str
) -> None:
    refuse(kind, message.format(name="stale"), lambda: backend.duration("stale", value))


def test_a_duration_is_converted_to_seconds(backend: ModuleType) -> None:
    cases: list[tuple[object, float]] = [
        (60, 60.0),
        (0.5, 0.5),
        (timedelta(minutes=1, milliseconds=5), 60.005),
        (9_000_000_000, 9e9),
        (1e-30, 1e-9),
        (1.4e-9, 1e-9),
        (1.6e-9, 2e-9),
    ]
    for value, seconds in cases:
        result = backend.duration("ttl", value)
        assert result == seconds
        assert type(result) is float
        assert backend.Cache(1, ttl=value).ttl == seconds
        assert backend.Cache(1, tti=value).tti == seconds


@pytest.mark.parametrize(("option", "value", "kind", "message"), BAD_OPTIONS)
def test_a_bad_option_is_refused(
    backend: ModuleType, option: str, value: object, kind: type[Exception], message: str
) -> None:
    refuse(kind, message, lambda: backend.Cache(1, **{option: value}))


def test_options_are_checked_in_the_order_of_the_signature(backend: ModuleType) -> None:
    bad: dict[str, object] = {
        "maxsize": 0,
        "ttl": 0,
        "tti": 0,
        "policy": "x",
        "weigher": 0,
        "on_evict": 0,
        "jitter": 5,
        "timer": 0,
        "name": 0,
    }
    good: dict[str, object] = {"maxsize": 1}
    for option in list(bad):
        with pytest.raises((TypeError, ValueError), match=f"^{option} must be"):
            backend.Cache(**{**good, **bad})
        del bad[option]
    assert backend.Cache(**good).maxsize == 1


def test_none_is_accepted_for_every_optional_callable(backend: ModuleType) -> None:
    cache = backend.Cache(
        1, ttl=None, tti=None, weigher=None, on_evict=None, timer=None, name=None, policy="lru"
    )
    cache["a"] = 1
    assert cache["a"] == 1


@pytest.mark.parametrize(("loader", "name"), [(None, "NoneType"), (5, "int"), ("f", "str")])
def test_a_loader_that_cannot_be_called_is_refused(
    backend: ModuleType, loader: object, name: str
) -> None:
    cache = backend.Cache(1)
    cache["a"] = 1
    for key in ("a", "b"):
        refuse(
            TypeError,
            f"loader must be callable, got {name}",
            lambda key=key: cache.get_or_load(key, loader),  # type: ignore[misc]  # bound now
        )
    assert cache.stats() == backend.CacheStats(size=1, weight=1, maxsize=1)


def test_options_are_keyword_only(backend: ModuleType) -> None:
    cache = backend.Cache(1)
    calls: list[Callable[[], object]] = [
        lambda: backend.Cache(*[]),
        lambda: backend.Cache(1, 5),
        lambda: backend.Cache(1, unknown=5),
        lambda: cache.set("a", 1, 5),
        lambda: cache.touch("a", 5),
        lambda: cache.get_or_load("a", str, 5),
        lambda: cache.set_many({}, 5),
        lambda: cache.pop("a", default=5),
        lambda: cache.pop("a", 1, 2),
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
