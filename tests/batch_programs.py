"""Random programs for a batcher, and the books that have to balance after each of them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.loading import settle
from tests.threads import spawn

from penstock.batching import Batcher, CloseReport, ItemError
from penstock.bench._virtual_loop import VirtualLoop
from penstock.errors import (
    ClosedError,
    DeadlineExceeded,
    ItemDropped,
    ItemTimeout,
    LimitExceeded,
)
from penstock.flow._deadline import deadline

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["play"]

#: Each number that is a multiple of this cannot be weighed.
UNWEIGHABLE = 17


class Program:
    """One batcher, and what is done to it; a seed makes the same one each time."""

    def __init__(self, seed: int) -> None:
        self.dice = dice = random.Random(seed)
        self.loop = asyncio.get_running_loop()
        self.seen: list[int] = []
        self.running = 0
        self.number = 0
        self.futures: dict[int, Any] = {}
        self.put: set[int] = set()
        self.rejected = 0
        self.thread_drops = 0
        self.tasks: list[asyncio.Task[Any]] = []
        self.closing: list[asyncio.Task[CloseReport]] = []
        self.max_items = dice.choice([1, 2, 3, 5])
        self.max_weight = dice.choice([None, None, 4, 7])
        self.concurrency = dice.choice([1, 1, 2, None])
        self.batcher: Batcher[int, int] = Batcher(
            self.handle,
            max_items=self.max_items,
            linger=dice.choice([0, 0, 0.5, 2]),
            max_weight=self.max_weight,
            weigher=dice.choice([None, self.weigh]),
            max_pending=dice.choice([None, 1, 2, 5]),
            max_concurrency=self.concurrency,
            on_full=dice.choice(["wait", "wait", "raise", "drop_oldest", "drop_newest"]),
            item_timeout=dice.choice([None, None, 1, 3]),
            target_latency=dice.choice([None, None, 1]),
            cancel_abandoned=dice.random() < 0.7,
            timer=dice.choice([None, self.loop.time]),
        )

    def weigh(self, item: int) -> int:
        if item % UNWEIGHABLE == 0:
            raise ArithmeticError(item)
        return item % 5

    async def handle(self, items: list[int]) -> Any:
        """Take a while, and end in one of many ways."""
        assert 0 < len(items) <= self.max_items
        if self.max_weight is not None and self.batcher._weigh(1) == 1 and len(items) > 1:
            assert sum(map(self.batcher._weigh, items)) <= self.max_weight
        assert self.seen[-1:] < items[:1]
        self.seen += items
        self.running += 1
        assert self.concurrency is None or self.running <= self.concurrency
        dice = self.dice
        end = dice.random()
        try:
            await self.linger(dice.choice([-1, 0, 1, 2, 5]), dice.random() < 0.1)
        finally:
            self.running -= 1
        if end < 0.1:
            raise ValueError(items)
        if end < 0.14:
            raise asyncio.CancelledError
        if end < 0.2:
            return dice.choice([None, {}, [], items * 2, "text", iter(items), 3])
        results: list[Any] = [2 * item for item in items]
        if end < 0.4:
            spoilt = dice.randrange(len(items))
            results[spoilt] = ItemError(KeyError(items[spoilt]))
        return results if end < 0.9 else tuple(results)

    async def linger(self, steps: int, is_stubborn: bool) -> None:
        """Wait for some seconds, or -1 for not at all; a stubborn one is not to be cancelled."""
        for _ in range(2):
            try:
                if steps == 0:
                    await asyncio.sleep(0)
                elif steps > 0:
                    await asyncio.sleep(steps * 0.3)
            except asyncio.CancelledError:
                if is_stubborn:
                    is_stubborn = False
                    continue
                raise
            return

    def call(self, submit: Callable[[int], Any]) -> None:
        """Submit the next number; it is accepted, or refused for a reason."""
        self.number += 1
        number = self.number
        try:
            future = submit(number)
        except ClosedError:
            assert self.batcher.closed
        except LimitExceeded:
            self.rejected += 1
        except ArithmeticError:
            assert number % UNWEIGHABLE == 0
        else:
            assert not self.batcher.closed
            if future is None:
                self.put.add(number)
            else:
                self.futures[number] = future

    def step(self) -> None:
        """Do one thing."""
        dice, batcher = self.dice, self.batcher
        kind = dice.random()
        if kind < 0.4:
            self.call(batcher.submit)
        elif kind < 0.45:
            self.call(batcher.submit_nowait)
        elif kind < 0.55:
            self.call(batcher.put_nowait)
        elif kind < 0.62:
            self.call(batcher.submit_threadsafe)
        elif kind < 0.63:
            dropped = batcher.stats().dropped
            self.call(lambda number: spawn(batcher.submit_threadsafe, number).result())
            self.thread_drops += batcher.stats().dropped - dropped
        elif kind < 0.67:
            with deadline(dice.choice([0.2, 1, 4])):
                self.call(batcher.submit)
        else:
            self.step_back(kind)

    def step_back(self, kind: float) -> None:
        """Cancel something, flush or close."""
        dice, batcher = self.dice, self.batcher
        if kind < 0.93 and self.futures:
            dice.choice(list(self.futures.values())).cancel()
        elif kind < 0.96:
            self.tasks.append(self.loop.create_task(batcher.flush()))
        elif kind < 0.97 and self.tasks:
            dice.choice(self.tasks).cancel()
        elif kind < 0.98:
            self.close(drain=dice.random() < 0.6, timeout=dice.choice([0, 1, 30, None]))

    def close(self, *, drain: bool, timeout: float | None) -> None:
        self.closing.append(
            self.loop.create_task(self.batcher.aclose(drain=drain, timeout=timeout))
        )

    async def run(self) -> None:
        """Do many things, and look at the books."""
        dice = self.dice
        reports: list[Any] = []
        self.loop.set_exception_handler(lambda _, context: reports.append(context))
        await self.batcher.flush()
        for _ in range(dice.randrange(5, 40)):
            self.step()
            if dice.random() < 0.4:
                await settle(dice.randrange(4))
            elif dice.random() < 0.2:
                await asyncio.sleep(dice.choice([0.1, 0.5, 1.0, 3.0]))
        self.close(drain=dice.random() < 0.7, timeout=dice.choice([0, 2, None]))
        await asyncio.wait(self.closing)
        assert len({task.result() for task in self.closing}) == 1
        if self.tasks:
            done, _ = await asyncio.wait(self.tasks, timeout=0)
            assert len(done) == len(set(self.tasks))
        seen = self.seen.copy()
        await asyncio.sleep(100)
        assert seen == self.seen, "a batch was dispatched after the close"
        self.check_books()
        assert len(asyncio.all_tasks()) == 1
        self.futures.clear()
        self.call(self.batcher.submit)
        assert not self.futures
        assert all("for which nobody waits" in report["message"] for report in reports), reports

    def check_books(self) -> None:
        """Every item that was accepted came to exactly one end, and was handled once at most."""
        assert all(future.done() for future in self.futures.values())
        accepted = self.futures.keys() | self.put
        assert len(set(self.seen)) == len(self.seen)
        assert set(self.seen) <= accepted
        ends: Counter[str] = Counter()
        for number, future in self.futures.items():
            ends[self.end_of(number, future)] += 1
        stats = self.batcher.stats()
        assert (stats.pending, stats.waiting, stats.in_flight, self.running) == (0, 0, 0, 0)
        assert stats.submitted == len(accepted)
        assert stats.rejected == self.rejected
        assert stats.timeouts == ends["late"]
        # One that a thread has dropped may be cancelled before it is told.
        told_late = ends["cancelled"] - stats.cancelled - stats.discarded
        assert 0 <= told_late <= self.thread_drops
        # What was put has ended in one of these ways.
        rest = [
            stats.completed - ends["completed"],
            stats.failed - ends["failed"],
            stats.dropped - ends["dropped"] - told_late,
        ]
        assert min(rest) >= 0
        assert sum(rest) == len(self.put)
        # A batch may be cancelled before its handler begins.
        assert stats.items >= len(self.seen)

    def end_of(self, number: int, future: Any) -> str:
        """What has become of an item that somebody waited for."""
        if future.cancelled():
            return "cancelled"
        error = future.exception()
        if error is None:
            assert future.result() == 2 * number
            assert number in self.seen
            return "completed"
        if isinstance(error, ItemTimeout | DeadlineExceeded):
            return "late"
        if isinstance(error, ItemDropped):
            assert number not in self.seen
            return "dropped"
        return "failed"


async def _play(seed: int) -> None:
    await Program(seed).run()


def play(first: int, count: int) -> None:
    """Run so many programs, beginning with that of a seed."""
    for seed in range(first, first + count):
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            try:
                runner.run(_play(seed))
            except BaseException as error:
                error.add_note(f"program {seed}")
                raise
