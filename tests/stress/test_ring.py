"""A ring that threads push into and take from; what it leaves behind, and how programs end."""

from __future__ import annotations

import asyncio
import random
import sys
import threading
import time
from concurrent.futures import Future as ThreadFuture
from typing import TYPE_CHECKING, Any

from tests.rings import Promise, bind, fill, make_ring
from tests.stress.harness import cases, in_child, rounds
from tests.stress.hostile import error_of
from tests.stress.leaks import CALLS, Node, check_no_growth
from tests.threads import LIMIT, spawn

from penstock import _backend

if TYPE_CHECKING:
    from collections.abc import Callable

EACH = rounds(1_500)
PUSHERS = 4


class Crowd:
    """Threads that push, some of whose futures are given up, and others that take."""

    def __init__(self, takers: int, capacity: int | None) -> None:
        self.wakes = threading.Event()
        self.ring = make_ring(_backend, capacity, weigher=lambda item: item[1] % 4)
        self.ring.acts["wake"] = lambda ring: self.wakes.set()
        self.ring.acts["refuse"] = lambda ring, *args: "refused"
        self.are_over = False
        #: By pusher: what got in, and what of it was given up before anybody could take it.
        self.accepted: list[set[tuple[int, int]]] = [set() for _ in range(PUSHERS)]
        self.given_up: list[set[tuple[int, int]]] = [set() for _ in range(PUSHERS)]
        self.takers = takers

    def push(self, number: int) -> None:
        dice = random.Random(number)
        ring, accepted = self.ring, self.accepted[number]
        for at in range(EACH):
            item = number, at
            luck = dice.random()
            if luck < 0.5:
                while ring.put_nowait(item) == "refused":
                    time.sleep(1e-4)
            elif luck < 0.7:
                if not ring._push(item, Promise(), ring._weigh(item), luck < 0.6):
                    continue
            else:
                future: ThreadFuture[None] = ThreadFuture()
                if luck < 0.85:
                    future.cancel()
                    self.given_up[number].add(item)
                ring._push(item, future, at % 4, True)
            accepted.add(item)

    def take(self, seed: int) -> list[tuple[int, int]]:
        dice = random.Random(seed)
        ring = self.ring
        seen: list[tuple[int, int]] = []
        while True:
            luck = dice.random()
            if luck < 0.9:
                batch = ring._take(dice.choice((1, 7, 64)), dice.choice((None, 3, 50)))
                if batch is not None:
                    seen += batch[0]
                elif self.are_over:
                    return seen
                elif self.takers == 1 and not ring._listen(1, None):
                    assert self.wakes.wait(LIMIT), "nobody woke the taker"
                    self.wakes.clear()
            elif luck < 0.95:
                dropped = ring._drop_oldest()
                if dropped is not None:
                    seen.append(dropped[0])
            else:
                ring._sweep()

    def run(self) -> None:
        takers = [spawn(self.take, seed) for seed in range(self.takers)]
        for pusher in [spawn(self.push, number) for number in range(PUSHERS)]:
            pusher.result()
        self.are_over = True
        self.wakes.set()
        self.check([taker.result() for taker in takers])

    def check(self, results: list[list[tuple[int, int]]]) -> None:
        ring = self.ring
        seen = [item for result in results for item in result]
        accepted, given_up = set().union(*self.accepted), set().union(*self.given_up)
        assert len(seen) == len(set(seen)), "something was taken twice"
        assert set(seen) == accepted - given_up
        assert ring._counts() == (len(accepted), len(seen), len(given_up))
        assert (ring.pending, ring.pending_weight) == (0, 0)
        assert ring._head == ring._tail == len(accepted)
        # What each got is in the order in which each had pushed it.
        for result in results:
            for number in range(PUSHERS):
                own = [at for who, at in result if who == number]
                assert own == sorted(own)


@in_child
@cases("capacity", [None, 50])
def test_each_item_is_taken_once_by_one_thread(capacity: int | None) -> None:
    sys.setswitchinterval(1e-5)
    Crowd(1, capacity).run()


@in_child
def test_each_item_is_taken_once_by_several_threads() -> None:
    sys.setswitchinterval(1e-5)
    Crowd(3, 200).run()


def push_and_take(ring: Any) -> None:
    ring.put_nowait(["a"])
    fill(ring, ["b"], ["c"])[1].is_done = True
    ring._take(2, 5)
    ring._take(2, None)


def push_and_sweep(ring: Any) -> None:
    for promise in fill(ring, *[[number] for number in range(3)]):
        promise.is_done = True
    ring._sweep()


def push_and_drop(ring: Any) -> None:
    fill(ring, ["a"])
    ring._drop_oldest()


def sweep_behind_one_that_stays(ring: Any) -> None:
    if not ring.pending:
        ring.put_nowait("stays")
    push_and_sweep(ring)


def be_refused(ring: Any) -> None:
    while ring._push(["a"], None, 1, False):
        pass
    ring.put_nowait(["b"])
    error_of(lambda: ring._weigh(b""))
    error_of(lambda: ring.put_nowait(b""))


