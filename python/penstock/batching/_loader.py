"""`Loader`: keys that are asked for one by one, and loaded together."""

from __future__ import annotations

from asyncio import get_running_loop, shield
from typing import TYPE_CHECKING, Generic, Literal, TypeVar, cast, overload

from penstock import _components, _forks
from penstock.batching._loader_answers import cut, settle
from penstock.batching._loader_batcher import KeyBatcher
from penstock.batching._loader_calls import Calls
from penstock.batching._loader_checks import check_functions, refuse, values_in
from penstock.batching._loader_stats import LOADER_FIELDS, LoaderStats
from penstock.batching._options import seconds_or_zero
from penstock.batching._run import inside
from penstock.errors import RecursiveLoad, WrongEventLoop
from penstock.flow._callables import name_of
from penstock.flow._checks import check_name
from penstock.flow._deadline import ambient

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task
    from collections.abc import (
        Awaitable,
        Callable,
        Hashable,
        Iterable,
        Mapping,
        MutableMapping,
        Sequence,
    )
    from datetime import timedelta
    from types import TracebackType
    from typing import Self, TypeAlias

    from penstock.batching._loader_calls import Flight
    from penstock.batching._results import ItemError

    Answer: TypeAlias = "V | Exception | ItemError"
    Answers: TypeAlias = "Sequence[Answer[V]] | Mapping[K, Answer[V]]"
    LoadMany: TypeAlias = "Callable[[list[K]], Awaitable[Answers[V, K]] | Answers[V, K]]"

__all__ = ["Loader"]

K = TypeVar("K")
V = TypeVar("V")

_MISSING = object()


