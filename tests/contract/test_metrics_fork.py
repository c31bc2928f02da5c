"""A forked child can use the metrics of its parent."""

from __future__ import annotations

import os
from threading import Event
from types import ModuleType

import pytest
from tests.forks import in_child
from tests.metering import KINDS, make, use
from tests.threads import spawn

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_child_goes_on_from_the_numbers_of_its_parent(backend: ModuleType, kind: str) -> None:
    metric = make(backend, kind, "label")
    use(metric.labels("a"))
    before = metric.labels("a")._read()

    def work() -> None:
        assert metric.labels("a")._read() == before
        use(metric.labels("a"))
        use(metric.labels("b"))
        assert len(metric._children()) == 2
        assert metric.labels("a")._read() != before
        assert b'{label="b"' in backend.encode([metric], True, True, None)[0]

    assert in_child(work)
    assert metric.labels("a")._read() == before
    assert len(metric._children()) == 1


@pytest.mark.usefixtures("interleaving")
def test_threads_that_count_in_the_parent_leave_nothing_locked(backend: ModuleType) -> None:
    histogram = make(backend, "Histogram", "label", max_series=3)
    stop = Event()

    def count() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            histogram.labels(number % 5).observe(1.5)
            backend.encode([histogram], True, True, None)
            histogram.remove(number % 3)

    threads = [spawn(count) for _ in range(3)]

    def work() -> None:
        for child in histogram._children():
            (first, second, third), total, _, _ = child._read()
            assert first == third == 0
            assert total == second * 1.5
        histogram.clear()
        histogram.labels("a").observe(1)
        assert histogram.labels("a").count() == 1
        backend.encode([histogram], False, True, None)
        backend.drops()

    try:
        for _ in range(20):
            assert in_child(work)
    finally:
        stop.set()
    for thread in threads:
        thread.result()
