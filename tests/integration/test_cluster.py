"""Tasks on a cluster, through the interface that all executors share."""

from __future__ import annotations

import asyncio
import concurrent.futures
import math
import operator
import os
import pickle
import threading
import traceback
from concurrent.futures import FIRST_COMPLETED
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("distributed", reason="the extra dask is not installed")

from tests.integration.clusters import WORKERS, gate_at, keys_on, occupy, touch, until
from tests.threads import LIMIT, spawn

from penstock.flow import Executor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from penstock.flow._executor._cluster import ClusterExecutor


@pytest.fixture(scope="module")
def executor() -> Iterator[ClusterExecutor]:
    with Executor.local_cluster(
        WORKERS, max_result_bytes=100_000, max_task_bytes=50_000
    ) as cluster:
        yield cluster


@pytest.fixture
def gate(tmp_path: Path, executor: ClusterExecutor) -> Iterator[Path]:
    with gate_at(tmp_path / "gate", executor) as path:
        yield path


class Refused(Exception):
    """An error with what pickle cannot guess."""

    def __init__(self, code: int, *, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        self.reason = reason


def refuse(code: int) -> None:
    refusal = Refused(code, reason="because")
    refusal.add_note("a note")
    raise refusal from LookupError("no such thing")


class Stubborn:
    """What can be pickled, and never unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return pickle.loads, (b"not a pickle",)


class TestResults:
    def test_a_task_returns_what_it_does_here(self, executor: ClusterExecutor) -> None:
        assert executor.submit(operator.add, 1, 2).result(LIMIT) == 3
        assert executor.submit(os.getpid).result(LIMIT) != os.getpid()

    def test_arguments_are_those_of_the_task_whatever_they_are_called(
        self, executor: ClusterExecutor
    ) -> None:
        named = {"key": 1, "workers": "a", "retries": 2, "priority": 3, "pure": 4, "fn": 5}
        assert executor.submit(dict, **named).result(LIMIT) == named  # type: ignore[call-overload]

    def test_arguments_arrive_as_they_are(self, executor: ClusterExecutor) -> None:
        key = executor.submit(abs, -1)
        odd = [("a", (abs, 1)), {"b": [key.result(LIMIT)]}, None, {3}, "abs", b"\x00"]
        assert executor.submit(list, odd).result(LIMIT) == odd

    def test_functions_without_a_module_are_sent_along(self, executor: ClusterExecutor) -> None:
        factor = 3

        class Local:
            value = 4

        assert executor.submit(lambda x: x * factor * Local.value, 2).result(LIMIT) == 24

    def test_many_tasks_from_many_threads(self, executor: ClusterExecutor) -> None:
        def submit(start: int) -> list[int]:
            futures = [executor.submit(operator.neg, start + step) for step in range(25)]
            return [future.result(LIMIT) for future in futures]

        threads = [spawn(submit, 100 * number) for number in range(4)]
        for number, thread in enumerate(threads):
            assert thread.result() == [-(100 * number + step) for step in range(25)]

    def test_map_keeps_the_order(self, executor: ClusterExecutor) -> None:
        assert list(executor.map(operator.mul, range(20), range(20))) == [x * x for x in range(20)]
        assert list(executor.map(math.sqrt, [4.0, 9.0], chunksize=2)) == [2.0, 3.0]
        assert list(executor.map(operator.neg, range(25), chunksize=10)) == [-x for x in range(25)]

    def test_map_of_chunks_takes_one_task_each(self, executor: ClusterExecutor) -> None:
        before = executor.stats().submitted
        assert list(executor.map(operator.neg, range(25), chunksize=10)) == [-x for x in range(25)]
        assert executor.stats().submitted == before + 3

    def test_map_raises_the_first_error_in_order(self, executor: ClusterExecutor) -> None:
        results = executor.map(operator.truediv, [1, 1], [1, 0])
        assert next(results) == 1
        with pytest.raises(ZeroDivisionError):
            next(results)

    def test_gather_gives_one_future_of_all(self, executor: ClusterExecutor) -> None:
        futures = [executor.submit(operator.neg, number) for number in range(5)]
        assert executor.gather(*futures).result(LIMIT) == [0, -1, -2, -3, -4]
        bad = executor.submit(operator.truediv, 1, 0)
        with pytest.raises(ZeroDivisionError):
            executor.gather(futures[0], bad).result(LIMIT)
        both = executor.gather(futures[1], bad, return_exceptions=True).result(LIMIT)
        assert both[0] == -1
        assert isinstance(both[1], ZeroDivisionError)

    def test_barrier_waits_for_what_came_before_it(
        self, executor: ClusterExecutor, gate: Path
    ) -> None:
        futures = occupy(executor, gate)
        barrier = executor.barrier()
        assert not barrier.done()
        gate.touch()
        barrier.result(LIMIT)
        assert [future.result(0) for future in futures] == [0, 1]


class TestErrors:
    def test_an_error_is_raised_as_it_was(self, executor: ClusterExecutor) -> None:
        error = executor.submit(refuse, 7).exception(LIMIT)
        assert type(error) is Refused
        assert (error.args, error.code, error.reason) == (("7: because",), 7, "because")
        assert error.__notes__ == ["a note"]
        assert repr(error.__cause__) == "LookupError('no such thing')"
        frames = traceback.extract_tb(error.__traceback__)
        assert [frame.name for frame in frames] == ["refuse"]

    @pytest.mark.parametrize(
        "kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError]
    )
    def test_a_worker_survives_any_error(
        self, executor: ClusterExecutor, kind: type[BaseException]
    ) -> None:
        def die() -> None:
            raise kind("told")

        future = executor.submit(die)
        error = future.exception(LIMIT)
        assert type(error) is kind
        assert error.args == ("told",)
        assert not future.cancelled()
        assert executor.submit(abs, -1).result(LIMIT) == 1

    def test_an_error_that_cannot_be_pickled_is_told(self, executor: ClusterExecutor) -> None:
        def fail() -> None:
            raise ValueError(threading.Lock())

        error = executor.submit(fail).exception(LIMIT)
        assert type(error) is RuntimeError
        assert "fail raised what cannot be pickled" in str(error)
        assert "ValueError: <unlocked _thread.lock" in str(error)

    def test_a_task_that_cannot_be_pickled_is_an_error_of_its_future(
        self, executor: ClusterExecutor
    ) -> None:
        lock = threading.Lock()
        future = executor.submit(lambda: lock)
        with pytest.raises(
            pickle.PicklingError, match=r"<lambda> cannot be pickled: .*_thread.lock"
        ):
            future.result(LIMIT)
        assert executor.submit(abs, -1).result(LIMIT) == 1

    def test_a_result_that_cannot_be_pickled_is_an_error(self, executor: ClusterExecutor) -> None:
        with pytest.raises(pickle.PicklingError, match=r"the result of .*lock, of type lock"):
            executor.submit(threading.Lock).result(LIMIT)

    def test_a_result_that_cannot_be_unpickled_is_an_error(self, executor: ClusterExecutor) -> None:
        with pytest.raises(pickle.UnpicklingError, match="the result of Stubborn cannot be unpick"):
            executor.submit(Stubborn).result(LIMIT)
        with pytest.raises(pickle.UnpicklingError, match="invalid load key"):
            executor.submit(abs, Stubborn()).result(LIMIT)

    def test_a_result_that_is_too_large_stays_where_it_is(self, executor: ClusterExecutor) -> None:
        assert len(executor.submit(bytes, 99_000).result(LIMIT)) == 99_000
        message = "the result of bytes takes more than the 100000 bytes of max_result_bytes"
        for size in (100_000, 1_000_000):
            with pytest.raises(ValueError, match=message):
                executor.submit(bytes, size).result(LIMIT)
        with pytest.raises(ValueError, match="the result of list takes more"):
            executor.submit(list, range(100_000)).result(LIMIT)

    def test_a_task_that_is_too_large_is_not_sent(self, executor: ClusterExecutor) -> None:
        assert executor.submit(len, bytes(49_000)).result(LIMIT) == 49_000
        message = r"len takes 50\d\d\d bytes with its arguments, more than the 50000 of max_task_b"
        with pytest.raises(ValueError, match=message):
            executor.submit(len, bytes(50_000)).result(LIMIT)


class TestStandard:
    def test_it_is_an_executor_of_the_standard_library(self, executor: ClusterExecutor) -> None:
        assert isinstance(executor, concurrent.futures.Executor)
        assert isinstance(executor.submit(abs, -1), concurrent.futures.Future)

    def test_wait_and_as_completed_work(self, executor: ClusterExecutor, gate: Path) -> None:
        futures = occupy(executor, gate)
        quick = futures[0]
        assert not concurrent.futures.wait(futures, timeout=0).done
        gate.touch()
        done = concurrent.futures.wait(futures, LIMIT, return_when=FIRST_COMPLETED).done
        assert done
        assert {future.result() for future in concurrent.futures.as_completed(futures, LIMIT)} == {
            0,
            1,
        }
        assert quick.done()

    def test_a_timeout_of_result_leaves_the_task_alone(
        self, executor: ClusterExecutor, gate: Path
    ) -> None:
        future = occupy(executor, gate)[1]
        with pytest.raises(TimeoutError):
            future.result(0.01)
        gate.touch()
        assert future.result(LIMIT) == 1

    def test_callbacks_may_use_the_executor(self, executor: ClusterExecutor) -> None:
        results: list[int] = []
        done = threading.Event()

        def go_on(future: concurrent.futures.Future[int]) -> None:
            results.append(future.result())
            executor.submit(operator.neg, 5).add_done_callback(finish)

        def finish(future: concurrent.futures.Future[int]) -> None:
            results.append(future.result())
            done.set()

        executor.submit(abs, -1).add_done_callback(go_on)
        assert done.wait(LIMIT)
        assert results == [1, -5]

    def test_callbacks_may_wait_for_other_tasks(self, executor: ClusterExecutor) -> None:
        results: list[int] = []

        def wait(future: concurrent.futures.Future[int]) -> None:
            inner = executor.submit(operator.neg, 5)
            inner.add_done_callback(wait_again)
            results.extend([future.result(), inner.result(LIMIT)])

        def wait_again(future: concurrent.futures.Future[int]) -> None:
            results.append(executor.submit(operator.neg, 6).result(LIMIT))

        executor.submit(abs, -1).add_done_callback(wait)
        until(lambda: len(results) == 3)
        assert sorted(results) == [-6, -5, 1]


class TestAsyncio:
    def test_run_returns_and_raises_what_the_task_does(self, executor: ClusterExecutor) -> None:
        async def main() -> None:
            assert await executor.run(operator.add, 1, 2) == 3
            assert await asyncio.gather(*(executor.run(operator.neg, x) for x in range(20))) == [
                -x for x in range(20)
            ]
            with pytest.raises(ZeroDivisionError):
                await executor.run(operator.truediv, 1, 0)

        asyncio.run(asyncio.wait_for(main(), LIMIT))

    def test_futures_can_be_awaited(self, executor: ClusterExecutor) -> None:
        async def main() -> None:
            assert await executor.submit(abs, -1) == 1
            assert await asyncio.wrap_future(executor.submit(abs, -2)) == 2
            loop = asyncio.get_running_loop()
            assert await loop.run_in_executor(executor, abs, -3) == 3
            assert await executor.gather(executor.submit(abs, -4)) == [4]
            await executor.barrier()

        asyncio.run(asyncio.wait_for(main(), LIMIT))

    def test_cancelling_a_wait_cancels_a_task_that_waits(
        self, executor: ClusterExecutor, gate: Path, tmp_path: Path
    ) -> None:
        occupy(executor, gate)
        path = tmp_path / "ran"

        async def main() -> None:
            task = asyncio.create_task(executor.run(touch, path))
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(asyncio.wait_for(main(), LIMIT))
        until(lambda: not any(key.startswith("touch") for key in keys_on(executor.address)))
        gate.touch()
        executor.barrier().result(LIMIT)
        assert executor.submit(abs, -1).result(LIMIT) == 1
        assert not path.exists()
