"""Whatever happens in whatever order: permits are conserved, and nobody who waits is forgotten."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from tests.loading import settle
from tests.waiting import Guest, assert_empty, in_line

from penstock._waiters import Waiters
from penstock.bench._virtual_loop import VirtualLoop

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_WAITING = 6

weights = st.integers(1, 4)
priorities = st.integers(-1, 1)
deadlines = st.sampled_from([None, None, 0.0, 1.0, 2.0])
picks = st.integers(0, 20)


class LineMachine(RuleBasedStateMachine):
    """Guests come, wait, are let in, give up, are cancelled, and go; the limit changes."""

    order: ClassVar[str]

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualLoop()
        self.limit = 2
        # What may be in use after the limit shrank, until less is.
        self.ceiling = 2
        self.line = Waiters(self.limit, self.order, MAX_WAITING, self.loop.time)
        self.log: list[Guest] = []
        self.guests: list[Guest] = []
        self.logged = 0

    def teardown(self) -> None:
        try:
            while self.inside():
                self.play(self.inside()[0].go)
            assert in_line(self.guests) == []
            assert all(guest.outcomes == 1 for guest in self.guests)
            assert_empty(self.line)
        finally:
            self.loop.close()

    def inside(self) -> list[Guest]:
        return [guest for guest in self.guests if guest.state == "inside"]

    def key(self, guest: Guest) -> tuple[int, int]:
        """Who is first in line has the lowest."""
        if self.order == "lifo":
            return 0, -guest.number
        return guest.priority if self.order == "priority" else 0, guest.number

    def play(self, *acts: Callable[[], object]) -> None:
        """Do this in one tick of the loop, and let everything follow from it that does."""

        async def act() -> None:
            for do in acts:
                do()
            await settle(12)

        self.loop.run_until_complete(act())
        self.check_order()

    def come(self, weight: int, priority: int, deadline: float | None) -> None:
        self.guests.append(Guest(self.line, weight, priority, deadline, self.log))

    @rule(weight=weights, priority=priorities, deadline=deadlines)
    def somebody_comes(self, weight: int, priority: int, deadline: float | None) -> None:
        self.play(lambda: self.come(weight, priority, deadline))

    @precondition(lambda self: self.order == "fifo")
    @rule(coming=st.lists(weights, max_size=5))
    def some_come_at_once(self, coming: list[int]) -> None:
        self.play(lambda: [self.come(weight, 0, None) for weight in coming])

    @precondition(lambda self: self.inside())
    @rule(pick=picks)
    def somebody_goes(self, pick: int) -> None:
        self.play(self.picked(self.inside(), pick).go)

    @precondition(lambda self: in_line(self.guests))
    @rule(pick=picks)
    def somebody_is_cancelled(self, pick: int) -> None:
        self.play(self.picked(in_line(self.guests), pick).cancel)

    @precondition(lambda self: self.inside() and in_line(self.guests))
    @rule(goes=picks, victims=st.lists(picks, min_size=1, max_size=3), is_first=st.booleans())
    def one_goes_and_others_are_cancelled(
        self, goes: int, victims: list[int], is_first: bool
    ) -> None:
        go = self.picked(self.inside(), goes).go
        cancels = [self.picked(in_line(self.guests), victim).cancel for victim in victims]
        self.play(*([go, *cancels] if is_first else [*cancels, go]))

    @precondition(lambda self: self.inside() and self.impatient())
    @rule(goes=picks, pick=picks, is_cancelled=st.booleans(), offset=st.sampled_from([0.0, 1e-6]))
    def one_goes_as_anothers_time_runs_out(
        self, goes: int, pick: int, is_cancelled: bool, offset: float
    ) -> None:
        go = self.picked(self.inside(), goes).go
        victim = self.picked(self.impatient(), pick)
        assert victim.until is not None
        self.loop.call_at(victim.until - offset, go)
        if is_cancelled:
            self.loop.call_at(victim.until, victim.cancel)
        self.loop.run_until_complete(asyncio.sleep(victim.until - self.loop.time() + 0.1))
        self.play()

    @rule(seconds=st.sampled_from([0.5, 1.0, 2.0]))
    def time_passes(self, seconds: float) -> None:
        self.loop.run_until_complete(asyncio.sleep(seconds))
        self.play()

    @rule(limit=st.integers(1, 6))
    def limit_changes(self, limit: int) -> None:
        self.ceiling = max(self.line.in_use, limit)
        self.limit = limit
        self.play(lambda: self.line.resize(limit))

    def impatient(self) -> list[Guest]:
        return [guest for guest in in_line(self.guests) if guest.until is not None]

    @staticmethod
    def picked(guests: list[Guest], pick: int) -> Guest:
        return guests[pick % len(guests)]

    def check_order(self) -> None:
        """Nobody was let in before one who was before him in line."""
        fresh = [self.key(guest) for guest in self.log[self.logged :]]
        self.logged = len(self.log)
        assert fresh == sorted(fresh)
        still = [self.key(guest) for guest in in_line(self.guests)]
        assert not fresh or not still or max(fresh) < min(still)

    @invariant()
    def permits_are_conserved(self) -> None:
        held = sum(guest.weight for guest in self.inside())
        assert self.line.in_use == held
        assert held <= self.ceiling or len(self.inside()) == 1
        if held <= self.limit:
            self.ceiling = self.limit

    @invariant()
    def nobody_is_forgotten(self) -> None:
        waiting = sorted(in_line(self.guests), key=self.key)
        assert self.line.waiting == len(waiting) <= MAX_WAITING
        if waiting:
            assert self.line.in_use > 0
            assert self.line.in_use + waiting[0].weight > self.limit
        assert all(guest.until is None or guest.until > self.loop.time() for guest in waiting)

    @invariant()
    def everybody_is_told_once(self) -> None:
        for guest in self.guests:
            assert guest.outcomes == guest.task.done() == (guest.state != "waiting")

    @invariant()
    def statistics_add_up(self) -> None:
        told = [guest.state for guest in self.guests]
        _, _, waiting, acquired, waited, rejected, timeouts, cancelled, seconds = self.line._stats()
        assert rejected == told.count("refused")
        # One whose time ran out may be cancelled before it hears of it, and so may one let in.
        assert timeouts >= told.count("expired")
        passed_on = told.count("cancelled") + told.count("expired") - cancelled - timeouts
        assert passed_on >= 0
        assert acquired == told.count("inside") + told.count("gone") + passed_on
        assert waiting <= waited <= len(self.guests)
        assert seconds >= 0


@pytest.mark.parametrize("order", ["fifo", "lifo", "priority"])
def test_line_keeps_its_promises(order: str) -> None:
    machine = type("OrderedMachine", (LineMachine,), {"order": order})
    run_state_machine_as_test(machine, settings=settings(stateful_step_count=30))
