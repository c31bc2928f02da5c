"""Ring: what is taken, dropped and swept out, and who is asked before."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
from tests.clock import Clock
from tests.rings import Promise, fill, make_ring


def weights(ring: Any, *all_weights: int) -> Any:
    """The ring, with an item of each weight, named by it."""
    for weight in all_weights:
        assert ring._push(weight, None, weight, False)
    return ring


def taken(ring: Any, items: int, weight: int | None = None) -> list[object] | None:
    """The items of the next batch."""
    batch = ring._take(items, weight)
    return None if batch is None else batch[0]


def test_a_batch_tells_items_futures_weight_and_ages(backend: ModuleType, clock: Clock) -> None:
    ring = make_ring(backend, timer=clock)
    future = Promise()
    ring._push("a", None, 2, False)
    clock.advance(1)
    ring._push("b", future, 3, False)
    clock.advance(2)
    batch = ring._take(5, None)
    assert batch == (["a", "b"], [None, future], 5, 3.0, 5.0)
    assert [type(part) for part in batch] == [list, list, int, float, float]
    assert batch[1][1] is future
    assert ring._take(5, None) is None


def test_the_oldest_are_taken_first_and_no_more_than_asked_for(backend: ModuleType) -> None:
    ring = weights(make_ring(backend), 1, 2, 3, 4, 5)
    assert taken(ring, 2) == [1, 2]
    assert ring.pending == 3
    assert taken(ring, 1) == [3]
    ring.put_nowait(6)
    assert taken(ring, 2) == [4, 5]
    assert taken(ring, 2**31) == [6]
    assert taken(ring, 2) is None
    assert ring._counts() == (6, 6, 0)


def test_a_batch_weighs_no_more_than_asked_for(backend: ModuleType) -> None:
    ring = weights(make_ring(backend), 3, 4, 3, 1, 0, 5, 0)
    assert taken(ring, 9, 7) == [3, 4]
    assert ring.pending_weight == 9
    assert taken(ring, 9, 3) == [3]
    # Nothing passes what does not fit, and what weighs nothing always does.
    assert taken(ring, 9, 5) == [1, 0]
    assert taken(ring, 9, 5) == [5, 0]
    assert ring.pending_weight == 0


def test_items_and_weight_bound_a_batch_together(backend: ModuleType) -> None:
    ring = weights(make_ring(backend), 1, 1, 1, 1, 1)
    assert taken(ring, 2, 3) == [1, 1]
    assert taken(ring, 3, 2) == [1, 1]
    assert taken(ring, 3, 2) == [1]


def test_the_first_is_taken_however_heavy_it_is(backend: ModuleType) -> None:
    ring = weights(make_ring(backend), 100, 1, 2**63 - 1, 2)
    assert ring._take(5, 10)[:3] == ([100], [None], 100)
    assert taken(ring, 5, 10) == [1]
    assert taken(ring, 5, 10) == [2**63 - 1]
    assert taken(ring, 5, 10) == [2]


def test_what_is_done_is_skipped_and_takes_no_room(backend: ModuleType) -> None:
    ring = make_ring(backend)
    promises = fill(ring, *"abcdef", weight=2)
    for at in (0, 2, 3):
        promises[at].is_done = True
    assert ring._take(2, 4)[0] == ["b", "e"]
    assert (ring.pending, ring.pending_weight) == (1, 2)
    assert (ring._head, ring._tail) == (5, 6)
    assert ring._counts() == (6, 2, 3)


def test_what_is_done_is_skipped_even_if_it_would_not_fit(backend: ModuleType) -> None:
    ring = make_ring(backend)
    promises = [Promise() for _ in range(4)]
    for weight, promise in zip([1, 9, 1, 9], promises, strict=True):
        ring._push(weight, promise, weight, False)
    promises[1].is_done = True
    assert taken(ring, 9, 2) == [1, 1]
    assert (ring.pending, ring.pending_weight) == (1, 9)


def test_what_is_done_does_not_count_as_the_first(backend: ModuleType) -> None:
    ring = make_ring(backend)
    ring._push("done", Promise(True), 1, False)
    ring._push("heavy", Promise(), 99, False)
    assert taken(ring, 9, 5) == ["heavy"]


def test_nobody_is_asked_who_is_not_needed(backend: ModuleType) -> None:
    ring = make_ring(backend)
    promises = fill(ring, *"abcd")
    ring._push("heavy", None, 1, False)
    assert taken(ring, 2) == ["a", "b"]
    assert [promise.asked for promise in promises] == [1, 1, 0, 0]


def test_when_all_are_done_there_is_nothing_to_take(backend: ModuleType) -> None:
    ring = make_ring(backend)
    for promise in fill(ring, *"abc"):
        promise.is_done = True
    assert ring._take(1, None) is None
    assert (ring.pending, ring.pending_weight, ring._head) == (0, 0, 3)
    assert ring._counts() == (3, 0, 3)


@pytest.mark.parametrize("answer", [True, 1, "yes", [0]])
def test_any_true_answer_means_done(backend: ModuleType, answer: object) -> None:
    ring = make_ring(backend)
    ring._push("a", Promise(answer), 1, False)
    assert ring._take(1, None) is None


@pytest.mark.parametrize("answer", [False, 0, "", None])
def test_any_false_answer_means_not_done(backend: ModuleType, answer: object) -> None:
    ring = make_ring(backend)
    ring._push("a", Promise(answer), 1, False)
    assert taken(ring, 1) == ["a"]


def test_futures_of_asyncio_and_of_threads_are_asked(backend: ModuleType) -> None:
    async def main() -> None:
        ring = make_ring(backend)
        loop = asyncio.get_running_loop()
        one, other, third = (loop.create_future() for _ in range(3))
        thread: concurrent.futures.Future[None] = concurrent.futures.Future()
        gone: concurrent.futures.Future[None] = concurrent.futures.Future()
        for future in (one, thread, other, gone, third):
            ring._push(future, future, 1, False)
        one.cancel()
        other.set_result(None)
        assert gone.cancel()
        assert taken(ring, 9) == [thread, third]
        assert ring._counts() == (5, 2, 3)

    asyncio.run(main())


class Answer:
    """Something that cannot be told true from false."""

    def __bool__(self) -> bool:
        raise LookupError("neither")


def fail() -> None:
    raise LookupError("neither")


def failing_promise() -> Promise:
    promise = Promise()
    promise.act = fail
    return promise


FAILING: dict[str, Callable[[], object]] = {
    "done raises": failing_promise,
    "its answer raises": lambda: Promise(Answer()),
}
REMOVALS: dict[str, Callable[[Any], object]] = {
    "_take": lambda ring: ring._take(5, None),
    "_take by weight": lambda ring: ring._take(5, 3),
    "_drop_oldest": lambda ring: ring._drop_oldest(),
    "_sweep": lambda ring: ring._sweep(),
}


@pytest.mark.parametrize("name", REMOVALS)
@pytest.mark.parametrize("failing", FAILING)
def test_everything_stays_if_a_future_cannot_be_asked(
    backend: ModuleType, failing: str, name: str, clock: Clock
) -> None:
    ring = make_ring(backend, timer=clock)
    ring._push("done", Promise(True), 1, False)
    if name.startswith("_take"):
        ring._push("a", None, 1, False)
        ring._push("done too", Promise(True), 1, False)
    clock.advance(1)
    ring._push("trouble", FAILING[failing](), 1, False)
    ring._push("b", None, 1, False)
    before = (ring.pending, ring.pending_weight, ring._head, ring._tail, ring._counts())
    for _ in range(2):
        with pytest.raises(LookupError, match="neither"):
            REMOVALS[name](ring)
        after = (ring.pending, ring.pending_weight, ring._head, ring._tail, ring._counts())
        assert after == before
        assert ring._age() == 1.0


def test_order_and_numbers_survive_an_error(backend: ModuleType) -> None:
    ring = make_ring(backend)
    promises = fill(ring, *"abcde")
    promises[1].is_done = True
    promises[3].act = fail
    with pytest.raises(LookupError):
        ring._take(5, None)
    promises[3].act = None
    promises[1].is_done = False
    assert taken(ring, 1) == ["a"]
    assert ring._head == 1
    assert taken(ring, 9) == ["b", "c", "d", "e"]


def test_a_future_without_done_is_an_error(backend: ModuleType) -> None:
    ring = make_ring(backend)
    ring._push("a", object(), 1, False)
    with pytest.raises(AttributeError, match="done"):
        ring._take(1, None)
    assert ring.pending == 1


def test_the_oldest_is_dropped(backend: ModuleType) -> None:
    ring = make_ring(backend)
    promises = fill(ring, *"abcd", weight=3)
    promises[0].is_done = promises[2].is_done = True
    assert ring._drop_oldest() == ("b", promises[1], 3)
    assert (ring.pending, ring.pending_weight, ring._head) == (2, 6, 2)
    assert ring._counts() == (4, 1, 1)
    assert ring._drop_oldest() == ("d", promises[3], 3)
    assert ring._drop_oldest() is None
    ring.put_nowait("e")
    assert ring._drop_oldest() == ("e", None, 1)
    assert ring._counts() == (5, 3, 2)


def test_dropping_asks_nobody_behind(backend: ModuleType) -> None:
    ring = make_ring(backend)
    promises = fill(ring, *"abc")
    promises[1].act = fail
    ring._drop_oldest()
    assert [promise.asked for promise in promises] == [1, 0, 0]


def test_when_all_are_done_there_is_nothing_to_drop(backend: ModuleType) -> None:
    ring = make_ring(backend)
    for promise in fill(ring, *"abc"):
        promise.is_done = True
    assert ring._drop_oldest() is None
    assert ring.pending == 0
    assert ring._counts() == (3, 0, 3)


def test_sweeping_removes_all_that_is_done_wherever_it_is(backend: ModuleType) -> None:
    ring = make_ring(backend, 6)
    promises = fill(ring, *"abcdef", weight=2)
    for at in (1, 2, 5):
        promises[at].is_done = True
    assert ring._sweep() == 3
    assert (ring.pending, ring.pending_weight, ring._head, ring._tail) == (3, 6, 0, 6)
    assert ring._sweep() == 0
    assert ring._counts() == (6, 0, 3)
    for item in "ghi":
        ring.put_nowait(item)
    assert ring._push("j", None, 1, False) is False
    assert taken(ring, 2) == ["a", "d"]
    assert ring._head == 4
    assert taken(ring, 9) == ["e", "g", "h", "i"]


def test_sweeping_everything_empties_the_ring(backend: ModuleType) -> None:
    ring = make_ring(backend)
    for promise in fill(ring, *range(1000)):
        promise.is_done = True
    assert ring._sweep() == 1000
    assert (ring.pending, ring.pending_weight, ring._head, ring._tail) == (0, 0, 1000, 1000)
    assert ring._age() is None
    assert ring._take(1, None) is None


def test_what_is_done_counts_until_it_is_looked_at(backend: ModuleType) -> None:
    ring = make_ring(backend, 2)
    promises = fill(ring, *"ab")
    promises[0].is_done = promises[1].is_done = True
    assert (ring.pending, ring.pending_weight, ring._head) == (2, 2, 0)
    assert ring._push("c", None, 1, False) is False


def test_many_batches_leave_nothing_behind(backend: ModuleType) -> None:
    ring = make_ring(backend, 1000)
    seen: list[object] = []
    for number in range(3000):
        ring.put_nowait(number)
        if number % 7 == 6:
            seen += ring._take(1 + number % 9, None)[0]
        if number % 100 == 99:
            seen += ring._take(1000, None)[0]
    assert seen == list(range(3000))
    assert (ring.pending, ring._head) == (0, 3000)


def test_a_ring_is_as_full_as_it_was_while_futures_are_asked(backend: ModuleType) -> None:
    ring = make_ring(backend, 3)
    promises = fill(ring, *"abc")
    pushed: list[bool] = []
    promises[2].act = lambda: pushed.append(ring._push("d", None, 1, False))
    assert taken(ring, 3) == ["a", "b", "c"]
    assert pushed == [False]
    assert ring.pending == 0


def test_what_is_too_heavy_by_far_is_not_looked_at(backend: ModuleType) -> None:
    ring = make_ring(backend)
    promises = fill(ring, *range(1_000), weight=5)
    assert ring._take(1_000_000, 10)[0] == [0, 1]
    assert sum(promise.asked for promise in promises) <= 4


def test_those_done_at_the_head_are_passed_by_however_many(backend: ModuleType) -> None:
    ring = make_ring(backend)
    for promise in fill(ring, *range(300), weight=5):
        promise.is_done = True
    fill(ring, "a", "b", "c", weight=5)
    assert ring._take(1_000, 10)[0] == ["a", "b"]
    assert ring._counts() == (303, 2, 300)
