"""The state of a queue of items: its entries by number, and what is found at its head."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast

from penstock._pure.convert import MAX_SIZE

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future

    #: A loop, what makes its futures, what tells the running loop, and what tells a deadline.
    Binding: TypeAlias = tuple[
        AbstractEventLoop, Callable[[], Future[Any]], Callable[[], object], Callable[[], object]
    ]

__all__ = ["Backlog", "Batch", "Entry", "is_done"]


class Waited(Protocol):
    """What is asked of a future."""

    def done(self) -> bool: ...


class Entry:
    """An item in the queue."""

    __slots__ = ("future", "item", "since", "weight")

    def __init__(self, item: object, future: object, weight: int, since: int) -> None:
        self.item: Final = item
        self.future: Final = future
        self.weight: Final = weight
        self.since: Final = since


class Batch:
    """What was found at the head of the queue, and could be taken out of it."""

    __slots__ = ("end", "passed", "picked", "seen", "version", "weight")

    def __init__(self, version: int) -> None:
        #: How often something had been removed when the search began.
        self.version: Final = version
        self.picked: Final[list[Entry]] = []
        #: Those whose future is done.
        self.passed: Final[list[Entry]] = []
        #: The numbers of both.
        self.seen: Final[list[int]] = []
        #: The weight of what was picked.
        self.weight = 0
        #: The number of what is the first then.
        self.end = 0


class Backlog:
    """
    The entries by number, and their figures; what changes them runs under the lock.

    Numbers from the head to the tail are in the queue, except those swept out, which are missing.
    """

    __slots__ = (
        "binding", "capacity", "closed", "entries", "head", "overfill", "pending",
        "plain", "skipped", "tail", "taken", "timer", "version", "wake_items", "wake_weight",
        "weigher", "weight",
    )  # fmt: skip

    def __init__(
        self,
        capacity: int | None,
        weigher: Callable[[Any], int] | None,
        timer: Callable[[], float] | None,
        overfill: bool,
        plain: bool,
    ) -> None:
        self.capacity: Final = MAX_SIZE if capacity is None else capacity
        self.weigher: Final = weigher
        self.timer: Final = timer
        self.overfill: Final = overfill
        self.plain: Final = plain
        self.binding: Binding | None = None
        self.closed = False
        self.entries: Final[dict[int, Entry]] = {}
        self.head = self.tail = 0
        self.pending = self.weight = self.taken = self.skipped = 0
        #: How often something was removed.
        self.version = 0
        self.wake_items: int | None = 1
        self.wake_weight: int | None = None

    def push(self, entry: Entry, force: bool) -> int:
        """Add an entry: 0 if it was refused, 2 if somebody is to be woken, else 1."""
        # Commit: no call in here.
        if self.closed or (not force and self.pending >= self.capacity):
            return 0
        self.entries[self.tail] = entry
        self.tail += 1
        self.pending += 1
        self.weight += entry.weight
        if (self.wake_items is None or self.pending < self.wake_items) and (
            self.wake_weight is None or self.weight < self.wake_weight
        ):
            return 1
        self.wake_items = self.wake_weight = None
        return 2

    def listen(self, items: int | None, weight: int | None) -> bool:
        """Set the levels, unless one of them is reached."""
        # Commit: no call in here.
        if (items is None or self.pending < items) and (weight is None or self.weight < weight):
            self.wake_items, self.wake_weight = items, weight
            return False
        self.wake_items = self.wake_weight = None
        return True

    def find(self, items: int, weight: int | None) -> Batch:
        """Look for the oldest ones, without the lock: this asks futures."""
        batch = Batch(self.version)
        number = self.head
        while len(batch.picked) < items and number < self.tail:
            entry = self.entries.get(number)
            if entry is not None:
                if is_done(entry):
                    batch.passed.append(entry)
                elif batch.picked and weight is not None and batch.weight + entry.weight > weight:
                    break
                else:
                    batch.picked.append(entry)
                    batch.weight += entry.weight
                batch.seen.append(number)
            number += 1
        batch.end = number
        return batch

    def remove(self, batch: Batch) -> bool:
        """Take out what was found; False if others were faster."""
        version, end = batch.version, batch.end
        picked, passed = len(batch.picked), len(batch.passed)
        weight = batch.weight + sum([entry.weight for entry in batch.passed])
        # Commit: no call in here.
        if self.version != version:
            return False
        self.version += 1
        self.head = end
        self.pending -= picked + passed
        self.weight -= weight
        self.taken += picked
        self.skipped += passed
        return True

    def forget(self, batch: Batch) -> None:
        """Let go of what lies before the head; the batch still has it."""
        for number in batch.seen:
            self.entries.pop(number, None)

    def drop(self, number: int, entry: Entry) -> bool:
        """Remove an entry whose future is done, wherever it is; False if it is gone."""
        # Commit: no call in here.
        if number < self.head or number not in self.entries:
            return False
        del self.entries[number]
        self.version += 1
        self.pending -= 1
        self.weight -= entry.weight
        self.skipped += 1
        return True

    def first(self) -> int:
        """Return the number of the oldest entry, or of the next one if there is none."""
        while True:
            # Commit: no call in here; whoever comes in between may move the head, too.
            head = self.head
            if head >= self.tail or head in self.entries:
                return head
            self.head = head + 1


def is_done(entry: Entry) -> bool:
    """Whether nobody waits for an entry any more."""
    return entry.future is not None and bool(cast("Waited", entry.future).done())
