"""What people do with metrics beside counting: look into them, subclass them, copy them."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import pytest
from tests.metric_pairs import KINDS, check_alike, make, samples

from penstock import metrics
from penstock.metrics import Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import ModuleType

    from prometheus_client.samples import Sample


class TestWhatPeopleLookAt:
    """Private attributes of prometheus_client's that tests and tools of others use."""

    def test_value_of_a_counter(self) -> None:
        def use(library: ModuleType) -> object:
            counter = make(library, "Counter")
            counter.inc(3)
            before = counter._value.get()
            counter._value.inc(2)
            after = counter._value.get()
            counter._value.set(0)
            return before, after, counter._value.get(), samples(counter)

        check_alike(use)

    def test_value_of_a_gauge(self) -> None:
        def use(library: ModuleType) -> object:
            gauge = make(library, "Gauge", "a")
            gauge.labels(1).set(3)
            gauge.labels(1)._value.inc(2)
            before = gauge._metrics["1",]._value.get()
            gauge.labels(1)._value.set(-1)
            return before, samples(gauge)

        check_alike(use)

    def test_values_of_a_summary(self) -> None:
        def use(library: ModuleType) -> object:
            summary = make(library, "Summary")
            summary.observe(2.5)
            return summary._count.get(), summary._sum.get()

        check_alike(use)

    def test_values_of_a_histogram(self) -> None:
        def use(library: ModuleType) -> object:
            histogram = make(library, "Histogram", buckets=(1, 2))
            for amount in (0.5, 1, 1.5, 9):
                histogram.observe(amount)
            return [bucket.get() for bucket in histogram._buckets], histogram._sum.get()

        check_alike(use)

    def test_children_are_a_copy(self) -> None:
        counter = make(metrics, "Counter", "a")
        counter.labels(1)
        counter._metrics.clear()
        assert list(counter._metrics) == [("1",)]


class TestSubclasses:
    """A family of somebody else's, made of ours."""

    class Requests(Counter):
        """A counter with arguments and attributes of its own."""

        def __init__(self, service: str, **options: Any) -> None:
            super().__init__("requests", "Help.", ["path"], registry=None, **options)
            self.service = service

        def inc(self, amount: float = 1, exemplar: dict[str, str] | None = None) -> None:
            super().inc(2 * amount, exemplar)

    def test_constructor_of_its_own_is_not_run_for_children(self) -> None:
        requests = self.Requests("shop", max_series=1)
        child = requests.labels("/")
        child.inc()
        requests.labels("/other").inc(3)
        assert type(child) is self.Requests
        assert requests.service == "shop"
        assert not hasattr(child, "service")
        assert [value[4:] for value in samples(requests)] == [
            ("requests_total", {"path": "/"}, 2.0, None),
            ("requests_total", {"path": "__overflow__"}, 6.0, None),
        ]

    def test_samples_of_its_own_are_collected(self) -> None:
        class Doubled(Gauge):
            def _child_samples(self) -> Iterable[Sample]:  # type: ignore[override]
                for sample in super()._child_samples():
                    yield sample._replace(value=2 * sample.value)

        gauge = Doubled("name", "Help.", ["a"], registry=None)
        gauge.labels(1).set(4)
        assert [value[5:7] for value in samples(gauge)] == [({"a": "1"}, 8.0)]

    @pytest.mark.parametrize("kind", KINDS)
    def test_metric_without_a_constructor_cannot_be_used(self, kind: str) -> None:
        class Forgetful(getattr(metrics, kind)):  # type: ignore[misc]
            def __init__(self) -> None:
                pass

        forgetful = Forgetful()
        for use in (forgetful.collect, forgetful.describe, lambda: forgetful.labels(1)):
            with pytest.raises(RuntimeError, match=r"^metric is not initialised$"):
                use()

    @pytest.mark.parametrize("kind", KINDS)
    def test_metric_is_made_once(self, kind: str) -> None:
        metric = make(metrics, kind)
        with pytest.raises(RuntimeError, match=r"^metric is already initialised$"):
            metric.__init__("other", "Help.", registry=None)


@pytest.mark.parametrize("kind", KINDS)
def test_metric_is_itself_alone(kind: str) -> None:
    one, other = make(metrics, kind), make(metrics, kind)
    assert one != other
    assert len({one, other, one}) == 2
    for copied in (copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="cannot pickle"):
            copied(one)
