"""`batched`: a function of many that is called with one."""

from __future__ import annotations

from functools import update_wrapper
from threading import RLock
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload
from weakref import ref

from penstock.batching._batcher import Batcher
from penstock.batching._options import Options
from penstock.flow._callables import check_function, name_of

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future
    from collections.abc import Awaitable, Callable, Sequence
    from datetime import timedelta
    from typing import Self, TypeAlias, Unpack

    from penstock.batching._options import BatcherOptions
    from penstock.batching._results import ItemError
    from penstock.batching._stats import BatcherStats, CloseReport

__all__ = ["BatchedFunction", "BatchedMethod", "batched"]

T = TypeVar("T")
R = TypeVar("R")

if TYPE_CHECKING:
    Results: TypeAlias = Sequence[R | ItemError] | None


class Decorator(Protocol):
    """What `batched` returns."""

    @overload
    def __call__(
        self, function: Callable[[list[T]], Awaitable[Results[R]] | Results[R]], /
    ) -> BatchedFunction[T, R]: ...
    @overload
    def __call__(
        self, function: Callable[[Any, list[T]], Awaitable[Results[R]] | Results[R]], /
    ) -> BatchedFunction[T, R]: ...


def batched(**options: Unpack[BatcherOptions]) -> Decorator:
    """
    Turn a function of many items into one of one item, whose calls are gathered.

    ``@batched(max_items=100)`` above ``async def load(ids: list[int]) -> list[User]`` gives a
    function that is called as ``await load(id)`` and returns one `User`. A method has a `Batcher`
    for each instance, which lives as long as that.

    Args:
        **options: Those of `Batcher`.

    Returns:
        A decorator. What it makes has ``batcher``, ``stats()``, ``aclose()``, and ``__wrapped__``:
        the function of many.

    Raises:
        TypeError: What is decorated is no function; an option has the wrong type.
        ValueError: An option is out of its range.

    Cost: that of `Batcher.submit`, and a Python call.
    """

    def decorate(function: Callable[..., Any]) -> BatchedFunction[Any, Any]:
        return BatchedFunction(function, options)

    return decorate


class BatchedFunction(Generic[T, R]):
    """
    A function of one item, whose calls are gathered; see `batched`.
    """

    __wrapped__: Callable[..., Any]

    def __init__(self, function: Callable[..., Any], options: BatcherOptions) -> None:
        check_function("batched", function)
        Options.checked(function, **options)  # now, not at the first call
        update_wrapper(self, function)
        self._options = options
        self._is_method = False
        self._batcher: Batcher[T, R] | None = None
        self._owned: dict[int, _Owned] = {}
        # In which an instance was kept alive last.
        self._loop: AbstractEventLoop | None = None
        # Reentrant: an instance may be collected meanwhile.
        self._lock = RLock()

    def __set_name__(self, owner: type, name: str) -> None:
        # Not if a function from elsewhere is put into a class.
        inside = getattr(self.__wrapped__, "__qualname__", "").rpartition(".")[0]
        self._is_method = self._is_method or inside == owner.__qualname__

    @overload
    def __call__(self, item: T, /) -> Future[R]: ...
    @overload
    def __call__(self, instance: object, item: T, /) -> Future[R]: ...
    def __call__(self, *args: Any) -> Future[R]:
        """
        Submit one item; see `Batcher.submit`.
        """
        if len(args) == 1 and not self._is_method:
            return self.batcher.submit(args[0])
        if len(args) != 2 or not (self._is_method or isinstance(args[0], type)):
            raise TypeError(f"{name_of(self)}() takes one item, got {len(args)}")
        # By its class, or as a class method.
        future: Future[R] = BatchedMethod(self, args[0])(args[1])
        return future

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(self, instance: object, owner: type | None = None) -> BatchedMethod[T, R]: ...
    def __get__(self, instance: object, owner: type | None = None) -> Self | BatchedMethod[T, R]:
        return self if instance is None else BatchedMethod(self, instance)

    def __repr__(self) -> str:
        return f"<batched {name_of(self)}>"

    @property
    def batcher(self) -> Batcher[T, R]:
        """
        What gathers the calls: made at the first use, and again if it was closed with its loop.

        Raises:
            TypeError: This is a method: each instance has a batcher of its own.
        """
        if self._is_method:
            message = f"{name_of(self)} is a method: each instance has a batcher of its own"
            raise TypeError(message)
        batcher = self._batcher
        if batcher is None or _is_spent(batcher):
            with self._lock:
                batcher = self._batcher
                if batcher is None or _is_spent(batcher):
                    batcher = self._batcher = Batcher(self.__wrapped__, **self._options)
        return batcher

    def stats(self) -> BatcherStats:
        """
        Return the statistics of the batcher.
        """
        return self.batcher.stats()

    async def aclose(
        self,
        *,
        drain: bool = True,
        timeout: float | timedelta | None = 30.0,  # noqa: ASYNC109
    ) -> CloseReport:
        """
        Close the batcher; see `Batcher.aclose`.
        """
        return await self.batcher.aclose(drain=drain, timeout=timeout)

    def _own(self, instance: object) -> _Owned:
        """Return the batcher of an instance."""
        number = id(instance)
        owned = self._owned.get(number)
        if owned is None or _is_spent(owned.batcher):
            with self._lock:
                owned = self._owned.get(number)
                if owned is None or _is_spent(owned.batcher):
                    owned = self._owned[number] = self._make(instance, number)
        return owned

    def _keep(self, owned: _Owned, instance: object) -> None:
        """Keep an instance alive until there is nothing left to do, or its event loop is closed."""
        owned.alive = instance
        loop = owned.batcher._loop
        if loop is not self._loop:
            let_go = []  # they die without the lock
            with self._lock:
                self._loop = loop
                for each in self._owned.values():
                    bound = each.batcher._loop
                    if bound is not None and bound.is_closed():
                        let_go.append(each.alive)
                        each.alive = None

    def _make(self, instance: object, number: int) -> _Owned:
        owned_by = self._owned

        def forget(dead: ref[object]) -> None:
            owned = owned_by.get(number)
            if owned is not None and owned.instance is dead:
                del owned_by[number]

        try:
            instance_ref = ref(instance, forget)
        except TypeError:
            kind = type(instance).__name__
            message = f"{name_of(self)} needs instances that can be weakly referenced, not {kind}"
            raise TypeError(message) from None
        return _Owned(self.__wrapped__, instance_ref, self._options)


