"""No public call, with whatever arguments, ends in anything but a value or an `Exception`."""

from __future__ import annotations

import contextlib
import datetime
import logging
import math
import random
import sys
import types
from typing import TYPE_CHECKING, NoReturn

from tests.stress.harness import cases, in_child, rounds

from penstock import Cache, CacheStats, _backend, build_info, cached

if TYPE_CHECKING:
    from collections.abc import Callable

#: Methods that end what they are called on, or this process.
SKIPPED = {"__init_subclass__", "__subclasshook__", "__class__", "__class_getitem__", "__new__"}


def fail(*_: object) -> NoReturn:
    raise ValueError("hostile")


def echo(*args: object, **kwargs: object) -> object:
    return args, kwargs


async def echo_later(*args: object, **kwargs: object) -> object:
    return args, kwargs


class Hostile:
    """Fails whatever is asked of it, its repr and its truth among them."""

    __hash__ = __eq__ = __repr__ = __str__ = __bool__ = __len__ = __iter__ = __index__ = fail
    __int__ = __float__ = __call__ = __getitem__ = __contains__ = __await__ = __lt__ = fail


class Liar:
    """Says that it is everything, and gives what nobody expects."""

    def keys(self) -> object:
        return self

    def items(self) -> object:
        return 3

    def __iter__(self) -> object:
        return iter([1, "ab", (1, 2, 3), None])

    def __getitem__(self, key: object) -> object:
        return self

    def __index__(self) -> int:
        return -(10**40)

    def __call__(self, *args: object, **kwargs: object) -> object:
        return self

    def __len__(self) -> int:
        return 3

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return hash(1)

    def total_seconds(self) -> object:
        return "a while"


class Number(int):
    pass


class Text(str):
    pass


class Delta(datetime.timedelta):
    def total_seconds(self) -> object:
        return None


def junk() -> list[object]:
    """Arguments that nobody would hand in, and some that somebody might."""
    cache: Cache[object, object] = Cache(3, ttl=5)
    cache["a"] = cache
    other: Cache[object, object] = Cache(3)
    memo = cached(echo)
    return [
        *(None, ..., NotImplemented, True, False, 0, 1, -1, 2, 7, 2**31, 2**63 - 1, 2**63, 2**64),
        *(-(2**63), 10**400, -(10**400), 0.0, -0.0, 0.5, 1e-300, 1e300, math.nan, math.inf, 1j),
        *("", "a", "lru", "\ud800", "a\0b", "x" * 10_000, b"", b"a", bytearray(b"a"), ()),
        *((1,), (1, 2), ("a", "b", "c"), [], [1], [(1, 2)], [(1,)], {}, {"a": 1}, {1: 2}, set()),
        *(frozenset({1}), range(3), iter([1]), iter([("a", 1)]), object(), object, type, int, str),
        *(len, print, fail, lambda *a, **k: 1, lambda: math.nan, lambda *a: a, Hostile(), Hostile),
        *(Liar(), Liar, Number(3), Text("lru"), datetime.timedelta(seconds=3), Delta(1)),
        *(datetime.timedelta.max, datetime.timedelta.min, ValueError(), ValueError, KeyError("a")),
        *(StopIteration(1), sys, types.SimpleNamespace(), cache, other, cache._begin("a")),
        *(other._begin(1), cache.stats(), CacheStats(hits=2**63), memo, _backend.Ready(1)),
        *(Cache, CacheStats, cached, _backend.Memo, _backend.Ready, (((((((((1,),),),),),),),),)),
    ]


def subjects() -> dict[str, list[object]]:
    """What is called: classes, functions, and fresh instances by name."""
    filled: Cache[object, object] = Cache(5, ttl=60, on_evict=lambda *_: None)
    filled.update({"a": 1, 1: 2, (1,): 3})

    class Service:
        method = cached(echo)
        coroutine_method = cached(echo_later)

    return {
        "classes": [Cache, CacheStats, _backend.Memo, _backend.Ready, _backend.Flight],
        "functions": [cached, build_info, _backend.duration, cached(ttl=5), Service.method],
        "cache": [
            filled,
            Cache(3),
            Cache(None, tti=1),
            Cache(9, weigher=lambda *_: 3, timer=lambda: 1),
        ],
        "stats": [filled.stats()],
        "memo": [Service.method, Service().method, cached(typed=True)(echo), cached(key=len)(echo)],
        "coroutine": [Service.coroutine_method, Service().coroutine_method],
        "flight": [filled._begin("a"), filled._begin(1, True)],
        "ready": [_backend.Ready(1), _backend.Ready(Hostile())],
    }


