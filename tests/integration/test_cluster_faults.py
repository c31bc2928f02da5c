"""Workers that die, schedulers that die or stand still, and clusters that were never there."""

from __future__ import annotations

import operator
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest

pytest.importorskip("distributed", reason="the extra dask is not installed")

from tests.integration.clusters import (
    DaskProcesses,
    alive,
    descendants,
    hang_once,
    pid_in,
    until,
    workers,
)
from tests.threads import LIMIT

from penstock.errors import ClusterLost, WorkerLost
from penstock.flow import Executor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from penstock.flow._executor._cluster import ClusterExecutor

#: Seconds until a cluster is given up, in these tests.
TIMEOUT = 1.0

#: As much, and what a busy machine may take longer.
SOON = TIMEOUT + 5.0


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_times(path: Path, times: int) -> int:
    """A task whose worker dies as often as told, then none."""
    with path.open("a") as file:
        file.write("x")
    if len(path.read_text()) <= times:
        die()
    return len(path.read_text())


@pytest.fixture(scope="module")
def executor() -> Iterator[ClusterExecutor]:
    with Executor.local_cluster(2, allowed_failures=0) as cluster:
        yield cluster


class TestWorkers:
    def test_a_task_that_kills_its_worker_fails(self, executor: ClusterExecutor) -> None:
        lost = executor.stats().lost
        future = executor.submit(die)
        with pytest.raises(WorkerLost, match="die") as caught:
            future.result(LIMIT)
        assert type(caught.value.__cause__).__name__ == "KilledWorker"
        assert executor.stats().lost == lost + 1
        assert executor.submit(abs, -1).result(LIMIT) == 1

    def test_such_a_task_is_sent_again_as_often_as_asked_for(
        self, executor: ClusterExecutor, tmp_path: Path
    ) -> None:
        retrying = executor.with_options(retries=2)
        assert retrying.submit(die_times, tmp_path / "twice", 2).result(LIMIT) == 3
        with pytest.raises(WorkerLost):
            executor.with_options(retries=1).submit(die_times, tmp_path / "more", 9).result(LIMIT)
        assert (tmp_path / "more").read_text() == "xx"

    def test_dask_itself_runs_tasks_again_whose_worker_was_killed(self, tmp_path: Path) -> None:
        victim = tmp_path / "victim"
        with Executor.local_cluster(2) as executor:
            futures = [executor.submit(hang_once, number, victim) for number in range(100)]
            os.kill(pid_in(victim), signal.SIGKILL)
            assert executor.gather(*futures).result(LIMIT) == [x * x for x in range(100)]
            assert executor.stats().lost == 0
        assert victim.read_text().count("\n") == 1

    def test_workers_killed_while_they_start_are_replaced(self) -> None:
        killed = set(workers())  # of the other cluster: those are left alone
        with Executor.local_cluster(1) as executor:
            assert executor.submit(abs, -1).result(LIMIT) == 1
            for _ in range(3):
                until(lambda: set(workers()) - killed)
                for worker in set(workers()) - killed:
                    killed.add(worker)
                    worker.kill()
            assert executor.submit(abs, -1).result(LIMIT) == 1


