"""Both backends at once: whatever is done to them, they do the same."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from tests.backends import BACKENDS, load_backend
from tests.clock import Clock

if "native" in BACKENDS:
    NATIVE = load_backend("native")
else:
    pytest.skip("ONLY ONE BACKEND IS TESTED: PENSTOCK_PURE is set", allow_module_level=True)
PURE = load_backend("pure")


class Same:
    """All have one hash; equal by name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __hash__(self) -> int:
        return 1

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and self.name == other.name

    def __repr__(self) -> str:
        return f"Same({self.name!r}, {id(self)})"


NAN = float("nan")
KEYS = st.one_of(
    st.sampled_from([0, 1, 2, -1, -2, 10**20, True, False, 1.0, 0.0, -0.0, 2.0, 0.5, NAN]),
    st.sampled_from(["", "a", "b", "1", b"a", None, (), (1,), (True,), (1.0, "a"), ((1, 2), NAN)]),
    st.sampled_from("xyz").map(Same),
    st.sampled_from("xy").map(lambda name: (Same(name), 1)),
)
BAD_KEYS: st.SearchStrategy[object] = st.sampled_from([[], {}, (1, [])])
VALUES = st.integers(0, 6)
# What a weigher that returns the value refuses, or what does not fit.
ODD_VALUES = st.sampled_from([7, 100, -1, "x", None, True, 1.5, 2**63])
TTLS = st.sampled_from([..., ..., None, 1, 2, 0.5, 1.25, timedelta(seconds=3), 1e-9, 9_000_000_000])
BAD_TTLS = st.sampled_from([0, -1, True, "1", NAN, float("inf"), 1e10, timedelta(0), 10**400])
DURATIONS = st.sampled_from([None, None, 1, 2, 3.5, timedelta(seconds=2)])


def describe(call: Callable[[], object]) -> object:
    """Whatever comes of a call, in a form in which equal things of different types differ."""
    try:
        result = call()
    except Exception as error:
        return type(error), str(error), repr(error.args)
    return repr(result)


class Twin:
    """One of the two caches, and what it told."""

    def __init__(self, backend: Any, clock: Clock, **options: Any) -> None:
        self.log: list[str] = []
        #: How many of the next calls of on_evict raise.
        self.failures = 0
        self.flights: list[Any] = []
        if options.pop("tells"):
            options["on_evict"] = self.on_evict
        if options.pop("weighs"):
            options["weigher"] = lambda key, value: value
        self.cache = backend.Cache(timer=clock, **options)

    def on_evict(self, key: object, value: object, cause: str) -> None:
        self.log.append(repr((key, value, cause)))
        if self.failures:
            self.failures -= 1
            raise LookupError(key)

    def observe(self) -> object:
        cache = self.cache
        return [
            describe(lambda: len(cache)),
            describe(lambda: list(cache.items())),
            describe(lambda: list(cache)),
            describe(cache.stats),
            describe(lambda: repr(cache)),
        ]


