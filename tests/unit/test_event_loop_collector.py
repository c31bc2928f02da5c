"""Beats and looks: what is decided about an event loop, at times that the tests set."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from tests.clock import Clock

from penstock.metrics._event_loop import EventLoopMonitor
from penstock.metrics._heartbeat import Heartbeat, check

#: Nothing happens by itself within any test.
INTERVAL, THRESHOLD = 1000.0, 2500.0


@pytest.mark.parametrize(
    ("now", "state", "wait"),
    [
        (0.0, "running", 1.25),  # the beat is due at 1.0
        (1.0, "running", 0.25),
        (1.125, "running", 0.125),
        (1.25, "blocked", 0.1),
        (99.0, "blocked", 0.1),
    ],
)
def test_a_loop_is_blocked_when_its_beat_is_too_late(now: float, state: str, wait: float) -> None:
    assert check(now, 1.0, running=True, interval=0.1, threshold=0.25) == (state, wait)


@pytest.mark.parametrize("now", [0.0, 1.0, 99.0])
def test_a_loop_that_does_not_run_is_not_blocked(now: float) -> None:
    seen = check(now, 1.0, running=False, interval=0.125, threshold=0.25)
    assert seen == ("stopped", 0.375)


class Watched:
    """A monitored loop whose clock stands still, and what a scrape says of it."""

    def __init__(self, **options: Any) -> None:
        self.clock = Clock(5000.0)
        self.registry = CollectorRegistry()
        self.monitor = EventLoopMonitor(
            registry=self.registry,
            interval=INTERVAL,
            threshold=THRESHOLD,
            timer=self.clock,
            **options,
        ).start()
        heart = self.monitor._heart
        assert heart is not None
        self.heart: Heartbeat = heart
        self.looks: list[float | None] = []

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"event_loop_{name}", {"loop": "main"} | labels)

    def beat(self, late: float = 0.0) -> None:
        """Let the beat come that is due next."""
        self.clock.now = self.heart._beat.due + late
        self.heart.beat()

    def look(self, late: float) -> float | None:
        """Look when the next beat is that late."""
        self.clock.now = self.heart._beat.due + late
        return self.heart.look()

    def scheduled(self) -> float:
        """In how many seconds the timer of the next beat fires."""
        handle = self.heart._handle()
        assert handle is not None
        return handle.when() - asyncio.get_running_loop().time()


def watched(test: Callable[[Watched], None]) -> Callable[[], None]:
    """Run a test on a monitored loop."""

    async def main() -> None:
        here = Watched()
        try:
            test(here)
        finally:
            await here.monitor.aclose()

    def run() -> None:
        asyncio.run(main())

    run.__name__, run.__doc__ = test.__name__, test.__doc__
    return run


@watched
def test_nothing_is_observed_before_the_first_beat(loop: Watched) -> None:
    assert loop.value("lag_seconds_count") == 0
    assert loop.value("blocked_seconds") == 0
    assert loop.value("blocks_total") == 0
    assert loop.scheduled() == pytest.approx(INTERVAL, abs=20)


@watched
def test_a_beat_says_how_late_it_is(loop: Watched) -> None:
    loop.beat()
    assert loop.value("lag_seconds_sum") == 0
    loop.beat(late=3.5)
    assert loop.value("lag_seconds_count") == 2
    assert loop.value("lag_seconds_sum") == 3.5
    assert loop.value("lag_seconds_bucket", le="2.5") == 1
    assert loop.value("lag_seconds_bucket", le="5.0") == 2


@watched
def test_lateness_does_not_add_up(loop: Watched) -> None:
    for _ in range(3):
        loop.beat(late=100)
    assert loop.value("lag_seconds_sum") == 300
    assert loop.heart._beat.due == 5000 + 4 * INTERVAL
    assert loop.scheduled() == pytest.approx(INTERVAL - 100, abs=20)


@watched
def test_beats_that_were_missed_were_late_too(loop: Watched) -> None:
    loop.beat(late=2.25 * INTERVAL)
    assert loop.value("lag_seconds_count") == 3
    assert loop.value("lag_seconds_sum") == (2.25 + 1.25 + 0.25) * INTERVAL
    assert loop.heart._beat.due == 5000 + 4 * INTERVAL
    loop.beat()
    assert loop.value("lag_seconds_count") == 4


@watched
def test_making_up_for_missed_beats_has_a_limit(loop: Watched) -> None:
    loop.beat(late=1e6 * INTERVAL)
    assert loop.value("lag_seconds_count") == 1000
    assert loop.heart._beat.due > loop.clock.now


@watched
def test_a_timer_may_fire_a_little_early(loop: Watched) -> None:
    loop.beat(late=-0.4)
    assert loop.value("lag_seconds_count") == 1
    assert loop.value("lag_seconds_sum") == 0
    assert loop.heart._beat.due == 5000 + 2 * INTERVAL


@watched
def test_a_timer_that_is_not_that_of_the_beat_is_set_anew(loop: Watched) -> None:
    loop.beat(late=-900)
    assert loop.value("lag_seconds_count") == 0
    assert loop.heart._beat.due == 5000 + INTERVAL
    assert loop.scheduled() == pytest.approx(900, abs=20)


@watched
def test_a_clock_that_goes_back_is_no_lag(loop: Watched) -> None:
    loop.beat()
    loop.clock.now = 0.0
    loop.heart.beat()
    assert loop.value("lag_seconds_sum") == 0
    assert loop.monitor.blocked_seconds == 0
    assert loop.heart.look() == 5000 + 2 * INTERVAL + THRESHOLD


@watched
def test_the_gauge_tells_how_long_it_has_been_until_the_scrape(loop: Watched) -> None:
    for late, blocked in ((-1, 0), (0, 0), (2499, 0), (2500, 2500), (9999, 9999)):
        loop.clock.now = loop.heart._beat.due + late
        assert loop.value("blocked_seconds") == loop.monitor.blocked_seconds == blocked
    loop.beat(late=10_000)
    assert loop.value("blocked_seconds") == loop.monitor.blocked_seconds == 0


@watched
def test_a_look_comes_when_the_next_beat_is_too_late(loop: Watched) -> None:
    assert loop.look(late=-1000) == THRESHOLD + 1000
    assert loop.look(late=100) == THRESHOLD - 100
    assert loop.look(late=THRESHOLD) == INTERVAL
    loop.beat(late=THRESHOLD + 100)
    assert loop.look(late=0) == THRESHOLD


@watched
def test_looks_are_no_closer_than_beats(loop: Watched) -> None:
    looks = [loop.clock.now]
    look_at = loop.clock.now + INTERVAL + THRESHOLD
    for beats in range(200):
        beat_at = loop.heart._beat.due + beats * 789 % (0.9 * INTERVAL)
        while look_at < beat_at:
            looks.append(look_at)
            loop.clock.now = look_at
            wait = loop.heart.look()
            assert wait is not None
            look_at += wait
        loop.clock.now = beat_at
        loop.heart.beat()
    assert 50 < len(looks) < 200
    assert min(later - earlier for earlier, later in pairwise(looks)) >= INTERVAL
    assert loop.value("blocks_total") == 0


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    assert {record.name for record in caplog.records} <= {"penstock.metrics"}
    assert {record.levelno for record in caplog.records} <= {logging.WARNING}
    return caplog.messages


class TestBlocks:
    """Each block is counted and logged once."""

    def run(self, test: Callable[[Watched], None]) -> None:
        watched(test)()

    def test_by_the_thread_that_sees_it_first(self, caplog: pytest.LogCaptureFixture) -> None:
        def test(loop: Watched) -> None:
            loop.look(late=2600)
            assert loop.value("blocks_total") == 1
            loop.look(late=3600)
            loop.beat(late=4000)
            assert loop.value("blocks_total") == 1

        self.run(test)
        (message,) = warnings(caplog)
        first, *stack = message.splitlines()
        assert first == "event loop 'main' has been blocked for 2600.000 s:"
        assert "in test_by_the_thread_that_sees_it_first" in message
        assert "loop.look(late=2600)" in message
        assert len(stack) <= 2 * 50

    def test_by_the_loop_if_no_thread_saw_it(self, caplog: pytest.LogCaptureFixture) -> None:
        def test(loop: Watched) -> None:
            loop.beat(late=2600)
            assert loop.value("blocks_total") == 1
            loop.look(late=0)
            assert loop.value("blocks_total") == 1

        self.run(test)
        assert warnings(caplog) == [
            "event loop 'main' was blocked for 2600.000 s; no other thread got to see by what"
        ]

    def test_and_so_is_the_next(self, caplog: pytest.LogCaptureFixture) -> None:
        def test(loop: Watched) -> None:
            for blocks in range(1, 4):
                loop.look(late=2600)
                loop.beat(late=2700)
                loop.beat(late=5000)
                loop.look(late=0)
                loop.beat()
                assert loop.value("blocks_total") == 2 * blocks

        self.run(test)
        assert len(warnings(caplog)) == 6

    def test_and_lag_below_the_threshold_is_none(self, caplog: pytest.LogCaptureFixture) -> None:
        def test(loop: Watched) -> None:
            loop.look(late=2499)
            loop.beat(late=2499)
            assert loop.value("blocks_total") == 0

        self.run(test)
        assert warnings(caplog) == []

    def test_without_a_stack_if_it_ended_meanwhile(self, caplog: pytest.LogCaptureFixture) -> None:
        def test(loop: Watched) -> None:
            count = loop.heart.count

            def count_and_beat() -> None:
                count()
                loop.heart.beat()

            loop.heart.count = count_and_beat
            loop.look(late=2600)
            assert loop.value("blocks_total") == 1

        self.run(test)
        assert warnings(caplog) == [
            "event loop 'main' has been blocked for 2600.000 s:\n  it goes on just now\n"
        ]

    def test_and_the_beat_goes_on_if_it_cannot_be_logged(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*args: object) -> None:
            raise LookupError("no log")

        def test(loop: Watched) -> None:
            monkeypatch.setattr("penstock.metrics._heartbeat.logger.warning", refuse)
            with pytest.raises(LookupError):
                loop.beat(late=2600)
            assert loop.scheduled() > 0
            loop.beat()
            assert loop.value("lag_seconds_count") == 4

        self.run(test)


class TestStoppedLoops:
    """A loop that does not run is late for nothing."""

    def run(self, *steps: Callable[[Watched], None]) -> None:
        """Make each step on the loop, but those on the stopped loop that are named so."""

        async def start() -> Watched:
            return Watched()

        async def call(step: Callable[[Watched], None]) -> None:
            step(here)

        def run(main: Coroutine[Any, Any, Any]) -> Any:
            return loop.run_until_complete(main)

        loop = asyncio.new_event_loop()
        try:
            here = run(start())
            for step in steps:
                if step.__name__.startswith("stopped"):
                    step(here)
                else:
                    run(call(step))
            run(here.monitor.aclose())
        finally:
            loop.close()

    def test_the_time_that_it_is_stopped_is_no_lag(self) -> None:
        def stopped(loop: Watched) -> None:
            assert loop.look(late=9000) == INTERVAL + THRESHOLD
            assert loop.value("blocked_seconds") == 0
            assert loop.value("blocks_total") == 0

        def resumed(loop: Watched) -> None:
            loop.clock.advance(9000)
            loop.heart.beat()
            assert loop.value("lag_seconds_count") == 0
            assert loop.heart._beat.due == loop.clock.now + INTERVAL
            loop.beat(late=1)
            assert loop.value("lag_seconds_sum") == 1
            loop.look(late=9000)
            assert loop.value("blocks_total") == 1

        self.run(stopped, resumed)

    def test_a_look_may_come_before_the_first_beat_after_it(self) -> None:
        def stopped(loop: Watched) -> None:
            loop.look(late=9000)

        def resumed(loop: Watched) -> None:
            assert loop.value("blocked_seconds") == 0
            assert loop.heart.look() == INTERVAL + THRESHOLD
            loop.heart.beat()  # the timer of the beat that was due while it was stopped
            assert loop.value("lag_seconds_count") == 0
            assert loop.value("blocks_total") == 0
            loop.clock.advance(INTERVAL + THRESHOLD)
            assert loop.heart.look() == INTERVAL
            assert loop.value("blocks_total") == 1

        self.run(stopped, resumed)

    def test_a_stopped_loop_is_not_blocked_whoever_looks(self) -> None:
        def stopped(loop: Watched) -> None:
            loop.clock.now = loop.heart._beat.due + 9000
            assert loop.value("blocked_seconds") == loop.monitor.blocked_seconds == 0

        self.run(stopped)
