"""When a cluster is given up, and when a task: by the clock, with a scheduler that is made up."""

from __future__ import annotations

import asyncio
from itertools import cycle
from typing import TYPE_CHECKING, Any

import pytest

from penstock.bench._virtual_loop import run
from penstock.flow._executor._cluster_watch import Watch

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

TIMEOUT = 10.0


class Remote:
    """What dask's future tells."""

    def __init__(self, status: str = "pending") -> None:
        self.status = status


class Task:
    def __init__(self, key: str, sent_at: float = 0.0, status: str = "pending") -> None:
        self.key = self.name = key
        self.sent_at = sent_at
        self.remote: Remote | None = Remote(status)
        self.doubts = 0


class Scheduler:
    """Answers as it is told to."""

    def __init__(self) -> None:
        self.workers = {"tcp://worker": 2}
        self.states: dict[str, str] = {}
        self.asked: list[str] = []
        self.answer: Callable[[], Awaitable[object]] = self.at_once

    async def at_once(self) -> None:
        """Be there."""

    async def nthreads(self) -> dict[str, int]:
        await self.answer()
        return dict(self.workers)

    @property
    def scheduler(self) -> Scheduler:
        return self

    async def get_task_status(self, keys: list[str]) -> dict[str, str | None]:
        self.asked += keys
        return {key: self.states.get(key) for key in keys}


class Session:
    """Notes what the watch does."""

    address = "tcp://scheduler"

    def __init__(self, *tasks: Task) -> None:
        self.client = Scheduler()
        self.tasks = dict.fromkeys(tasks)
        self.is_connected = True
        self.failed: list[tuple[str, str, float]] = []
        self.lost: tuple[str, float] | None = None

    def fail(self, task: Task, error: Exception) -> None:
        del self.tasks[task]
        self.failed.append((task.key, str(error), now()))

    def lose(self, message: str) -> None:
        self.lost = message, now()


def now() -> float:
    """The time since the loop began."""
    return asyncio.get_running_loop().time() - 1000.0


def watch(session: Any, seconds: float, *steps: tuple[float, Callable[[], object]]) -> Watch:
    """Watch for some time, at most, and do something at some times."""
    watch = Watch(session, timeout=TIMEOUT, workers_timeout=4.0)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        for task in session.tasks:
            task.sent_at += loop.time()
        for at, step in steps:
            loop.call_later(at, step)
        try:
            await asyncio.wait_for(watch.run(), seconds)
        except TimeoutError:
            assert session.lost is None
        else:
            assert session.lost is not None

    run(main())
    return watch


async def never() -> None:
    await asyncio.Event().wait()


async def refuse() -> None:
    raise ConnectionRefusedError


class TestSchedulers:
    def test_one_that_answers_is_never_lost(self) -> None:
        session = Session()
        assert watch(session, 1000).slots == 2
        assert session.failed == []

    @pytest.mark.parametrize("answer", [never, refuse])
    @pytest.mark.parametrize("since", [0.0, 0.1, 0.5, 20.05])
    def test_one_that_does_not_is_lost_within_the_timeout(
        self, answer: Callable[[], Awaitable[object]], since: float
    ) -> None:
        session = Session()
        watch(session, 1000, (since, lambda: setattr(session.client, "answer", answer)))
        assert session.lost is not None
        message, when = session.lost
        assert message == "the scheduler at tcp://scheduler has not answered for 10 s"
        assert since + TIMEOUT - 1.0 <= when <= since + TIMEOUT

    def test_one_that_takes_its_time_is_not(self) -> None:
        session = Session()
        session.client.answer = lambda: asyncio.sleep(4.4)
        watch(session, 1000)

    def test_one_that_misses_a_question_is_not(self) -> None:
        session = Session()
        answers = cycle([never, session.client.at_once])

        async def answer() -> None:
            await next(answers)()

        session.client.answer = answer
        watch(session, 500)

    def test_a_connection_that_broke_is_noticed_at_the_next_look(self) -> None:
        session = Session()
        watch(session, 1000, (7.5, lambda: setattr(session, "is_connected", False)))
        assert session.lost == ("the connection to the scheduler at tcp://scheduler broke", 8.0)


class TestDesertion:
    def test_tasks_fail_when_there_was_nobody_to_run_them(self) -> None:
        session = Session(Task("a"), Task("b"))
        session.client.states = {"a": "queued", "b": "no-worker"}
        watch(session, 100, (9.5, session.client.workers.clear))
        message = "the cluster at tcp://scheduler has had no workers for 4 s"
        assert [failed[:2] for failed in session.failed] == [("a", message), ("b", message)]
        assert [failed[2] for failed in session.failed] == [14.0, 14.0]

    def test_each_task_has_that_time(self) -> None:
        session = Session(Task("a"), Task("b", sent_at=20.5))
        session.client.workers.clear()
        watch(session, 100)
        assert [(key, when) for key, _, when in session.failed] == [("a", 4.0), ("b", 25.0)]

    def test_workers_that_come_back_in_time_are_enough(self) -> None:
        session = Session(Task("a"))
        session.client.states = {"a": "processing"}
        steps: list[tuple[float, Callable[[], object]]] = []
        for start in range(0, 90, 10):
            steps.append((start + 1.5, session.client.workers.clear))
            steps.append((start + 5.0, lambda: session.client.workers.update(worker=1)))
        assert watch(session, 100, *steps).slots == 1
        assert session.failed == []


class TestForgottenTasks:
    @pytest.mark.parametrize("state", [None, "erred", "memory", "forgotten"])
    def test_one_whose_end_was_never_told_fails(self, state: str | None) -> None:
        session = Session(Task("a", sent_at=5.0))
        if state is not None:
            session.client.states = {"a": state}
        watch(session, 100)
        message = f"the cluster at tcp://scheduler never told what became of a ({state})"
        # Not before it was there for as long as the scheduler may be silent, and three times.
        assert session.failed == [("a", message, 17.0)]

    @pytest.mark.parametrize("state", ["waiting", "no-worker", "queued", "processing", "released"])
    def test_one_that_is_to_be_run_does_not(self, state: str) -> None:
        session = Session(Task("a"))
        session.client.states = {"a": state}
        watch(session, 1000)
        assert session.failed == []

    def test_one_whose_result_is_fetched_does_not(self) -> None:
        session = Session(Task("a", status="finished"))
        session.client.states = {"a": "memory"}
        watch(session, 1000)
        assert session.failed == []

    def test_one_that_was_unknown_once_does_not(self) -> None:
        session = Session(Task("a"))
        states = session.client.states
        steps: list[tuple[float, Callable[[], object]]] = []
        for start in range(0, 90, 3):
            steps.append((start + 0.5, lambda: states.pop("a", None)))
            steps.append((start + 2.5, lambda: states.update(a="processing")))
        watch(session, 90, *steps)
        assert session.failed == []

    @pytest.mark.parametrize(("seconds", "asked"), [(0.5, 256), (4.5, 1000)])
    def test_all_are_asked_about_though_not_at_once(self, seconds: float, asked: int) -> None:
        keys = [f"{number}" for number in range(1000)]
        session = Session(*(Task(key) for key in keys))
        session.client.states = dict.fromkeys(keys, "queued")
        # They have to be old enough to be known.
        watch(session, TIMEOUT + seconds)
        assert 0 < len(set(session.client.asked)) <= asked
        assert (len(set(session.client.asked)) == 1000) is (asked == 1000)
