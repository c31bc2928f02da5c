"""Counters of components of the same name never fall while one of them lives."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from tests.interrupts import at_every_step
from tests.threads import spawn

from penstock import Cache, _components
from penstock.metrics import _tracking
from penstock.metrics._tracking import ComponentCollector


class Stats(NamedTuple):
    """Figures of a component."""

    jobs: float | None
    depth: float


class Pump:
    """A component."""

    def __init__(self, jobs: float, name: str = "north") -> None:
        self.jobs: float | None = jobs
        self.depth = 1
        self.during: Callable[[], object] = int
        _components.track(self, name)

    def stats(self) -> Stats:
        stats = Stats(self.jobs, self.depth)
        self.during()  # what the others do before this is used
        return stats


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of components without entries, with one kind beside that of caches."""
    monkeypatch.setattr(_components, "_entries", {})
    # Only these: a scrape takes as many steps as there are kinds, whatever was imported before.
    caches = {cls: kind for cls, kind in _components._kinds.items() if kind.name == "cache"}
    monkeypatch.setattr(_components, "_kinds", caches)
    monkeypatch.setattr(_components, "_listeners", [])
    monkeypatch.setattr(_tracking, "drops", list)
    _components.describe(
        "pump", Stats, [("jobs", "counter", "Jobs done."), ("depth", "gauge", "Jobs waiting.")]
    )


@pytest.fixture
def collector() -> ComponentCollector:
    """A collector that no registry has."""
    return ComponentCollector(registry=None)


def value(collector: ComponentCollector, name: str = "north", of: str = "jobs_total") -> Any:
    """What a scrape says of the components of this name."""
    samples = [sample for family in collector.collect() for sample in family.samples]
    values = [
        sample.value
        for sample in samples
        if sample.name == f"penstock_pump_{of}" and sample.labels["name"] == name
    ]
    assert len(values) <= 1
    return values[0] if values else None


def test_what_a_dead_component_counted_stays_in_the_sum(collector: ComponentCollector) -> None:
    one, other = Pump(1000), Pump(500)
    assert value(collector) == 1500
    del one
    assert value(collector) == 1500
    assert value(collector, of="depth") == 1
    other.jobs = 501
    assert value(collector) == 1501


def test_a_successor_that_comes_before_the_next_scrape_goes_on_counting(
    collector: ComponentCollector,
) -> None:
    pump = Pump(1000)
    assert value(collector) == 1000
    del pump
    pump = Pump(5)
    assert value(collector) == 1005
    del pump


def test_a_name_that_was_gone_begins_at_zero(collector: ComponentCollector) -> None:
    pump = Pump(1000)
    assert value(collector) == 1000
    del pump
    assert value(collector) is None
    pump = Pump(5)
    assert value(collector) == 5
    del pump


def test_nothing_is_kept_of_a_name_that_is_gone(collector: ComponentCollector) -> None:
    for number in range(10):
        pump = Pump(number, name=f"{number}")
        collector.collect()
        del pump
    collector.collect()
    assert collector._groups == {}


def test_a_component_that_starts_again_does_not_make_the_sum_fall(
    collector: ComponentCollector,
) -> None:
    one, other = Pump(1000), Pump(500)
    value(collector)
    one.jobs = 3
    assert value(collector) == 1503
    one.jobs = 4
    assert value(collector) == 1504
    del other


def test_a_component_may_say_for_a_while_that_it_does_not_know(
    collector: ComponentCollector,
) -> None:
    pump = Pump(1000)
    value(collector)
    pump.jobs = None
    assert value(collector) is None
    pump.jobs = 1001
    assert value(collector) == 1001


def test_a_component_with_another_name_takes_its_count_along(
    collector: ComponentCollector,
) -> None:
    one, other = Pump(1000), Pump(500)
    value(collector)
    _components.track(one, "south")
    assert value(collector, "south") == 1000
    # Under its old name it is dead.
    assert value(collector, "north") == 1500
    del other


def test_reset_statistics_of_one_cache_leave_the_sum_alone(
    collector: ComponentCollector,
) -> None:
    caches = [Cache[int, int](5, name="users") for _ in range(2)]
    for cache in caches:
        cache.get(1)
    page = CollectorRegistry()
    page.register(collector)
    misses = ("penstock_cache_misses_total", {"name": "users"})
    assert page.get_sample_value(*misses) == 2
    caches[0].reset_stats()
    assert page.get_sample_value(*misses) == 2
    caches[0].get(1)
    assert page.get_sample_value(*misses) == 3


