"""Which tasks on a cluster run, and when: cancellation, options, places, and figures."""

from __future__ import annotations

import asyncio
import operator
from concurrent.futures import CancelledError
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("distributed", reason="the extra dask is not installed")

from tests.integration.clusters import WORKERS, gate_at, held, keys_on, occupy, touch, until
from tests.threads import LIMIT, spawn

from penstock.errors import LimitExceeded, TaskExpired
from penstock.flow import Executor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from penstock.flow._executor._cluster import ClusterExecutor


@pytest.fixture(scope="module")
def executor() -> Iterator[ClusterExecutor]:
    with Executor.local_cluster(WORKERS) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def lone() -> Iterator[ClusterExecutor]:
    """One worker, in the process of its scheduler, with as many places as tests need at most."""
    with Executor.local_cluster(1, processes=False, max_pending=10, on_full="raise") as cluster:
        yield cluster


@pytest.fixture
def gate(tmp_path: Path, executor: ClusterExecutor) -> Iterator[Path]:
    with gate_at(tmp_path / "gate", executor) as path:
        yield path


class TestCancellation:
    def test_a_task_that_waits_never_runs(
        self, executor: ClusterExecutor, gate: Path, tmp_path: Path
    ) -> None:
        occupy(executor, gate)
        futures = [executor.submit(touch, tmp_path / f"{number}") for number in range(8)]
        cancelled = executor.stats().cancelled
        assert [future.cancel() for future in futures[::2]] == [True] * 4
        assert executor.stats().cancelled == cancelled + 4
        until(lambda: sum(key.startswith("touch") for key in set(keys_on(executor.address))) == 4)
        gate.touch()
        assert [future.result(LIMIT) for future in futures[1::2]] == [True] * 4
        executor.barrier().result(LIMIT)
        assert sorted(path.name for path in tmp_path.glob("[0-9]")) == ["1", "3", "5", "7"]
        with pytest.raises(CancelledError):
            futures[0].result()

    def test_a_task_that_runs_is_only_not_waited_for(
        self, executor: ClusterExecutor, gate: Path
    ) -> None:
        first, second = occupy(executor, gate)
        assert first.cancel()
        assert first.cancelled()
        gate.touch()
        assert second.result(LIMIT) == 1

    def test_what_is_done_cannot_be_cancelled(self, executor: ClusterExecutor) -> None:
        future = executor.submit(abs, -1)
        assert future.result(LIMIT) == 1
        assert not future.cancel()


