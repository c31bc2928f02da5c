"""Metrics of both backends at once: whatever is done to them, they do the same."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count
from math import inf
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from tests.backends import BACKENDS, load_backend
from tests.clock import Clock
from tests.metering import KINDS, Odd, make

if "native" in BACKENDS:
    NATIVE = load_backend("native")
else:
    pytest.skip("ONLY ONE BACKEND IS TESTED: PENSTOCK_PURE is set", allow_module_level=True)
PURE = load_backend("pure")

NAN = float("nan")
NUMBERS = count()


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw from the second now and then: operations meet only on the same few values."""
    return st.integers(0, 6).flatmap(lambda number: odd if number == 6 else usual)


VALUES = mostly(
    st.sampled_from(["a", "b"]),
    st.sampled_from(["", "c", 1, "1", None, b"a", "\ud800", "\ufffd", '"\n', "__overflow__", 1.0]),
)
AMOUNTS = mostly(
    st.sampled_from([0, 1, 2, 0.5, 1.5, 1e6, 2.0]) | st.floats(0.001, 1000),
    st.one_of(
        st.floats(),
        st.integers(-(2**70), 2**70),
        st.sampled_from([NAN, inf, -inf, -1, -0.0, True, 2**64, 2**64 - 1, 2**53, 10**30, 10**400]),
        st.sampled_from([-(10**400), "1", b"1", None, 1j, [], Decimal("0.5"), Decimal("sNaN")]),
        st.sampled_from([Fraction(1, 3), 2.0**-128, 5e-324, -(2.0**-127)]),
        st.integers(-40, 40).map(lambda at: 2 ** (at / 32)),
    ),
)
EXEMPLARS = mostly(
    st.sampled_from([None, None, {"trace": "1"}]),
    st.sampled_from([{}, {"b": "2", "a": ""}, {"a": "x" * 200}, {"__a": ""}, {"a": 1}, "text", 0]),
)
WAITS = mostly(st.sampled_from([0, 0, 1, 5]), st.sampled_from([0.25, 59, 60, 1e4, -1, -100, 1e-9]))
WINDOWS = mostly(
    st.sampled_from([None, None, 5, 20, 60]),
    st.sampled_from([0, -1, 61, 1e-9, "5", True, NAN, timedelta(seconds=30), 60.0000001, 12.5]),
)
QS = mostly(
    st.sampled_from([0, 0.5, 0.9, 1]) | st.floats(0, 1),
    st.sampled_from([2, -0.1, NAN, "0.5", None, True, Decimal("0.5"), 1e-300]),
)
BOUNDS = st.sampled_from([(inf,), (1.0, inf), (-1.0, 0.0, inf), (0.5, 1.0, 1.0, 1e6, inf)])
LABELNAMES = st.sampled_from([("label",), ("label",), ("one", "le_"), ()])


def fail() -> float:
    raise LookupError("no number")


FUNCTIONS: list[Callable[[], Any]] = [fail, lambda: 1, lambda: "2.5", lambda: None, lambda: NAN]

Call = Callable[[Any], object]


class Twin:
    """The metrics of one backend, one of each kind, and the children that somebody holds."""

    def __init__(self, backend: Any, **options: Any) -> None:
        self.backend = backend
        self.labelnames = options.pop("labelnames")
        number = next(NUMBERS)
        self.metrics = {
            kind: make(backend, kind, *self.labelnames, name=f"m_{number}_{kind}_s", **options)
            for kind in KINDS
        }
        #: The number in the names differs.
        self.own = re.compile(f"m_{number}_")
        self.held: dict[str, list[Any]] = {kind: [self.metrics[kind]] for kind in KINDS}

    def describe(self, call: Callable[[], object]) -> object:
        """Whatever comes of a call, in a form in which equal things of different types differ."""
        try:
            return self.own.sub("", repr(call()))
        except Exception as error:
            return type(error), self.own.sub("", str(error))

    def labels(self, kind: str, *values: object, **named: object) -> object:
        """Look a child up, and hold it."""
        child = self.metrics[kind].labels(*values, **named)
        held = self.held[kind]
        if child not in held:
            held.append(child)
        return held.index(child), child._labelvalues, type(child).__name__

    def page(self, openmetrics: bool, names: frozenset[str] | None) -> object:
        """A page without timestamps."""
        prefix = self.metrics["Counter"]._name.removesuffix("Counter_s")
        names = names and frozenset(prefix + name for name in names)
        families = list(self.metrics.values())
        text, errors = self.backend.encode(families, openmetrics, False, names)
        # Only the time of an exemplar stands behind another number.
        plain = re.sub(r"( # \{.*\} \S+) [\d.]+\n", r"\1\n", text.decode())
        return plain, [(name, type(error), str(error)) for name, error in errors]

    def drops(self) -> object:
        return [row for row in self.backend.drops() if self.own.match(row[0])]


