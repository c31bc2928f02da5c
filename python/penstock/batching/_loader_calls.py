"""The calls of a loader: what they are asked for, and who is told what they answer."""

from __future__ import annotations

from asyncio import CancelledError, InvalidStateError, current_task
from itertools import chain, compress
from typing import TYPE_CHECKING, Generic, TypeVar, cast

from penstock.batching._loader_answers import ERRORS, answers_of, error_in, fail, report
from penstock.errors import BatchCancelled, ClosedError
from penstock.flow._callables import name_of

if TYPE_CHECKING:
    from asyncio import Future, Task
    from collections.abc import Awaitable, Callable, Hashable, Iterable, MutableMapping, Sequence
    from typing import TypeAlias

__all__ = ["Call", "Calls", "Flight"]

K = TypeVar("K")
V = TypeVar("V")

#: A key that is being loaded: where it is in the cache, the key, and the future of who asked first.
Flight: TypeAlias = "tuple[Hashable, K, Future[V]]"
Flights: TypeAlias = "dict[Hashable, Flight[K, V]]"

_CLOSED = "the Loader was closed"


class Call(Generic[K, V]):
    """A call that runs: its keys, and whether anybody still waits for one of them."""

    __slots__ = (
        "_at",
        "_calls",
        "_ids",
        "_watched",
        "flights",
        "is_abandoned",
        "is_cleared",
        "task",
    )

    def __init__(
        self,
        calls: Calls[K, V],
        flights: list[Flight[K, V]],
        is_cleared: bool,
        task: Task[None] | None,
    ) -> None:
        self.flights = flights
        self.task = task
        self.is_abandoned = False
        #: Whether some of the keys may have been cleared.
        self.is_cleared = is_cleared
        self._calls = calls
        self._at = 0
        self._ids: frozenset[int] | None = None
        self._watched: Future[V] | None = None

    def has(self, flight: Flight[K, V]) -> bool:
        """Whether the key is one of this call's."""
        if self._ids is None:  # asked for by few, then often
            self._ids = frozenset(map(id, self.flights))
        return id(flight) in self._ids

    def watch(self) -> None:
        """
        Watch one of those who wait until he is gone, then another; cancel the call with the last.

        From one to the next is O(1) amortised: it goes on from where it was. Who joined behind its
        back is found when it comes round.
        """
        number = len(self.flights)
        for at in chain(range(self._at, number), range(self._at)):
            future = self._calls.waiting_for(self.flights[at])
            if future is not None:
                self._at = at
                self._watched = future
                future.add_done_callback(self._gone)
                return
        self._watched = None
        self.is_abandoned = True
        self._calls.forget(self.flights)  # whoever comes now begins anew
        if self.task is not None:
            self.task.cancel()

    def _gone(self, future: Future[V]) -> None:
        if future is self._watched:  # else the call has ended in this tick
            self.watch()

    def unwatch(self) -> None:
        """Let go of who is watched."""
        if self._watched is not None:
            self._watched.remove_done_callback(self._gone)
            self._watched = None


