"""One timer for all clients of a `WebSocketHub`: who is idle, and who does not answer."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING

from penstock.pools._hub_sockets import Pinging

if TYPE_CHECKING:
    from asyncio import TimerHandle

    from penstock.pools._hub_client import HubClient
    from penstock.pools._hub_core import Core

__all__ = ["Health"]

#: How many entries of clients that are gone may be kept beside as many others.
_SPARE = 64
#: Which part of the timeout a client has again whose answer may lie there unread.
_AGAIN = 0.25
#: Seconds that it has again at most, if somebody reads.
_SOON = 0.1


class Health:
    """
    Looks at each client when it may be time to.

    A client that nothing was heard of for ``health_interval`` is sent a ping. If it does not answer
    within ``health_timeout``, it is closed. One whose socket has no pings is closed if the message
    that was being sent is still not sent by then. The timer is one of the loop; a client has one
    entry in a heap, which is looked at again when it comes up, instead of being moved.
    """

    __slots__ = ("_core", "_count", "_heap", "_is_late", "_timer", "_timer_at", "_verdicts")

    def __init__(self, core: Core) -> None:
        self._core = core
        self._heap: list[tuple[float, int, HubClient]] = []
        self._count = 0
        self._timer: TimerHandle | None = None
        self._timer_at = 0.0
        #: When those who are suspected must have answered, and whether that is their last chance.
        self._verdicts: dict[HubClient, tuple[float, bool]] = {}

    def add(self, client: HubClient) -> None:
        """Look after a client from now on."""
        due = self._next(client, None, 0.0)
        if due is not None:
            self._push(due, client)

    def remove(self, client: HubClient) -> None:
        """Look after it no more."""
        self._verdicts.pop(client, None)
        clients = self._core.clients
        if len(self._heap) > 2 * len(clients) + _SPARE:
            self._heap = [entry for entry in self._heap if entry[2]._is_open]
            heapify(self._heap)
        if not clients:
            self.stop()

    def stop(self) -> None:
        """Look after nobody."""
        self._heap.clear()
        self._verdicts.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def can_answer(self, client: HubClient) -> bool:
        """Whether there is a ping for it."""
        return self._core.options.ping is not None or isinstance(client._socket, Pinging)

    def _push(self, due: float, client: HubClient) -> None:
        self._count += 1
        heappush(self._heap, (due, self._count, client))
        self._arm()

    def _arm(self) -> None:
        """Have the timer ring when the first client is due."""
        due = self._heap[0][0]
        if self._timer is not None:
            if self._timer_at <= due:
                return
            self._timer.cancel()
        self._timer_at = due
        core = self._core
        assert core.loop is not None
        delay = max(0.0, due - core.now())
        self._timer = core.loop.call_later(delay, self._ring, context=core.context)

    def _ring(self) -> None:
        self._timer = None
        now, heap = self._core.now(), self._heap
        due_now = []
        while heap and heap[0][0] <= now:
            due_now.append(heappop(heap)[2])
        for client in due_now:
            if client._is_open:
                due = self._look(client, now)
                if due is not None:
                    self._push(due, client)
        if self._heap:
            self._arm()

    def _next(self, client: HubClient, verdict: float | None, now: float) -> float | None:
        """Return when to look at a client again."""
        options, times = self._core.options, []
        if options.idle_timeout is not None:
            times.append(client._active + options.idle_timeout)
        interval = options.health_interval
        if interval is not None:
            # It may answer before its time is over, and be asked again.
            times.append(
                client._heard + interval if verdict is None else min(verdict, now + interval)
            )
        return min(times, default=None)

    def _look(self, client: HubClient, now: float) -> float | None:
        """Do what is to be done with a client; return when to look again, None if it is closed."""
        options = self._core.options
        idle = options.idle_timeout
        if idle is not None and now >= client._active + idle:
            client._begin_close("idle", 1000, f"idle for {idle:g} s")
            return None
        verdict = None
        if client._is_suspected:
            verdict = self._judge(client, now)
            if verdict is None and not client._is_open:
                return None
        elif options.health_interval is not None and now >= client._heard + options.health_interval:
            verdict = self._suspect(client, now)
        return self._next(client, verdict, now)

    def _suspect(self, client: HubClient, now: float) -> float:
        """Ask a client whether it lives; return when it must have answered."""
        client._is_suspected = True
        client._suspect = client._outbox.current
        if self.can_answer(client):
            client._outbox.ping()
        at = now + self._core.options.health_timeout
        self._verdicts[client] = at, False
        return at

    def _judge(self, client: HubClient, now: float) -> float | None:
        """Close a client that had its time; return when to look again otherwise."""
        at, is_last = self._verdicts[client]
        if now < at:
            return at
        timeout = self._core.options.health_timeout
        is_stuck = client._suspect is not None and client._outbox.current is client._suspect
        # What it has answered may lie there: the loop was busy, or nobody has read.
        is_reading_begun = None if is_last else client._read_ahead()
        if not is_stuck and not (self.can_answer(client) and client._is_read):
            client._is_suspected = False  # nobody can tell
            client._heard = now
            return None
        if not is_last:
            again = timeout * _AGAIN if is_reading_begun else min(timeout * _AGAIN, _SOON)
            self._verdicts[client] = now + again, True
            return now + again
        reason = f"no answer within {timeout:g} s"
        grace = self._core.grace
        client._begin_close("health", 1011, reason, is_drained=False, seconds=grace)
        return None
