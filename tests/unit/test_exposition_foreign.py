"""Collectors of others that misbehave: the page says so, and has everything else."""

from __future__ import annotations

import logging
from math import inf, nan
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client import generate_latest as theirs
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.samples import BucketSpan, Exemplar, NativeHistogram, Sample, Timestamp

from penstock.metrics import Counter, Gauge, generate_latest
from penstock.metrics._exposition import ERRORS, render
from penstock.metrics._negotiation import OPENMETRICS, PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

FORMATS = [PLAIN, OPENMETRICS, OPENMETRICS._replace(escaping="allow-utf-8")]
ALL_FORMATS = pytest.mark.parametrize("form", FORMATS, ids=["text", "openmetrics", "utf-8"])


class Foreign:
    """A collector that yields whatever it is given, and raises what is an exception."""

    def __init__(self, *yields: object) -> None:
        self.yields = yields

    def collect(self) -> Iterator[Any]:
        for each in self.yields:
            if isinstance(each, Exception):
                raise each
            yield each


class Calls:
    """A collector that does what it is told."""

    def __init__(self, collect: Callable[[], Any]) -> None:
        self.collect = collect


THIS = f"{Foreign.__module__}.Foreign"


def gauge(*samples: Sample, name: str = "g", kind: str = "gauge") -> Metric:
    family = Metric(name, "Of somebody else.", kind)
    family.samples = list(samples)
    return family


