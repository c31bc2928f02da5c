"""`encode` writes what prometheus_client writes for the same samples, byte for byte."""

from __future__ import annotations

import re
from collections.abc import Callable
from math import inf
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import parser
from prometheus_client.openmetrics import parser as openmetrics_parser
from tests.backends import BACKENDS, load_backend
from tests.metering import KINDS, make
from tests.pages import FORMS, check, text_of
from tests.threads import spawn

NAN = float("nan")


def test_a_page(backend: ModuleType) -> None:
    counter = make(backend, "Counter", "method", name="requests", documentation='Say "hi"\n\\')
    counter.labels("get").inc(3)
    counter.labels('a"b\\c\nd').inc(0.5)
    assert text_of(backend, counter) == (
        '# HELP requests_total Say "hi"\\n\\\\\n'
        "# TYPE requests_total counter\n"
        'requests_total{method="get"} 3.0\n'
        'requests_total{method="a\\"b\\\\c\\nd"} 0.5\n'
    )
    gauge = make(backend, "Gauge", name="size_bytes", unit="bytes")
    gauge.set(1e6)
    assert text_of(backend, gauge, openmetrics=True) == (
        "# HELP size_bytes Help.\n# TYPE size_bytes gauge\n# UNIT size_bytes bytes\n"
        "size_bytes 1e+06\n"
    )


def test_nothing_is_nothing(backend: ModuleType) -> None:
    for in_openmetrics, created in FORMS:
        assert backend.encode([], in_openmetrics, created, None) == (b"", [])
        assert backend.encode([], in_openmetrics, created, frozenset({"a"})) == (b"", [])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("labelnames", [(), ("label",), ("z", "a", "m")])
def test_families_of_each_kind(backend: ModuleType, kind: str, labelnames: tuple[str, ...]) -> None:
    metric = make(backend, kind, *labelnames, name="a_name_seconds", unit="seconds")
    check(backend, metric)
    rows = [("1", "", "é")[: len(labelnames)], ("2", "x", "")[: len(labelnames)]]
    for series in [metric.labels(*row) for row in rows] if labelnames else [metric]:
        for amount in (0, 0.5, 1.5, 1e6):
            (series.observe if hasattr(series, "observe") else series.inc)(amount)
    check(backend, metric)


def test_families_follow_each_other_as_given(backend: ModuleType) -> None:
    metrics = [make(backend, kind, name=name) for kind in KINDS for name in ("b", "a")]
    check(backend, *metrics)
    check(backend, *reversed(metrics))
    check(backend, metrics[0], metrics[0])


def test_a_child_alone_is_written_without_its_labels(backend: ModuleType) -> None:
    """As prometheus_client's ``child.collect()`` shows it."""
    for kind in KINDS:
        child = make(backend, kind, "label", "z").labels("a", "b")
        alone = make(backend, kind)
        assert text_of(backend, child) == text_of(backend, alone)
        assert text_of(backend, child, openmetrics=True) == text_of(
            backend, alone, openmetrics=True
        )


@pytest.mark.parametrize(
    "value",
    [
        0.0, -0.0, 1.0, -1.0, 0.1, 123456.0, 999999.0, 1e6, 1234567.0, 1e7, 1.5e6, 12345678.9, 1e15,
        123456789012345.6, 1e16, 1e17, 1.7976931348623157e308, 1e-4, 1e-5, 1e-7, 5e-324, 2.5e-10,
        -1e6, -1234567.0, -1e16, -1e-7, NAN, inf, -inf, 2.0**53, 2.0**53 + 2, 2.0**64, 100000.0,
        1000000.5, 100.0, 10.0, 1e22, 1e23, 0.30000000000000004, 9007199254740993.0,
    ],
)  # fmt: skip
def test_numbers_of_all_magnitudes(backend: ModuleType, value: float) -> None:
    gauge = make(backend, "Gauge")
    gauge.set(value)
    summary = make(backend, "Summary")
    if value == value:
        summary.observe(value)
    counter = make(backend, "Counter")
    if value >= 0:
        counter.inc(value, {"a": "b"})
    check(backend, gauge, summary, counter)


@pytest.mark.parametrize("name", BACKENDS)
@given(value=st.floats(), whole=st.integers(0, 2**70), share=st.floats(0, 1e7))
def test_any_number(name: str, value: float, whole: int, share: float) -> None:
    backend = load_backend(name)
    gauge = make(backend, "Gauge")
    gauge.set(value)
    counter = make(backend, "Counter")
    counter.inc(whole)
    counter.inc(share, {"trace": "x"})
    check(backend, gauge, counter)


EXOTIC = st.text(
    st.characters(codec=None) | st.sampled_from('\\"\n\r\t\0 {},=#\u2028\ufeff\ud800😀'), max_size=6
)


@pytest.mark.parametrize("name", BACKENDS)
@given(documentation=EXOTIC, rows=st.lists(st.tuples(EXOTIC, EXOTIC), max_size=4))
def test_any_text(name: str, documentation: str, rows: list[tuple[str, str]]) -> None:
    backend = load_backend(name)
    metrics = [
        make(backend, kind, "one", "two", documentation=documentation, name=kind) for kind in KINDS
    ]
    for row in rows:
        for metric in metrics:
            metric.labels(*row)
    check(backend, *metrics)