def be_quiet() -> None:
    """Hostile things fail wherever they are asked, in finalizers and background threads too."""
    sys.unraisablehook = lambda _: None
    logging.disable()


def callables(thing: object) -> list[tuple[str, Callable[..., object]]]:
    """Every method of a thing, and the thing itself."""
    found = [("", thing)] if callable(thing) else []
    for name in dir(thing):
        # The methods that every object has are not ours to test.
        if name not in SKIPPED and getattr(object, name, None) is not getattr(type(thing), name, 1):
            with contextlib.suppress(Exception):
                found.append((name, getattr(thing, name)))
    return [(name, call) for name, call in found if callable(call)]


def call(function: Callable[..., object], source: random.Random) -> None:
    """Call it with junk."""
    things = junk()
    names = [
        "key",
        "value",
        "default",
        "ttl",
        "maxsize",
        "loader",
        "timer",
        "cache",
        "supersede",
        "x",
    ]
    args = [source.choice(things) for _ in range(source.choice([0, 0, 1, 1, 1, 2, 2, 3, 4, 9, 30]))]
    kwargs = {
        source.choice(names): source.choice(things) for _ in range(source.choice([0, 0, 1, 2]))
    }
    with contextlib.suppress(Exception):
        result = function(*args, **kwargs)
        if hasattr(result, "close"):
            result.close()
        del result


@in_child
@cases("kind", ["classes", "functions", "cache", "stats", "memo", "coroutine", "flight", "ready"])
def test_junk_ends_in_a_value_or_an_exception(kind: str) -> None:
    be_quiet()
    for seed in range(rounds(40)):
        source = random.Random(f"{kind} {seed}")
        for thing in subjects()[kind]:
            for name, function in callables(thing):
                print(seed, type(thing).__name__, name)
                try:
                    call(function, source)
                except BaseException as error:
                    raise AssertionError(f"{name} panicked") from error


@in_child
def test_junk_in_one_argument_at_a_time_ends_in_a_value_or_an_exception() -> None:
    be_quiet()
    options = ("maxsize", "ttl", "tti", "policy", "weigher", "on_evict", "jitter", "timer", "name")
    more = ("key", "typed", "cache", "stale")
    for number in range(len(junk())):
        for option in options:
            print(option, number)
            with contextlib.suppress(Exception):
                cache = Cache(**{"maxsize": 3, option: junk()[number]})
                for key in ("a", 1, "b", (2,), "c", "d"):
                    cache.set(key, key)
                    cache.get(key)
                cache.stats()
        for option in (*options, *more):
            print("cached", option, number)
            with contextlib.suppress(Exception):
                function = cached(**{"ttl": 5, option: junk()[number]})(lambda value: value)
                for value in (1, "a", 1.5):
                    function(value)
                    function.refresh(value)
                    function.invalidate(value)


@in_child
def test_a_panic_would_be_noticed() -> None:
    class PanicException(BaseException):
        pass

    def panic(*args: object, **kwargs: object) -> NoReturn:
        raise PanicException

    try:
        call(panic, random.Random(1))
    except PanicException:
        return
    raise AssertionError("it was not noticed")


@in_child
def test_exceptions_that_are_no_exceptions_pass_through() -> None:
    class Quit(BaseException):
        pass

    def leave(*_: object) -> NoReturn:
        raise Quit

    class Key:
        __hash__ = leave

    class Twin:
        __eq__ = leave

        def __hash__(self) -> int:
            return 1

    def quits(call: Callable[[], object]) -> bool:
        try:
            call()
        except Quit:
            return True
        return False

    cache: Cache[object, object] = Cache(8)
    cache[Twin()] = 1
    assert quits(lambda: cache.get(Key()))
    assert quits(lambda: cache.get(Twin()))
    assert quits(lambda: cached(str)(Key(), option=1))
    assert quits(cached(leave))
    assert quits(lambda: Cache(1, timer=leave, ttl=1).get(1))
    assert quits(lambda: Cache(1, weigher=leave).set(1, 1))
    assert quits(lambda: cached(key=leave)(str)(1))
    assert quits(lambda: _backend.Ready(1).throw(Quit))