def fail_to_ask(ring: Any) -> None:
    ring._push(["a"], Promise(True), 1, False)
    ring._push(["b"], object(), 1, False)
    for call in (lambda: ring._take(3, None), ring._sweep):
        error_of(call)
    ring._init(50, weigher=weigh)


def bind_and_submit(ring: Any) -> None:
    bind(ring)
    ring.submit(["a"])
    ring.submit_nowait(["b"])
    ring._take(1, None)
    ring._bind(None, None, None, None)
    ring.submit(["c"])
    ring._drop_oldest()


def listen(ring: Any) -> None:
    ring._listen(2, 3)
    fill(ring, ["a"], ["b"])
    ring._take(9, None)


def weigh(item: object) -> int:
    if item == b"":
        raise LookupError(item)
    return 1


USES: dict[str, Callable[[Any], None]] = {
    "take": push_and_take,
    "sweep": push_and_sweep,
    "sweep behind": sweep_behind_one_that_stays,
    "drop": push_and_drop,
    "refuse": be_refused,
    "fail": fail_to_ask,
    "bind": bind_and_submit,
    "listen": listen,
}


@in_child
@cases("what", USES)
def test_whatever_is_done_leaves_nothing(what: str) -> None:
    ring = make_ring(_backend, 50, weigher=weigh)

    def run(calls: int) -> None:
        for _ in range(calls):
            USES[what](ring)
            ring.told.clear()

    check_no_growth(run, CALLS // 3)


@in_child
def test_futures_of_a_loop_leave_nothing() -> None:
    async def main(calls: int) -> None:
        loop = asyncio.get_running_loop()
        ring = make_ring(_backend)
        ring._bind(loop, loop.create_future, asyncio._get_running_loop, lambda: None)
        for number in range(calls):
            future = ring.submit([number])
            if number % 3 == 0:
                future.cancel()
            batch = ring._take(5, None)
            if batch is not None:
                batch[1][0].set_result(number)
                assert await future == number
        ring.told.clear()

    check_no_growth(lambda calls: asyncio.run(main(calls)), CALLS // 2)


@in_child
def test_a_burst_gives_its_memory_back() -> None:
    ring = make_ring(_backend)

    def run(calls: int) -> None:
        for _ in range(5):
            for number in range(calls):
                ring.put_nowait([number])
            while ring._take(100, None) is not None:
                pass

    check_no_growth(run, CALLS)


inside = threading.Event()


def slow(*arguments: object) -> Any:
    """Code of a user that goes on when the program is over, and wants the interpreter back then."""
    inside.set()
    for _ in range(100):
        time.sleep(0.002)
    return 1.0


def wake_slowly() -> None:
    ring = make_ring(_backend)
    ring.acts["wake"] = slow
    ring.put_nowait("a")


def refuse_slowly() -> None:
    ring = make_ring(_backend, 0)
    ring.acts["refuse"] = slow
    ring.put_nowait("a")


def ask_slowly() -> None:
    ring = make_ring(_backend)
    fill(ring, "a")[0].act = slow
    ring._take(1, None)


SLOW: dict[str, Callable[[], object]] = {
    "wake": wake_slowly,
    "refuse": refuse_slowly,
    "done": ask_slowly,
    "weigher": lambda: make_ring(_backend, weigher=slow).put_nowait("a"),
    "timer": lambda: make_ring(_backend, timer=slow).put_nowait("a"),
}


@in_child
@cases("what", SLOW)
def test_program_ends_while_a_daemon_thread_is_in_there(what: str) -> None:
    threading.Thread(target=SLOW[what], daemon=True).start()
    assert inside.wait(LIMIT)
    time.sleep(0.01)


@in_child
def test_program_ends_while_threads_push_and_take() -> None:
    sys.setswitchinterval(1e-5)
    ring = make_ring(_backend, 1000)
    bind(ring)
    begun = [threading.Event() for _ in range(4)]

    def work(begun: threading.Event, number: int) -> None:
        while True:
            if number % 2:
                ring.put_nowait([number])
                ring.submit([number])
            else:
                ring._take(5, None)
                ring._listen(1, None)
                ring._sweep()
            ring.told.clear()
            begun.set()

    for number, event in enumerate(begun):
        threading.Thread(target=work, args=(event, number), daemon=True).start()
    assert all(event.wait(LIMIT) for event in begun)


class Last:
    """Something that uses a ring when it dies, which is when modules are already gone."""

    def __init__(self, ring: Any) -> None:
        self.ring = ring

    def __del__(self) -> None:
        ring = self.ring
        ring.put_nowait("a")
        ring._take(1, None)
        ring._sweep()
        ring._close()


@in_child
@cases("how", ["kept", "in a cycle", "in the ring"])
def test_program_ends_with_what_uses_a_ring_when_it_dies(how: str) -> None:
    ring = make_ring(_backend)
    fill(ring, *"abc")
    if how == "kept":
        sys.modules["keeps"] = Last(ring)  # type: ignore[assignment]  # let go of last
    elif how == "in a cycle":
        node: Any = Node(last=Last(ring))
        node.node = node
    else:
        ring.put_nowait(Last(ring))
        sys.modules["keeps"] = ring