def scrape(form: Any, *collectors: object) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Scrape the collectors between two families of ours and read the page as Prometheus would."""
    registry = CollectorRegistry()
    Gauge("ours_before", "Of ours.", registry=registry)
    for collector in collectors:
        registry.register(collector)  # type: ignore[arg-type]
    Gauge("ours_after", "Of ours.", registry=registry)
    page = render(registry, form).decode()
    parse = parse_openmetrics if form.openmetrics else parse_text
    samples = [each for family in parse(page) for each in family.samples]
    values = {(each.name, tuple(sorted(each.labels.items()))): each.value for each in samples}
    assert len(values) == len(samples), "there is a series twice"
    assert values.pop(("ours_before", ())) == 0
    assert values.pop(("ours_after", ())) == 0
    return values


def failed(count: int = 1, source: str = THIS) -> dict[Any, float]:
    return {(ERRORS, (("collector", source),)): count}


def series(name: str, value: float, **labels: str) -> dict[Any, float]:
    return {(name, tuple(sorted(labels.items()))): value}


GOOD = GaugeMetricFamily("good", "Of somebody else.", 1)


@ALL_FORMATS
def test_collector_that_raises_is_named_and_the_rest_is_served(form: Any) -> None:
    raising = Calls(lambda: 1 / 0)
    there = scrape(form, raising, Foreign(GOOD))
    assert there == series("good", 1) | failed(source=f"{__name__}.Calls")


@ALL_FORMATS
def test_families_before_an_error_stay(form: Any) -> None:
    there = scrape(form, Foreign(GOOD, KeyError("gone"), gauge(Sample("g", {}, 2))))
    assert there == series("good", 1) | failed()


@ALL_FORMATS
@pytest.mark.parametrize(
    "rubbish",
    [
        None,
        5,
        "text",
        object(),
        GaugeMetricFamily,
        SimpleNamespace(name="x", documentation="", type="gauge", unit=""),
        SimpleNamespace(name="", documentation="", type="gauge", unit="", samples=[]),
        SimpleNamespace(name=b"x", documentation="", type="gauge", unit="", samples=[]),
        SimpleNamespace(name="\ud800", documentation="", type="gauge", unit="", samples=[]),
        SimpleNamespace(name="x", documentation=None, type="gauge", unit="", samples=[]),
        SimpleNamespace(name="x", documentation="\udfff", type="gauge", unit="", samples=[]),
        SimpleNamespace(name="x", documentation="", type="gage", unit="", samples=[]),
        SimpleNamespace(name="x", documentation="", type="gauge", unit=5, samples=[]),
        SimpleNamespace(name="x", documentation="", type="gauge", unit="", samples=None),
        SimpleNamespace(name="x", documentation="", type="gauge", unit="", samples=[None]),
    ],
    ids=repr,
)
def test_what_is_no_family_is_left_out(form: Any, rubbish: object) -> None:
    assert scrape(form, Foreign(rubbish, GOOD)) == series("good", 1) | failed()


@pytest.mark.parametrize("rubbish", [None, 5, [None]], ids=repr)
def test_collect_that_returns_no_families_is_an_error(rubbish: object) -> None:
    there = scrape(PLAIN, Calls(lambda: rubbish), Foreign(GOOD))
    assert there == series("good", 1) | failed(source=f"{__name__}.Calls")


@ALL_FORMATS
@pytest.mark.parametrize(
    "bad",
    [
        Sample("g", {"a": 5}, 1),  # type: ignore[dict-item]
        Sample("g", {"a": None}, 1),  # type: ignore[dict-item]
        Sample("g", {"a": b"x"}, 1),  # type: ignore[dict-item]
        Sample("g", {"a": "\ud800"}, 1),
        Sample("g", {5: "x"}, 1),  # type: ignore[dict-item]
        Sample("g", {"": "x"}, 1),
        Sample("g", {"\udfff": "x"}, 1),
        Sample("g", None, 1),  # type: ignore[arg-type]
        Sample("", {}, 1),
        Sample(5, {}, 1),  # type: ignore[arg-type]
        Sample("g\ud800", {}, 1),
        Sample("g", {}, None),  # type: ignore[arg-type]
        Sample("g", {}, "many"),  # type: ignore[arg-type]
        Sample("g", {}, 1, nan),
        Sample("g", {}, 1, inf),
        Sample("g", {}, 1, "now"),  # type: ignore[arg-type]
        Sample("g", {}, 1, "5 # {}"),  # type: ignore[arg-type]
        Sample("g", {}, 1, object()),  # type: ignore[arg-type]
    ],
    ids=repr,
)
def test_sample_that_cannot_be_written_is_left_out_alone(form: Any, bad: Sample) -> None:
    family = gauge(Sample("g", {"a": "1"}, 1), bad, Sample("g", {"a": "2"}, 2))
    there = scrape(form, Foreign(family))
    assert there == series("g", 1, a="1") | series("g", 2, a="2") | failed()


@pytest.mark.parametrize("form", [PLAIN, OPENMETRICS])
def test_labels_that_are_one_once_escaped_are_left_out(form: Any) -> None:
    family = gauge(Sample("g", {"a.b": "1", "a b": "2"}, 1), Sample("g", {"a.b": "1"}, 2))
    assert scrape(form, Foreign(family)) == series("g", 2, a_b="1") | failed()


def test_many_bad_samples_of_a_family_are_one_error(caplog: pytest.LogCaptureFixture) -> None:
    bad = Sample("g", {}, 1, nan)
    assert scrape(PLAIN, Foreign(gauge(bad, bad), gauge(bad, name="h"))) == failed(2)
    assert [(each.name, each.levelno) for each in caplog.records] == [
        ("penstock.metrics", logging.WARNING)
    ] * 2
    assert "timestamp must be a finite number, got nan" in caplog.text
    assert "Traceback" in caplog.text


@ALL_FORMATS
def test_good_timestamps_are_shown(form: Any) -> None:
    stamps = (1.5, 3, Timestamp(5, 500_000_000))
    samples = [Sample("g", {"a": str(at)}, 1, stamp) for at, stamp in enumerate(stamps)]
    there = scrape(form, Foreign(gauge(*samples)))
    assert len(there) == 3
    assert not any(name == ERRORS for name, _ in there)


def test_exemplar_that_cannot_be_written_leaves_the_sample() -> None:
    counter = Metric("c", "Of somebody else.", "counter")
    exemplars: list[Any] = [
        Exemplar({"id": 5}, 1),  # type: ignore[dict-item]
        Exemplar({"id": "\ud800"}, 1),
        Exemplar({"not plain": "x"}, 1),
        Exemplar({"id": "x"}, None),  # type: ignore[arg-type]
        Exemplar({"id": "x"}, 1, nan),
        "no exemplar",
    ]
    for at, exemplar in enumerate(exemplars):
        counter.add_sample("c_total", {"at": str(at)}, at, None, exemplar)
    wrong_place = gauge(Sample("g", {}, 1, None, Exemplar({"id": "x"}, 1)))
    expected = {key: at for at in range(6) for key in series("c_total", at, at=str(at))}
    there = scrape(OPENMETRICS, Foreign(counter, wrong_place))
    assert there == expected | series("g", 1) | failed(2)
    # Text has no exemplars, so none can be wrong.
    assert scrape(PLAIN, Foreign(counter, wrong_place)) == expected | series("g", 1)


def test_good_exemplars_are_shown() -> None:
    exemplar = Exemplar({"id": "x"}, 0.5, 1.5)
    histogram = HistogramMetricFamily("h", "Of somebody else.")
    histogram.add_metric([], [("1.0", 1, exemplar), ("+Inf", 2)], 3)
    gauges = GaugeHistogramMetricFamily(
        "gh", "Of somebody else.", buckets=[("+Inf", 1)], gsum_value=2
    )
    gauges.samples[0] = gauges.samples[0]._replace(exemplar=exemplar)
    counter = CounterMetricFamily("c", "Of somebody else.", 1, exemplar=exemplar)
    registry = CollectorRegistry()
    registry.register(Foreign(histogram, gauges, counter))
    page = render(registry, OPENMETRICS).decode()
    assert page.count(' # {id="x"} 0.5 1.5\n') == 3


@ALL_FORMATS
def test_native_histograms_are_passed_over(form: Any) -> None:
    native = NativeHistogram(1, 2, 3, 0.1, 0, [BucketSpan(0, 1)], None, [1], None)
    family = gauge(
        Sample("h", {}, None, None, None, native),  # type: ignore[arg-type]
        Sample("h_count", {}, 1),
        name="h",
        kind="unknown" if form.openmetrics else "histogram",
    )
    family.samples[1] = Sample("h", {}, 1) if form.openmetrics else family.samples[1]
    assert len(scrape(form, Foreign(family))) == 1


def test_unit_that_is_not_part_of_the_name_is_not_claimed() -> None:
    for unit in ("bytes", "by\ntes"):
        family = gauge(Sample("g", {}, 1))
        family.unit = unit
        assert scrape(OPENMETRICS, Foreign(family)) == series("g", 1)


def test_families_of_others_are_not_changed() -> None:
    family = gauge(Sample("g", {"a b": "1"}, 1, None, None), Sample("g", {}, 1, nan))
    before = (family.name, list(family.samples))
    scrape(OPENMETRICS._replace(escaping="values"), Foreign(family, family))
    assert (family.name, family.samples) == before


def groups(page: bytes) -> list[str]:
    return [line.split(" ")[2] for line in page.decode().splitlines() if line.startswith("# TYPE")]


@pytest.mark.parametrize("together", [True, False])
@ALL_FORMATS
def test_families_of_one_name_become_one_group(form: Any, together: bool) -> None:
    families = [gauge(Sample("g", {"a": str(at)}, at)) for at in range(2)]
    last = GaugeMetricFamily("last", "Between them, if anything is.", 9)
    collectors = (
        [Foreign(families[0], last, families[1])]
        if together
        else [Foreign(families[0]), Foreign(last), Foreign(families[1])]
    )
    expected = series("g", 0, a="0") | series("g", 1, a="1") | series("last", 9)
    assert scrape(form, *collectors) == expected
    registry = CollectorRegistry()
    for collector in collectors:
        registry.register(collector)
    assert groups(render(registry, form)) == ["g", "last"]


@ALL_FORMATS
def test_series_that_is_there_already_is_left_out(form: Any) -> None:
    families = gauge(Sample("g", {}, 1)), gauge(Sample("g", {}, 2), Sample("g", {"a": "b"}, 3))
    expected = series("g", 1) | series("g", 3, a="b") | failed()
    assert scrape(form, Foreign(*families)) == expected


@ALL_FORMATS
def test_family_of_another_type_under_the_same_name_is_left_out(form: Any) -> None:
    families = gauge(Sample("g", {}, 1)), gauge(Sample("g", {"a": "b"}, 2), kind="unknown")
    assert scrape(form, Foreign(*families)) == series("g", 1) | failed()


@ALL_FORMATS
@pytest.mark.parametrize("is_first", [True, False])
def test_family_of_ours_takes_in_what_others_have_of_it(form: Any, is_first: bool) -> None:
    registry = CollectorRegistry()
    foreign = Foreign(CounterMetricFamily("c", "Of somebody else.", labels=["a"]))
    foreign.yields[0].add_metric(["theirs"], 2)  # type: ignore[attr-defined]
    if is_first:
        registry.register(foreign)
    Counter("c", "Of ours.", ["a"], registry=registry).labels("ours").inc()
    if not is_first:
        registry.register(foreign)
    page = render(registry, form)
    assert groups(page)[0] == ("c" if form.openmetrics else "c_total")
    assert len(groups(page)) == len(set(groups(page)))
    assert b'c_total{a="ours"} 1.0\n' in page
    assert b'c_total{a="theirs"} 2.0\n' in page
    assert ERRORS.encode() not in page


def test_gauge_of_ours_that_cannot_be_read_leaves_what_others_have_of_it() -> None:
    registry = CollectorRegistry()
    Gauge("g", "Of ours.", registry=registry).set_function(lambda: 1 / 0)
    registry.register(Foreign(gauge(Sample("g", {"a": "b"}, 2))))
    page = generate_latest(registry).decode()
    assert f'{ERRORS}{{collector="g"}} 1.0\n' in page
    assert 'g{a="b"} 2.0\n' in page


def test_duck_is_as_good_as_a_family() -> None:
    duck = SimpleNamespace(
        name="duck",
        documentation="Quacks.",
        type="untyped",
        unit="",
        samples=[Sample("duck", {}, 1)],
    )
    assert scrape(PLAIN, Foreign(duck)) == series("duck", 1)


def test_class_can_be_a_collector() -> None:
    class Static:
        @staticmethod
        def collect() -> Iterable[Metric]:
            raise LookupError("static")

    assert scrape(PLAIN, Static) == failed(
        source=f"{__name__}.test_class_can_be_a_collector.<locals>.Static"
    )


def test_name_of_a_collector_is_made_fit_for_a_page() -> None:
    odd = type("Odd", (Foreign,), {"__module__": "\ud800"})
    assert scrape(PLAIN, odd(ValueError("no"))) == failed(source="?.Odd")


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_is_not_swallowed(error: type[BaseException]) -> None:
    def collect() -> Iterable[Metric]:
        raise error

    with pytest.raises(error):
        generate_latest(Calls(collect))


def test_good_collectors_are_shown_as_prometheus_client_shows_them() -> None:
    registry = CollectorRegistry()
    histogram = HistogramMetricFamily("h", "Ours \\ \n.", labels=["x"], unit="seconds")
    histogram.add_metric(['"'], [("0.5", 1), ("+Inf", 3)], 4.5, timestamp=1.5)
    gauges = GaugeHistogramMetricFamily("gh", "Also.", buckets=[("+Inf", 1)], gsum_value=2)
    counter = CounterMetricFamily("c", "Also.", 1, created=123.4)
    registry.register(Foreign(histogram, gauges, counter, gauge(Sample("é", {"ü": "ö"}, -0.0))))
    for escaping in ("underscores", "values", "dots", "allow-utf-8"):
        assert generate_latest(registry, escaping) == theirs(registry, escaping)