class TestSchedulers:
    @pytest.fixture
    def dask(self, tmp_path: Path) -> Iterator[DaskProcesses]:
        with DaskProcesses(tmp_path, workers=1) as processes:
            yield processes

    def check_lost(self, executor: ClusterExecutor, futures: list[Any], message: str) -> None:
        """The cluster is gone: for those who wait, in time, and for those who come after them."""
        for future in futures:
            with pytest.raises(ClusterLost, match=message) as caught:
                future.result(SOON)
            assert caught.value.address == executor.address
        with pytest.raises(ClusterLost, match=message):
            executor.submit(abs, -1)
        executor.barrier().result(SOON)
        assert executor.stats().pending == executor.stats().busy == 0

    def start(self, executor: ClusterExecutor, tmp_path: Path) -> list[Any]:
        """A task that runs, and one that waits."""
        gate, started = tmp_path / "gate", tmp_path / "started"

        def hold() -> None:
            started.touch()
            while not gate.exists():
                time.sleep(0.01)

        futures: list[Any] = [executor.submit(hold), executor.submit(abs, -1)]
        until(started.exists)
        return futures

    def test_a_scheduler_that_is_killed_fails_all_tasks(
        self, dask: DaskProcesses, tmp_path: Path
    ) -> None:
        with Executor.connect(dask.address, timeout=TIMEOUT) as executor:
            futures = self.start(executor, tmp_path)
            dask.signal(signal.SIGKILL)
            self.check_lost(executor, futures, "the connection to the scheduler at .* broke")

    def test_a_scheduler_that_stands_still_fails_all_tasks(
        self, dask: DaskProcesses, tmp_path: Path
    ) -> None:
        with Executor.connect(dask.address, timeout=TIMEOUT) as executor:
            futures = self.start(executor, tmp_path)
            dask.signal(signal.SIGSTOP)
            self.check_lost(executor, futures, "has not answered for 1 s")

    def test_a_scheduler_that_is_killed_while_nothing_runs_is_noticed(
        self, dask: DaskProcesses
    ) -> None:
        with Executor.connect(dask.address, timeout=TIMEOUT) as executor:
            assert executor.submit(abs, -1).result(LIMIT) == 1
            dask.signal(signal.SIGKILL)
            until(lambda: self.is_refused(executor), SOON)

    def is_refused(self, executor: ClusterExecutor) -> bool:
        try:
            executor.submit(abs, -1)
        except ClusterLost:
            return True
        return False

    def test_workers_that_go_and_come(self, dask: DaskProcesses) -> None:
        with Executor.connect(dask.address, timeout=TIMEOUT) as executor:
            assert executor.submit(abs, -1).result(LIMIT) == 1
            assert list(executor.map(abs, [-1, -2, -3], chunksize=2)) == [1, 2, 3]
            dask.kill_workers()
            futures = [executor.submit(abs, -number) for number in range(3)]
            for future in futures:
                with pytest.raises(ClusterLost, match="has had no workers for 1 s"):
                    future.result(SOON)
            dask.add_worker()
            until(lambda: executor.stats().workers == 1)
            assert executor.submit(abs, -2).result(LIMIT) == 2

    def test_the_scheduler_of_a_local_cluster(self) -> None:
        others = set(descendants())
        with Executor.local_cluster(1, timeout=LIMIT) as executor:
            future = executor.submit(time.sleep, LIMIT)
            (scheduler,) = set(psutil.Process().children()) - others
            its = [process for process in workers() if process not in others]
            assert len(its) == 1
            scheduler.kill()
            with pytest.raises(ClusterLost, match="broke"):
                future.result(SOON)
            until(lambda: not alive(its))


class TestConnecting:
    def test_nobody_listens(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
        self.check_refused(f"tcp://127.0.0.1:{port}")

    def test_somebody_listens_who_never_answers(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as server:
            self.check_refused(f"tcp://127.0.0.1:{server.getsockname()[1]}")

    def test_there_is_no_such_host(self) -> None:
        self.check_refused("tcp://no-such-host.invalid:8786")

    def check_refused(self, address: str) -> None:
        begin = time.monotonic()
        message = f"no scheduler at {address} answered within 0.3 s"
        with pytest.raises(ClusterLost, match=message) as caught:
            Executor.connect(address, timeout=0.3)
        assert caught.value.address == address
        assert time.monotonic() - begin < 0.3 + 5

    def test_an_address_that_is_none_is_refused_at_once(self) -> None:
        with pytest.raises(ValueError, match="unknown address scheme 'carrier-pigeon'"):
            Executor.connect("carrier-pigeon://coo:1", timeout=LIMIT)
        with pytest.raises(ValueError, match="missing port number"):
            Executor.connect("tcp://localhost", timeout=LIMIT)

    def test_a_cluster_without_workers_fails_tasks_in_time(self, tmp_path: Path) -> None:
        with (
            DaskProcesses(tmp_path) as dask,
            Executor.connect(dask.address, workers_timeout=0.5) as executor,
        ):
            assert executor.stats().workers == 0
            with pytest.raises(ClusterLost, match=r"has had no workers for 0\.5 s"):
                executor.submit(abs, -1).result(LIMIT)
            dask.add_worker()
            until(lambda: executor.stats().workers == 1)
            assert executor.submit(operator.neg, 2).result(LIMIT) == -2
