"""Both backends at once: whatever is done to them, they do the same."""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import Phase, settings
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


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw from the second now and then: operations meet only on the same few keys and times."""
    return st.integers(0, 6).flatmap(lambda number: odd if number == 6 else usual)


NAN = float("nan")
ODD_KEYS = st.one_of(
    st.sampled_from([2, -1, -2, 10**20, False, 1.0, 0.0, -0.0, 2.0, 0.5, NAN]),
    st.sampled_from(["", "b", "1", b"a", None, (), (1,), (True,), (1.0, "a"), ((1, 2), NAN)]),
    st.sampled_from("xy").map(lambda name: (Same(name), 1)),
)
KEYS = mostly(st.sampled_from([1, True, "a"]) | st.sampled_from("xy").map(Same), ODD_KEYS)
BAD_KEYS: st.SearchStrategy[object] = st.sampled_from([[], {}, (1, [])])
VALUES = st.integers(0, 6)
# What a weigher that returns the value refuses, or what does not fit.
ODD_VALUES = st.sampled_from([7, 100, -1, "x", None, True, 1.5, 2**63])
ANY_VALUES = mostly(VALUES, ODD_VALUES)
TTLS = mostly(
    st.sampled_from([..., 1, 2]),
    st.sampled_from([None, 0.5, timedelta(seconds=3), 1e-9, 9_000_000_000]),
)
BAD_TTLS = st.sampled_from([0, -1, True, "1", NAN, float("inf"), 1e10, timedelta(0), 10**400])
ANY_TTLS = mostly(TTLS, BAD_TTLS)
DURATIONS = st.sampled_from([None, None, 1, 2, timedelta(seconds=2)])
#: How long before an operation nothing happens.
WAITS = mostly(st.sampled_from([0, 0, 1]), st.sampled_from([0.5, 5, 1e-9, -1]))

READS: list[Callable[..., object]] = [
    lambda cache, key: cache.get(key, "absent"),
    lambda cache, key: cache[key],
    lambda cache, key: cache.get_or_load(key, lambda key: 1),
    lambda cache, key: cache.setdefault(key, 2),
    lambda cache, key: list(cache.get_many([key, "a", key]).items()),
]
LOOKS: list[Callable[..., object]] = [
    lambda cache, key: cache.peek(key, "absent"),
    lambda cache, key: key in cache,
    lambda cache, key: cache.ttl_of(key),
]
REMOVALS: list[Callable[..., object]] = [
    lambda cache, key: cache.pop(key),
    lambda cache, key: cache.pop(key, "absent"),
    lambda cache, key: cache.__delitem__(key),
    lambda cache, key: cache._invalidate(key),
    lambda cache, key: cache.popitem(),
]
SWEEPS: list[Callable[..., object]] = [
    lambda cache: cache.expire(),
    len,
    list,
    lambda cache: cache.items(),
    lambda cache: cache.stats(),
    lambda cache: cache.clear(),
    lambda cache: cache.reset_stats(),
]
MAXSIZES = st.sampled_from([1, 2, 4, 9, None, 0, -1, True, "1", 2**63])


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
        start=st.sampled_from([0.0, 0.0, -5.0, 1e6]),
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

    @rule(key=KEYS, value=ANY_VALUES, ttl=ANY_TTLS, wait=WAITS)
    def set(self, key: object, value: object, ttl: object, wait: float) -> None:
        self.clock.advance(wait)
        self.both(lambda twin: twin.cache.set(key, value, ttl=ttl))

    @rule(key=KEYS, value=VALUES)
    def set_item(self, key: object, value: object) -> None:
        self.both(lambda twin: twin.cache.__setitem__(key, value))

    @rule(pairs=st.lists(st.tuples(KEYS, ANY_VALUES), max_size=12), ttl=ANY_TTLS)
    def set_many(self, pairs: list[tuple[object, object]], ttl: object) -> None:
        self.both(lambda twin: twin.cache.set_many(pairs, ttl=ttl))

    @rule(size=st.integers(0, 15), ttl=st.sampled_from([..., 1]), wait=WAITS)
    def fill(self, size: int, ttl: object, wait: float) -> None:
        self.clock.advance(wait)
        self.both(lambda twin: twin.cache.set_many(dict.fromkeys(range(50, 50 + size), 0), ttl=ttl))

    @rule(pairs=st.lists(st.tuples(KEYS, VALUES), max_size=5), more=st.booleans())
    def update(self, pairs: list[tuple[object, object]], more: bool) -> None:
        self.both(lambda twin: twin.cache.update(pairs, **({"a": 1} if more else {})))

    @rule(key=KEYS, read=st.sampled_from(READS), wait=WAITS)
    def read(self, key: object, read: Callable[..., object], wait: float) -> None:
        self.clock.advance(wait)
        self.both(lambda twin: read(twin.cache, key))

    @rule(key=KEYS, wait=WAITS)
    def look(self, key: object, wait: float) -> None:
        self.clock.advance(wait)
        for look in LOOKS:
            self.both(lambda twin, look=look: look(twin.cache, key))  # type: ignore[misc]  # bound now

    @rule(key=KEYS, ttl=ANY_TTLS, wait=WAITS)
    def touch(self, key: object, ttl: object, wait: float) -> None:
        self.clock.advance(wait)
        self.both(lambda twin: twin.cache.touch(key, ttl=ttl))

    @rule(key=KEYS, remove=st.sampled_from(REMOVALS), wait=WAITS)
    def remove(self, key: object, remove: Callable[..., object], wait: float) -> None:
        self.clock.advance(wait)
        self.both(lambda twin: remove(twin.cache, key))

    @rule(keys=st.lists(KEYS, max_size=6))
    def get_many(self, keys: list[object]) -> None:
        self.both(lambda twin: list(twin.cache.get_many(keys).items()))

    @rule(
        key=KEYS,
        value=ANY_VALUES,
        ttl=ANY_TTLS,
        act=st.sampled_from(["", "", "fail", "set", "pop", "clear", "recurse", "other", "time"]),
    )
    def get_or_load(self, key: object, value: object, ttl: object, act: str) -> None:
        before = self.clock.now

        def call(twin: Twin) -> object:
            self.clock.now = before

            def loader(key: object) -> object:
                self.act(act, twin, key)
                return value

            return twin.cache.get_or_load(key, loader, ttl=ttl)

        self.both(call)

    def act(self, act: str, twin: Twin, key: object) -> None:
        """Do what a loader might do beside loading."""
        match act:
            case "fail":
                raise ZeroDivisionError(act)
            case "set":
                twin.cache[key] = 1
            case "pop":
                twin.cache.pop(key, None)
            case "clear":
                twin.cache.clear()
            case "recurse":
                twin.cache.get_or_load(key, lambda key: 1)
            case "other":
                twin.cache.get_or_load("other", lambda key: 1)
            case "time":
                self.clock.advance(0.75)

    @rule(key=KEYS, supersede=st.booleans())
    def begin(self, key: object, supersede: bool) -> None:
        for twin in self.twins:
            twin.flights.append(twin.cache._begin(key, supersede))

    @precondition(lambda self: hasattr(self, "twins") and self.twins[0].flights)
    @rule(data=st.data(), value=ANY_VALUES, ttl=TTLS)
    def commit(self, data: st.DataObject, value: object, ttl: object) -> None:
        which = data.draw(st.integers(0, len(self.twins[0].flights) - 1))
        self.both(lambda twin: twin.cache._commit(twin.flights.pop(which), value, 0.5, ttl))

    @precondition(lambda self: hasattr(self, "twins") and self.twins[0].flights)
    @rule(data=st.data(), seconds=st.sampled_from([None, 0.0, 1.5]))
    def abandon(self, data: st.DataObject, seconds: float | None) -> None:
        which = data.draw(st.integers(0, len(self.twins[0].flights) - 1))
        self.both(lambda twin: twin.cache._abandon(twin.flights.pop(which), seconds))

    @rule(sweep=st.sampled_from(SWEEPS), wait=WAITS)
    def sweep(self, sweep: Callable[..., object], wait: float) -> None:
        self.clock.advance(wait)
        self.both(lambda twin: sweep(twin.cache))

    @rule(maxsize=MAXSIZES, key=BAD_KEYS, failures=st.integers(1, 3), what=st.integers(0, 3))
    def do_something_rare(self, maxsize: object, key: object, failures: int, what: int) -> None:
        if what == 0:
            self.both(lambda twin: twin.cache.resize(maxsize))
        elif what == 1:
            for twin in self.twins:
                twin.failures = failures
        elif what == 2:
            self.both(lambda twin: twin.cache.get(key))
            self.both(lambda twin: twin.cache.set(key, 1))
            self.both(lambda twin: key in twin.cache)
        else:
            self.compare_with_each_other()

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


TestTwins = pytest.mark.timeout(300)(Twins.TestCase)
# Explaining a failure takes longer than finding it.
PHASES = set(Phase) - {Phase.explain}
TestTwins.settings = settings(deadline=None, stateful_step_count=50, phases=PHASES)
