"""What a thread sleeps on."""

from __future__ import annotations

import signal
import threading
import time
from typing import TYPE_CHECKING

import pytest
from tests.threads import spawn

if TYPE_CHECKING:
    from types import ModuleType


def test_one_who_was_woken_before_does_not_sleep(backend: ModuleType) -> None:
    parker = backend.Parker()
    parker.wake()
    parker.sleep()
    parker.wake()
    assert parker.wait(-1.0)


def test_waking_twice_is_waking_once(backend: ModuleType) -> None:
    parker = backend.Parker()
    parker.wake()
    parker.wake()
    assert parker.wait(0.0)
    assert not parker.wait(0.0)


@pytest.mark.parametrize("seconds", [0.0, 1e-6, 0.002])
def test_a_wait_ends_with_its_time(backend: ModuleType, seconds: float) -> None:
    parker = backend.Parker()
    start = time.monotonic()
    assert not parker.wait(seconds)
    assert time.monotonic() - start >= seconds
    # One whose time was over can be waited on again.
    parker.wake()
    assert parker.wait(seconds)


@pytest.mark.parametrize("seconds", [-1.0, 1e9, float("inf")])
def test_another_thread_wakes_who_waits(backend: ModuleType, seconds: float) -> None:
    parker = backend.Parker()
    waiting = spawn(lambda: parker.wait(seconds))
    parker.wake()
    assert waiting.result() is True


def test_no_wake_up_is_lost_between_two_threads(backend: ModuleType, interleaving: None) -> None:
    one, other = backend.Parker(), backend.Parker()
    turns = 2000

    def answer() -> None:
        for _ in range(turns):
            one.sleep()
            other.wake()

    answering = spawn(answer)
    for _ in range(turns):
        one.wake()
        assert other.wait(20.0)
    answering.wait().result()


def test_a_signal_interrupts_a_wait_of_the_main_thread(backend: ModuleType) -> None:
    class Alarm(Exception):
        pass

    def ring(number: int, frame: object) -> None:
        raise Alarm

    assert threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.01)
        with pytest.raises(Alarm):
            backend.Parker().wait(-1.0)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
