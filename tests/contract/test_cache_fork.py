"""A forked child can use the caches of its parent."""

from __future__ import annotations

import os
from threading import Event
from types import ModuleType

import pytest
from tests.forks import in_child
from tests.threads import LIMIT, spawn

pytestmark = [
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
]


def test_a_child_has_the_entries_of_its_parent(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    cache["a"] = 1

    def work() -> None:
        assert cache["a"] == 1
        cache["b"] = 2
        assert list(cache) == ["a", "b"]

    assert in_child(work)
    assert list(cache) == ["a"]


def test_a_load_of_another_thread_is_forgotten_in_the_child(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    entered, release = Event(), Event()

    def load(key: str) -> str:
        entered.set()
        assert release.wait(LIMIT)
        return "parent"

    leader = spawn(cache.get_or_load, "a", load)
    assert entered.wait(LIMIT)

    def work() -> None:
        assert cache.get_or_load("a", lambda key: "child") == "child"
        assert cache["a"] == "child"

    assert in_child(work)
    assert "a" not in cache
    release.set()
    assert leader.result() == "parent"


def test_waiting_threads_of_the_parent_form_no_cycle_in_the_child(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    entered, release = Event(), Event()

    def load(key: str) -> str:
        entered.set()
        assert release.wait(LIMIT)
        return key

    leader = spawn(cache.get_or_load, "a", load)
    assert entered.wait(LIMIT)
    waiting = spawn(cache.get_or_load, "a", load)

    def work() -> None:
        inside, go = Event(), Event()

        def slow(key: str) -> str:
            inside.set()
            assert go.wait(LIMIT)
            return "child"

        first = spawn(cache.get_or_load, "a", slow)
        assert inside.wait(LIMIT)
        second = spawn(cache.get_or_load, "a", slow)
        go.set()
        assert first.result() == second.result() == "child"

    assert in_child(work)
    release.set()
    assert leader.result() == waiting.result() == "a"


def test_a_fork_inside_a_load_lets_both_processes_finish_it(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    ends: list[bool] = []

    def load(key: str) -> str:
        def work() -> None:
            assert cache.get_or_load("a", lambda key: "child") == "child"
            assert cache.get_or_load("b", str) == "b"
            assert list(cache) == ["a", "b"]

        ends.append(in_child(work))
        return "parent"

    assert cache.get_or_load("a", load) == "parent"
    assert ends == [True]
    assert list(cache.items()) == [("a", "parent")]


def test_a_child_of_busy_threads_is_not_locked_out(backend: ModuleType) -> None:
    cache = backend.Cache(9)
    stop = Event()

    def busy() -> None:
        number = 0
        while not stop.is_set():
            number += 1
            cache[number % 20] = number
            cache.get(number % 7)

    threads = [spawn(busy) for _ in range(3)]

    def work() -> None:
        for number in range(100):
            cache[number] = number
        assert len(cache) == 9
        assert list(cache.values()) == list(range(91, 100))

    try:
        assert all(in_child(work) for _ in range(5))
    finally:
        stop.set()
        for thread in threads:
            thread.result()
