"""Whatever is done to a metric, ours has the samples and the pages that prometheus_client's has."""

from __future__ import annotations

import math
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import prometheus_client
from hypothesis import assume, example, given
from hypothesis import strategies as st
from prometheus_client.openmetrics import exposition as openmetrics
from tests.metric_pairs import KINDS, LIBRARIES, outcome

from penstock import metrics
from penstock.metrics import CollectorRegistry
from penstock.metrics._exposition import generate_latest, render
from penstock.metrics._negotiation import OPENMETRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

    from hypothesis.strategies import SearchStrategy
    from prometheus_client.samples import Sample


class Step(NamedTuple):
    """An operation on the series with these label values, or on the family."""

    labelvalues: tuple[str, ...] | None
    operation: str
    arguments: tuple[Any, ...] = ()


class Script(NamedTuple):
    """A metric, and what is done to it."""

    kind: str
    options: dict[str, Any]
    steps: list[Step]

    def play(self, library: ModuleType) -> tuple[CollectorRegistry, list[object]]:
        """Do it with the classes of a library; return where to look, and what each step did."""
        registry = CollectorRegistry()
        metric = getattr(library, self.kind)(registry=registry, **self.options)
        return registry, [outcome(lambda step=step: _do(metric, step)) for step in self.steps]


def _do(metric: Any, step: Step) -> None:
    if step.labelvalues is not None:
        metric = metric.labels(*step.labelvalues)
    result = getattr(metric, step.operation)(*step.arguments)
    assert result is None or step.operation == "labels"


# Without surrogates: prometheus_client cannot encode them.
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
# Few and nasty ones, so that some come twice.
labelvalues = st.sampled_from(["", "a", 'say "a"', "two\nlines", "back\\slash", "\u00fc"]) | texts
names = st.text("ab_1", min_size=1, max_size=5).filter(lambda name: name[0] not in "_1")
any_floats = st.floats(allow_nan=False)
# Sums of these are exact, in whatever order they are made.
exact_floats = st.integers(-(2**20), 2**20).map(lambda number: number / 1024)
exemplars = st.dictionaries(names, texts, max_size=3)


def _series(count: int) -> SearchStrategy[tuple[str, ...] | None]:
    values = st.tuples(*[labelvalues] * count)
    # Rarely the family itself, which has no value if it has labels.
    return st.none() if not count else st.one_of(values, values, values, st.none())


def _operations(
    kind: str, numbers: SearchStrategy[float]
) -> SearchStrategy[tuple[str, tuple[Any, ...]]]:
    amounts = numbers | st.integers(-10, 1000)
    few = st.tuples(amounts)
    calls: dict[str, dict[str, SearchStrategy[tuple[Any, ...]]]] = {
        "Counter": {"inc": st.tuples() | few | st.tuples(amounts, exemplars), "reset": st.tuples()},
        "Gauge": {
            "inc": st.tuples() | few,
            "dec": st.tuples() | few,
            "set": few | st.just((math.nan,)),
            "set_function": st.tuples(amounts.map(lambda value: lambda: value)),
        },
        "Summary": {"observe": few},
        "Histogram": {"observe": few | st.tuples(amounts, exemplars)},
    }
    return st.one_of(
        *[st.tuples(st.just(name), arguments) for name, arguments in calls[kind].items()]
    )


@st.composite
def scripts(draw: Callable[..., Any], numbers: SearchStrategy[float], *, plain: bool) -> Script:
    """Draw a metric and what is done to it."""
    kind = draw(st.sampled_from(KINDS))
    labelnames = draw(st.lists(names, max_size=3, unique=True))
    options = {
        "name": draw(names),
        "documentation": draw(texts),
        "labelnames": labelnames,
        "unit": draw(st.sampled_from(["", "", "seconds"])),
    }
    if kind == "Histogram":
        bounds = st.floats(-100, 100) if plain else any_floats
        options["buckets"] = sorted(draw(st.lists(bounds, min_size=1, max_size=4)))
        assume(options["buckets"] != [math.inf])
    used = st.builds(
        lambda series, call: Step(series, *call),
        _series(len(labelnames)),
        _operations(kind, numbers),
    )
    if labelnames:
        # prometheus_client has no words for it.
        used = used.filter(lambda step: step[:2] != (None, "reset"))
    steps: list[SearchStrategy[Step]] = [used, used, used, used]
    if labelnames:
        values = st.tuples(*[labelvalues] * len(labelnames))
        steps += [
            st.builds(Step, st.none(), st.just("labels"), values),
            st.builds(Step, st.none(), st.just("remove"), values),
            st.builds(
                Step,
                st.none(),
                st.just("remove_by_labels"),
                st.tuples(st.dictionaries(st.sampled_from(labelnames), labelvalues)),
            ),
            st.just(Step(None, "clear")),
        ]
    return Script(kind, options, draw(st.lists(st.one_of(steps), max_size=30)))


def _shown(registry: CollectorRegistry) -> list[Sample]:
    """All samples but for times; an exemplar without that of its own."""
    return [
        sample._replace(exemplar=sample.exemplar and sample.exemplar[:2])
        for family in registry.collect()
        for sample in family.samples
        if not sample.name.endswith("_created")
    ]


def _same(one: float, other: float, sample: str) -> bool:
    if one == other or (math.isnan(one) and math.isnan(other)):
        return True
    # Whole numbers and fractions of a counter are added up apart from each other.
    return sample.endswith("_total") and math.isclose(one, other, rel_tol=1e-12)


@given(scripts(any_floats, plain=False))
@example(
    Script(
        "Counter",
        {"name": "a", "documentation": "", "labelnames": [], "unit": ""},
        [Step(None, "inc", (amount,)) for amount in (2**53, 1, 1, 0.1, 0.2, 5e-324)],
    )
)
def test_any_operations_give_the_same_samples(script: Script) -> None:
    (theirs, their_results), (ours, our_results) = map(script.play, LIBRARIES)
    assert our_results == their_results
    for one, other in zip(_shown(ours), _shown(theirs), strict=True):
        assert _same(one.value, other.value, one.name), (one, other)
        assert one._replace(value=0) == other._replace(value=0)


@contextmanager
def _without_times() -> Iterator[None]:
    metrics.disable_created_metrics()
    try:
        yield
    finally:
        metrics.enable_created_metrics()


def _strip_times(page: bytes) -> bytes:
    """Take the times off the exemplars of a page."""
    return re.sub(rb"(?m)( # \{.*\} \S+) \S+$", rb"\1", page)


@given(scripts(exact_floats, plain=True))
def test_any_operations_give_the_same_pages(script: Script) -> None:
    (theirs, _), (ours, _) = map(script.play, LIBRARIES)
    with _without_times():
        page = generate_latest(ours).decode()
        assert page == prometheus_client.generate_latest(theirs).decode()
        assert page == prometheus_client.generate_latest(ours).decode()
        page = _strip_times(render(ours, OPENMETRICS)).decode()
        assert page == _strip_times(openmetrics.generate_latest(theirs)).decode()
        assert page == _strip_times(openmetrics.generate_latest(ours)).decode()


@given(scripts(any_floats, plain=False))
def test_our_page_is_what_prometheus_client_writes_of_our_metrics(script: Script) -> None:
    registry, _ = script.play(metrics)
    assert (
        generate_latest(registry).decode() == prometheus_client.generate_latest(registry).decode()
    )
    expected: bytes = openmetrics.generate_latest(registry)
    assert render(registry, OPENMETRICS).decode() == expected.decode()
