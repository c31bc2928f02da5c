"""The harness of the stress tests: it notices a child that misbehaves, and shows what it said."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest
from tests.stress import harness
from tests.stress.harness import in_child, resident_bytes, rounds, run_in_child


def passes() -> None:
    print("nothing to see here")


def raises() -> None:
    print("before")
    raise ValueError("wrong")


def hangs() -> None:
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def crashes() -> None:
    os.abort()


def warns_in_a_finalizer() -> None:
    class Value:
        def __del__(self) -> None:
            raise ValueError("unraisable")

    Value()


def leaves_a_process() -> None:
    if os.fork() == 0:
        signal.pause()


def takes(number: int) -> None:
    assert number == 3


def outcome(name: str, limit: float = 10, **arguments: object) -> str:
    return run_in_child(__name__, name, arguments, limit)


def test_a_child_that_passes_is_no_problem() -> None:
    assert outcome("passes") == ""


def test_arguments_reach_the_child() -> None:
    assert outcome("takes", number=3) == ""
    assert "AssertionError" in outcome("takes", number=4)


def test_a_child_that_raises_has_failed() -> None:
    problem = outcome("raises")
    assert problem.startswith("the child failed")
    assert "before" in problem
    assert "ValueError: wrong" in problem


def test_a_child_that_hangs_shows_where() -> None:
    problem = outcome("hangs", limit=0.5)
    assert problem.startswith("the child hangs")
    assert "in hangs" in problem


def test_what_a_child_leaves_behind_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "_GRACE", 0.0)
    assert outcome("leaves_a_process", limit=1).startswith("the child hangs, and had to be killed")


def test_a_child_that_crashes_shows_the_signal() -> None:
    assert outcome("crashes").startswith("the child was killed by signal 6")


def test_a_child_must_not_write_to_stderr() -> None:
    problem = outcome("warns_in_a_finalizer")
    assert problem.startswith("the child passed, but had something to say")
    assert "unraisable" in problem


def test_memory_is_measured() -> None:
    before = resident_bytes()
    ballast = b"x" * 50_000_000
    assert resident_bytes() - before > 40_000_000
    del ballast


def test_rounds_grow_with_the_environment() -> None:
    code = "from tests.stress.harness import rounds; print(rounds(7))"
    env = {**os.environ, "PENSTOCK_STRESS": "3"}
    asked = [sys.executable, "-c", code]
    child = subprocess.run(asked, env=env, capture_output=True, text=True, check=True)
    assert child.stdout == "21\n"


@in_child
def test_a_decorated_test_runs_in_a_child() -> None:
    assert "PENSTOCK_STRESS_CHILD" in os.environ
    assert rounds(1) >= 1
