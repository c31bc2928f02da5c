"""A hundred thousand random operations on one line of waiters: every permit is accounted for."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from typing import TYPE_CHECKING

from tests.loading import settle
from tests.stress.harness import cases, in_child
from tests.waiting import Guest, assert_empty

from penstock._waiters import Waiters
from penstock.bench._virtual_loop import run

if TYPE_CHECKING:
    from collections.abc import Callable

OPERATIONS = 100_000
#: Operations between two looks at everything.
PERIOD = 50
MAX_WAITING = 15


class Line(Waiters):
    """Writes down in which order it lets those in who wait."""

    def __init__(self, limit: int, order: str, clock: Callable[[], float]) -> None:
        super().__init__(limit, order, MAX_WAITING, clock)
        self.tickets: dict[object, int] = {}
        self.granted: list[int] = []

    def _enqueue(self, waiter: object, weight: int, priority: int) -> int:
        ticket = super()._enqueue(waiter, weight, priority)
        self.tickets[waiter] = ticket
        return ticket

    def _wake(self, waiters: list[object]) -> None:
        self.granted += [self.tickets.pop(waiter) for waiter in waiters]
        super()._wake(waiters)


class Crowd:
    """Guests of one line, what is done to them, and what has to hold whenever the dust settles."""

    def __init__(self, order: str, seed: int) -> None:
        self.order = order
        self.limit = self.ceiling = 6
        clock = asyncio.get_running_loop().time
        self.line = Line(self.limit, order, clock)
        self.dice = random.Random(seed)
        self.guests: list[Guest] = []
        self.log: list[Guest] = []
        self.told = dict.fromkeys(("inside", "expired", "refused", "cancelled"), 0)
        self.operations: list[Callable[[], object]] = [
            *[self.come] * 24,
            *[self.go] * 14,
            *[self.cancel] * 2,
            self.cancel_granted,
            self.resize,
        ]

    def those(self, state: str) -> list[Guest]:
        return [guest for guest in self.guests if guest.state == state]

    def come(self) -> None:
        weight = self.dice.choice((1, 1, 1, 2, 3, 9))
        deadline = self.dice.choice((None, None, None, 0.0, 1.0, 3.0))
        priority = self.dice.randrange(3)
        self.guests.append(Guest(self.line, weight, priority, deadline, self.log))

    def go(self) -> None:
        inside = self.those("inside")
        if inside:
            self.dice.choice(inside).go()

    def cancel(self) -> None:
        waiting = self.those("waiting")
        if waiting:
            self.dice.choice(waiting).cancel()

    def cancel_granted(self) -> None:
        """Free everything, and cancel some of those who get in before they can know of it."""
        for guest in self.those("inside"):
            guest.go()
        for guest in self.those("waiting")[:5]:
            if self.dice.random() < 0.7:
                guest.cancel()

    def resize(self) -> None:
        self.limit = self.dice.randint(1, 12)
        self.ceiling = max(self.line.in_use, self.limit)
        self.line.resize(self.limit)

    async def play(self, operations: int) -> None:
        for number in range(1, operations + 1):
            self.dice.choice(self.operations)()
            luck = self.dice.random()
            if luck < 0.5:
                await asyncio.sleep(0)
            elif luck < 0.6:
                await asyncio.sleep(self.dice.choice((0.25, 1.0)))
            if number % PERIOD == 0:
                await settle(20)
                self.check()

    def check(self) -> None:
        inside, waiting = self.those("inside"), self.those("waiting")
        held = sum(guest.weight for guest in inside)
        assert self.line.in_use == held, (self.line.in_use, inside)
        assert held <= self.ceiling or len(inside) == 1
        self.ceiling = max(min(self.ceiling, held), self.limit)
        assert self.line.waiting == len(waiting) <= MAX_WAITING
        if waiting:
            first = min(waiting, key=self.key)
            assert held > 0, "somebody is forgotten"
            assert held + first.weight > self.limit, "the first in line would fit"
        for guest in self.guests:
            assert guest.outcomes == guest.task.done() == (guest.state != "waiting")
        if self.order == "fifo":
            assert all(one < other for one, other in pairwise(self.line.granted))
            # Nor did a newcomer get in before one who waits.
            last = max((guest.number for guest in self.log), default=0)
            assert all(guest.number > last for guest in waiting)
        self.line.granted.clear()
        if not waiting:
            self.line.tickets.clear()
        self.count()
        self.guests = inside + waiting

    def key(self, guest: Guest) -> tuple[int, int]:
        if self.order == "lifo":
            return 0, -guest.number
        return guest.priority if self.order == "priority" else 0, guest.number

    def count(self) -> None:
        self.told["inside"] += len(self.log)
        self.log.clear()
        for state in ("expired", "refused", "cancelled"):
            self.told[state] += len(self.those(state))
        _, _, _, acquired, _, rejected, timeouts, cancelled, _ = self.line._stats()
        assert rejected == self.told["refused"]
        # One whose time ran out may be cancelled before it hears of it, and so may one let in.
        assert timeouts >= self.told["expired"]
        passed_on = self.told["cancelled"] + self.told["expired"] - cancelled - timeouts
        assert acquired == self.told["inside"] + passed_on

    async def empty(self) -> None:
        while inside := self.those("inside"):
            inside[0].go()
            await settle(4)
            self.check()
        assert_empty(self.line)


@in_child
def test_hundred_thousand_random_operations_lose_no_permit_and_nobody() -> None:
    async def main() -> None:
        crowd = Crowd("fifo", 1)
        await crowd.play(OPERATIONS)
        await crowd.empty()
        # Everything happened, and often.
        assert min(crowd.told.values()) > OPERATIONS // 100, crowd.told
        assert crowd.told["inside"] > OPERATIONS // 5, crowd.told

    run(main())


@in_child
@cases("order", ["lifo", "priority"])
def test_other_orders_lose_no_permit_and_nobody(order: str) -> None:
    async def main() -> None:
        crowd = Crowd(order, 2)
        await crowd.play(OPERATIONS // 5)
        await crowd.empty()

    run(main())