class Calls(Generic[K, V]):
    """
    Makes the calls of a loader, each with the keys of one batch.

    It knows nothing of the loader and its batcher: no cycle keeps a loader alive that somebody
    made for one request.
    """

    __slots__ = (
        "_dead", "_joined", "_running", "_values", "abandoned", "calls", "cleared", "failed",
        "flights", "function", "is_closing", "loaded",
    )  # fmt: skip

    def __init__(
        self,
        function: Callable[[list[K]], object],
        values: MutableMapping[Hashable, V] | None,
    ) -> None:
        self.function = function
        #: What new loads can join.
        self.flights: Flights[K, V] = {}
        #: What was cleared before it was its turn: it can be joined, but is not to be cached.
        self.cleared: Flights[K, V] = {}
        self.is_closing = False
        self.calls = self.loaded = self.failed = self.abandoned = 0
        self._values = values
        self._running: list[Call[K, V]] = []
        # Who has joined, by the id of a flight, which is its own until it has landed: a list in
        # each of them would cost more than all the rest of it.
        self._joined: dict[int, list[Future[V]]] = {}
        # What came to its end while the batcher may still have it: it is counted.
        self._dead: dict[int, Flight[K, V]] = {}

    def call_of(self, task: Task[None] | None) -> Call[K, V] | None:
        """Return the call that a task makes, or None."""
        return next((call for call in self._running if call.task is task), None)

    def counts(self) -> tuple[int, int]:
        """Return how many keys are being loaded, and by how many calls."""
        return sum(len(call.flights) for call in self._running), len(self._running)

    def join(self, flight: Flight[K, V], future: Future[V]) -> None:
        """Let one more wait."""
        self._joined.setdefault(id(flight), []).append(future)

    def waiting_for(self, flight: Flight[K, V]) -> Future[V] | None:
        """Return somebody who waits, if anybody does; some of those who do not are forgotten."""
        first = flight[2]
        if not first.done():
            return first
        others = self._joined.get(id(flight))
        while others and others[-1].done():
            others.pop()
        return others[-1] if others else None

    def clear(self, at: Hashable) -> None:
        """Do not cache what comes for the key; a call that has begun is not to be joined either."""
        flight = self.flights.pop(at, None)
        if flight is None:
            return
        for call in self._running:
            if call.has(flight):
                call.is_cleared = True
                return
        self.cleared[at] = flight

    def clear_all(self) -> None:
        """The same for all keys."""
        for at in list(self.flights):
            self.clear(at)

    def close(self, *, is_over: bool) -> None:
        """
        Tell all who wait that nothing comes any more.

        Args:
            is_over: Whether the batcher is closed.
        """
        flights = [*self.flights.values(), *self.cleared.values()]
        waiting = [flight for flight in flights if not self._is_loading(flight)]
        self.failed += len(waiting)
        self.forget(waiting)
        self.cleared.clear()
        if is_over:
            self._dead.clear()
        else:  # the task of their call may have begun, or be about to
            self._dead.update((id(flight), flight) for flight in waiting)
        fail([self._land(flight) for flight in flights], ClosedError(_CLOSED))

    def reset(self, not_yet: list[Flight[K, V]]) -> None:
        """
        Forget whoever waits on a loop that is closed: it cannot be told anything.

        Args:
            not_yet: What the batcher has not got.
        """
        waiting = [*self.flights.values(), *self.cleared.values()]
        dead = {id(flight): flight for flight in waiting if not self._is_loading(flight)}
        self.abandoned += len(dead) + self.counts()[0]
        for flight in not_yet:
            dead.pop(id(flight), None)
        self._dead.update(dead)
        for left in (self.flights, self.cleared, self._joined, self._running):
            left.clear()

    def begun(self) -> object:
        """Return all that `reset` forgets."""
        mappings = self.flights, self.cleared, self._joined, self._dead
        return [*self._running, *(each.copy() for each in mappings)]

    async def run(self, chunks: list[list[Flight[K, V]]]) -> None:
        """Load the keys of a batch; errors are for those who wait, the batcher sees none."""
        is_cleared = bool(self.cleared)
        batch = chunks[0] if len(chunks) == 1 else list(chain.from_iterable(chunks))
        flights = self._wanted(batch)
        if not flights:
            return
        call = Call(self, flights, is_cleared, current_task())
        self._running.append(call)
        self.calls += 1
        try:
            keys = [key for _, key, _ in flights]
            found = self.function(keys.copy())  # which is its own
            if hasattr(type(found), "__await__"):
                call.watch()
                found = await cast("Awaitable[object]", found)
                call.unwatch()
            if not call.is_abandoned:  # otherwise it did not care
                answers = answers_of(self.function, keys, found)
                self._hand_over(call, cast("Sequence[V]", answers))
        except GeneratorExit:  # the loop is closed
            raise
        except CancelledError:  # whoever it was, here is the end of the task
            closed = self.is_closing and call.task is not None and call.task.cancelling() > 0
            self._fail(call, ClosedError(_CLOSED) if closed else self._ended("was cancelled"))
        except Exception as error:
            self._fail(call, error)
        except BaseException as error:
            self._fail(call, self._ended("was ended", error))
            raise
        finally:
            self._end(call)

    def _wanted(self, batch: list[Flight[K, V]]) -> list[Flight[K, V]]:
        """Return those that somebody waits for; from now on they are loading."""
        if self._dead:
            batch = [flight for flight in batch if self._dead.pop(id(flight), None) is None]
        for flight in batch if self.cleared else ():
            if self.cleared.get(flight[0]) is flight:
                del self.cleared[flight[0]]
        # Mostly all of them, and whoever asked first has not gone.
        wanted = [flight for flight in batch if not flight[2].done()]
        if len(wanted) < len(batch):
            wanted = [flight for flight in batch if self.waiting_for(flight) is not None]
            if len(wanted) < len(batch):
                self._drop([flight for flight in batch if self.waiting_for(flight) is None])
        return wanted

    def _hand_over(self, call: Call[K, V], answers: Sequence[V]) -> None:
        """Give everybody what came for his key."""
        # In steps for all of them: a look at each key costs as much as telling who waits for it.
        if any(issubclass(kind, ERRORS) for kind in set(map(type, answers))):
            answers = self._without_errors(call, answers)
        flights = call.flights
        self._keep(call, answers)
        for (_, _, future), answer in zip(flights, answers, strict=True):
            try:  # noqa: SIM105  # costs less than to ask, and than suppress
                future.set_result(answer)
            except InvalidStateError:
                pass
        for flight, answer in zip(flights, answers, strict=True) if self._joined else ():
            for future in self._joined.pop(id(flight), ()):
                if not future.done():
                    future.set_result(answer)
        self.loaded += len(flights)
        call.flights = []

    def _without_errors(self, call: Call[K, V], answers: Sequence[V]) -> Sequence[V]:
        """Give errors to whom they belong, and return the other answers: those of who is left."""
        told: set[int] = set()
        left = []
        for flight, answer in zip(call.flights, answers, strict=True):
            if isinstance(answer, ERRORS):
                error = error_in(answer)
                self.failed += 1
                self.forget([flight])
                fail([self._land(flight)], error, again=id(error) in told)
                told.add(id(error))
            else:
                left.append((flight, answer))
        call.flights = [flight for flight, _ in left]
        return [answer for _, answer in left]

    def _keep(self, call: Call[K, V], answers: Sequence[V]) -> None:
        """Cache what was not cleared in the meantime."""
        flights, in_flight, values = call.flights, self.flights, self._values
        if not call.is_cleared and len(flights) == len(in_flight):  # all of them, and no others
            in_flight.clear()
        else:
            current = [in_flight.get(flight[0]) is flight for flight in flights]
            self.forget(flights)
            answers = list(compress(answers, current))
            flights = list(compress(flights, current))
        if values is None:
            return
        trouble: Exception | None = None
        for flight, answer in zip(flights, answers, strict=True):
            try:
                values[flight[0]] = answer
            except Exception as error:
                trouble = error
        if trouble is not None:
            report(trouble)

    def _fail(self, call: Call[K, V], error: Exception) -> None:
        """Tell those of an error who have not heard of their key."""
        if call.is_abandoned:
            return
        self.failed += len(call.flights)
        # First, so that whoever hears of it can try again.
        self.forget(call.flights)
        fail([self._land(flight) for flight in call.flights], error)

    def forget(self, flights: Iterable[Flight[K, V]]) -> None:
        """Let nobody join any more."""
        for flight in flights:
            if self.flights.get(flight[0]) is flight:
                del self.flights[flight[0]]

    def _is_loading(self, flight: Flight[K, V]) -> bool:
        return any(call.has(flight) for call in self._running)

    def _land(self, flight: Flight[K, V]) -> list[Future[V]]:
        """Return all who have asked."""
        return [flight[2], *self._joined.pop(id(flight), ())]

    def _drop(self, flights: list[Flight[K, V]]) -> None:
        """Nobody waits for these."""
        self.abandoned += len(flights)
        self.forget(flights)
        for flight in flights:
            self._land(flight)

    def _ended(self, how: str, cause: BaseException | None = None) -> BatchCancelled:
        error = BatchCancelled(f"{name_of(self.function)} {how} before it had values")
        error.__cause__ = cause
        return error

    def _end(self, call: Call[K, V]) -> None:
        call.unwatch()
        if call.is_abandoned and call.task is not None:
            call.task.uncancel()
        if call in self._running:  # not on a loop that was closed
            self._running.remove(call)
            if call.is_abandoned:
                self._drop(call.flights)