def test_a_reading_that_another_scrape_overtook_is_no_new_start(
    collector: ComponentCollector,
) -> None:
    first, second = Pump(1000), Pump(500)

    def overtake() -> None:
        second.during = int
        first.jobs = 1001
        assert value(collector) == 1501

    second.during = overtake  # when 1000 was read of the first already
    assert value(collector) == 1501
    assert value(collector) == 1501


def test_a_component_that_dies_during_a_scrape_is_counted_once(
    collector: ComponentCollector,
) -> None:
    pumps = [Pump(1000), Pump(500)]
    assert value(collector) == 1500

    def overtake() -> None:
        pumps[-1].during = int
        pumps[0].jobs = 1001
        del pumps[0]
        value(collector)

    pumps[1].during = overtake
    assert value(collector, of="depth") == 1
    assert value(collector) == 1500


def test_a_component_that_is_new_to_an_overtaken_scrape_is_not_taken_for_dead(
    collector: ComponentCollector,
) -> None:
    pumps = [Pump(1000)]

    def overtake() -> None:
        pumps[0].during = int
        pumps.append(Pump(500))
        assert value(collector) == 1500

    pumps[0].during = overtake
    value(collector)
    assert value(collector) == 1500


def test_each_collector_has_a_memory_of_its_own(collector: ComponentCollector) -> None:
    one, other = Pump(1000), Pump(500)
    value(collector)
    del one
    late = ComponentCollector(registry=None)
    assert value(late) == 500
    assert value(collector) == 1500
    del other


def test_a_finalizer_may_scrape_at_any_step_of_a_scrape() -> None:
    made: list[tuple[ComponentCollector, list[Pump]]] = []

    def prepare() -> tuple[Callable[[], object], Callable[[], object]]:
        made.clear()
        name = f"{next(numbers)}"
        collector = ComponentCollector(registry=None)
        pumps = [Pump(1000, name), Pump(500, name), Pump(20, name)]
        assert value(collector, name) == 1520
        pumps[1].jobs, pumps[2].jobs = 501, 3  # the last has started again
        made.append((collector, pumps))

        def interrupt() -> None:
            for _ in range(2):
                pumps[0].jobs = (pumps[0].jobs or 0) + 1
                collector.collect()
            del pumps[1]
            collector.collect()

        return collector.collect, interrupt

    numbers = count()
    steps = 0
    for step in at_every_step("penstock.metrics._tracking", prepare):
        steps += 1
        ((collector, _),) = made
        name = f"{step}"
        total = value(collector, name)
        # The last count of the one that died may not have been read.
        assert total in {1002 + 20 + 3 + 500, 1002 + 20 + 3 + 501}, step
        assert value(collector, name) == total
    assert steps > 100


ACTIONS = st.lists(
    st.tuples(st.sampled_from(["new", "die", "count", "reset", "scrape"]), st.integers(0, 3))
)


@given(ACTIONS)
def test_whatever_happens_a_counter_is_what_was_seen_of_all(
    actions: list[tuple[str, int]],
) -> None:
    keep = Pump(0)
    pumps = [keep]
    collector = ComponentCollector(registry=None)
    last, ever = 0.0, 0
    for action, at in [*actions, ("scrape", 0)]:
        pump = pumps[at % len(pumps)]
        if action == "new":
            pumps.append(Pump(0))
        elif action == "die" and pump is not keep:
            pumps.remove(pump)
        elif action == "count":
            pump.jobs = (pump.jobs or 0) + at
            ever += at
        elif action == "reset":
            pump.jobs = 0
        elif action == "scrape":
            now = value(collector)
            # What was counted between the last scrape and a death or a new start is lost.
            assert max(last, sum(pump.jobs or 0 for pump in pumps)) <= now <= ever
            last = now
        del pump


def test_counters_rise_while_threads_make_and_drop_caches(
    collector: ComponentCollector,
) -> None:
    def work() -> None:
        for _ in range(100):
            caches = [Cache[int, int](5, name="users") for _ in range(5)]
            for cache in caches:
                cache.get(1)

    def watch() -> list[float]:
        return [misses() or 0.0 for _ in range(100)]

    def misses() -> float | None:
        return page.get_sample_value("penstock_cache_misses_total", {"name": "users"})

    page = CollectorRegistry()
    page.register(collector)
    keep = Cache[int, int](5, name="users")
    workers = [spawn(work) for _ in range(2)]
    watchers = [spawn(watch) for _ in range(2)]
    for worker in workers:
        worker.result()
    for watcher in watchers:
        seen = watcher.result()
        assert seen == sorted(seen)
        assert seen[-1] <= 2 * 100 * 5
    assert len(keep) == 0
    assert misses() == misses()
