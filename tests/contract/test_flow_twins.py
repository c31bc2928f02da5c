"""Flow control of both backends at once: whatever is done to them, they do the same."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule
from tests.backends import BACKENDS, load_backend
from tests.clock import Clock
from tests.permits import Crew, make_breaker, make_gate, make_queue

if "native" in BACKENDS:
    NATIVE = load_backend("native")
else:
    pytest.skip("ONLY ONE BACKEND IS TESTED: PENSTOCK_PURE is set", allow_module_level=True)
PURE = load_backend("pure")

NAN = float("nan")


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw from the second now and then: operations meet only on the same few values."""
    return st.integers(0, 6).flatmap(lambda number: odd if number == 6 else usual)


class Index:
    """An int of another type."""

    def __index__(self) -> int:
        return 2

    def __repr__(self) -> str:
        return "Index()"


WAITS = mostly(
    st.sampled_from([0, 0, 1]), st.sampled_from([0.5, 3, 9.75, 60, 1e-9, 1 / 3, -1, -100])
)
ODD_INTS = st.sampled_from([0, -1, True, False, 2**63, 2**64, -(2**70), 1.0, "1", None, Index()])
WEIGHTS = mostly(st.integers(1, 3), ODD_INTS | st.sampled_from([5, 6, 9, 2**63 - 1]))
PRIORITIES = mostly(st.integers(-1, 2), ODD_INTS | st.sampled_from([-(2**63), 2**63 - 1]))
OUTCOMES = mostly(
    st.sampled_from(["success", "dropped", "ignored"]),
    st.sampled_from(["failure", "", None, 1, b"success", "SUCCESS", [], "\ud800"]),
)
VERDICTS = mostly(
    st.sampled_from(["success", "failure", "failure", "ignored"]),
    st.sampled_from(["dropped", "", None, 1, b"success", [], "\ud800"]),
)
#: Who does it: the thread, or one of some tasks.
HOLDERS = st.sampled_from([None, None, 0, 0, 1, 2])
ERRORS = st.sampled_from([None, None, ValueError("x"), TimeoutError()])
#: What a method of the subclass does beside writing down that it was called.
TROUBLE = st.sampled_from(["wake", "adapt", "outcome", "changed"])


def show(result: object) -> str:
    """A result, without what differs from object to object."""
    return type(result).__name__ if type(result).__name__ == "Ready" else repr(result)


class Machine(RuleBasedStateMachine):
    """The same operations on both."""

    pair: list[Any]

    def begin(self, start: float, make: Callable[..., Any], *args: Any, **options: Any) -> None:
        self.clock = Clock(start)
        self.crew = Crew()
        self.pair = [
            make(backend, *args, timer=self.clock, **options) for backend in (NATIVE, PURE)
        ]

    def describe(self, holder: int | None, call: Callable[[], object]) -> object:
        """Whatever comes of a call, in a form in which equal things of different types differ."""
        try:
            return show(self.crew.run(holder, call))
        except Exception as error:
            return type(error), str(error)

    def both(self, call: Callable[[Any], object], holder: int | None = None) -> Any:
        """Do the same with both, and compare what comes of it, and what they are like then."""
        outcomes = [self.describe(holder, lambda: call(one)) for one in self.pair]  # noqa: B023  # called now
        assert outcomes[0] == outcomes[1]
        logs = [show(one.told) for one in self.pair]
        assert logs[0] == logs[1]
        figures = [self.describe(None, lambda: self.look(one)) for one in self.pair]  # noqa: B023  # called now
        assert figures[0] == figures[1]
        for one in self.pair:
            one.told.clear()
        return outcomes[0]

    def look(self, one: Any) -> object:
        return one._stats()

    def teardown(self) -> None:
        if hasattr(self, "crew"):
            self.crew.close()


