"""`map_concurrent` in programs made by chance: what holds for all of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from tests.steps import now, run, tasks_left

from penstock.flow._limiter import Limiter
from penstock.flow._map import map_concurrent


class Oops(Exception):
    """What a call fails with."""


#: None: no wait at all; 0: a step of the loop.
delays = st.sampled_from([None, 0.0, 0.0, 1.0, 1.0, 2.0, 5.0])


async def pause(seconds: float | None) -> None:
    if seconds is not None:
        await asyncio.sleep(seconds)


@dataclass
class Call:
    """What a call is to do."""

    delay: float | None
    fails: bool
    #: How long it takes to go when it is cancelled.
    goodbye: float | None


@dataclass
class Program:
    """What happens."""

    calls: list[Call]
    limit: int
    limited: bool
    ordered: bool
    buffer: int | None
    on_error: str
    #: Delays before each item, of an async source.
    source: list[float | None] | None
    #: Delays of the reader after each result; None: the list is awaited.
    reader: list[float | None] | None
    #: Results after which the reader leaves.
    leaves_after: int | None
    #: When it is cancelled.
    cancelled_at: float | None


programs = st.builds(
    Program,
    calls=st.lists(
        st.builds(
            Call,
            delay=delays,
            fails=st.sampled_from([False] * 5 + [True]),
            goodbye=st.sampled_from([None, None, 0.0, 3.0]),
        ),
        max_size=20,
    ),
    limit=st.integers(1, 5),
    limited=st.booleans(),
    ordered=st.booleans(),
    buffer=st.sampled_from([None, 0, 1, 7]),
    on_error=st.sampled_from(["raise", "return", "skip"]),
    source=st.none() | st.lists(delays, min_size=20, max_size=20),
    reader=st.none() | st.lists(delays, min_size=20, max_size=20),
    leaves_after=st.sampled_from([None, None, 0, 1, 5]),
    cancelled_at=st.sampled_from([None, None, 0.0, 0.5, 1.0, 2.0, 4.5]),
)


@dataclass
class Trace:
    """What has happened."""

    program: Program
    limiter: Limiter | None
    taken: int = 0
    started: list[int] = field(default_factory=list)
    running: set[int] = field(default_factory=set)
    ended: list[int] = field(default_factory=list)
    errors: list[Oops] = field(default_factory=list)
    read: list[Any] = field(default_factory=list)
    is_source_open: bool = False

    async def call(self, item: int) -> int:
        program = self.program
        assert item not in self.started
        self.started.append(item)
        self.running.add(item)
        assert len(self.running) <= program.limit
        if program.reader is not None:
            assert self.taken - self.answered <= program.limit + self.buffer
        todo = program.calls[item]
        try:
            await pause(todo.delay)
        except asyncio.CancelledError:
            await pause(todo.goodbye)
            raise
        finally:
            self.running.discard(item)
        self.ended.append(item)
        if todo.fails:
            self.errors.append(Oops(item))
            raise self.errors[-1]
        return item

    @property
    def buffer(self) -> int:
        return self.program.limit if self.program.buffer is None else self.program.buffer

    @property
    def answered(self) -> int:
        """Items whose place is free again: of those that are left out, all that there may be."""
        skipped = len(self.errors) if self.program.on_error == "skip" else 0
        return len(self.read) + skipped

    def items(self) -> Iterator[int]:
        for item in range(len(self.program.calls)):
            self.taken += 1
            yield item

    async def async_items(self, delays: list[float | None]) -> AsyncIterator[int]:
        self.is_source_open = True
        try:
            for item in self.items():
                await pause(delays[item])
                yield item
        finally:
            self.is_source_open = False

    def map(self) -> Any:
        program = self.program
        source = program.source
        return map_concurrent(
            self.call,
            self.items() if source is None else self.async_items(source),
            limit=program.limit if self.limiter is None else self.limiter,
            ordered=program.ordered,
            buffer=program.buffer,
            on_error=program.on_error,  # type: ignore[call-overload]
        )

    async def reading(self) -> bool:
        """Read, and return whether that came to an end of its own."""
        program = self.program
        if program.reader is None:
            self.read = await self.map()
            return True
        async with self.map() as mapped:
            if program.leaves_after == 0:
                return False
            async for result in mapped:
                self.read.append(result)
                if len(self.read) == program.leaves_after:
                    return False
                await pause(program.reader[len(self.read) - 1])
        return True

    def expected(self) -> list[Any]:
        """What there is to read when all calls have ended."""
        order = sorted(self.ended) if self.program.ordered else self.ended
        errors = {error.args[0]: error for error in self.errors}
        if self.program.on_error == "skip":
            return [item for item in order if item not in errors]
        return [errors.get(item, item) for item in order]


async def play(program: Program) -> None:
    trace = Trace(program, Limiter(program.limit) if program.limited else None)
    task = asyncio.ensure_future(trace.reading())
    if program.cancelled_at is not None:
        asyncio.get_running_loop().call_later(program.cancelled_at, task.cancel)
    start = now()
    with suppress(Oops, asyncio.CancelledError):
        await task
    # Nothing is left, at the very moment at which it returns.
    assert tasks_left() == 0
    assert not trace.running
    assert not trace.is_source_open
    if trace.limiter is not None:
        assert (trace.limiter.in_use, trace.limiter.waiting) == (0, 0)
    # Each item was taken in its turn, and called at most once.
    assert trace.started == list(range(len(trace.started)))
    assert trace.taken - len(trace.started) <= program.limit + 1
    if task.cancelled():
        assert program.cancelled_at is not None
        assert now() - start <= program.cancelled_at + 3.0
    elif task.exception() is not None:
        assert program.on_error == "raise"
        assert task.exception() is trace.errors[0]
    else:
        expected = trace.expected()
        assert trace.read == expected[: len(trace.read)]
        if task.result():
            # Nothing was lost.
            assert sorted(trace.ended) == list(range(len(program.calls)))
            assert trace.read == expected
    if program.on_error == "raise" and trace.errors:
        read_errors = [result for result in trace.read if isinstance(result, Oops)]
        assert read_errors == []


@given(programs)
def test_what_holds_for_every_program(program: Program) -> None:
    run(play(program), collect=False)


@given(st.integers(1, 8), st.lists(st.integers(0, 9), max_size=40), st.booleans())
def test_no_order_of_durations_is_slower_than_a_list_schedule(
    limit: int, durations: list[int], ordered: bool
) -> None:
    """Whoever is free takes the next item: as when the workers are given by hand."""

    async def main() -> None:
        start = now()
        await map_concurrent(asyncio.sleep, durations, limit=limit, ordered=ordered)
        free_at = [0] * limit
        for duration in durations:
            first = min(range(limit), key=free_at.__getitem__)
            free_at[first] += duration
        assert now() - start == max(free_at)

    run(main(), collect=False)