def figures(metric: Any) -> object:
    """What `_read` returns, without times."""
    read = metric._read()
    match metric._type:
        case "counter":
            return read[0], read[2] and read[2][:2]
        case "summary":
            return read[:2]
        case "histogram":
            return read[:2], [found and found[:2] for found in read[3]]
    return read


class Twins(RuleBasedStateMachine):
    """The same operations on both."""

    @initialize(
        labelnames=LABELNAMES,
        max_series=st.sampled_from([None, 1, 2, 4]),
        most_recent=st.sampled_from([False, False, False, True]),
        bounds=BOUNDS,
        window=st.sampled_from([60.0, 60.0, 12.0, 1.0, 7.5, 1e-9]),
        start=st.sampled_from([0.0, 0.0, -5.0, 1e6]),
        unit=st.sampled_from(["", "s"]),
        documentation=st.sampled_from(["Help.", 'a"b\\c\nd']),
    )
    def make(self, start: float, labelnames: tuple[str, ...], **options: Any) -> None:
        self.clock = Clock(start)
        self.labelnames = labelnames
        self.twins = [
            Twin(backend, labelnames=labelnames, timer=self.clock, **options)
            for backend in (NATIVE, PURE)
        ]

    def both(self, call: Callable[[Twin], object]) -> None:
        """Do the same with both, and compare what comes of it."""
        before = self.clock.now
        native, pure = self.twins
        expected = native.describe(lambda: call(native))
        after, self.clock.now = self.clock.now, before
        assert pure.describe(lambda: call(pure)) == expected
        assert self.clock.now == after

    def on_series(self, data: st.DataObject, kind: str, call: Call) -> None:
        """Do something with the metric or a child that is held, shown or not."""
        held = self.twins[0].held[kind]
        # Children first: a parent can do little.
        which = data.draw(st.integers(0, len(held) - 1).map(lambda at: len(held) - 1 - at))
        self.both(lambda twin: call(twin.held[kind][which]))

    @rule(kind=st.sampled_from(KINDS), data=st.data(), by_name=st.booleans())
    def labels(self, kind: str, data: st.DataObject, by_name: bool) -> None:
        values = data.draw(st.tuples(*[VALUES] * len(self.labelnames)))
        if by_name:
            named = dict(zip(self.labelnames, values, strict=True))
            self.both(lambda twin: twin.labels(kind, **named))
        else:
            self.both(lambda twin: twin.labels(kind, *values))

    @rule(
        kind=st.sampled_from(KINDS),
        values=st.lists(VALUES, max_size=3),
        named=st.dictionaries(st.sampled_from(["label", "one", "le_", "x"]), VALUES, max_size=2),
    )
    def labels_mostly_wrong(self, kind: str, values: list[object], named: dict[str, Any]) -> None:
        self.both(lambda twin: twin.labels(kind, *values, **named))
        self.both(lambda twin: twin.metrics[kind].remove(*values))

    @rule(kind=st.sampled_from(KINDS), values=st.lists(VALUES, min_size=2, max_size=2))
    def remove(self, kind: str, values: list[object]) -> None:
        few = values[: len(self.labelnames)]
        self.both(lambda twin: twin.metrics[kind].remove(*few))

    @rule(
        kind=st.sampled_from(KINDS),
        positions=st.dictionaries(st.just(0), st.sampled_from(["a", "", "\udfff", "__overflow__"])),
        clear=st.sampled_from([False, False, True]),
    )
    def remove_several(self, kind: str, positions: dict[int, str], clear: bool) -> None:
        if clear:
            self.both(lambda twin: twin.metrics[kind].clear())
        elif self.labelnames:
            self.both(lambda twin: twin.metrics[kind]._remove_where(positions))

    @rule(amount=AMOUNTS, exemplar=EXEMPLARS, reset=st.integers(0, 9), data=st.data())
    def count(self, amount: Any, exemplar: Any, reset: int, data: st.DataObject) -> None:
        if reset == 9:
            self.on_series(data, "Counter", lambda counter: counter.reset())
        elif exemplar is None:
            self.on_series(data, "Counter", lambda counter: counter.inc(amount))
        else:
            self.on_series(data, "Counter", lambda counter: counter.inc(amount, exemplar))

    @rule(amount=AMOUNTS, verb=st.sampled_from(["inc", "dec", "set"]), data=st.data())
    def change(self, amount: Any, verb: str, data: st.DataObject) -> None:
        self.on_series(data, "Gauge", lambda gauge: getattr(gauge, verb)(amount))

    @rule(function=st.sampled_from(FUNCTIONS), data=st.data())
    def set_function(self, function: Callable[[], Any], data: st.DataObject) -> None:
        self.on_series(data, "Gauge", lambda gauge: gauge.set_function(function))

    @rule(amount=AMOUNTS, data=st.data())
    def summarise(self, amount: Any, data: st.DataObject) -> None:
        self.on_series(data, "Summary", lambda summary: summary.observe(amount))

    @rule(
        amounts=st.lists(AMOUNTS, min_size=1, max_size=5),
        exemplar=EXEMPLARS,
        wait=WAITS,
        data=st.data(),
    )
    def observe(self, amounts: list[Any], exemplar: Any, wait: float, data: st.DataObject) -> None:
        self.clock.advance(wait)

        def call(histogram: Any) -> object:
            for amount in amounts[1:]:
                histogram.observe(amount)
            return histogram.observe(amounts[0], exemplar)

        self.on_series(data, "Histogram", call)

    @rule(octaves=st.lists(st.integers(-140, 140), max_size=80), sign=st.sampled_from([1, -1]))
    def spread(self, octaves: list[int], sign: int) -> None:
        """Observe more powers of two than a step tells apart."""
        if not self.labelnames:
            for octave in octaves:
                amount = sign * 1.3 * 2.0**octave
                self.both(lambda twin: twin.metrics["Histogram"].observe(amount))  # noqa: B023  # called now

    @rule(q=QS, window=WINDOWS, wait=WAITS, data=st.data())
    def ask(self, q: Any, window: Any, wait: float, data: st.DataObject) -> None:
        self.clock.advance(wait)

        def call(histogram: Any) -> object:
            figures = histogram.count(window), histogram.mean(window), histogram.max(window)
            return figures, histogram.quantile(q, window), histogram.quantile(q)

        self.on_series(data, "Histogram", call)

    @rule(seconds=WAITS, value=VALUES, late=st.booleans(), decorated=st.booleans(), data=st.data())
    def time(
        self, seconds: float, value: object, late: bool, decorated: bool, data: st.DataObject
    ) -> None:
        values = [value] * len(self.labelnames)

        def call(histogram: Any) -> object:
            timer = histogram.time()
            if decorated:
                return timer(lambda: self.clock.advance(seconds))()
            with timer:
                self.clock.advance(seconds)
                if late:
                    timer.labels(*values)
            return timer.duration

        self.on_series(data, "Histogram", call)

    @rule(
        openmetrics=st.booleans(),
        names=st.none()
        | st.frozensets(
            st.sampled_from(
                ["Counter_s_total", "Gauge_s", "Summary_s_sum", "Histogram_s_bucket", "x"]
            )
        ),
    )
    def write(self, openmetrics: bool, names: frozenset[str] | None) -> None:
        self.both(lambda twin: twin.page(openmetrics, names))

    @rule(kind=st.sampled_from(KINDS), act=st.sampled_from(["labels", "clear", "remove", "fail"]))
    def give_a_value_that_acts(self, kind: str, act: str) -> None:
        """A label value whose text is made by code that uses the family."""

        def call(twin: Twin) -> object:
            metric = twin.metrics[kind]

            def text() -> str:
                match act:
                    case "labels":
                        metric.labels(*["b"] * len(self.labelnames))
                    case "clear":
                        metric.clear()
                    case "remove":
                        metric.remove(*["a"] * len(self.labelnames))
                    case "fail":
                        raise LookupError("no text")
                return "a"

            return twin.labels(kind, *[Odd(text)] * len(self.labelnames))

        self.both(call)

    @rule(kind=st.sampled_from(KINDS))
    def look(self, kind: str) -> None:
        def call(twin: Twin) -> object:
            metric = twin.metrics[kind]
            children = metric._children()
            return str(metric), [(child._labelvalues, str(child)) for child in children]

        self.both(call)

    @invariant()
    def they_hold_the_same(self) -> None:
        if not hasattr(self, "twins"):
            return
        for kind in KINDS:
            self.both(lambda twin: [child._labelvalues for child in twin.metrics[kind]._children()])  # noqa: B023  # called now
            for at in range(len(self.twins[0].held[kind])):
                self.both(lambda twin: figures(twin.held[kind][at]))  # noqa: B023  # called now
        self.both(lambda twin: twin.drops())

    def teardown(self) -> None:
        if hasattr(self, "twins"):
            for openmetrics in (False, True):
                self.both(lambda twin: twin.page(openmetrics, None))  # noqa: B023  # called now


TestTwins = pytest.mark.timeout(300)(Twins.TestCase)
# Explaining a failure takes longer than finding it.
PHASES = set(Phase) - {Phase.explain}
TestTwins.settings = settings(deadline=None, stateful_step_count=50, phases=PHASES)
