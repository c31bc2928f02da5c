"""The thread that reads resources: one for all limiters, and only while there are any."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
from tests.forks import in_child
from tests.interrupts import at_every_step
from tests.threads import LIMIT, spawn

import penstock
from penstock.flow import _stepping
from penstock.flow._limiter import Limiter
from penstock.flow._resource_policy import resources
from penstock.flow._resources import ResourceReading

HIGH = ResourceReading(cpu=1.0, memory=0.1)
LOW = ResourceReading(cpu=0.1, memory=0.1)

SOON = 0.01
NEVER = 86400.0


def threads() -> list[threading.Thread]:
    return [each for each in threading.enumerate() if each.name == "penstock-resources"]


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """No thread, whatever a test does."""
    yield
    gc.collect()
    for thread in threads():
        thread.join(LIMIT)
        assert not thread.is_alive()
    assert _stepping._running == {}


class Sampler:
    """Returns the same reading each time, and tells who asked."""

    def __init__(self, reading: ResourceReading = HIGH, *, enough: int = 2) -> None:
        self.reading = reading
        self.enough = enough
        self.readers: list[str] = []
        self.was_read = threading.Event()

    def read(self) -> ResourceReading:
        self.readers.append(threading.current_thread().name)
        if len(self.readers) >= self.enough:
            self.was_read.set()
        return self.reading

    def wait(self) -> None:
        assert self.was_read.wait(LIMIT), "nobody reads"


def follow(sampler: Any = None, interval: float = NEVER, **options: Any) -> Limiter:
    return Limiter(resources(sampler=sampler or Sampler(), interval=interval, **options))


def test_readings_are_taken_and_followed_by_a_thread() -> None:
    sampler = Sampler(enough=5)
    limiter = follow(sampler, SOON)
    sampler.wait()
    assert limiter.limit == 10
    assert set(sampler.readers) == {"penstock-resources"}
    sampler.reading = LOW
    sampler.was_read.clear()
    sampler.enough = len(sampler.readers) + 11
    sampler.wait()
    assert limiter.limit == 50


def test_one_thread_serves_all_limiters() -> None:
    assert threads() == []
    samplers = [Sampler() for _ in range(5)]
    limiters = [follow(sampler, SOON) for sampler in samplers]
    assert len(threads()) == 1
    for sampler in samplers:
        sampler.wait()
    assert {limiter.limit for limiter in limiters} <= {25, 12, 10}
    assert len(threads()) == 1
    assert threads()[0].daemon


def test_the_thread_ends_with_the_last_limiter() -> None:
    one, other = follow(), follow()
    (thread,) = threads()
    del one
    assert thread.is_alive()
    del other
    # It does not wait for the next reading, which is due tomorrow.
    thread.join(LIMIT)
    assert not thread.is_alive()


def test_a_limiter_after_the_last_one_gets_a_new_thread() -> None:
    limiter = follow()
    (first,) = threads()
    del limiter
    first.join(LIMIT)
    limiter = follow()
    (second,) = threads()
    assert second is not first
    assert limiter.limit == 50


def test_a_limiter_that_comes_while_the_thread_ends_is_served() -> None:
    for _ in range(30):
        follow()  # it dies at once
        sampler = Sampler(enough=1)
        limiter = follow(sampler, SOON)
        sampler.wait()
        del limiter


def test_a_limiter_that_came_too_late_for_the_thread_gets_the_next_one() -> None:
    sampler = Sampler(enough=1)
    limiter = follow(sampler, SOON)
    stepper = _stepping._running["stepper"]
    # The thread has seen nothing left to do, and the limiter came after that.
    _stepping._retire(stepper)
    stepper.stop()
    stepper.thread.join(LIMIT)
    sampler.was_read.clear()
    sampler.wait()
    assert limiter.limit < 50
    assert len(threads()) == 1


def test_a_limiter_need_not_wait_for_the_next_reading_of_another() -> None:
    slow = follow(interval=NEVER)
    sampler = Sampler()
    fast = follow(sampler, SOON)
    sampler.wait()
    assert fast.limit < slow.limit == 50


def test_a_limiter_in_a_cycle_is_let_go() -> None:
    sampler = Sampler()
    cycle: list[Any] = [follow(sampler, SOON)]
    cycle.append(cycle)
    gone = weakref.ref(cycle[0])
    sampler.wait()
    del cycle
    gc.collect()
    assert gone() is None


def test_a_policy_that_outlives_its_limiter_is_not_stepped() -> None:
    policy = resources(sampler=Sampler(), interval=NEVER)
    limiter = Limiter(policy)
    (thread,) = threads()
    del limiter
    thread.join(LIMIT)
    assert not thread.is_alive()
    assert policy.step(HIGH) == 25


def test_policies_of_the_same_interval_share_their_readings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[Sampler] = []
    was_made = threading.Semaphore(0)

    def make() -> Sampler:
        made.append(Sampler())
        was_made.release()
        return made[-1]

    monkeypatch.setattr(_stepping, "Resources", make)
    same = [Limiter(resources(interval=SOON)) for _ in range(3)]
    other = Limiter(resources(interval=2 * SOON))
    for _ in range(2):
        assert was_made.acquire(timeout=LIMIT)
    for sampler in made:
        sampler.wait()
    # A second reading is taken when all have followed the first.
    assert max(limiter.limit for limiter in (*same, other)) < 50
    assert len(made) == 2


def test_errors_are_reported_once_and_keep_the_limit(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Sampler):
        def read(self) -> ResourceReading:
            super().read()
            raise SystemExit("no")

    broken, sound = Broken(enough=5), Sampler(enough=5)
    limiter, other = follow(broken, SOON), follow(sound, SOON)
    broken.wait()
    sound.wait()
    assert (limiter.limit, other.limit) == (50, 10)
    (record,) = caplog.records
    assert (record.name, record.levelno) == ("penstock.flow", logging.ERROR)
    assert "resources(max_limit=50, min_limit=10) cannot follow" in record.getMessage()


def test_a_sampler_that_returns_nonsense_hurts_nobody(caplog: pytest.LogCaptureFixture) -> None:
    class Nonsense(Sampler):
        def read(self) -> Any:
            super().read()
            return "a lot"

    nonsense, sound = Nonsense(enough=3), Sampler(enough=5)
    limiter, other = follow(nonsense, SOON), follow(sound, SOON)
    nonsense.wait()
    sound.wait()
    assert (limiter.limit, other.limit) == (50, 10)
    assert len(caplog.records) == 1


def test_without_a_thread_to_be_had_the_limiter_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            follow()
    assert follow().limit == 50


def test_threads_may_make_limiters_at_once() -> None:
    def make() -> list[bool]:
        served = []
        for _ in range(20):
            sampler = Sampler(enough=1)
            limiter = follow(sampler, SOON)
            served.append(sampler.was_read.wait(LIMIT))
            del limiter
        return served

    makers = [spawn(make) for _ in range(4)]
    for maker in makers:
        assert all(maker.result())
    assert len(threads()) <= 1


def test_a_limiter_may_be_made_or_die_at_any_step_of_making_another() -> None:
    def prepare() -> tuple[Any, Any]:
        made: list[Limiter] = [follow()]

        def operation() -> None:
            made.append(follow())

        def interrupt() -> None:
            del made[0]
            made.append(follow())

        return operation, interrupt

    steps = list(at_every_step("penstock.flow._stepping", prepare))
    assert len(steps) > 5
    # Each time all were served that lived.
    sampler = Sampler(enough=1)
    limiter = follow(sampler, SOON)
    sampler.wait()
    assert limiter.limit < 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_goes_on_with_a_thread_of_its_own() -> None:
    sampler = Sampler()
    limiter = follow(sampler, SOON)
    sampler.wait()

    def check() -> None:
        assert len(threads()) == 1
        sampler.was_read.clear()
        sampler.reading = LOW
        sampler.enough = len(sampler.readers) + 20
        sampler.wait()
        assert limiter.limit == 50

    assert in_child(check)
    assert limiter.limit < 50


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_without_limiters_has_no_thread() -> None:
    def check() -> None:
        assert threads() == []
        assert _stepping._running == {}

    assert in_child(check)


@pytest.mark.parametrize("reader", ["penstock.flow._resources.Resources()", "Slow()"])
def test_the_program_ends_while_limits_are_followed(reader: str) -> None:
    program = f"""
import sys, threading
import penstock.flow._resources
from penstock.flow._limiter import Limiter
from penstock.flow._resource_policy import resources
inside = threading.Event()
class Slow:
    def read(self):
        inside.set()
        threading.Event().wait()
sampler = {reader}
sys.limiter = Limiter(resources(interval=0.01, sampler=sampler))
if isinstance(sampler, Slow):
    assert inside.wait({LIMIT})
"""
    environment = os.environ | {"PENSTOCK_PURE": str(int(penstock.BACKEND == "pure"))}
    child = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment, capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert (child.returncode, child.stderr) == (0, "")