class Queues(Machine):
    """Queues of waiters."""

    @initialize(
        limit=st.integers(1, 5),
        order=st.sampled_from(["fifo", "lifo", "priority"]),
        max_waiting=st.sampled_from([None, None, 0, 1, 3]),
        start=st.sampled_from([0.0, 0.0, -5.0, 1e6]),
        sample=st.sampled_from([None, (1.0, 1), (0.1, 3), (2.0, 2)]),
        taken=st.integers(0, 5),
    )
    def make(
        self, start: float, sample: tuple[float, int] | None, taken: int, **options: Any
    ) -> None:
        self.begin(start, make_queue, **options)
        self.tickets = [0, -1, 1, 2**62]
        if sample is not None:
            self.both(lambda queue: queue._sample(*sample))
        for _ in range(taken):
            self.both(lambda queue: queue.try_acquire())

    def look(self, one: Any) -> object:
        return one._stats(), one.limit, one.in_use, one.available, one.waiting

    @rule(weight=WEIGHTS, holder=HOLDERS, wait=WAITS)
    def try_acquire(self, weight: Any, holder: int | None, wait: float) -> None:
        self.clock.advance(wait)
        self.both(lambda queue: queue.try_acquire(weight), holder)

    @rule(
        weight=WEIGHTS,
        priority=PRIORITIES,
        deadline=st.sampled_from([None, 1, "x"]),
        holder=HOLDERS,
        wait=WAITS,
    )
    def acquire(
        self, weight: Any, priority: Any, deadline: Any, holder: int | None, wait: float
    ) -> None:
        self.clock.advance(wait)
        options = {"priority": priority, "deadline": deadline}
        self.both(lambda queue: queue.acquire(weight, **options), holder)
        self.both(lambda queue: queue.acquire(), holder)

    @rule(name=st.sampled_from(["__enter__", "__aenter__", "_begin"]), holder=HOLDERS, wait=WAITS)
    def enter(self, name: str, holder: int | None, wait: float) -> None:
        self.clock.advance(wait)
        self.both(lambda queue: getattr(queue, name)(), holder)

    @rule(name=st.sampled_from(["__exit__", "__aexit__"]), error=ERRORS, holder=HOLDERS, wait=WAITS)
    def exit(self, name: str, error: BaseException | None, holder: int | None, wait: float) -> None:
        self.clock.advance(wait)
        kind = None if error is None else type(error)
        self.both(lambda queue: getattr(queue, name)(kind, error, None), holder)

    @rule(weight=WEIGHTS, outcome=OUTCOMES, holder=HOLDERS, wait=WAITS)
    def release(self, weight: Any, outcome: Any, holder: int | None, wait: float) -> None:
        self.clock.advance(wait)
        self.both(lambda queue: queue.release(weight, outcome=outcome), holder)

    @rule(holder=HOLDERS, times=st.integers(1, 4), wait=WAITS)
    def go_through(self, holder: int | None, times: int, wait: float) -> None:
        """Windows of samples need many calls."""
        for _ in range(times):
            if self.both(lambda queue: queue.try_acquire(), holder) == "True":
                self.clock.advance(abs(wait))
                self.both(lambda queue: queue.release(), holder)

    @rule(
        weights=st.lists(st.integers(1, 6), min_size=1, max_size=4),
        priority=st.integers(-2, 2),
        releases=st.integers(0, 6),
        wait=WAITS,
    )
    def enqueue(self, weights: list[int], priority: int, releases: int, wait: float) -> None:
        for at, weight in enumerate(weights):
            self.clock.advance(wait)
            waiter = f"waiter {len(self.tickets)}"
            call = lambda queue: queue._enqueue(waiter, weight, priority * at)  # noqa: B023, E731  # called now
            self.tickets.append(int(self.both(call)))
        for _ in range(releases):
            self.both(lambda queue: queue.release())

    @rule(data=st.data(), expired=st.booleans(), wait=WAITS)
    def withdraw(self, data: st.DataObject, expired: bool, wait: float) -> None:
        self.clock.advance(wait)
        # The last ones first: they are more likely to wait.
        ticket = self.tickets[-1 - data.draw(st.integers(0, len(self.tickets) - 1))]
        self.both(lambda queue: queue._withdraw(ticket, expired))

    @rule(limit=mostly(st.integers(1, 6), ODD_INTS), wait=WAITS)
    def resize(self, limit: Any, wait: float) -> None:
        self.clock.advance(wait)
        self.both(lambda queue: queue.resize(limit))

    @rule(
        what=st.sampled_from(["sample", "max weight", "init", *["trouble"] * 3]),
        most=st.sampled_from([None, 1, 2, 5]),
        method=TROUBLE,
        outcome=OUTCOMES,
    )
    def do_something_rare(self, what: str, most: int | None, method: str, outcome: Any) -> None:
        match what:
            case "sample":
                self.both(lambda queue: queue._sample(0.5, most or 1))
            case "max weight":
                self.both(lambda queue: queue._set_max_weight(most))
            case "init":
                self.both(lambda queue: queue._init(most or 3, timer=self.clock))
            case "trouble":
                for queue in self.pair:
                    queue.acts = self.trouble(method, outcome)

    def trouble(self, method: str, outcome: Any) -> dict[str, Callable[..., object]]:
        """Methods that raise, or use the queue themselves."""
        if method == "outcome":
            return {"outcome": lambda queue, kind: outcome}
        if outcome in ("success", "ignored"):
            return {"wake": lambda queue, *args: queue.try_acquire(1)}
        if outcome == "dropped":
            return {"adapt": lambda queue, *args: queue.resize(queue.limit % 5 + 1)}
        return {method: lambda queue, *args: fail_once(queue, method, args)}