class Twins(RuleBasedStateMachine):
    """The same operations on both."""

    @initialize(
        maxsize=st.sampled_from([1, 2, 3, 5, 9, None]),
        ttl=DURATIONS,
        tti=DURATIONS,
        weighs=st.booleans(),
        tells=st.sampled_from([True, True, True, False]),
        name=st.sampled_from([None, "name"]),
        start=st.sampled_from([0.0, -5.0, 1e6]),
    )
    def make(self, start: float, **options: Any) -> None:
        self.clock = Clock(start)
        self.twins = [Twin(backend, self.clock, **options) for backend in (NATIVE, PURE)]

    def both(self, call: Callable[[Twin], object]) -> None:
        """Do the same with both, and compare what comes of it."""
        outcomes, reported = [], []
        hook = sys.unraisablehook
        for twin in self.twins:
            ignored: list[object] = []
            reported.append(ignored)
            sys.unraisablehook = lambda args, to=ignored: to.append(repr(args.exc_value))  # type: ignore[misc]  # bound now
            try:
                outcomes.append(describe(lambda: call(twin)))  # noqa: B023  # called now
            finally:
                sys.unraisablehook = hook
        assert outcomes[0] == outcomes[1]
        assert reported[0] == reported[1]

    @invariant()
    def they_told_the_same(self) -> None:
        if hasattr(self, "twins"):
            native, pure = self.twins
            assert native.log == pure.log
            assert native.failures == pure.failures
            assert [f.valid for f in native.flights] == [f.valid for f in pure.flights]

    @rule(seconds=st.sampled_from([0.25, 0.5, 1, 1, 2, 5, 1e-9, -1]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(failures=st.integers(1, 3))
    def on_evict_will_fail(self, failures: int) -> None:
        for twin in self.twins:
            twin.failures = failures

    @rule(key=KEYS, value=VALUES | ODD_VALUES, ttl=TTLS | BAD_TTLS)
    def set(self, key: object, value: object, ttl: object) -> None:
        self.both(lambda twin: twin.cache.set(key, value, ttl=ttl))

    @rule(key=KEYS, value=VALUES)
    def set_item(self, key: object, value: object) -> None:
        self.both(lambda twin: twin.cache.__setitem__(key, value))

    @rule(key=KEYS)
    def get(self, key: object) -> None:
        self.both(lambda twin: twin.cache.get(key, "absent"))

    @rule(key=KEYS)
    def get_item(self, key: object) -> None:
        self.both(lambda twin: twin.cache[key])

    @rule(key=KEYS)
    def look(self, key: object) -> None:
        self.both(lambda twin: twin.cache.peek(key, "absent"))
        self.both(lambda twin: key in twin.cache)
        self.both(lambda twin: twin.cache.ttl_of(key))

    @rule(key=KEYS, ttl=TTLS | BAD_TTLS)
    def touch(self, key: object, ttl: object) -> None:
        self.both(lambda twin: twin.cache.touch(key, ttl=ttl))

    @rule(key=KEYS, default=st.booleans())
    def pop(self, key: object, default: bool) -> None:
        self.both(lambda twin: twin.cache.pop(key, *(["absent"] if default else [])))

    @rule(key=KEYS)
    def delete(self, key: object) -> None:
        self.both(lambda twin: twin.cache.__delitem__(key))

    @rule(key=KEYS)
    def invalidate(self, key: object) -> None:
        self.both(lambda twin: twin.cache._invalidate(key))

    @rule()
    def popitem(self) -> None:
        self.both(lambda twin: twin.cache.popitem())

    @rule(key=KEYS, value=VALUES | ODD_VALUES)
    def setdefault(self, key: object, value: object) -> None:
        self.both(lambda twin: twin.cache.setdefault(key, value))

    @rule(keys=st.lists(KEYS, max_size=6))
    def get_many(self, keys: list[object]) -> None:
        self.both(lambda twin: list(twin.cache.get_many(keys).items()))

    @rule(pairs=st.lists(st.tuples(KEYS, VALUES | ODD_VALUES), max_size=12), ttl=TTLS | BAD_TTLS)
    def set_many(self, pairs: list[tuple[object, object]], ttl: object) -> None:
        self.both(lambda twin: twin.cache.set_many(pairs, ttl=ttl))

    @rule(pairs=st.lists(st.tuples(KEYS, VALUES), max_size=12), more=st.booleans())
    def update(self, pairs: list[tuple[object, object]], more: bool) -> None:
        self.both(lambda twin: twin.cache.update(pairs, **({"a": 1} if more else {})))

    @rule(
        key=KEYS,
        value=VALUES | ODD_VALUES,
        ttl=TTLS | BAD_TTLS,
        act=st.sampled_from(["", "", "fail", "set", "pop", "clear", "recurse", "other", "time"]),
    )
    def get_or_load(self, key: object, value: object, ttl: object, act: str) -> None:
        def load(twin: Twin) -> object:
            cache = twin.cache
            if act == "fail":
                raise ZeroDivisionError(act)
            if act == "set":
                cache[key] = 1
            elif act == "pop":
                cache.pop(key, None)
            elif act == "clear":
                cache.clear()
            elif act == "recurse":
                cache.get_or_load(key, lambda key: value)
            elif act == "other":
                cache.get_or_load("other", lambda key: 1)
            return value

        before = self.clock.now

        def call(twin: Twin) -> object:
            self.clock.now = before

            def loader(key: object) -> object:
                if act == "time":
                    self.clock.advance(0.75)
                return load(twin)

            return twin.cache.get_or_load(key, loader, ttl=ttl)

        self.both(call)

    @rule(key=KEYS, supersede=st.booleans())
    def begin(self, key: object, supersede: bool) -> None:
        for twin in self.twins:
            twin.flights.append(twin.cache._begin(key, supersede))

    @precondition(lambda self: hasattr(self, "twins") and self.twins[0].flights)
    @rule(data=st.data(), value=VALUES | ODD_VALUES, ttl=TTLS)
    def commit(self, data: st.DataObject, value: object, ttl: object) -> None:
        which = data.draw(st.integers(0, len(self.twins[0].flights) - 1))
        self.both(lambda twin: twin.cache._commit(twin.flights.pop(which), value, 0.5, ttl))

    @precondition(lambda self: hasattr(self, "twins") and self.twins[0].flights)
    @rule(data=st.data(), seconds=st.sampled_from([None, 0.0, 1.5]))
    def abandon(self, data: st.DataObject, seconds: float | None) -> None:
        which = data.draw(st.integers(0, len(self.twins[0].flights) - 1))
        self.both(lambda twin: twin.cache._abandon(twin.flights.pop(which), seconds))

    @rule(maxsize=st.sampled_from([1, 2, 4, 9, None, 0, -1, True, "1", 2**63]))
    def resize(self, maxsize: object) -> None:
        self.both(lambda twin: twin.cache.resize(maxsize))

    @rule()
    def expire(self) -> None:
        self.both(lambda twin: twin.cache.expire())

    @rule()
    def clear(self) -> None:
        self.both(lambda twin: twin.cache.clear())

    @rule()
    def reset_stats(self) -> None:
        self.both(lambda twin: twin.cache.reset_stats())

    @rule(key=BAD_KEYS)
    def refuse_unhashable_keys(self, key: object) -> None:
        self.both(lambda twin: twin.cache.get(key))
        self.both(lambda twin: twin.cache.set(key, 1))
        self.both(lambda twin: key in twin.cache)
        self.both(lambda twin: twin.cache.get_or_load(key, str))

    @rule()
    def observe(self) -> None:
        self.both(lambda twin: twin.observe())

    @rule()
    def compare_with_each_other(self) -> None:
        native, pure = (twin.cache for twin in self.twins)
        for twin in self.twins:
            twin.failures = 0
        assert native == pure
        assert pure == native

    def teardown(self) -> None:
        if hasattr(self, "twins"):
            self.both(lambda twin: twin.observe())
            self.they_told_the_same()
            self.both(lambda twin: twin.cache.clear())
            self.they_told_the_same()


TestTwins = Twins.TestCase
TestTwins.settings = settings(deadline=None, stateful_step_count=40)