class TestOptions:
    def test_lower_numbers_go_first(self, lone: ClusterExecutor, tmp_path: Path) -> None:
        gate, path = tmp_path / "gate", tmp_path / "order"
        started = tmp_path / "started"
        lone.submit(held, gate, started)
        until(started.exists)

        def note(number: int) -> None:
            with path.open("a") as file:
                file.write(f"{number} ")

        # dask sends some tasks ahead to their worker, before it knows that many like them come.
        first = [lone.with_options(priority=-1).submit(note, -1) for _ in range(4)]
        until(lambda: len([key for key in keys_on(lone.address) if "note" in key]) >= 4)
        numbers = [5, 3, 9, 1, 7]
        last = [lone.with_options(priority=number).submit(note, number) for number in numbers]
        until(lambda: len({key for key in keys_on(lone.address) if "note" in key}) == 9)
        gate.touch()
        lone.gather(*first, *last).result(LIMIT)
        assert path.read_text().split() == ["-1"] * 4 + ["1", "3", "5", "7", "9"]

    def test_a_task_that_waits_longer_than_its_deadline_never_runs(
        self, executor: ClusterExecutor, gate: Path, tmp_path: Path
    ) -> None:
        occupy(executor, gate)
        expired = executor.stats().expired
        path = tmp_path / "ran"
        future = executor.with_options(deadline=0.05).submit(touch, path)
        with pytest.raises(TaskExpired, match=r"touch was not done within .* 0.05 s") as caught:
            future.result(LIMIT)
        assert caught.value.seconds == 0.05
        assert executor.stats().expired == expired + 1
        until(lambda: not any(key.startswith("touch") for key in keys_on(executor.address)))
        gate.touch()
        executor.barrier().result(LIMIT)
        assert not path.exists()

    def test_a_deadline_that_is_kept_changes_nothing(self, executor: ClusterExecutor) -> None:
        assert executor.with_options(deadline=LIMIT).submit(abs, -1).result(LIMIT) == 1

    def test_a_result_is_validated(self, executor: ClusterExecutor) -> None:
        def check(value: int) -> bool:
            if value == 0:
                raise LookupError("nothing")
            return value > 0

        checked = executor.with_options(validate=check)
        assert checked.submit(abs, -1).result(LIMIT) == 1
        with pytest.raises(LookupError, match="nothing"):
            checked.submit(abs, 0).result(LIMIT)
        with pytest.raises(ValueError, match=r"not accepted by .*check"):
            checked.submit(operator.neg, 1).result(LIMIT)

    def test_the_same_key_while_it_is_pending_is_the_same_task(
        self, executor: ClusterExecutor, gate: Path
    ) -> None:
        occupy(executor, gate)
        keyed = executor.with_options(key="one")
        before = executor.stats().submitted
        futures = [keyed.submit(operator.neg, number) for number in (1, 2)]
        assert futures[0] is futures[1]
        assert executor.with_options(key="two").submit(abs, -1) is not futures[0]
        assert executor.stats().submitted == before + 2
        gate.touch()
        assert futures[1].result(LIMIT) == -1
        assert keyed.submit(operator.neg, 3).result(LIMIT) == -3


class TestPlaces:
    def test_tasks_beyond_the_limit_are_turned_away(
        self, lone: ClusterExecutor, tmp_path: Path
    ) -> None:
        gate, started = tmp_path / "gate", tmp_path / "started"
        lone.barrier().result(LIMIT)
        futures = [lone.submit(held, gate, started, number) for number in range(10)]
        with pytest.raises(LimitExceeded, match="10 tasks are pending already") as caught:
            lone.submit(abs, -1)
        assert caught.value.max_waiting == 10
        assert lone.stats().rejected == 1
        assert futures[9].cancel()
        assert lone.submit(abs, -1).cancel()
        gate.touch()
        assert lone.gather(*futures[:9]).result(LIMIT) == list(range(9))
        lone.barrier().result(LIMIT)
        assert list(lone.map(abs, range(10))) == list(range(10))

    def test_those_who_wait_for_a_place_get_one(self, tmp_path: Path) -> None:
        gate, started = tmp_path / "gate", tmp_path / "started"
        with Executor.local_cluster(1, processes=False, max_pending=1) as executor:
            first = executor.submit(held, gate, started, 1)
            waiting = spawn(lambda: executor.submit(abs, -2).result(LIMIT))

            async def main() -> None:
                with pytest.raises(TaskExpired):
                    await executor.with_options(deadline=0.01).run(abs, -1)
                third = asyncio.create_task(executor.run(abs, -3))
                gate.touch()
                assert await third == 3

            asyncio.run(asyncio.wait_for(main(), LIMIT))
            assert first.result(LIMIT) == 1
            assert waiting.result() == 2


class TestStatistics:
    def test_tasks_are_counted_by_what_became_of_them(self, executor: ClusterExecutor) -> None:
        executor.barrier().result(LIMIT)
        before = executor.stats()
        for number in (0, 1):
            executor.submit(operator.truediv, 1, number).exception(LIMIT)
        executor.barrier().result(LIMIT)
        after = executor.stats()
        assert after.workers == WORKERS
        assert (after.busy, after.pending) == (0, 0)
        assert after.submitted - before.submitted == 2
        assert after.completed - before.completed == 1
        assert after.failed - before.failed == 1

    def test_what_runs_and_what_waits(self, executor: ClusterExecutor, gate: Path) -> None:
        occupy(executor, gate)
        executor.submit(abs, -1)
        stats = executor.stats()
        assert (stats.busy, stats.pending) == (WORKERS, 1)
