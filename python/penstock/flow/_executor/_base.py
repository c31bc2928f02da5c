"""What all executors have in common, wherever their tasks run."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from concurrent import futures
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from penstock.flow._executor._gathering import gather_futures
from penstock.flow._executor._mapping import map_calls
from penstock.flow._executor._options import PLAIN, Options, merge

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator
    from concurrent.futures import Future
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from penstock.flow._executor._future import TaskFuture
    from penstock.flow._executor._ledger import Ledger
    from penstock.flow._executor._stats import ExecutorStats

__all__ = ["BaseExecutor", "TaskOptions"]

P = ParamSpec("P")
T = TypeVar("T")


class BaseExecutor(futures.Executor):
    """
    An executor whose tasks can be awaited, and have options.
    """

    _ledger: Ledger[Any]
    #: Whether ``map`` makes one task of several calls when it is told to.
    _chunked = True

    @abstractmethod
    def _submit(
        self,
        options: Options,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> TaskFuture[Any]:
        """Accept a task."""

    @abstractmethod
    def _figures(self) -> ExecutorStats:
        """Return the figures of now."""

    async def _run(
        self,
        options: Options,
        function: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
    ) -> Any:
        return await self._submit(options, function, args, kwargs)

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> TaskFuture[T]:
        """
        Let a worker call ``fn(*args, **kwargs)``.

        Returns:
            Its future: one of ``concurrent.futures``, which can be awaited in asyncio as well.

        Raises:
            RuntimeError: The executor is shut down.
            LimitExceeded: Too many tasks are pending, and the executor was told to raise then.
        """
        return self._submit(PLAIN, fn, args, kwargs)

    async def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Let a worker call ``fn(*args, **kwargs)``, and return what it returns.

        Cancelling it cancels the task if it does not run yet; of one that runs, only the result is
        dropped.

        Raises:
            RuntimeError: The executor is shut down.
            LimitExceeded: Too many tasks are pending, and the executor was told to raise then.
        """
        result: T = await self._run(PLAIN, fn, args, kwargs)
        return result

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """
        Call *fn* with one item of each iterable, and return an iterator over the results in order.

        Args:
            fn: The function.
            iterables: Read until the shortest one ends.
            timeout: Seconds from now after which taking a result raises TimeoutError.
            chunksize: How many calls make one task, where a task is sent somewhere else.
            buffersize: How many tasks are submitted ahead of the results that were taken; None: all
                of them at once.

        Raises:
            ValueError: *chunksize* or *buffersize* is less than 1.
        """
        size = chunksize if self._chunked or chunksize < 1 else 1
        return map_calls(
            self.submit, fn, iterables, timeout=timeout, chunksize=size, buffersize=buffersize
        )

    def with_options(
        self,
        *,
        priority: int | None = None,
        deadline: float | timedelta | None = None,
        validate: Callable[..., object] | None = None,
        key: Hashable | None = None,
        retries: int | None = None,
    ) -> TaskOptions:
        """
        Return something with ``submit``, ``run`` and ``map`` whose tasks have options.

        Args:
            priority: Lower numbers run first; 0 without it.
            deadline: Seconds (or a timedelta) from the submission. A task that was not started by
                then fails with `TaskExpired`. Where tasks run in processes, one that has not ended
                by then does so too, and its process is replaced.
            validate: Is called with the result, after later tasks had their turn. When it raises or
                returns False the task fails.
            key: What makes a task the same as another one: while it is pending or running, another
                one with this key is not run, but has the same future.
            retries: How often a task is run again when its process was lost.

        Raises:
            TypeError, ValueError: An option is not what it has to be.
        """
        options = merge(
            PLAIN,
            priority=priority,
            deadline=deadline,
            validate=validate,
            key=key,
            retries=retries,
        )
        return TaskOptions(self, options)

    def barrier(self) -> TaskFuture[None]:
        """
        Return a future that is done when all tasks are that were submitted before.

        Cost: looks at each of these tasks once, and at each that ends until then.
        """
        return self._ledger.barrier()

    def gather(
        self, *futures: Future[Any], return_exceptions: bool = False
    ) -> TaskFuture[list[Any]]:
        """
        Return a future of the list of their results, in their order.

        Args:
            futures: Of this executor or any other one of ``concurrent.futures``.
            return_exceptions: Whether errors are among the results. Otherwise the first one, in
                time, is the error of the whole.

        Cancelling it cancels all of them that do not run yet.
        """
        return gather_futures(futures, return_exceptions=return_exceptions)

    def stats(self) -> ExecutorStats:
        """
        Return the figures of now.
        """
        return self._figures()

    async def aclose(self) -> None:
        """
        Shut the executor down, and wait for its tasks without blocking the event loop.
        """
        self.shutdown(wait=False)
        await asyncio.to_thread(self.shutdown)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()


class TaskOptions(futures.Executor):
    """
    An executor whose tasks have options; made by ``with_options``.

    It can be handed to whatever takes an executor. Shutting it down shuts down the one it is of.
    """

    def __init__(self, executor: BaseExecutor, options: Options) -> None:
        self._executor = executor
        self._options = options

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> TaskFuture[T]:
        """
        Do what ``submit`` of the executor does.
        """
        return self._executor._submit(self._options, fn, args, kwargs)

    async def run(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """
        Do what ``run`` of the executor does.
        """
        result: T = await self._executor._run(self._options, fn, args, kwargs)
        return result

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        buffersize: int | None = None,
    ) -> Iterator[T]:
        """
        Do what ``map`` of the executor does.

        Raises:
            ValueError: There is a key: all calls would be one.
        """
        if self._options.key is not None:
            raise ValueError("map() with a key would make one task of all calls")
        size = chunksize if self._executor._chunked or chunksize < 1 else 1
        return map_calls(
            self.submit, fn, iterables, timeout=timeout, chunksize=size, buffersize=buffersize
        )

    def with_options(
        self,
        *,
        priority: int | None = None,
        deadline: float | timedelta | None = None,
        validate: Callable[..., object] | None = None,
        key: Hashable | None = None,
        retries: int | None = None,
    ) -> TaskOptions:
        """
        Return the same with more options; those not given stay.
        """
        options = merge(
            self._options,
            priority=priority,
            deadline=deadline,
            validate=validate,
            key=key,
            retries=retries,
        )
        return TaskOptions(self._executor, options)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """
        Shut down the executor.
        """
        self._executor.shutdown(wait, cancel_futures=cancel_futures)