def fail_once(owner: Any, method: str, args: tuple[object, ...]) -> None:
    owner.acts = {}
    raise LookupError(method, args)


class Gates(Machine):
    """Gates that let so many through per second."""

    RATES = st.sampled_from([1.0, 2.0, 0.5, 3.0, 1e9, 1e-3, 7, 1e12])

    @initialize(
        rate=RATES,
        burst=st.integers(1, 6),
        start=st.sampled_from([0.0, 0.0, -5.0, 1e6]),
    )
    def make(self, rate: float, burst: int, start: float) -> None:
        self.begin(start, make_gate, rate, burst)

    def look(self, one: Any) -> object:
        return one._stats(), one.rate, one.burst

    @rule(
        weight=WEIGHTS,
        name=st.sampled_from(["_take", "_take", "try_acquire", "acquire"]),
        wait=WAITS,
    )
    def take(self, weight: Any, name: str, wait: float) -> None:
        self.clock.advance(wait)
        self.both(lambda gate: getattr(gate, name)(weight))

    @rule(name=st.sampled_from(["__enter__", "__aenter__", "acquire", "try_acquire", "_take"]))
    def enter(self, name: str) -> None:
        self.both(lambda gate: getattr(gate, name)())

    @rule(deadline=st.sampled_from([None, 1.5, "x"]), weight=WEIGHTS, wait=WAITS)
    def acquire(self, deadline: Any, weight: Any, wait: float) -> None:
        self.clock.advance(wait)
        self.both(lambda gate: gate.acquire(weight, deadline=deadline))

    @rule(name=st.sampled_from(["__exit__", "__aexit__"]), error=ERRORS)
    def exit(self, name: str, error: BaseException | None) -> None:
        kind = None if error is None else type(error)
        self.both(lambda gate: getattr(gate, name)(kind, error, None))

    @rule(n=st.sampled_from([1, -1, -1]))
    def hold(self, n: int) -> None:
        self.both(lambda gate: gate._hold(n))

    @rule(wait=WAITS)
    def available(self, wait: float) -> None:
        self.clock.advance(wait)
        self.both(lambda gate: gate.available)

    @rule(rate=RATES, burst=st.integers(1, 6), wait=WAITS, init=st.integers(0, 9))
    def change(self, rate: float, burst: int, wait: float, init: int) -> None:
        self.clock.advance(wait)
        if init == 9:
            self.both(lambda gate: gate._init(rate, burst, self.clock))
        else:
            self.both(lambda gate: gate._set_rate(rate, burst))


