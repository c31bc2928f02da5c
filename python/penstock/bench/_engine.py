"""Interleaved measuring: every contender of a row runs in short rounds, in turn, medians later."""

from __future__ import annotations

import gc
from contextlib import contextmanager
from textwrap import indent
from typing import TYPE_CHECKING, Final, Protocol, cast

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = ["AsyncRunner", "Runner", "SyncRunner", "compile_loop", "gc_off", "interleave"]

#: A pass that takes as long outweighs its start.
_LONG_NS: Final = 200_000_000
# The loop is generated per contender, as timeit does: what is called stands in the loop itself,
# so that the overhead is the `for` alone, and no contender warms up another's inline caches.
_TEMPLATE = """\
{prefix}def run(c, keys, others, v, passes, clock):
    f = c
{bind}
    total = 0
    for _ in range(passes):
{reset}
        start = clock()
        for {target} in keys:
{body}
        total += clock() - start
    return total
"""


class Runner(Protocol):
    """Something that runs its operation some passes and says how many nanoseconds it took."""

    @property
    def operations(self) -> int:
        """How many operations one pass has."""
        ...

    def __call__(self, passes: int) -> int:
        """Run *passes* passes; return the nanoseconds."""
        ...


class _Loop(Protocol):
    def __call__(
        self,
        c: object,
        keys: Iterable[object],
        others: Sequence[object],
        v: object,
        passes: int,
        clock: Callable[[], int],
    ) -> object: ...


def compile_loop(
    body: str,
    namespace: dict[str, object],
    *,
    target: str = "k",
    bind: str = "",
    reset: str = "",
    coroutine: bool = False,
) -> _Loop:
    """
    Compile the loop that runs *body* once per element of ``keys``.

    Args:
        body: The timed statements; ``c``, ``f``, ``k``, ``v`` and the names of *bind* are local.
        namespace: The globals of the loop.
        target: What the loop assigns each element to.
        bind: Run once per call, untimed.
        reset: Run before each pass, untimed.
        coroutine: Make it a coroutine function, so that *body* may await.
    """
    source = _TEMPLATE.format(
        prefix="async " if coroutine else "",
        bind=indent(bind, " " * 4),
        reset=indent(reset, " " * 8),
        target=target,
        body=indent(body, " " * 12),
    )
    code = compile(source, f"<bench {body!r}>", "exec")
    scope = dict(namespace)
    exec(code, scope)  # the text comes from the contenders, never from outside
    return cast("_Loop", scope["run"])


class SyncRunner:
    """Runs a compiled loop over *keys*."""

    __slots__ = ("_clock", "_keys", "_loop", "_others", "_subject", "_value")

    def __init__(
        self,
        loop: _Loop,
        subject: object,
        keys: Sequence[object],
        clock: Callable[[], int],
        *,
        others: Sequence[object] = (),
        value: object = None,
    ) -> None:
        self._loop = loop
        self._subject = subject
        self._keys = keys
        self._others = others
        self._value = value
        self._clock = clock

    @property
    def operations(self) -> int:
        """How many operations one pass has."""
        return len(self._keys)

    def start(self, passes: int) -> object:
        """Call the loop: the nanoseconds, or the coroutine that returns them."""
        return self._loop(self._subject, self._keys, self._others, self._value, passes, self._clock)

    def __call__(self, passes: int) -> int:
        """Run *passes* passes; return the nanoseconds."""
        return cast("int", self.start(passes))


class AsyncRunner:
    """Runs a compiled coroutine loop: one coroutine on *event_loop* per call."""

    __slots__ = ("_event_loop", "_inner")

    def __init__(self, inner: SyncRunner, event_loop: asyncio.AbstractEventLoop) -> None:
        self._inner = inner
        self._event_loop = event_loop

    @property
    def operations(self) -> int:
        """How many operations one pass has."""
        return self._inner.operations

    def __call__(self, passes: int) -> int:
        """Run *passes* passes; return the nanoseconds."""
        coroutine = self._inner.start(passes)
        return self._event_loop.run_until_complete(cast("asyncio.Future[int]", coroutine))


@contextmanager
def gc_off() -> Iterator[None]:
    """Collect, then keep the collector off for as long as the block runs."""
    was_on = gc.isenabled()
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def interleave(
    runners: Mapping[str, Runner], *, rounds: int, round_ns: int
) -> dict[str, list[float]]:
    """
    Measure *runners* against each other.

    Each round runs every contender once, for about *round_ns*; the next round begins with the
    next contender, so that nobody always starts. A pass that is not timed goes first: else what
    the contender before left in the processor's caches decides between two that are close, and
    the one with the larger footprint pays for it.

    Returns:
        Nanoseconds per operation, one sample per round, by name.
    """
    samples: dict[str, list[float]] = {name: [] for name in runners}
    with gc_off():
        spans = {name: _span(runner) for name, runner in runners.items()}
        passes = {name: max(1, round_ns // span) for name, span in spans.items()}
        names = list(runners)
        for turn in range(rounds if names else 0):
            first = turn % len(names)
            for name in names[first:] + names[:first]:
                runner = runners[name]
                if spans[name] < _LONG_NS:
                    runner(1)
                spent = runner(passes[name])
                samples[name].append(spent / (passes[name] * runner.operations))
    return samples


def _span(runner: Runner) -> int:
    """Return the nanoseconds of a pass; the first pass only warms up."""
    runner(1)
    return max(1, runner(1))
