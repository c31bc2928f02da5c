"""The state of a queue of waiters: permits, and the line in front of them."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Literal, TypeAlias

from penstock._pure.convert import MAX_SIZE
from penstock._pure.sampling import Sampler  # noqa: TC001  # as every import here

__all__ = ["Order", "Queue", "Waiter"]

Order: TypeAlias = Literal["fifo", "lifo", "priority"]


class Waiter:
    """Somebody in line."""

    __slots__ = ("priority", "since", "ticket", "weight", "who")

    def __init__(self, who: object, weight: int, priority: int, since: int) -> None:
        self.who: Final = who
        self.weight: Final = weight
        self.priority: Final = priority
        self.since: Final = since
        self.ticket = 0


class Queue:
    """
    Permits and the line in front of them; it runs under the lock.

    While somebody waits nobody else gets in, and only the first in line is looked at, so that what
    is heavy is not starved by what is light. What is heavier than the limit goes alone.
    """

    __slots__ = (
        "acquired", "cancelled", "in_use", "last_ticket", "limit", "lines", "max_waiting",
        "max_weight", "order", "places", "rejected", "sampler", "timeouts", "timer", "wait",
        "waited", "waiting",
    )  # fmt: skip

    def __init__(
        self,
        limit: int,
        order: Order,
        max_waiting: int | None,
        timer: Callable[[], float] | None,
    ) -> None:
        self.limit = limit
        self.in_use = 0
        self.order: Final[Order] = order
        self.max_waiting: Final = MAX_SIZE if max_waiting is None else max_waiting
        self.timer: Final = timer
        self.max_weight: int | None = None
        self.sampler: Sampler | None = None
        #: By priority and, in the order of their coming, by ticket.
        self.lines: Final[dict[int, OrderedDict[int, Waiter]]] = {}
        self.places: Final[dict[int, Waiter]] = {}
        self.waiting = 0
        self.last_ticket = 0
        self.acquired = self.waited = self.rejected = self.timeouts = self.cancelled = 0
        #: Nanoseconds that those waited who then got in.
        self.wait = 0

    def take(self, weight: int) -> bool:
        """Take permits if they are there and nobody waits for some."""
        # Commit: no call in here.
        fits = not self.in_use or self.in_use + weight <= self.limit
        if self.waiting or not self.limit or not fits:
            return False
        self.in_use += weight
        self.acquired += 1
        return True

    def enter(self, waiter: Waiter, line: OrderedDict[int, Waiter]) -> int:
        """Take permits (0), or get in line (the ticket) unless it is full (-1)."""
        weight, priority = waiter.weight, waiter.priority
        leads = self._leads(priority)
        # Commit: no call in here.
        fits = not self.in_use or self.in_use + weight <= self.limit
        if fits and self.limit and (leads or not self.waiting):
            self.in_use += weight
            self.acquired += 1
            return 0
        if self.waiting >= self.max_waiting:
            self.rejected += 1
            return -1
        self.last_ticket += 1
        waiter.ticket = self.last_ticket
        if priority in self.lines:
            line = self.lines[priority]
        else:
            self.lines[priority] = line
        line[waiter.ticket] = waiter
        self.places[waiter.ticket] = waiter
        self.waiting += 1
        self.waited += 1
        return waiter.ticket

    def give_back(self, weight: int) -> bool:
        """Free permits; False if fewer are held."""
        # Commit: no call in here.
        if weight > self.in_use:
            return False
        self.in_use -= weight
        return True

    def leave(self, waiter: Waiter, *, granted: bool) -> bool:
        """Take somebody out of the line, with permits if there are enough; False if that failed."""
        ticket, weight = waiter.ticket, waiter.weight
        # Commit: no call in here.
        if ticket not in self.places:
            return False
        if granted:
            if self.in_use and self.in_use + weight > self.limit:
                return False
            self.in_use += weight
            self.acquired += 1
        del self.places[ticket]
        line = self.lines[waiter.priority]
        del line[ticket]
        if not line:
            del self.lines[waiter.priority]
        self.waiting -= 1
        return True

    def grant(self, now: int, granted: list[object]) -> None:
        """Let in as many of the line as fit."""
        while self.limit:
            waiter = self._first()
            if waiter is None:
                return
            if self.leave(waiter, granted=True):
                self.wait += max(now - waiter.since, 0)
                granted.append(waiter.who)
            elif waiter.ticket in self.places:
                return

    def _leads(self, priority: int) -> bool:
        """Whether a newcomer would be the first in line."""
        match self.order:
            case "fifo":
                return not self.waiting
            case "lifo":
                return True
            case "priority":
                return priority < min(self.lines, default=priority)

    def _first(self) -> Waiter | None:
        """Return the first in line."""
        while self.lines:
            try:
                line = self.lines[min(self.lines)]
                ticket = next(reversed(line)) if self.order == "lifo" else next(iter(line))
                return line[ticket]
            except (KeyError, ValueError, StopIteration, RuntimeError):
                continue  # a finalizer or a signal handler was faster
        return None
