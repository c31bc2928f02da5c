"""`warmup`: what a service needs is loaded when it starts, several at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from inspect import isawaitable
from itertools import islice
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, cast

from penstock import _backend
from penstock.caching._loaded import tags_of
from penstock.caching._tiered_options import check_key
from penstock.flow import map_concurrent
from penstock.flow._checks import check_int
from penstock.flow._map_options import check_progress

if TYPE_CHECKING:
    from asyncio import Task
    from collections.abc import Awaitable, Iterable, Iterator
    from datetime import timedelta
    from typing import Unpack

    from penstock.caching._tiered import TieredCache
    from penstock.caching._tiered_options import LoadOptions

__all__ = ["Progress", "WarmupReport", "warm", "warmup"]

#: progress(done, total, name).
Progress: TypeAlias = Callable[[int, int, str], object]

#: Keys that the stores are asked for at once before anything is loaded.
_BATCH: Final = 500
#: Warm-ups in the background; nobody else may hold them.
_background: Final[set[Task[WarmupReport]]] = set()


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmupReport:
    """
    What came of a warm-up.

    Args:
        loaded: What is there now, and the seconds that each took.
        failed: What is not, and the error of each.
        unfinished: What was cancelled, or not begun, when the time was up.
        seconds: How long all of it took.
    """

    loaded: Mapping[str, float] = field(default_factory=dict)
    failed: Mapping[str, Exception] = field(default_factory=dict)
    unfinished: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """
        How many there were.
        """
        return len(self.loaded) + len(self.failed) + len(self.unfinished)

    @property
    def ok(self) -> bool:
        """
        Whether everything is there.
        """
        return not self.failed and not self.unfinished


async def warmup(
    loaders: Mapping[str, Callable[[], object]],
    *,
    progress: Progress | None = None,
    concurrency: int = 8,
    timeout: float | timedelta | None = None,  # noqa: ASYNC109  # what is done by then is kept
    on_error: Literal["collect", "raise"] = "collect",
) -> WarmupReport:
    """
    Call *loaders*, up to *concurrency* at a time, and wait for them.

    What fails or takes too long stops nothing: it is loaded by whoever needs it first, as if there
    had been no warm-up.

    Args:
        loaders: By name, coroutine functions without arguments, or functions whose result is
            awaited if it can be. One that blocks goes to a thread: ``lambda: executor.run(fn)``.
        progress: progress(done, total, name), a plain function, called whenever one has ended,
            failed ones included. What it raises ends it all.
        concurrency: How many may run at once, >= 1. They begin in the order of the mapping.
        timeout: Seconds for all of them; what is not done by then is cancelled.
        on_error: "collect" puts errors into the report; "raise" cancels the others and raises the
            first one.

    Returns:
        What was loaded, what failed, and how long it took.

    Raises:
        TypeError: An argument is of a wrong type.
        ValueError: An argument is out of range.

    Cost: at most *concurrency* tasks.
    """
    if not isinstance(loaders, Mapping):
        raise TypeError(f"loaders must be a mapping, got {type(loaders).__name__}")
    todo = dict(loaders)
    for name, loader in todo.items():
        if not isinstance(name, str):
            raise TypeError(f"names of loaders must be str, got {type(name).__name__}")
        if not callable(loader):
            raise TypeError(f"loader {name!r} must be callable, got {type(loader).__name__}")
    if on_error not in {"collect", "raise"}:
        raise ValueError(f"on_error must be 'collect' or 'raise', got {on_error!r}")

    async def call(name: str) -> None:
        made = todo[name]()
        if isawaitable(made):
            await made

    check_progress(cast("Any", progress))
    run = _Run(list(todo), call, progress, on_error == "raise")
    limit = check_int("concurrency", concurrency, 1)
    return await run.finish(limit, None if timeout is None else _seconds(timeout))


def warm(
    cache: TieredCache,
    keys: Iterable[str],
    loader: Callable[[str], object],
    *,
    progress: Progress | None = None,
    concurrency: int = 8,
    background: bool = False,
    **options: Unpack[LoadOptions],
) -> Awaitable[WarmupReport]:
    """
    Bring *keys* into *cache*: what ``cache.warmup`` is.

    Args:
        cache: A `TieredCache`.
        keys: What to bring; each counts once.
        loader: loader(key), for those that are in no store.
        progress: progress(done, total, key), called whenever one has ended.
        concurrency: How many loads may run at once.
        background: Whether to begin at once, in a task that is returned; otherwise it begins when
            the result is awaited.
        **options: As of ``get_or_load``.
    """
    if isinstance(keys, str):
        raise TypeError("keys must be an iterable of str, got a str")
    names = list(dict.fromkeys(keys))
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"keys must be str, got {type(name).__name__}")
        check_key(name)
    if "tags" in options:  # they may be gone through but once
        options["tags"] = tags_of(options["tags"])
    if not callable(loader):
        raise TypeError(f"loader must be callable, got {type(loader).__name__}")
    check_progress(cast("Any", progress))
    limit = check_int("concurrency", concurrency, 1)
    cache._options.changed(cast("dict[str, Any]", options))  # else each load would refuse them
    work = _warm(cache, names, loader, progress, limit, cast("dict[str, Any]", options))
    if not background:
        return work
    task = asyncio.create_task(work)
    _background.add(task)
    task.add_done_callback(_background.discard)
    return task


async def _warm(
    cache: TieredCache,
    keys: list[str],
    loader: Callable[[str], object],
    progress: Progress | None,
    concurrency: int,
    options: dict[str, Any],
) -> WarmupReport:
    async def call(key: str) -> None:
        await cast("Any", cache).get_or_load(key, loader, **options)

    run = _Run(keys, call, progress, raising=False)
    for batch in _batches(keys, _BATCH):
        # What the stores have comes in a few requests, whatever the concurrency of the loads.
        for key in await cache.get_many(batch):
            run.end(key)
    return await run.finish(concurrency, None)


class _Run:
    """One warm-up: who is to be called, and what came of it."""

    __slots__ = (
        "_call",
        "_failed",
        "_loaded",
        "_names",
        "_progress",
        "_raising",
        "_started",
        "_total",
    )

    def __init__(
        self,
        names: list[str],
        call: Callable[[str], Coroutine[Any, Any, None]],
        progress: Progress | None,
        raising: bool,
    ) -> None:
        self._names = dict.fromkeys(names)
        self._call = call
        self._progress = progress
        self._raising = raising
        self._total = len(names)
        self._loaded: dict[str, float] = {}
        self._failed: dict[str, Exception] = {}
        self._started = perf_counter()

    async def finish(self, concurrency: int, seconds: float | None) -> WarmupReport:
        """Call what was not ended yet, and tell what came of all."""
        # A list of its own: names leave when they have ended.
        if self._names:
            time = asyncio.timeout(seconds)
            try:
                async with time:
                    await map_concurrent(self._one, list(self._names), limit=concurrency)
            except TimeoutError:
                if not time.expired():
                    raise
        return WarmupReport(
            loaded=self._loaded,
            failed=self._failed,
            unfinished=tuple(self._names),
            seconds=perf_counter() - self._started,
        )

    async def _one(self, name: str) -> None:
        started = perf_counter()
        try:
            await self._awaited(name)
        except Exception as error:
            if self._raising:
                raise
            self._failed[name] = error
            self._end(name)
        else:
            self.end(name, perf_counter() - started)

    async def _awaited(self, name: str) -> None:
        """Call *name*; what it waits for may be cancelled, which is none of who waits for us."""
        try:
            await self._call(name)
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():  # it is us who are cancelled
                raise
            raise RuntimeError(f"loading {name!r} was cancelled") from error

    def end(self, name: str, seconds: float = 0.0) -> None:
        """Note that *name* is there."""
        self._loaded[name] = seconds
        self._end(name)

    def _end(self, name: str) -> None:
        del self._names[name]
        if self._progress is not None:
            self._progress(self._total - len(self._names), self._total, name)


def _batches(keys: list[str], size: int) -> Iterator[list[str]]:
    rest = iter(keys)
    while batch := list(islice(rest, size)):
        yield batch


def _seconds(timeout: float | timedelta) -> float:
    return _backend.duration("timeout", timeout)
