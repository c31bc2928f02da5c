"""What only the pure twins of flow control have to be watched for: who comes in between."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from tests.clock import Clock
from tests.interrupts import at_every_step
from tests.permits import make_breaker, make_gate, make_queue
from tests.threads import spawn

from penstock import _pure
from penstock._pure.holders import LOCK


class Permits:
    """A queue with somebody in it, and a record of who holds what."""

    def __init__(self, order: str) -> None:
        self.clock = Clock()
        self.queue = make_queue(_pure, 3, order, timer=self.clock)
        self.queue._sample(1.0, 2)
        self.queue.acts["wake"] = lambda queue, waiters: self.woken.extend(waiters)
        self.woken: list[int] = []
        self.left: list[int] = []
        self.taken = 0
        self.names = 1001
        #: By the name of the waiter, whose last digit is its weight.
        self.tickets: dict[int, int] = {}
        self.take()
        self.take()
        self.enqueue(12, 1)
        self.enqueue(21, 2)
        self.enqueue(31, 2)
        self.clock.advance(1)

    def take(self) -> None:
        if self.queue.try_acquire():
            self.taken += 1

    def enqueue(self, name: int, priority: int) -> None:
        self.tickets[name] = self.queue._enqueue(name, name % 10, priority)

    def enqueue_another(self) -> None:
        self.names += 10
        self.enqueue(self.names, self.names // 10 % 3)

    def release(self) -> None:
        if self.taken:
            self.taken -= 1
            self.queue.release()

    def withdraw(self, name: int) -> None:
        if self.queue._withdraw(self.tickets[name], True):
            self.left.append(name)

    def check(self) -> None:
        queue, core = self.queue, self.queue._core
        got = [name for name, ticket in self.tickets.items() if not ticket] + self.woken
        assert len(got) == len(set(got)), "somebody got in twice"
        assert queue.in_use == self.taken + sum([name % 10 for name in got])
        waiting = [waiter.who for waiter in core.places.values()]
        assert sorted(got + self.left + waiting) == sorted(self.tickets)
        assert queue.waiting == len(waiting)
        assert sorted([w.who for line in core.lines.values() for w in line.values()]) == sorted(
            waiting
        )
        assert all(core.lines.values()), "an empty line is kept"
        first = core._first()
        fits = first is not None and queue.in_use + first.weight <= queue.limit
        assert not fits, "the first in line waits for nothing"
        assert queue.in_use or not waiting
        stats = queue._stats()
        tickets = [ticket for ticket in self.tickets.values() if ticket]
        assert stats[4] == len(tickets) == len(set(tickets))
        assert stats[6] == len(self.left)


PERMIT_USES: dict[str, Callable[[Permits], object]] = {
    "take": lambda subject: subject.take(),
    "release": lambda subject: subject.release(),
    "enqueue": lambda subject: subject.enqueue_another(),
    "withdraw first": lambda subject: subject.withdraw(12),
    "withdraw": lambda subject: subject.withdraw(31),
    "grow": lambda subject: subject.queue.resize(9),
    "shrink": lambda subject: subject.queue.resize(1),
    "begin": lambda subject: subject.queue._begin(),
}


@pytest.mark.parametrize("inner", PERMIT_USES)
@pytest.mark.parametrize("outer", PERMIT_USES)
@pytest.mark.parametrize("order", ["fifo", "lifo", "priority"])
def test_whoever_comes_in_between_loses_no_permit(order: str, outer: str, inner: str) -> None:
    subjects: list[Permits] = []

    def prepare() -> tuple[Callable[[], object], Callable[[], object]]:
        subject = Permits(order)
        subjects[:] = [subject]
        return lambda: PERMIT_USES[outer](subject), lambda: PERMIT_USES[inner](subject)

    steps = 0
    for _ in at_every_step("penstock._pure", prepare):
        subjects[0].check()
        steps += 1
    assert steps > 3


class Calls:
    """A breaker in some state, with calls in progress."""

    def __init__(self, state: str) -> None:
        self.clock = Clock()
        options: dict[str, Any] = {"count": 3, "slow_after": 5.0}
        if state == "half_open":
            options = {"count": None, "seconds": 10.0, "trial_calls": 2, "lease": 5.0}
        self.breaker = make_breaker(_pure, timer=self.clock, **options)
        self.leases: list[int] = []
        self.begin()
        self.breaker.__enter__()
        if state == "half_open":
            self.breaker.trip(1)
            self.clock.advance(1)
            self.begin()
            self.clock.advance(1)
        else:
            self.begin()
            self.end("failure")

    def begin(self) -> None:
        with suppress(self.breaker.Refused):
            self.leases.append(self.breaker._begin())

    def end(self, verdict: str) -> None:
        if self.leases:
            self.breaker._end(self.leases.pop(), verdict)

    def block(self) -> None:
        with suppress(self.breaker.Refused), self.breaker:
            pass

    def check(self) -> None:
        core = self.breaker._core
        places = [*core._leases, *core._free]
        assert sorted(places) == list(range(core._size)), "a place is lost, or there twice"
        assert set(self.leases) <= set(core._leases)
        assert len(core._trials) <= core.settings.trial_calls
        state = self.breaker.state
        assert state in ("closed", "half_open") or core._trials == ()
        calls, failures, slow, *window, rejected, times = self.breaker._stats()[1:]
        assert max(window[1:]) <= window[0] <= calls
        assert max(failures, slow) <= calls
        told = [new for what, *args in self.breaker.told if what == "changed" for new in args[1:]]
        assert told.count("open") == times
        refusals = [what for what, *_ in self.breaker.told if what == "refuse"]
        assert len(refusals) == rejected


CALL_USES: dict[str, Callable[[Calls], object]] = {
    "begin": lambda subject: subject.begin(),
    "succeed": lambda subject: subject.end("success"),
    "fail": lambda subject: subject.end("failure"),
    "ignore": lambda subject: subject.end("ignored"),
    "block": lambda subject: subject.block(),
    "leave": lambda subject: subject.breaker.__exit__(None, None, None),
    "trip": lambda subject: subject.breaker.trip(3),
    "reset": lambda subject: subject.breaker.reset(),
}


@pytest.mark.parametrize("inner", CALL_USES)
@pytest.mark.parametrize("outer", CALL_USES)
@pytest.mark.parametrize("state", ["closed", "half_open"])
def test_whoever_comes_in_between_loses_no_lease(state: str, outer: str, inner: str) -> None:
    subjects: list[Calls] = []

    def prepare() -> tuple[Callable[[], object], Callable[[], object]]:
        subject = Calls(state)
        subjects[:] = [subject]
        return lambda: CALL_USES[outer](subject), lambda: CALL_USES[inner](subject)

    steps = 0
    for _ in at_every_step("penstock._pure", prepare):
        subjects[0].check()
        steps += 1
    assert steps > 3


GATE_USES: dict[str, Callable[[Any], object]] = {
    "take": lambda gate: gate._take(2),
    "try": lambda gate: gate.try_acquire(),
    "change": lambda gate: gate._set_rate(2.0, 4),
    "look": lambda gate: gate.available,
}


@pytest.mark.parametrize("inner", GATE_USES)
@pytest.mark.parametrize("outer", GATE_USES)
def test_whoever_comes_in_between_gets_no_more_than_there_is(outer: str, inner: str) -> None:
    gates: list[Any] = []
    weights = {"take": 2, "try": 1}
    expected = 4 - weights.get(outer, 0) - weights.get(inner, 0)

    def prepare() -> tuple[Callable[[], object], Callable[[], object]]:
        gate = make_gate(_pure, 1.0, 4, Clock())
        gates[:] = [gate]
        return lambda: GATE_USES[outer](gate), lambda: GATE_USES[inner](gate)

    steps = 0
    for _ in at_every_step("penstock._pure", prepare):
        assert gates[0].available == expected
        steps += 1
    assert steps > 3


@pytest.mark.usefixtures("taking_turns")
@pytest.mark.parametrize("name", PERMIT_USES)
def test_every_operation_of_a_queue_takes_the_lock(name: str) -> None:
    subject = Permits("fifo")
    before = subject.queue._stats()
    with LOCK:
        thread = spawn(PERMIT_USES[name], subject)
        assert subject.queue._stats() == before
        assert subject.queue.limit == 3
    thread.result()
    subject.check()


@pytest.mark.usefixtures("taking_turns")
@pytest.mark.parametrize("name", CALL_USES)
def test_every_operation_of_a_breaker_takes_the_lock(name: str) -> None:
    subject = Calls("half_open")
    before = subject.breaker._stats()
    with LOCK:
        thread = spawn(CALL_USES[name], subject)
        assert subject.breaker._stats() == before
    thread.result()
    subject.check()
