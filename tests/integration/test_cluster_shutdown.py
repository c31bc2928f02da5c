"""The end of an executor on a cluster, and what is left behind: nothing."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

pytest.importorskip("distributed", reason="the extra dask is not installed")

from tests.forks import in_child
from tests.integration.clusters import alive, descendants, held, square, until
from tests.threads import LIMIT, spawn

from penstock.errors import ClusterLost
from penstock.flow import Executor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from penstock.flow._executor._cluster import ClusterExecutor

AFTER = "cannot schedule new futures after shutdown"


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterExecutor]:
    """A cluster to connect to."""
    with Executor.local_cluster(1, processes=False) as executor:
        yield executor


@pytest.fixture
def executor(cluster: ClusterExecutor) -> Iterator[ClusterExecutor]:
    with Executor.connect(cluster.address) as executor:
        yield executor


class TestShutdown:
    def test_nothing_is_accepted_any_more(self, executor: ClusterExecutor) -> None:
        executor.shutdown()
        with pytest.raises(RuntimeError, match=f"^{AFTER}$"):
            executor.submit(abs, -1)
        with pytest.raises(RuntimeError, match=AFTER):
            asyncio.run(executor.run(abs, -1))
        executor.shutdown()

    def test_it_waits_for_the_tasks_there_are(self, executor: ClusterExecutor) -> None:
        futures = [executor.submit(square, number) for number in range(5)]
        executor.shutdown()
        assert [future.done() for future in futures] == [True] * 5
        assert [future.result() for future in futures] == [0, 1, 4, 9, 16]

    def test_it_need_not_wait(self, executor: ClusterExecutor, tmp_path: Path) -> None:
        gate, started = tmp_path / "gate", tmp_path / "started"
        future = executor.submit(held, gate, started, 7)
        executor.shutdown(wait=False)
        assert not future.done()
        with pytest.raises(RuntimeError, match=AFTER):
            executor.submit(abs, -1)
        gate.touch()
        assert future.result(LIMIT) == 7

    def test_it_may_cancel_what_is_not_done(
        self, executor: ClusterExecutor, tmp_path: Path
    ) -> None:
        gate, started = tmp_path / "gate", tmp_path / "started"
        futures = [executor.submit(held, gate, started) for _ in range(3)]
        until(started.exists)
        executor.shutdown(cancel_futures=True)
        assert [future.cancelled() for future in futures] == [True] * 3
        gate.touch()

    def test_a_callback_may_shut_down(self, executor: ClusterExecutor) -> None:
        done = threading.Event()

        def end(_: object) -> None:
            executor.shutdown()
            done.set()

        executor.submit(abs, -1).add_done_callback(end)
        assert done.wait(LIMIT)

    def test_coroutines_close_it_without_blocking(self, cluster: ClusterExecutor) -> None:
        async def main() -> int:
            executor = await asyncio.to_thread(Executor.connect, cluster.address)
            async with executor:
                future = executor.submit(abs, -1)
            return future.result(0)

        assert asyncio.run(asyncio.wait_for(main(), LIMIT)) == 1

    def test_one_that_nobody_refers_to_ends_when_its_tasks_have(
        self, cluster: ClusterExecutor, tmp_path: Path
    ) -> None:
        before = set(threading.enumerate())
        gate, started = tmp_path / "gate", tmp_path / "started"
        future = Executor.connect(cluster.address).submit(held, gate, started, 3)
        gc.collect()
        assert set(threading.enumerate()) - before
        gate.touch()
        assert future.result(LIMIT) == 3
        until(lambda: set(threading.enumerate()) <= before)

    def test_those_who_wait_for_a_place_learn_of_it(
        self, cluster: ClusterExecutor, tmp_path: Path
    ) -> None:
        gate, started = tmp_path / "gate", tmp_path / "started"
        executor = Executor.connect(cluster.address, max_pending=1)
        executor.submit(held, gate, started)
        waiting = spawn(lambda: executor.submit(abs, -1))
        until(lambda: executor._core._places._waiters.waiting == 1)
        executor.shutdown(wait=False)
        assert isinstance(waiting.wait().error, RuntimeError)
        gate.touch()
        executor.shutdown()

    def test_it_is_of_no_use_in_a_fork(self, executor: ClusterExecutor, tmp_path: Path) -> None:
        gate, started = tmp_path / "gate", tmp_path / "started"
        future = executor.submit(held, gate, started, 1)

        def check() -> None:
            with pytest.raises(RuntimeError, match="forked from"):
                executor.submit(abs, -1)
            assert future.cancelled()
            executor.barrier().result(0)
            executor.shutdown()

        assert in_child(check)
        gate.touch()
        assert future.result(LIMIT) == 1


def is_no_socket(fd: str) -> bool:
    """Whether it is a file or a pipe: dask opens connections to a cluster, and keeps them."""
    try:
        return not os.readlink(f"/proc/self/fd/{fd}").startswith("socket:")
    except OSError:  # closed
        return False


class Things:
    """What a process has, and what is in its directory for temporary files."""

    def __init__(self, directory: Path) -> None:
        gc.collect()  # what earlier tests have left
        self.threads = set(threading.enumerate())
        self.files = sum(map(is_no_socket, os.listdir("/proc/self/fd")))
        self.processes = {process.pid for process in descendants()}
        self.names = {path.name for path in directory.iterdir()}

    def are_all_of(self, before: Things) -> bool:
        """Whether there is nothing new; what there was before may end whenever it likes."""
        return not self.beyond(before)

    def beyond(self, before: Things) -> list[object]:
        """What there is now that was not there before."""
        new: list[object] = [*(self.threads - before.threads), *(self.names - before.names)]
        new += self.processes - before.processes
        if self.files > before.files:
            new.append(f"{self.files - before.files} files")
        return new


def until_nothing_is_new(directory: Path, before: Things) -> None:
    """Wait for the end of everything that was not there before."""
    try:
        until(lambda: Things(directory).are_all_of(before))
    except AssertionError:
        assert Things(directory).beyond(before) == []


def logging_settings() -> dict[str, object]:
    """How the loggers of dask are set up."""
    names = [name for name in logging.root.manager.loggerDict if name.startswith("distributed")]
    loggers = {name: logging.getLogger(name) for name in names}
    return {
        name: (logger.level, logger.disabled, *logger.filters, *logger.handlers)
        for name, logger in loggers.items()
    }


class TestWhatIsLeft:
    @pytest.fixture
    def directory(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        path = tmp_path / "temporary"
        path.mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(path))
        return path

    def test_a_local_cluster_takes_everything_with_it(
        self, cluster: ClusterExecutor, directory: Path, tmp_path: Path
    ) -> None:
        before = Things(directory)
        with Executor.local_cluster(2) as executor:
            assert list(executor.map(square, range(10))) == [x * x for x in range(10)]
            during = Things(directory)
            assert during.processes - before.processes
            assert during.names - before.names
            started = tmp_path / "started"
            # One that is in the middle of something is ended, too.
            executor.submit(held, tmp_path / "gate", started)
            until(started.exists)
            executor.shutdown(cancel_futures=True)
        until_nothing_is_new(directory, before)

    def test_a_connection_leaves_the_cluster_as_it_was(
        self, cluster: ClusterExecutor, directory: Path
    ) -> None:
        before = Things(directory)
        with Executor.connect(cluster.address) as executor:
            assert list(executor.map(square, range(10))) == [x * x for x in range(10)]
        until_nothing_is_new(directory, before)
        assert cluster.submit(abs, -1).result(LIMIT) == 1

    def test_a_cluster_that_does_not_start_in_time(self, directory: Path) -> None:
        before = Things(directory)
        with pytest.raises(ClusterLost, match=r"no scheduler answered within 0\.1 s"):
            Executor.local_cluster(1, timeout=0.1)
        until_nothing_is_new(directory, before)

    def test_a_cluster_that_cannot_start(
        self, directory: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
    ) -> None:
        before = Things(directory)
        monkeypatch.setenv("DASK_DISTRIBUTED__SCHEDULER__PRELOAD", "no_such_module")
        with pytest.raises(ClusterLost, match="ended with status 1 while it was starting"):
            Executor.local_cluster(1)
        until_nothing_is_new(directory, before)
        assert "no_such_module" in capfd.readouterr().err  # who wonders can see why

    def test_loggers_are_as_they_were(self, cluster: ClusterExecutor) -> None:
        before = logging_settings()
        assert before
        Executor.connect(cluster.address).shutdown()
        assert logging_settings() == before


class TestPrograms:
    """Programs of their own, of which every word that they say is checked."""

    HEAD = """
        import os, sys, time
        from penstock.flow import Executor
    """

    @pytest.fixture
    def start(self, tmp_path: Path) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
        started: list[subprocess.Popen[str]] = []

        def start(code: str) -> subprocess.Popen[str]:
            path = tmp_path / "program.py"
            path.write_text(textwrap.dedent(self.HEAD) + textwrap.dedent(code))
            program = subprocess.Popen(
                [sys.executable, "-W", "error", str(path)],
                env=os.environ | {"TMPDIR": str(tmp_path)},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            started.append(program)
            return program

        yield start
        for program in started:
            program.kill()
            program.communicate()

    def test_a_program_needs_no_guard_and_hears_nothing_of_dask(
        self, start: Callable[[str], subprocess.Popen[str]]
    ) -> None:
        program = start("""
            class Point:
                def __init__(self, x):
                    self.x = x

            def double(point):
                return Point(2 * point.x)

            with Executor.local_cluster(2) as executor:
                points = list(executor.map(double, [Point(1), Point(2)]))
                print([point.x for point in points], type(points[0]) is Point)
                running = executor.submit(time.sleep, 600)
                waiting = [executor.submit(time.sleep, 600) for _ in range(5)]
                executor.shutdown(cancel_futures=True)
        """)
        assert program.communicate(timeout=LIMIT) == ("[2, 4] True\n", "")
        assert program.returncode == 0

    def test_tasks_are_done_before_the_program_ends(
        self, start: Callable[[str], subprocess.Popen[str]], tmp_path: Path
    ) -> None:
        program = start("""
            executor = Executor.local_cluster(1)
            for number in range(3):
                future = executor.submit(lambda x: time.sleep(0.01) or x, number)
                future.add_done_callback(lambda future: print(future.result()))
        """)
        output, errors = program.communicate(timeout=LIMIT)
        assert (sorted(output.split()), errors) == (["0", "1", "2"], "")
        assert program.returncode == 0
        assert [path.name for path in tmp_path.iterdir()] == ["program.py"]

    def test_a_program_that_is_killed_takes_its_cluster_along(
        self, start: Callable[[str], subprocess.Popen[str]], tmp_path: Path
    ) -> None:
        program = start("""
            executor = Executor.local_cluster(2)
            executor.submit(time.sleep, 600)
            print(executor.submit(os.getpid).result(), flush=True)
            time.sleep(600)
        """)
        assert program.stdout is not None
        worker = psutil.Process(int(program.stdout.readline()))
        processes = psutil.Process(program.pid).children(recursive=True)
        assert worker in processes
        program.send_signal(signal.SIGKILL)
        until(lambda: not alive(processes))
        until(lambda: [path.name for path in tmp_path.iterdir()] == ["program.py"])
