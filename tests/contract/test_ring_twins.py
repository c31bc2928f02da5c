"""Ring of both backends at once: whatever is done to them, they do the same."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule
from tests.backends import BACKENDS, load_backend
from tests.clock import Clock
from tests.rings import Bond, make_ring

if "native" in BACKENDS:
    NATIVE = load_backend("native")
else:
    pytest.skip("ONLY ONE BACKEND IS TESTED: PENSTOCK_PURE is set", allow_module_level=True)
PURE = load_backend("pure")


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Draw from the second now and then: operations meet only on the same few values."""
    return st.integers(0, 6).flatmap(lambda number: odd if number == 6 else usual)


class Index:
    """An int of another type."""

    def __index__(self) -> int:
        return 3

    def __repr__(self) -> str:
        return "Index()"


class Shared:
    """A future with a name; both rings have it, and so it is done for both."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.answer: object = False
        self.fails = False

    def done(self) -> object:
        if self.fails:
            raise LookupError(self.name)
        return self.answer

    def __repr__(self) -> str:
        return f"Shared({self.name!r})"


class Loop(Bond):
    """What both rings are bound with; the futures are named in the order of each ring."""

    def __init__(self, shared: list[Shared]) -> None:
        super().__init__()
        self.shared = shared
        self.given = 0

    def create_future(self) -> Any:
        self.given += 1
        while len(self.shared) < self.given:
            self.shared.append(Shared(f"made {len(self.shared)}"))
        return self.shared[self.given - 1]


def weigh(item: object) -> Any:
    """What is put in is its own weight, mostly."""
    if item == "error":
        raise LookupError("weigher")
    return item


WAITS = mostly(
    st.sampled_from([0, 0, 1]), st.sampled_from([0.5, 3, 9.75, 60, 1e-9, 1 / 3, -1, -100])
)
WEIGHTS = mostly(st.integers(0, 3), st.sampled_from([5, 9, 2**40, 2**62, 2**63 - 1]))
ITEMS = mostly(
    WEIGHTS,
    st.sampled_from([-1, True, False, 2**63, -(2**70), 1.0, "1", "error", None, Index()]),
)
COUNTS = mostly(st.integers(1, 4), st.sampled_from([0, 7, 100, 2**31]))
LEVELS = mostly(st.integers(1, 5), st.sampled_from([0, 9, 2**40])) | st.none()
LIMITS = mostly(st.integers(0, 6), st.sampled_from([2**40, 2**63 - 1])) | st.none()
ANSWERS = st.sampled_from([True, True, True, False, 1, "yes", "", None])


class Rings(RuleBasedStateMachine):
    """The same operations on both."""

    @initialize(
        capacity=mostly(st.sampled_from([None, 3, 5, 8]), st.sampled_from([0, 1])),
        weighs=st.booleans(),
        overfill=st.booleans(),
        plain=mostly(st.just(True), st.just(False)),
        bound=mostly(st.just(True), st.just(False)),
        start=st.sampled_from([0.0, 0.0, -5.0, 1e6]),
    )
    def make(self, start: float, weighs: bool, bound: bool, **options: Any) -> None:
        self.clock = Clock(start)
        self.timer_fails = False
        #: Those that were pushed, and those that were made.
        self.futures: list[Shared] = []
        self.made: list[Shared] = []
        self.loops: list[Loop] = []
        self.options = options | {"weigher": weigh if weighs else None, "timer": self.timer}
        self.pair = [make_ring(backend, **self.options) for backend in (NATIVE, PURE)]
        if bound:
            self.bind("bind")

    def timer(self) -> float:
        if self.timer_fails:
            raise LookupError("timer")
        return self.clock()

    def describe(self, call: Callable[[], object]) -> object:
        """Whatever comes of a call, in a form in which equal things of different types differ."""
        try:
            return repr(call())
        except Exception as error:
            return type(error), str(error)

    def both(self, call: Callable[[Any], object]) -> Any:
        """Do the same with both, and compare what comes of it, and what they are like then."""
        outcomes = [self.describe(lambda: call(one)) for one in self.pair]  # noqa: B023  # called now
        assert outcomes[0] == outcomes[1]
        logs = [repr(one.told) for one in self.pair]
        assert logs[0] == logs[1]
        figures = [self.look(one) for one in self.pair]
        assert figures[0] == figures[1]
        assert len({loop.given for loop in self.loops}) <= 1
        for one in self.pair:
            one.told.clear()
        pending, _, _, _, (pushed, taken, skipped), _ = figures[0]
        assert pushed == taken + skipped + pending
        return outcomes[0]

    def look(self, one: Any) -> tuple[Any, ...]:
        return (
            one.pending, one.pending_weight, one._head, one._tail, one._counts(), one._closed,
        )  # fmt: skip

    @rule(items=st.lists(ITEMS, min_size=1, max_size=4), wait=WAITS)
    def put(self, items: list[object], wait: float) -> None:
        for item in items:
            self.clock.advance(wait)
            self.both(lambda ring: ring.put_nowait(item))  # noqa: B023  # called now

    @rule(
        items=st.lists(ITEMS, min_size=1, max_size=4),
        name=st.sampled_from(["submit", "submit_nowait"]),
        wait=WAITS,
    )
    def submit(self, items: list[object], name: str, wait: float) -> None:
        for item in items:
            self.clock.advance(wait)
            self.both(lambda ring: getattr(ring, name)(item))  # noqa: B023  # called now

    @rule(
        weights=st.lists(WEIGHTS, min_size=1, max_size=5),
        waited=st.booleans(),
        force=st.booleans(),
        wait=WAITS,
    )
    def push(self, weights: list[int], waited: bool, force: bool, wait: float) -> None:
        for weight in weights:
            self.clock.advance(wait)
            future = Shared(f"pushed {len(self.futures)}") if waited else None
            if future is not None:
                self.futures.append(future)
            self.both(lambda ring: ring._push(f"item {weight}", future, weight, force))  # noqa: B023  # called now

    @rule(items=COUNTS, weight=LIMITS, wait=WAITS)
    def take(self, items: int, weight: int | None, wait: float) -> None:
        self.clock.advance(wait)
        self.both(lambda ring: ring._take(items, weight))

    @rule(name=st.sampled_from(["_drop_oldest", "_sweep", "_age"]), wait=WAITS)
    def remove(self, name: str, wait: float) -> None:
        self.clock.advance(wait)
        self.both(lambda ring: getattr(ring, name)())

    @rule(items=LEVELS, weight=LEVELS)
    def listen(self, items: int | None, weight: int | None) -> None:
        self.both(lambda ring: ring._listen(items, weight))

    @rule(item=ITEMS)
    def weigh(self, item: object) -> None:
        self.both(lambda ring: ring._weigh(item))

    @rule(data=st.data(), answer=ANSWERS, times=st.integers(1, 4))
    def finish(self, data: st.DataObject, answer: object, times: int) -> None:
        """Some of the last futures are done, or not any more."""
        for futures in (self.futures, self.made):
            last = futures[-8:]
            for _ in range(min(times, len(last))):
                last[data.draw(st.integers(0, len(last) - 1))].answer = answer

    @rule(data=st.data(), name=st.sampled_from(["_take", "_drop_oldest", "_sweep", "timer"]))
    def fail(self, data: st.DataObject, name: str) -> None:
        """A future that cannot be asked, or a timer that cannot be read."""
        last = [*self.futures[-4:], *self.made[-4:]]
        if name == "timer":
            self.timer_fails = True
            self.both(lambda ring: ring._take(2, None))
            self.both(lambda ring: ring.put_nowait(1))
            self.both(lambda ring: ring._age())
            self.timer_fails = False
        elif last:
            future = last[data.draw(st.integers(0, len(last) - 1))]
            future.fails = True
            arguments = (9, 9) if name == "_take" else ()
            self.both(lambda ring: getattr(ring, name)(*arguments))
            future.fails = False

    @rule(what=st.sampled_from(["bind", "bind", "unbind", "elsewhere", "deadline", "here"]))
    def bind(self, what: str) -> None:
        match what:
            case "bind":
                self.loops = [Loop(self.made) for _ in self.pair]
                for loop, one in zip(self.loops, self.pair, strict=True):
                    loop.given = len(self.made)
                    parts = loop.create_future, loop.running, loop.ambient
                    assert one._bind(loop.event_loop, *parts) is None
                    assert one._loop is loop.event_loop
            case "unbind":
                self.both(lambda ring: ring._bind(None, None, None, None))
                self.both(lambda ring: ring._loop)
            case _:
                for loop in self.loops:
                    loop.now_running = None if what == "elsewhere" else loop.event_loop
                    loop.deadline = 0.0 if what == "deadline" else None

    @rule(
        what=st.sampled_from(["close", "init", *["trouble"] * 4, "calm"]),
        method=st.sampled_from(["wake", "wake", "refuse", "submit"]),
        number=st.integers(0, 5),
    )
    def do_something_rare(self, what: str, method: str, number: int) -> None:
        match what:
            case "close" if number == 0:
                self.both(lambda ring: ring._close())
            case "init" if number < 3:
                self.both(lambda ring: ring._init(**self.options))
                self.both(lambda ring: ring._loop)
                self.bind("bind")
            case "trouble":
                for one in self.pair:
                    one.acts = self.trouble(method, number)
            case "calm":
                for one in self.pair:
                    one.acts = {}

    def trouble(self, method: str, number: int) -> dict[str, Callable[..., object]]:
        """Methods that raise, return something, or use the ring themselves."""
        match number:
            case 0:
                return {method: lambda ring, *args: fail_once(ring, method, args)}
            case 1:
                return {method: lambda ring, *args: ["result", *args]}
            case 2:
                return {method: lambda ring, *args: ring._take(2, None)}
            case 3:
                return {method: lambda ring, *args: ring._listen(3, 5)}
            case 4:
                return {
                    method: lambda ring, *args: (
                        ring._drop_oldest() and bool(ring._push("a", None, 1, False))
                    )
                }
        return {"refuse": lambda ring, item, weight: ring._push(item, None, weight, True)}


def fail_once(owner: Any, method: str, args: tuple[object, ...]) -> None:
    owner.acts = {}
    raise LookupError(method, args)


# Explaining a failure takes longer than finding it.
PHASES = set(Phase) - {Phase.explain}
Rings.TestCase.settings = settings(deadline=None, stateful_step_count=50, phases=PHASES)
TestRings = pytest.mark.timeout(300)(Rings.TestCase)
