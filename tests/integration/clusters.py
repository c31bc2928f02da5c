"""Schedulers and workers of dask in processes of their own, and tasks that tests can steer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from tests.threads import LIMIT

if TYPE_CHECKING:
    import concurrent.futures
    import signal
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from penstock.flow._executor._cluster import ClusterExecutor

__all__ = [
    "WORKERS",
    "DaskProcesses",
    "alive",
    "descendants",
    "gate_at",
    "hang_once",
    "held",
    "keys_on",
    "occupy",
    "pid_in",
    "square",
    "touch",
    "until",
    "workers",
]

#: Seconds between two looks at a condition.
INTERVAL = 0.01

#: How many workers clusters have that tests occupy.
WORKERS = 2


def until(condition: Callable[[], object], limit: float = LIMIT) -> None:
    """Wait for something that has to happen."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, f"it did not happen in {limit} s"
        time.sleep(INTERVAL)


def descendants() -> list[psutil.Process]:
    """The processes that come from this one, the children of its children among them."""
    return alive(psutil.Process().children(recursive=True))


def alive(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Those of some processes that have not ended."""
    found = []
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def workers() -> list[psutil.Process]:
    """The workers of local clusters, those that are just starting among them."""
    found = []
    for process in descendants():
        with suppress(psutil.NoSuchProcess):
            if "spawn_main" in " ".join(process.cmdline()):
                found.append(process)
    return found


def square(number: int) -> int:
    """A task that takes its time."""
    time.sleep(0.005)
    return number * number


def held(gate: Path, started: Path, value: int = 0) -> int:
    """A task that tells that it runs, and goes on when there is a file at *gate*."""
    started.touch()
    until(gate.exists)
    return value


@contextmanager
def gate_at(path: Path, executor: ClusterExecutor) -> Iterator[Path]:
    """What holds tasks up until there is such a file; nothing is left to run after it."""
    try:
        yield path
    finally:
        path.touch()
        executor.barrier().result(LIMIT)


def occupy(executor: ClusterExecutor, gate: Path) -> list[concurrent.futures.Future[int]]:
    """Give each worker a task that waits at the gate."""
    started = [gate.with_name(f"started-{number}") for number in range(WORKERS)]
    futures = [executor.submit(held, gate, path, number) for number, path in enumerate(started)]
    until(lambda: all(path.exists() for path in started))
    return futures


def touch(path: Path) -> bool:
    path.touch()
    return True


def hang_once(number: int, victim: Path) -> int:
    """A task that never ends the first time: it tells which process it is in, to be killed."""
    try:
        with victim.open("x") as file:
            file.write(f"{os.getpid()}\n")
    except FileExistsError:
        return square(number)
    time.sleep(10 * LIMIT)
    return -1


def pid_in(path: Path) -> int:
    """Wait until a task has told which process it is in."""
    until(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def keys_on(address: str) -> list[str]:
    """What the scheduler and the workers of a cluster call the tasks that they know of."""
    with _client(address) as client:
        found = client.run(lambda dask_worker: [str(key) for key in dask_worker.state.tasks])
        found["scheduler"] = client.run_on_scheduler(
            lambda dask_scheduler: [str(key) for key in dask_scheduler.tasks]
        )
    return [key for keys in found.values() for key in keys]


def _client(address: str) -> Any:
    return pytest.importorskip("distributed").Client(address, set_as_default=False)


class DaskProcesses:
    """A scheduler, and workers, started as an operator does; they know nothing of penstock."""

    def __init__(self, directory: Path, workers: int = 0) -> None:
        self._directory = directory
        self._processes: list[subprocess.Popen[bytes]] = []
        file = directory / "scheduler.json"
        self._scheduler = self._start("scheduler", "--port", "0", "--scheduler-file", str(file))
        until(lambda: file.exists() and file.read_text().endswith("}"))
        self.address: str = json.loads(file.read_text())["address"]
        if workers:
            for _ in range(workers):
                self.add_worker()
            with _client(self.address) as client:
                client.wait_for_workers(workers, LIMIT)

    def add_worker(self) -> None:
        """Start another worker, without a nanny: it does not come back."""
        self._start("worker", self.address, "--nthreads", "1", "--no-nanny")

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the scheduler."""
        self._scheduler.send_signal(number)

    def kill_workers(self) -> None:
        """Kill all but the scheduler."""
        for worker in self._processes[1:]:
            worker.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait(LIMIT)

    def _start(self, what: str, *arguments: str) -> subprocess.Popen[bytes]:
        module = f"distributed.cli.dask_{what}"
        options = ["--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0"]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments, *options],
            cwd=self._directory,
            env=environment | {"DASK_TEMPORARY_DIRECTORY": str(self._directory)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._processes.append(process)
        return process
