"""What happens to an item for which there is no room; in any thread."""

from __future__ import annotations

from asyncio import Future, _get_running_loop
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from penstock.batching._results import fail
from penstock.errors import ClosedError, ItemDropped, LimitExceeded

if TYPE_CHECKING:
    from penstock._backend import Ring
    from penstock.batching._options import Options
    from penstock.batching._results import AnyFuture
    from penstock.batching._stats import Tally

__all__ = ["Admission"]

#: After a sweep that found nothing the next one comes when this part of the queue was turned away,
_PAUSE = 8
#: or after so many times as long as the sweep took.
_REST = 20


class Admission:
    """
    Finds room for an item, or turns it or another one away.

    Args:
        ring: What is full.
        options: Those of the batcher.
        tally: Where it is counted.
    """

    __slots__ = ("_options", "_pause", "_ring", "_tally", "_until")

    def __init__(self, ring: Ring, options: Options, tally: Tally) -> None:
        self._ring = ring
        self._options = options
        self._tally = tally
        #: How many are turned away before the queue is swept again, and until when at most.
        self._pause = 0
        self._until = 0.0

    def admit(self, item: object, future: AnyFuture | None, weight: int) -> bool:
        """
        Push what was refused, if that is possible now.

        Returns:
            Whether it was; if not it was dropped, as the options say.

        Raises:
            ClosedError: Nothing is accepted any more.
            LimitExceeded: There is no room.
        """
        ring, on_full = self._ring, self._options.on_full
        self._check_open()
        if self._may_sweep() and ring._push(item, future, weight, False):
            return True
        while on_full == "drop_oldest":
            self._drop_oldest()
            if ring._push(item, future, weight, False):
                return True
            self._check_open()
        if on_full == "drop_newest":
            with self._tally.lock:
                self._tally.dropped += 1
                self._tally.refused += 1
            return False
        with self._tally.lock:
            self._tally.rejected += 1
        raise self._refused()

    def dropped(self) -> ItemDropped:
        """Return what whoever waits for a dropped item gets."""
        most = self._options.max_pending
        return ItemDropped(f"the item was dropped, more than {most} were pending")

    def closed(self) -> ClosedError:
        """Return what everybody gets when the batcher is closed."""
        return ClosedError(f"{self._options.title} is closed")

    def _check_open(self) -> None:
        if self._ring._closed:
            raise self.closed()

    def _refused(self) -> LimitExceeded:
        pending, most = self._ring.pending, self._options.max_pending or 0
        message = f"{pending} items are pending already, and at most {most} may be"
        return LimitExceeded(message, waiting=pending, max_waiting=most)

    def _may_sweep(self) -> bool:
        """Whether there is room once what was cancelled is removed."""
        # Threads may come in between: then there is a sweep more, or one less.
        start = monotonic()
        if self._pause > 0 and start < self._until:
            self._pause -= 1
            return False
        if self._ring._sweep():
            return True
        end = monotonic()
        self._until = end + _REST * (end - start)
        self._pause = (self._options.max_pending or 0) // _PAUSE
        return False

    def _drop_oldest(self) -> None:
        oldest = self._ring._drop_oldest()
        if oldest is None:
            return
        with self._tally.lock:
            self._tally.dropped += 1
        future: Any = oldest[1]
        loop = future.get_loop() if isinstance(future, Future) else None
        if loop is None or loop is _get_running_loop():
            if future is not None:
                fail(future, self.dropped())
            return
        with suppress(RuntimeError):  # closed: nobody waits any more
            loop.call_soon_threadsafe(fail, future, self.dropped())
