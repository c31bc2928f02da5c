"""`encode` of parts: samples of certain names, and gauges whose function may fail."""

from __future__ import annotations

from math import inf
from types import ModuleType

import pytest
from tests.metering import KINDS, make
from tests.pages import FORMS, check, text_of

SUFFIXES = ["", "_total", "_created", "_count", "_sum", "_bucket"]


class TestNames:
    @pytest.mark.parametrize("kind", KINDS)
    @pytest.mark.parametrize("suffix", SUFFIXES)
    def test_only_samples_so_named_are_written(
        self, backend: ModuleType, kind: str, suffix: str
    ) -> None:
        metric = make(backend, kind, "label", name="a_seconds", unit="seconds")
        for value in "ab":
            metric.labels(value)
        check(backend, metric, names=frozenset({"a_seconds" + suffix}))
        check(backend, metric, names=frozenset({"a_seconds" + suffix, "a_seconds_sum", "other"}))

    def test_none_named_is_none_written(self, backend: ModuleType) -> None:
        metrics = [make(backend, kind, name=kind) for kind in KINDS]
        for names in (frozenset[str](), frozenset({"x", "Coun", "Counter", "Gauge_total"})):
            check(backend, *metrics, names=names)
            for in_openmetrics, created in FORMS:
                assert backend.encode(metrics, in_openmetrics, created, names) == (b"", [])

    def test_several_families_and_names(self, backend: ModuleType) -> None:
        metrics = [make(backend, kind, name=kind) for kind in KINDS]
        names = frozenset({"Counter_total", "Gauge", "Histogram_bucket", "Histogram_created"})
        check(backend, *metrics, names=names)

    def test_a_family_without_series_is_left_out(self, backend: ModuleType) -> None:
        metric = make(backend, "Gauge", "label", name="name")
        check(backend, metric, names=frozenset({"name"}))
        assert backend.encode([metric], False, True, frozenset({"name"}))[0] == b""

    def test_a_sum_that_is_not_written_is_not_found(self, backend: ModuleType) -> None:
        metric = make(backend, "Histogram", name="name", bounds=(-1.0, inf))
        check(backend, metric, names=frozenset({"name_sum"}))


class TestFunctions:
    def test_a_gauge_that_raises_is_left_out_and_told(self, backend: ModuleType) -> None:
        gauge = make(backend, "Gauge", "label", name="broken")
        error = LookupError("no number")

        def fail() -> float:
            raise error

        gauge.labels("a").set(1)
        gauge.labels("b").set_function(fail)
        gauge.labels("c").set_function(lambda: 3)
        gauge.labels("d").set_function(lambda: "x")
        after = make(backend, "Counter", name="after")
        text, errors = backend.encode([gauge, after], False, False, None)
        assert text.decode() == (
            "# HELP broken Help.\n# TYPE broken gauge\n"
            'broken{label="a"} 1.0\nbroken{label="c"} 3.0\n'
            "# HELP after_total Help.\n# TYPE after_total counter\nafter_total 0.0\n"
        )
        assert [name for name, _ in errors] == ["broken", "broken"]
        assert errors[0][1] is error
        assert error.__traceback__ is not None
        assert type(errors[1][1]) is ValueError

    def test_a_gauge_without_labels_that_raises_leaves_its_help(self, backend: ModuleType) -> None:
        gauge = make(backend, "Gauge", name="broken")
        gauge.set_function(lambda: 1 / 0)
        text, ((name, error),) = backend.encode([gauge], True, True, None)
        assert text == b"# HELP broken Help.\n# TYPE broken gauge\n"
        assert name == "broken"
        assert type(error) is ZeroDivisionError
        text, errors = backend.encode([gauge], True, True, frozenset({"broken"}))
        assert text == b""
        assert len(errors) == 1

    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
    def test_what_ends_a_program_comes_through(
        self, backend: ModuleType, error: type[BaseException]
    ) -> None:
        def fail() -> float:
            raise error

        gauge = make(backend, "Gauge")
        gauge.set_function(fail)
        with pytest.raises(error):
            backend.encode([gauge], False, True, None)

    def test_a_function_may_use_the_families(self, backend: ModuleType) -> None:
        gauge = make(backend, "Gauge", "label", name="gauge")
        counter = make(backend, "Counter", name="counter")

        def function() -> float:
            counter.inc()
            gauge.remove("z")
            gauge.labels("new").set(7)
            return len(backend.encode([counter], False, False, None)[0])

        gauge.labels("a").set_function(function)
        gauge.labels("z")
        size = len(text_of(backend, counter))
        text = text_of(backend, counter, gauge)
        assert text.splitlines()[-2:] == [f'gauge{{label="a"}} {size}.0', 'gauge{label="z"} 0.0']
        assert 'gauge{label="new"} 7.0' in text_of(backend, gauge)

    def test_each_is_called_once_for_a_page(self, backend: ModuleType) -> None:
        gauge = make(backend, "Gauge")
        calls = []
        gauge.set_function(lambda: calls.append(1) or len(calls))
        assert text_of(backend, gauge).splitlines()[-1] == "name 1.0"
        assert len(calls) == 1
