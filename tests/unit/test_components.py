"""The registry of named components."""

from __future__ import annotations

import gc
import itertools
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

import pytest
from tests.threads import spawn

from penstock import Cache, _components, cached


class Stats(NamedTuple):
    """Figures of a component."""

    jobs: int = 0


class Pump:
    """A component."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name

    def stats(self) -> object:
        return Stats()


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry without entries, with one kind."""
    monkeypatch.setattr(_components, "_entries", {})
    monkeypatch.setattr(_components, "_kinds", dict(_components._kinds))
    monkeypatch.setattr(_components, "_listeners", [])
    _components.describe("pump", Stats, [("jobs", "counter", "Jobs.")])


def tracked() -> list[tuple[str, object]]:
    """What is tracked, by name."""
    return [(entry.name, entry()) for entry in _components.entries()]


def names() -> list[str]:
    return [entry.name for entry in _components.entries()]


class TestEntering:
    """What the hook of the backends does."""

    def test_a_component_is_entered_under_its_own_name(self) -> None:
        pump = Pump("north")
        _components.enter(pump)
        assert tracked() == [("north", pump)]

    @pytest.mark.parametrize("name", [None, ""])
    def test_a_component_without_a_name_is_left_alone(self, name: str | None) -> None:
        pump = Pump(name)
        _components.enter(pump)
        _components.enter(object())
        assert tracked() == []

    def test_named_caches_and_cached_functions_are_entered(self) -> None:
        cache: Cache[int, int] = Cache(5, name="users")
        unnamed: Cache[int, int] = Cache(5)
        square = cached(name="squares")(abs)
        ((one, first), (other, second)) = tracked()
        assert (one, other) == ("users", "squares")
        assert first is cache is not unnamed
        assert second is square.cache

    def test_a_dead_component_is_forgotten(self) -> None:
        north, south = Pump("north"), Pump("south")
        _components.enter(north)
        _components.enter(south)
        del north
        assert tracked() == [("south", south)]

    def test_a_component_that_dies_in_a_cycle_is_forgotten(self) -> None:
        pump: Any = Pump("north")
        pump.itself = pump
        _components.enter(pump)
        del pump
        gc.collect()
        assert tracked() == []

    def test_equal_components_are_kept_apart(self) -> None:
        caches = [Cache[int, int](5, name=name) for name in "ab"]
        assert caches[0] == caches[1]
        assert names() == ["a", "b"]


class TestTracking:
    """``track``."""

    def test_it_returns_the_component(self) -> None:
        pump = Pump()
        assert _components.track(pump, "north") is pump
        assert tracked() == [("north", pump)]

    def test_only_a_weak_reference_is_kept(self) -> None:
        _components.track(Pump(), "north")
        assert tracked() == []

    def test_tracking_again_changes_nothing(self) -> None:
        pump = _components.track(Pump(), "north")
        (entry,) = _components.entries()
        _components.track(pump, "north")
        assert [each.number for each in _components.entries()] == [entry.number]

    def test_the_name_given_last_counts(self) -> None:
        cache: Cache[int, int] = Cache(5, name="users")
        _components.track(cache, "people")
        assert names() == ["people"]
        _components.track(cache, "users")
        assert names() == ["users"]

    @pytest.mark.filterwarnings("error::pytest.PytestUnraisableExceptionWarning")
    def test_an_old_name_may_be_looked_at_when_the_component_dies(self) -> None:
        pump = _components.track(Pump(), "north")
        old = _components.entries()
        _components.track(pump, "south")
        del pump
        assert old[0]() is None
        assert tracked() == []

    def test_components_may_share_a_name(self) -> None:
        pumps = [_components.track(Pump(), "north") for _ in range(3)]
        assert tracked() == [("north", pump) for pump in pumps]

    def test_a_cached_function_and_its_cache_are_one_component(self) -> None:
        square = cached(name="squares")(abs)
        _components.track(square, "squares")
        _components.track(square.cache, "squares")
        assert len(tracked()) == 1
        assert _components.track(square, "absolutes") is square
        assert names() == ["absolutes"]

    def test_a_tracked_cached_function_is_forgotten_with_the_function(self) -> None:
        square: Any = cached(lambda number: number)
        _components.track(square, "squares")
        assert names() == ["squares"]
        del square
        gc.collect()
        assert names() == []

    def test_cached_methods_are_tracked_by_class_and_by_object(self) -> None:
        class Area:
            @cached
            def of(self, width: int) -> int:
                return width

        _components.track(Area.of, "areas")
        _components.track(Area().of, "areas")  # neither the object nor the method lives on
        assert names() == ["areas"]
        assert tracked()[0][1] is Area.of.cache

    def test_stats_that_are_no_method_are_those_of_the_object(self) -> None:
        pump: Any = Pump()
        _components.describe("clock", int, [("real", "counter", "Nanoseconds.")])
        for stats in (partial(Stats, 1), Stats, time.time_ns):
            pump.stats = stats
            _components.track(pump, "north")
            assert tracked() == [("north", pump)]

    def test_stats_of_somebody_without_stats_are_those_of_the_object(self) -> None:
        class Gauges:
            def read(self) -> Stats:
                return Stats()

        pump: Any = Pump()
        pump.stats = Gauges().read
        _components.track(pump, "north")
        assert tracked() == [("north", pump)]

    @pytest.mark.parametrize(
        ("name", "error", "message"),
        [
            (5, TypeError, "name must be a str, got int"),
            (None, TypeError, "name must be a str, got NoneType"),
            (b"north", TypeError, "name must be a str, got bytes"),
            ("", ValueError, "name must not be empty"),
        ],
    )
    def test_a_wrong_name_is_refused(self, name: Any, error: type[Exception], message: str) -> None:
        pump = Pump()
        with pytest.raises(error, match=rf"^{message}$"):
            _components.track(pump, name)
        assert tracked() == []

    def test_what_has_no_stats_is_refused(self) -> None:
        pump: Any = Pump()
        pump.stats = Stats()
        for component, of in ((object(), "object"), (5, "int"), (None, "NoneType"), (pump, "Pump")):
            with pytest.raises(TypeError, match=rf"^cannot track {of}: it has no stats\(\)$"):
                _components.track(component, "north")

    def test_a_class_is_refused(self) -> None:
        with pytest.raises(TypeError, match=r"^cannot track the class Cache, only objects of it$"):
            _components.track(Cache, "north")

    def test_statistics_of_an_unknown_kind_are_refused(self) -> None:
        pump: Any = Pump()
        for result in ({}, None, (1,)):
            pump.stats = lambda result=result: result
            of = type(result).__name__
            what = rf"its stats\(\) returns {of}, which is not known"
            with pytest.raises(TypeError, match=rf"^cannot track Pump: {what}$"):
                _components.track(pump, "north")
        assert tracked() == []

    def test_what_cannot_be_weakly_referenced_is_refused(self) -> None:
        class Stiff:
            __slots__ = ()

            def stats(self) -> Stats:
                return Stats()

        with pytest.raises(
            TypeError, match=r"^cannot track Stiff: it cannot be weakly referenced$"
        ):
            _components.track(Stiff(), "north")
        assert tracked() == []

    def test_what_stats_raises_reaches_the_caller(self) -> None:
        class Broken(Pump):
            def stats(self) -> object:
                raise LookupError("broken")

        broken = Broken()
        with pytest.raises(LookupError, match=r"^broken$"):
            _components.track(broken, "north")
        assert tracked() == []