class Breakers(Machine):
    """Circuit breakers."""

    @initialize(
        window=st.sampled_from([(1, None), (3, None), (5, None), (None, 10.0), (None, 0.9)]),
        min_calls=st.sampled_from([1, 2, 2, 4]),
        failure_rate=st.sampled_from([0.5, 1.0, 0.34, 0.01]),
        slow_rate=st.sampled_from([0.5, 1.0]),
        slow_after=st.sampled_from([None, None, 0.5, 2.0]),
        trial_calls=st.sampled_from([1, 2, 3]),
        lease=st.sampled_from([1.0, 5.0, 60.0]),
        open_seconds=st.sampled_from([1.0, 5.0]),
        max_open_seconds=st.sampled_from([3.0, 20.0, 1e9]),
        jitter=st.sampled_from([0.0, 0.1, 0.5]),
        seed=st.integers(0, 2**64 - 1),
        start=st.sampled_from([0.0, 0.0, -5.0, 1e6]),
    )
    def make(self, start: float, window: tuple[int | None, float | None], **options: Any) -> None:
        count, seconds = window
        self.leases = [0]
        self.begin(start, make_breaker, count=count, seconds=seconds, **options)

    def look(self, one: Any) -> object:
        return one._stats(), one.state, one.retry_after

    @rule(wait=WAITS)
    def begin_call(self, wait: float) -> None:
        self.clock.advance(wait)
        lease = self.both(lambda breaker: breaker._begin())
        if isinstance(lease, str) and lease.isdigit():
            self.leases.append(int(lease))

    @rule(data=st.data(), verdict=VERDICTS, wait=WAITS)
    def end_call(self, data: st.DataObject, verdict: Any, wait: float) -> None:
        self.clock.advance(wait)
        # The last ones first: they are more likely to be out.
        lease = self.leases[-1 - data.draw(st.integers(0, len(self.leases) - 1))]
        self.both(lambda breaker: breaker._end(lease, verdict))

    @rule(verdicts=st.lists(VERDICTS, min_size=1, max_size=6), wait=WAITS)
    def call_several(self, verdicts: list[Any], wait: float) -> None:
        self.call(verdicts, wait)

    def call(self, verdicts: list[Any], wait: float) -> None:
        """Calls that overlap with nothing."""
        for verdict in verdicts:
            lease = self.both(lambda breaker: breaker._begin())
            self.clock.advance(abs(wait))
            if isinstance(lease, str) and lease.isdigit():
                self.both(lambda breaker: breaker._end(int(lease), verdict))  # noqa: B023  # called now

    @rule(name=st.sampled_from(["__enter__", "__aenter__"]), holder=HOLDERS, wait=WAITS)
    def enter(self, name: str, holder: int | None, wait: float) -> None:
        self.clock.advance(wait)
        self.both(lambda breaker: getattr(breaker, name)(), holder)

    @rule(name=st.sampled_from(["__exit__", "__aexit__"]), error=ERRORS, holder=HOLDERS, wait=WAITS)
    def exit(self, name: str, error: BaseException | None, holder: int | None, wait: float) -> None:
        self.clock.advance(wait)
        kind = None if error is None else type(error)
        self.both(lambda breaker: getattr(breaker, name)(kind, error, None), holder)

    @precondition(lambda self: hasattr(self, "pair"))
    @rule(part=st.sampled_from([0.5, 1.0, 1.0]), successes=st.integers(0, 3))
    def wait_until_it_may_close(self, part: float, successes: int) -> None:
        self.clock.advance(self.pair[0].retry_after * part)
        self.both(lambda breaker: breaker.state)
        self.call(["success"] * successes, 0)

    @rule(
        what=st.sampled_from(["trip", "trip", "reset", "trouble", "trouble", "init"]),
        seconds=mostly(
            st.sampled_from([None, 1, 2.5, timedelta(seconds=3)]),
            st.sampled_from([0, -1, True, "1", NAN, 1e10]),
        ),
        method=TROUBLE,
        verdict=VERDICTS,
    )
    def do_something_rare(self, what: str, seconds: Any, method: str, verdict: Any) -> None:
        match what:
            case "trip":
                self.both(lambda breaker: breaker.trip(seconds))
            case "reset":
                self.both(lambda breaker: breaker.reset())
            case "init":
                self.both(lambda breaker: breaker.__init__(timer=self.clock))
            case "trouble":
                for breaker in self.pair:
                    breaker.acts = self.trouble(method, verdict)

    def trouble(self, method: str, verdict: Any) -> dict[str, Callable[..., object]]:
        """Methods that raise, return what they should not, or use the breaker themselves."""
        if method == "outcome":
            return {"outcome": lambda breaker, error: verdict}
        if method == "wake":
            return {"refuse": lambda breaker, seconds: 7}
        if verdict == "ignored":
            return {"changed": lambda breaker, *args: breaker.trip(4)}
        return {"changed": lambda breaker, *args: fail_once(breaker, method, args)}


# Explaining a failure takes longer than finding it.
PHASES = set(Phase) - {Phase.explain}
for machine in (Queues, Gates, Breakers):
    machine.TestCase.settings = settings(deadline=None, stateful_step_count=50, phases=PHASES)
TestQueues = pytest.mark.timeout(300)(Queues.TestCase)
TestGates = pytest.mark.timeout(300)(Gates.TestCase)
TestBreakers = pytest.mark.timeout(300)(Breakers.TestCase)
