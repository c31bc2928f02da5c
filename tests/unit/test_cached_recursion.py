"""A load that would wait for itself is an error and not a hang."""

from __future__ import annotations

import threading

import pytest
from tests.threads import LIMIT, spawn

from penstock import PenstockError, RecursiveLoad, cached
from penstock.caching import Cache


def test_error_is_a_runtime_error_of_penstock() -> None:
    assert issubclass(RecursiveLoad, RuntimeError)
    assert issubclass(RecursiveLoad, PenstockError)


def test_function_that_asks_for_its_own_result() -> None:
    @cached
    def load(key: str) -> str:
        return load(key)

    for _ in range(2):
        with pytest.raises(RecursiveLoad, match="key 'a' is already being loaded by this thre"):
            load("a")
    assert len(load.cache) == 0


def test_functions_that_ask_for_each_other() -> None:
    @cached
    def one(key: str) -> str:
        return other(key)

    @cached
    def other(key: str) -> str:
        return one(key)

    for function in (one, other, one):
        with pytest.raises(RecursiveLoad):
            function("a")


def test_error_can_be_handled_inside() -> None:
    @cached
    def load(key: str) -> str:
        try:
            return load(key)
        except RecursiveLoad:
            return "the base of it"

    assert load("a") == "the base of it"


def test_recursion_to_other_keys_is_fine() -> None:
    @cached
    def depth(number: int) -> int:
        return 0 if number == 0 else 1 + depth(number - 1)

    assert depth(50) == 50


def test_same_arguments_on_another_instance_are_another_key() -> None:
    class Node:
        def __init__(self, next_node: Node | None) -> None:
            self.next = next_node

        @cached
        def depth(self) -> int:
            return 0 if self.next is None else 1 + self.next.depth()

    assert Node(Node(Node(None))).depth() == 2


def test_threads_that_wait_for_each_other() -> None:
    barrier = threading.Barrier(2)
    cache: Cache[str, str] = Cache(8)

    def load(key: str) -> str:
        barrier.wait(LIMIT)
        return cache.get_or_load("b" if key == "a" else "a", load)

    threads = [spawn(cache.get_or_load, key, load) for key in "ab"]
    for thread in threads:
        thread.wait()
    # Whoever closes the cycle gets the error, and the other one shares it.
    assert [type(thread.error) for thread in threads] == [RecursiveLoad, RecursiveLoad]
    assert any("would wait for itself" in str(thread.error) for thread in threads)
    assert cache.get_or_load("a", str.upper) == "A"


def test_threads_of_cached_functions_that_wait_for_each_other() -> None:
    barrier = threading.Barrier(3)

    def ring(number: int) -> str:
        barrier.wait(LIMIT)
        return functions[(number + 1) % 3]((number + 1) % 3)

    functions = [cached(ring) for _ in range(3)]
    threads = [spawn(functions[number], number) for number in range(3)]
    for thread in threads:
        thread.wait()
    assert [type(thread.error) for thread in threads] == [RecursiveLoad] * 3


def test_thread_that_waits_for_another_one_is_no_cycle() -> None:
    inside, go = threading.Event(), threading.Event()

    @cached
    def slow(key: str) -> str:
        inside.set()
        assert go.wait(LIMIT)
        return key

    @cached
    def through(key: str) -> str:
        return slow(key)

    leader = spawn(slow, "a")
    assert inside.wait(LIMIT)
    waiters = [spawn(through, "a") for _ in range(3)]
    go.set()
    assert [thread.result() for thread in (leader, *waiters)] == ["a"] * 4