@pytest.mark.parametrize(
    "value", ["", " ", "\\", '"', "\n", "\\n", '\\"', "a\\\nb", "\r", "\x00", "{}", "é😀", '"' * 99]
)
def test_special_characters_are_escaped(backend: ModuleType, value: str) -> None:
    counter = make(backend, "Counter", "a", "b", documentation=value)
    counter.labels(value, "").inc(1, {"trace": value})
    counter.labels("", value)
    check(backend, counter)
    counter = make(backend, "Counter", "a", "b")  # the parser does not know quotes in exemplars
    counter.labels(value, "")
    for line_parser, in_openmetrics in [
        (parser.text_string_to_metric_families, False),
        (openmetrics_parser.text_string_to_metric_families, True),
    ]:
        text = text_of(backend, counter, openmetrics=in_openmetrics)
        if "\x00" in value or "\r" in value:
            continue  # the parsers split or stop at them
        (family,) = line_parser(text + "# EOF\n" * in_openmetrics)
        assert family.samples[0].labels == {"a": value, "b": ""}


@pytest.mark.parametrize(
    "labelnames",
    [
        ("a",), ("z",), ("l",), ("lf",), ("ld", "m"), ("LE",), ("le_",), ("Le", "z", "a", "lea"),
        ("m", "k", "b"), ("_le", "l0", "le0"), ("z", "y"), ("b", "a"),
    ],
)  # fmt: skip
def test_le_is_sorted_among_the_labels(backend: ModuleType, labelnames: tuple[str, ...]) -> None:
    histogram = make(backend, "Histogram", *labelnames)
    for value in ("x", "", ',a="b"'):
        histogram.labels(*[value] * len(labelnames)).observe(1.5, {"t": "1"})
    histogram.labels(*map(str, range(len(labelnames)))).observe(-1)
    check(backend, histogram)


@pytest.mark.parametrize(
    "bounds",
    [
        (inf,),
        (0.0, inf),
        (-0.0, 1.0, inf),
        (-1.0, 0.0, inf),
        (-inf, 5.0, inf),
        (1e-7, 0.1, 1.0, 100000.0, 1e6, 2.5e6, 1e16, 1e300, inf),
        (0.30000000000000004, 1 / 3, inf),
        (*tuple(number / 7 for number in range(80)), inf),
    ],
)
def test_bounds_of_all_magnitudes(backend: ModuleType, bounds: tuple[float, ...]) -> None:
    histogram = make(backend, "Histogram", "label", bounds=bounds)
    for amount in (-5, 0, 0.2, 3, 1e6):
        histogram.labels("a").observe(amount, {"amount": str(amount)})
    check(backend, histogram, make(backend, "Histogram", bounds=bounds))


class TestExemplars:
    def test_they_are_written_in_openmetrics_only(self, backend: ModuleType) -> None:
        counter = make(backend, "Counter", "label")
        counter.labels("a").inc(2.5, {"trace_id": "x", "a": "\\\n", "b": ""})
        histogram = make(backend, "Histogram", "z", name="other", bounds=(1.0, 2.0, 3.0, inf))
        for amount in (0.5, 2.5, 1e7):
            histogram.labels("b").observe(amount, {"b": "1", "a": "2"})
        histogram.labels("c").observe(1)
        check(backend, counter, histogram)
        assert " # {" not in text_of(backend, counter, histogram)
        text = text_of(backend, counter, histogram, openmetrics=True)
        assert len(re.findall(r" # \{.+\} [\d.e+]+ \d+\.\d+\n", text)) == 4
        (family, _) = openmetrics_parser.text_string_to_metric_families(text + "# EOF\n")
        assert family.samples[0].exemplar.labels == {"trace_id": "x", "a": "\\\n", "b": ""}

    def test_labels_of_any_text(self, backend: ModuleType) -> None:
        counter = make(backend, "Counter")
        counter.inc(1, {"b": '"', "e": "\x00", "a": "\\n\n", "_": "\ud800"})
        check(backend, counter)

    def test_series_with_and_without_may_be_mixed(self, backend: ModuleType) -> None:
        histogram = make(backend, "Histogram", "label")
        for number in range(30):
            for amount in (0.5, 1.5, 2.5):
                exemplar = {"n": str(number)} if (number + amount) % 3 > 1 else None
                histogram.labels(number).observe(amount, exemplar)
        check(backend, histogram)


def test_what_is_not_initialised_cannot_be_written(backend: ModuleType) -> None:
    with pytest.raises(RuntimeError, match=r"^metric is not initialised$"):
        backend.encode([backend.Counter()], False, True, None)


@pytest.mark.parametrize("wrong", [None, 1, "name", object()])
def test_only_families_can_be_written(backend: ModuleType, wrong: Any) -> None:
    calls: list[Callable[[], object]] = [
        lambda: backend.encode([wrong], False, True, None),
        lambda: backend.encode(wrong, False, True, None),
    ]
    for call in calls:
        with pytest.raises((TypeError, AttributeError)):
            call()


def test_ten_thousand_series_are_written(backend: ModuleType) -> None:
    counter = make(backend, "Counter", "label")
    for number in range(10_000):
        counter.labels(f"value {number}").inc(number)
    check(backend, counter)


@pytest.mark.usefixtures("interleaving")
def test_a_page_is_consistent_while_threads_observe(backend: ModuleType) -> None:
    histogram = make(backend, "Histogram", "label", bounds=(1.0, 2.0, inf))
    pattern = re.compile(
        r'_bucket\{label="(.)",le="\+Inf"\} (\S+)\nname_count\S+ (\S+)\nname_sum\S+ (\S+)\n'
    )

    def observe() -> None:
        for number in range(3000):
            histogram.labels(number % 5).observe(1.5)

    def scrape() -> None:
        for _ in range(100):
            for _, bucket, count, total in pattern.findall(text_of(backend, histogram)):
                assert float(bucket) == float(count) == float(total) / 1.5

    for thread in [spawn(observe) for _ in range(4)] + [spawn(scrape), spawn(scrape)]:
        thread.result()
    assert text_of(backend, histogram).count("_sum") == 5
    check(backend, histogram)