class BatchedMethod(Generic[T, R]):
    """
    The method of one item of an instance; see `batched`.
    """

    __slots__ = ("__func__", "__self__")

    def __init__(self, function: BatchedFunction[T, R], instance: object) -> None:
        self.__func__ = function
        self.__self__ = instance

    def __call__(self, item: T, /) -> Future[R]:
        """
        Submit one item; see `Batcher.submit`.
        """
        owned = self.__func__._own(self.__self__)
        future: Future[R] = owned.batcher.submit(item)
        if owned.alive is None:
            self.__func__._keep(owned, self.__self__)
        return future

    def __repr__(self) -> str:
        return f"<batched {name_of(self.__func__)} of {self.__self__!r}>"

    @property
    def __wrapped__(self) -> Callable[..., Any]:
        return self.__func__.__wrapped__

    @property
    def batcher(self) -> Batcher[T, R]:
        """
        What gathers the calls for this instance.
        """
        return self.__func__._own(self.__self__).batcher

    def stats(self) -> BatcherStats:
        """
        Return the statistics of the batcher.
        """
        return self.batcher.stats()

    async def aclose(
        self,
        *,
        drain: bool = True,
        timeout: float | timedelta | None = 30.0,  # noqa: ASYNC109
    ) -> CloseReport:
        """
        Close the batcher of this instance; see `Batcher.aclose`.
        """
        return await self.batcher.aclose(drain=drain, timeout=timeout)


class _Owned:
    """The batcher of an instance, which it keeps alive only while there is something to do."""

    def __init__(
        self, function: Callable[..., Any], instance: ref[object], options: BatcherOptions
    ) -> None:
        update_wrapper(self, function)  # for the name in messages
        self._function = function
        self.instance = instance
        self.alive: object = None
        self.batcher: Batcher[Any, Any] = Batcher(self, **options)
        self.batcher._pump.on_idle = self._rest

    def __call__(self, items: list[Any]) -> Any:
        instance = self.instance()
        if instance is None:
            raise ReferenceError(f"the instance of {name_of(self)} is gone")
        return self._function(instance, items)

    def _rest(self) -> None:
        self.alive = None


def _is_spent(batcher: Batcher[Any, Any]) -> bool:
    """Whether it was closed in a loop that is closed too, so that it is of no use to the next."""
    if not batcher.closed:
        return False
    loop = batcher._loop
    return loop is not None and loop.is_closed()