class TestDescribing:
    """``describe``."""

    def test_listeners_hear_of_kinds_described_after_them(self) -> None:
        heard: list[_components.Kind] = []
        _components.on_describe(heard.append)
        _components.describe("valve", int, [("real", "gauge", "Position.")], labelled=False)
        (kind,) = heard
        assert kind == ("valve", int, (("real", "gauge", "Position."),), False)
        assert _components.kinds()[-1] is kind

    def test_statistics_may_be_of_a_subclass(self) -> None:
        class More(Stats):
            pass

        pump: Any = Pump()
        pump.stats = lambda: More(5)
        kind, stats = _components.stats_of(pump)
        assert (kind.name, stats) == ("pump", (5,))

    def test_a_kind_may_be_described_again(self) -> None:
        _components.describe("pump", Stats, [("count", "gauge", "Again.")])
        assert [kind.fields[0].type for kind in _components.kinds() if kind.name == "pump"] == [
            "gauge"
        ]

    @pytest.mark.parametrize(("kind", "cls"), [("pump", int), ("valve", Stats)])
    def test_kinds_and_classes_go_together(self, kind: str, cls: type) -> None:
        with pytest.raises(ValueError, match=r"^Stats is described already, as kind 'pump'$"):
            _components.describe(kind, cls, [])

    def test_there_are_counters_and_gauges_only(self) -> None:
        fields: Any = [("real", "summary", "Position.")]
        with pytest.raises(ValueError, match=r"^type must be 'counter' or 'gauge', got 'summary'$"):
            _components.describe("valve", int, fields)
        assert "valve" not in [kind.name for kind in _components.kinds()]


@pytest.fixture
def busy_collector() -> Iterator[None]:
    """Let every allocation of a container start the garbage collector."""
    threshold = gc.get_threshold()
    gc.set_threshold(1, 1, 1)
    yield
    gc.set_threshold(*threshold)


@pytest.mark.usefixtures("busy_collector")
def test_garbage_may_die_while_the_registry_is_read() -> None:
    seen = set()
    for number in range(300):
        pump: Any = Pump(f"{number}")
        pump.itself = pump
        _components.enter(pump)
        del pump
        seen.add(len(_components.entries()))
    assert len(seen) > 1, "nothing ever died in between"
    gc.collect()
    assert tracked() == []


def test_threads_may_enter_and_drop_components_while_others_read() -> None:
    def work(at: int) -> None:
        pumps: list[Pump] = []
        for number in range(500):
            pumps.append(Pump(f"{at} {number}"))
            _components.enter(pumps[-1])
            if number % 3:
                del pumps[0]
        left.append(len(pumps))
        kept.append(pumps)

    left: list[int] = []
    kept: list[list[Pump]] = []
    spawned = [spawn(work, at) for at in range(4)]
    for _ in itertools.repeat(None, 200):
        assert all(isinstance(name, str) for name in names())
    for each in spawned:
        each.result()
    assert len(tracked()) == sum(left)
    kept.clear()
    assert tracked() == []