class Loader(Generic[K, V]):
    """
    Loads together what is asked for one by one: the keys of one tick in one call, each once.

    Args:
        load_many: Coroutine function (or function) that is called with a list of different keys, in
            the order in which they were first asked for. It returns as many values in the same
            order, or a mapping that has them by key. An `Exception` (or `ItemError`) in the place
            of a value is the error of that key alone; what a mapping does not have is a `KeyError`.
        key: Returns what a key is cached by, where keys have no hash, or several mean the same.
        cache: True: values are kept for the life of the loader, in a dict. False: a key is loaded
            again as soon as its load has ended. Or where values are kept, a `Cache` for example.
            Errors are not kept.
        max_items: How many keys a call has at most; None: any number.
        linger: How many seconds (or a timedelta) the first key waits for others. 0: for the others
            of its tick.
        max_concurrency: How many calls run at once; None: any number.
        name: Shows the statistics among the metrics under this name.

    Raises:
        TypeError: An argument has the wrong type.
        ValueError: An argument is out of its range.

    Cost: a future for each load, a task for each call. One event loop at a time.
    Source: DataLoader; its errors are cached, here they are not, and futures are not shared.
    """

    __slots__ = (
        "__weakref__", "_batcher", "_begin", "_calls", "_cleared", "_closing", "_flights", "_get",
        "_hits", "_key", "_loop", "_name", "_shared", "_values", "_waiting",
    )  # fmt: skip

    def __init__(
        self,
        load_many: LoadMany[K, V],
        *,
        key: Callable[[K], Hashable] | None = None,
        cache: bool | MutableMapping[Hashable, V] = True,
        max_items: int | None = None,
        linger: float | timedelta = 0,
        max_concurrency: int | None = None,
        name: str | None = None,
    ) -> None:
        check_functions(load_many, key)
        check_name(name)
        self._values = values_in(cache)
        self._get = None if self._values is None else self._values.get
        self._key = key
        self._name = name
        self._calls = Calls(load_many, self._values)
        self._flights = self._calls.flights
        self._cleared = self._calls.cleared
        self._batcher: KeyBatcher[K, V] = KeyBatcher(
            self._calls.run, max_items, linger, max_concurrency
        )
        self._begin = self._batcher.begin
        self._waiting = self._batcher.waiting
        self._loop: AbstractEventLoop | None = None
        self._closing: Task[None] | None = None
        self._hits = self._shared = 0
        _components.enter(self)

    def load(self, key: K) -> Future[V]:
        """
        Ask for the value of *key*.

        Args:
            key: Anything but None; without ``key=`` it needs a hash.

        Returns:
            A future of the caller's own: cancelling it cancels nobody else's load. A key that
            nobody waits for any more is not loaded, and a call is cancelled when nobody waits for
            any of its keys.

        Raises:
            TypeError: *key* is None, or has no hash. Whatever ``key=`` and the cache raise is
                passed on.
            RuntimeError: No event loop runs here.
            WrongEventLoop: The loader is in use by another one.
            ClosedError: The loader is closed, and the value is not cached.
            RecursiveLoad: ``load_many`` asks for a key that it was asked for itself.
            DeadlineExceeded: From the future, the ambient ``deadline()`` is over.

        Cost: O(1), one future.
        """
        loop = get_running_loop()
        if loop is not self._loop:
            self._bind(loop)
        if key is None:
            raise TypeError("key must not be None")
        at: Hashable = key if self._key is None else self._key(key)
        future: Future[V] = loop.create_future()
        flight = self._flights.get(at)
        if flight is not None:
            self._join(flight, future)
        elif self._get is not None and (value := self._get(at, _MISSING)) is not _MISSING:
            self._hits += 1
            settle(future, value)
            return future
        elif self._cleared and at in self._cleared:
            self._flights[at] = flight = self._cleared.pop(at)
            self._join(flight, future)
        else:
            flight = at, key, future
            if not self._waiting:
                self._begin()
            self._waiting.append(flight)
            self._flights[at] = flight
        due = ambient()
        if due is not None:
            cut(future, due, loop)
        return future

    @overload
    async def load_many(
        self, keys: Iterable[K], *, return_exceptions: Literal[False] = False
    ) -> list[V]: ...

    @overload
    async def load_many(
        self, keys: Iterable[K], *, return_exceptions: bool
    ) -> list[V | Exception]: ...

    async def load_many(
        self, keys: Iterable[K], *, return_exceptions: bool = False
    ) -> list[V] | list[V | Exception]:
        """
        Return the values of *keys*, in their order.

        Args:
            keys: What `load` takes.
            return_exceptions: Return the error of a key in the place of its value.

        Raises:
            Exception: The error of the first key, in their order, that has one; the caller waits
                for no other one any more.
            TypeError: *keys* cannot be iterated over. What `load` raises is passed on.

        Cost: O(n), n futures, no tasks.
        """
        futures: list[Future[V]] = []
        values: list[V | Exception] = []
        try:
            # One by one: those of a list would be lost if a key in the middle is refused.
            for key in keys:
                futures.append(self.load(key))  # noqa: PERF401
            for future in futures:
                try:
                    values.append(await future)
                except Exception as error:
                    if not return_exceptions:
                        raise
                    values.append(error)
        except BaseException:
            for future in futures:
                if not future.cancel() and not future.cancelled():
                    future.exception()  # seen: nobody is to complain of it
            raise
        return values

    def prime(self, key: K, value: V | Exception) -> Self:
        """
        Put a value that is known already into the cache, unless there is one, or one is coming.

        Args:
            key: What `load` takes.
            value: Its value; an `Exception` is raised by whoever loads the key.

        Returns:
            The loader. ``clear(key).prime(key, value)`` puts it there in any case.

        Cost: O(1). Without a cache it does nothing.
        """
        at = self._at(key)
        values = self._values
        if values is not None and at not in self._flights and at not in values:
            values[at] = cast("V", value)
        return self

    def clear(self, key: K) -> Self:
        """
        Forget the value of *key*; one that is coming is not cached either.

        Args:
            key: What `load` takes.

        Returns:
            The loader.

        Cost: O(1).
        """
        at = self._at(key)
        self._calls.clear(at)
        if self._values is not None:
            self._values.pop(at, None)
        return self

    def clear_all(self) -> Self:
        """
        Forget all values; those that are coming are not cached either.

        Returns:
            The loader.

        Cost: O(n). A cache that was given is emptied.
        """
        self._calls.clear_all()
        if self._values is not None:
            self._values.clear()
        return self

    @property
    def name(self) -> str | None:
        """
        The name given to the loader.
        """
        return self._name

    @property
    def closed(self) -> bool:
        """
        Whether the loader is closed, or closing.
        """
        return self._calls.is_closing

    def stats(self) -> LoaderStats:
        """
        Return what the loader has done so far.
        """
        calls, batches = self._calls, self._batcher.stats()
        loading, in_flight = calls.counts()
        misses = self._batcher.handed_in + len(self._waiting)
        ended = calls.loaded + calls.failed + calls.abandoned
        return LoaderStats(
            hits=self._hits,
            shared=self._shared,
            misses=misses,
            loaded=calls.loaded,
            failed=calls.failed,
            abandoned=calls.abandoned,
            pending=misses - ended - loading,
            loading=loading,
            calls=calls.calls,
            in_flight=in_flight,
            run_seconds=batches.run_seconds,
        )

    async def aclose(
        self,
        *,
        drain: bool = True,
        timeout: float | timedelta | None = 30.0,  # noqa: ASYNC109
    ) -> None:
        """
        Load what was asked for, and nothing after that.

        Args:
            drain: False: whoever waits gets `ClosedError` at once, and calls that run are
                cancelled.
            timeout: After how many seconds (or a timedelta) this happens to what is left; None:
                it is waited for as long as it takes.

        Raises:
            WrongEventLoop: The loader is bound to another event loop.
            RuntimeError: Called by ``load_many``, which would wait for itself.
            TypeError: *timeout* is no duration.
            ValueError: It is negative, or not finite.

        Cost: O(n), a task, which goes on if the caller is cancelled. Called again it waits for the
            same; ``drain=False`` then hurries it.
        """
        self._batcher.refuse_inside()
        seconds = None if timeout is None else seconds_or_zero("timeout", timeout)
        loop = get_running_loop()
        if loop is not self._loop:
            self._bind(loop)
        if self._closing is None or self._closing.cancelled():
            self._calls.is_closing = True
            self._begin = refuse
            if drain:
                self._batcher.hand_in()
            else:
                self._calls.close(is_over=False)
                self._batcher.drop()
            self._closing = loop.create_task(self._close(drain, seconds))
        elif not drain:
            await self._batcher.aclose(drain=False)
        await shield(self._closing)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        name = "" if self._name is None else f", name={self._name!r}"
        return f"<Loader {name_of(self._calls.function)}{name}>"

    def _at(self, key: K) -> Hashable:
        if key is None:
            raise TypeError("key must not be None")
        return key if self._key is None else self._key(key)

    def _bind(self, loop: AbstractEventLoop) -> None:
        """Belong to *loop*, unless there is another one that has not been closed."""
        if self._loop is not None:
            if not self._loop.is_closed():
                raise WrongEventLoop("the Loader is bound to another event loop")
            self._forget()
        _forks.enter(self)
        self._loop = loop

    def _forget(self) -> None:
        self._calls.reset(self._waiting)
        self._batcher.drop()
        self._loop = self._closing = None

    def _begin_anew(self) -> object:
        """Know of no load in a forked process; see `_forks`."""
        begun = self._loop, self._closing, self._calls.begun()
        self._forget()
        return begun

    def _join(self, flight: Flight[K, V], future: Future[V]) -> None:
        """Wait together with others."""
        batch = inside.get()
        if batch is not None:
            own = self._calls.call_of(batch.task)
            if own is not None and own.has(flight):
                function = name_of(self._calls.function)
                raise RecursiveLoad(f"{function} asks for the key {flight[1]!r} that it is loading")
        self._calls.join(flight, future)
        self._shared += 1

    async def _close(self, drain: bool, seconds: float | None) -> None:
        try:
            await self._batcher.aclose(drain=drain, timeout=seconds)
        finally:
            self._calls.close(is_over=True)


_components.describe("loader", LoaderStats, LOADER_FIELDS)
