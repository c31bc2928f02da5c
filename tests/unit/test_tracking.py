"""Components among the metrics."""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from penstock import Cache, _components, cached
from penstock.metrics import _tracking
from penstock.metrics._tracking import COMPONENT_COLLECTOR, ComponentCollector, track


class Stats(NamedTuple):
    """Figures of a component."""

    jobs: float | None = 0
    depth: float | None = 0
    limit: float | None = None


class Pump:
    """A component."""

    def __init__(self, name: str, *figures: float | None) -> None:
        self.figures: Any = Stats(*figures)
        _components.track(self, name)

    def stats(self) -> object:
        if isinstance(self.figures, BaseException):
            raise self.figures
        return self.figures


FIELDS: Any = [
    ("jobs", "counter", "Jobs done."),
    ("depth", "gauge", "Jobs waiting."),
    ("limit", "gauge", "Most jobs."),
]


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of components without entries, with one kind more than there is."""
    monkeypatch.setattr(_components, "_entries", {})
    monkeypatch.setattr(_components, "_kinds", dict(_components._kinds))
    monkeypatch.setattr(_components, "_listeners", [])
    monkeypatch.setattr(_tracking, "drops", list)
    _components.describe("pump", Stats, FIELDS)


@pytest.fixture
def registry() -> CollectorRegistry:
    """A registry of metrics with a collector of components."""
    registry = CollectorRegistry()
    ComponentCollector(registry=registry)
    return registry


Samples = dict[tuple[str, str | None], float]


def scrape(registry: CollectorRegistry) -> Samples:
    """The samples by name and by label value, as a parser reads them from the page."""
    page = generate_latest(registry).decode()
    samples: Samples = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            (label,) = sample.labels.values() or (None,)
            assert (sample.name, label) not in samples
            samples[sample.name, label] = sample.value
    return samples


def test_without_components_there_is_nothing_to_show(registry: CollectorRegistry) -> None:
    assert generate_latest(registry) == b""


def test_figures_are_shown_by_name(registry: CollectorRegistry) -> None:
    north, south = Pump("north", 5, 2, 10), Pump("south", 1.5, 0, 20)
    assert scrape(registry) == {
        ("penstock_pump_jobs_total", "north"): 5,
        ("penstock_pump_jobs_total", "south"): 1.5,
        ("penstock_pump_depth", "north"): 2,
        ("penstock_pump_depth", "south"): 0,
        ("penstock_pump_limit", "north"): 10,
        ("penstock_pump_limit", "south"): 20,
    }
    assert north is not south
    page = generate_latest(registry).decode().splitlines()
    assert page[:3] == [
        "# HELP penstock_pump_jobs_total Jobs done.",
        "# TYPE penstock_pump_jobs_total counter",
        'penstock_pump_jobs_total{name="north"} 5.0',
    ]
    assert "# TYPE penstock_pump_depth gauge" in page


def test_figures_are_those_of_the_moment(registry: CollectorRegistry) -> None:
    pump = Pump("north", 5, 2)
    scrape(registry)
    pump.figures = Stats(6, 0)
    samples = scrape(registry)
    assert samples["penstock_pump_jobs_total", "north"] == 6
    assert samples["penstock_pump_depth", "north"] == 0


def test_components_of_the_same_name_are_summed(registry: CollectorRegistry) -> None:
    pumps = [Pump("north", jobs, 1, 10) for jobs in (1, 2, 4)]
    assert scrape(registry) == {
        ("penstock_pump_jobs_total", "north"): 7,
        ("penstock_pump_depth", "north"): len(pumps),
        ("penstock_pump_limit", "north"): 30,
    }


def test_what_is_none_is_left_out(registry: CollectorRegistry) -> None:
    pump = Pump("north", None, None, None)
    assert scrape(registry) == {}
    pump.figures = Stats(0, 0, 0)
    assert len(scrape(registry)) == 3


def test_a_sum_with_none_is_left_out(registry: CollectorRegistry) -> None:
    pumps = [Pump("north", 1, 1, 10), Pump("north", 1, 1, None), Pump("south", 1, 1, 10)]
    samples = scrape(registry)
    assert ("penstock_pump_limit", "north") not in samples
    assert samples["penstock_pump_limit", "south"] == 10
    assert samples["penstock_pump_depth", "north"] == 2
    del pumps


def test_a_dead_component_disappears(registry: CollectorRegistry) -> None:
    pump = Pump("north", 5, 2)
    assert scrape(registry)
    del pump
    assert generate_latest(registry) == b""


def test_a_kind_may_do_without_labels(registry: CollectorRegistry) -> None:
    class Load(NamedTuple):
        threads: int

    _components.describe("load", Load, [("threads", "gauge", "Threads.")], labelled=False)
    pumps = [Pump("north"), Pump("south")]
    for pump in pumps:
        pump.figures = Load(3)
    assert scrape(registry) == {("penstock_load_threads", None): 6}


def test_kinds_of_the_same_name_are_kept_apart(registry: CollectorRegistry) -> None:
    pump, cache = Pump("north", 5, 2), Cache[int, int](9, name="north")
    samples = scrape(registry)
    assert samples["penstock_pump_jobs_total", "north"] == pump.figures.jobs
    assert samples["penstock_cache_maxsize", "north"] == cache.maxsize


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("\ud800", "\ufffd"),
        ("a\udcffb", "a\ufffdb"),
        ("n\u00f6rd\U0001f600", "n\u00f6rd\U0001f600"),
        ('"\\\n', '"\\\n'),
        (type("Name", (str,), {"isascii": None, "__str__": None})("north"), "north"),
    ],
)
def test_any_name_can_be_written(registry: CollectorRegistry, name: str, shown: str) -> None:
    pump = Pump(name, 1)
    assert scrape(registry)["penstock_pump_jobs_total", shown] == pump.figures.jobs


class TestCaches:
    """What this is for, so far."""

    def test_a_named_cache_shows_all_that_it_counts(self, registry: CollectorRegistry) -> None:
        cache: Cache[int, int] = Cache(2, name="users", ttl=60)
        cache.update({1: 1, 2: 2, 3: 3})
        cache.get(3)
        cache.get(1)
        cache.get_or_load(4, lambda key: key)
        stats = cache.stats()
        assert stats.load_seconds > 0
        assert scrape(registry) == {
            ("penstock_cache_hits_total", "users"): 1,
            ("penstock_cache_misses_total", "users"): 2,
            ("penstock_cache_loads_total", "users"): 1,
            ("penstock_cache_load_failures_total", "users"): 0,
            ("penstock_cache_load_seconds_total", "users"): stats.load_seconds,
            ("penstock_cache_evictions_total", "users"): 2,
            ("penstock_cache_expirations_total", "users"): 0,
            ("penstock_cache_size", "users"): 2,
            ("penstock_cache_weight", "users"): 2,
            ("penstock_cache_maxsize", "users"): 2,
        }

    def test_every_figure_of_a_cache_is_described(self) -> None:
        (kind,) = [kind for kind in _components.kinds() if kind.name == "cache"]
        stats = Cache[int, int](5).stats()
        attributes = {name for name in dir(stats) if not name.startswith("_")}
        # A ratio of sums is not a sum of ratios: it is for whoever reads the counters.
        assert {field.attribute for field in kind.fields} == attributes - {"hit_ratio"}

    def test_a_cache_without_a_bound_has_no_maxsize(self, registry: CollectorRegistry) -> None:
        cache = track(Cache[int, int](None), "users")
        samples = scrape(registry)
        assert ("penstock_cache_maxsize", "users") not in samples
        assert samples["penstock_cache_size", "users"] == len(cache)

    def test_a_named_cached_function_is_counted_once(self, registry: CollectorRegistry) -> None:
        square = cached(name="squares")(lambda number: number * number)
        track(square, "squares")
        square(1)
        square(1)
        assert scrape(registry)["penstock_cache_hits_total", "squares"] == 1

    def test_a_tracked_method_shows_the_calls_of_all_objects(
        self, registry: CollectorRegistry
    ) -> None:
        class Area:
            @cached
            def of(self, width: int) -> int:
                return width

        areas = [Area(), Area()]
        track(areas[0].of, "areas")
        for area in areas:
            area.of(1)
        assert scrape(registry)["penstock_cache_misses_total", "areas"] == 2

    def test_clearing_a_cached_function_does_not_make_counters_fall(
        self, registry: CollectorRegistry
    ) -> None:
        square = track(cached(lambda number: number * number), "squares")
        for number in (1, 1, 2):
            square(number)
        scrape(registry)
        square.cache_clear()
        square(1)
        samples = scrape(registry)
        assert samples["penstock_cache_misses_total", "squares"] == 3
        assert samples["penstock_cache_size", "squares"] == 1

    def test_a_callback_may_scrape(self, registry: CollectorRegistry) -> None:
        pages: list[Samples] = []
        now = [0.0]
        cache: Cache[int, int] = Cache(
            5,
            name="users",
            ttl=1,
            timer=lambda: now[0],
            on_evict=lambda key, value, cause: pages.append(scrape(registry)),
        )
        cache[1] = 1
        now[0] = 1.0
        scrape(registry)  # reclaims nothing: what has expired is for whoever uses the cache
        assert pages == []
        cache.expire()
        assert len(pages) == 1
        assert scrape(registry)["penstock_cache_expirations_total", "users"] == 1


class TestFailures:
    """The statistics of a component cannot be read."""

    @pytest.fixture(autouse=True)
    def quiet(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.WARNING, "penstock.metrics")

    @pytest.mark.parametrize(
        "failure",
        [ValueError("broken"), {"jobs": 5}, None, Stats("many"), Stats(1, [])],  # type: ignore[arg-type]
    )
    def test_it_is_left_out_and_counted(self, registry: CollectorRegistry, failure: object) -> None:
        north, south = Pump("north", 5, 2), Pump("south", 1, 1)
        north.figures = failure
        error = ("penstock_metrics_component_errors_total", "north")
        samples = scrape(registry)
        assert {name for _, name in samples} == {"north", "south"}
        assert [key for key in samples if key[1] == "north"] == [error]
        assert samples[error] == 1
        assert scrape(registry)[error] == 2
        del south

    def test_it_is_logged_when_it_begins(
        self, registry: CollectorRegistry, caplog: pytest.LogCaptureFixture
    ) -> None:
        north = Pump("north")
        for figures in (ValueError("one"), ValueError("two"), Stats(), ValueError("three")):
            north.figures = figures
            scrape(registry)
        assert [str((record.exc_info or (0, 0))[1]) for record in caplog.records] == [
            "one",
            "three",
        ]
        assert caplog.messages[0] == "component 'north' is left out of the metrics"
        assert {record.name for record in caplog.records} == {"penstock.metrics"}

    def test_others_of_its_name_are_shown(self, registry: CollectorRegistry) -> None:
        one, other = Pump("north", 5, 2, 1), Pump("north", 1, 1, 1)
        scrape(registry)
        one.figures = ValueError("broken")
        other.figures = Stats(2, 1, 1)
        samples = scrape(registry)
        assert samples["penstock_pump_depth", "north"] == 1
        # Without its share the counter would fall, and rise by it again later.
        assert samples["penstock_pump_jobs_total", "north"] == 7
        one.figures = Stats(6, 0, 1)
        assert scrape(registry)["penstock_pump_jobs_total", "north"] == 8

    def test_it_may_die_like_any_other(
        self, registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        class Broken(Pump):
            def stats(self) -> object:
                return {"depth": 5} if broken else Stats()

        broken: list[int] = []
        pump = Broken("north")
        broken.append(1)
        monkeypatch.setattr(_tracking.logger, "disabled", True)  # pytest keeps what is logged
        assert len(scrape(registry)) == 1
        del pump
        assert scrape(registry) == {}

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_what_ends_the_program_is_not_held_up(
        self, registry: CollectorRegistry, error: type[BaseException]
    ) -> None:
        pump = Pump("north")
        pump.figures = error()
        with pytest.raises(error):
            scrape(registry)


def test_what_metrics_refused_is_shown(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tracking, "drops", lambda: [("a", 5, 0), ("b", 0, 3), ("c", 1, 2)])
    assert scrape(registry) == {
        ("penstock_metrics_overflowed_total", "a"): 5,
        ("penstock_metrics_overflowed_total", "c"): 1,
        ("penstock_metrics_invalid_total", "b"): 3,
        ("penstock_metrics_invalid_total", "c"): 2,
    }


def test_the_collector_of_the_default_registry_shows_the_same(
    registry: CollectorRegistry,
) -> None:
    pump = Pump("north", 5, 2)
    page = CollectorRegistry()
    page.register(COMPONENT_COLLECTOR)
    assert scrape(page) == scrape(registry) != {}
    del pump
