"""`Executor(processes=True)`: crashes, deadlines, what cannot be pickled, and the end."""

from __future__ import annotations

import asyncio
import gc
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from pathlib import Path

import psutil
import pytest
from tests.threads import LIMIT

from penstock.errors import TaskExpired, WorkerLost
from penstock.flow._executor import Executor


def fail(error: BaseException) -> None:
    raise error


def kill_self() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def hang(started: Path | None = None) -> None:
    if started is not None:
        started.write_text(str(os.getpid()))
    while True:
        time.sleep(0.1)


def die_once(number: int, victim: Path) -> int:
    """Square a number; the process of one of these calls dies, the first time."""
    if number == 50 and not victim.exists():
        victim.touch()
        kill_self()
    return number * number


def interrupt_self() -> None:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(LIMIT)


def leave_grandchild() -> None:
    """Die, but leave a process behind that has all of the file descriptors."""
    if not os.fork():
        time.sleep(2)
        os._exit(0)
    os._exit(4)


class Odd(Exception):
    """Can be pickled, but not unpickled."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(one)
        self.two = two


class Unpicklable(Exception):
    def __reduce__(self) -> str:
        raise TypeError("not me")


@pytest.fixture(scope="module")
def executor() -> Iterator[Executor]:
    with Executor(2, processes=True) as made:
        yield made


def unpicklable() -> threading.Lock:
    return threading.Lock()


def begin_badly() -> None:
    raise ValueError("no beginning")


def test_tasks_run_in_other_processes(executor: Executor) -> None:
    assert executor.submit(divmod, 7, 2).result(LIMIT) == (3, 1)
    pids = {executor.submit(os.getpid).result(LIMIT) for _ in range(10)}
    assert os.getpid() not in pids
    assert asyncio.run(executor.run(int, "ff", base=16)) == 255


def test_map_makes_chunks(executor: Executor) -> None:
    before = executor.stats().submitted
    assert list(executor.map(pow, range(10), range(10), chunksize=4)) == [n**n for n in range(10)]
    assert executor.stats().submitted == before + 3


def test_error_tells_where_it_was_raised(executor: Executor) -> None:
    error = executor.submit(fail, LookupError("x")).exception(LIMIT)
    assert isinstance(error, LookupError)
    assert "in fail" in str(error.__cause__)
    assert isinstance(executor.submit(sys.exit, 3).exception(LIMIT), SystemExit)


@pytest.mark.parametrize(
    ("death", "arguments", "code", "how"),
    [
        (kill_self, (), -signal.SIGKILL, "was killed by signal 9"),
        (os._exit, (3,), 3, "ended with exit code 3"),
        (leave_grandchild, (), 4, "ended with exit code 4"),
    ],
)
def test_dead_process_fails_its_task_alone(
    executor: Executor, death: object, arguments: tuple[object, ...], code: int, how: str
) -> None:
    before = executor.stats().lost
    others = [executor.submit(abs, -number) for number in range(20)]
    error = executor.submit(death, *arguments).exception(LIMIT)  # type: ignore[arg-type]
    assert isinstance(error, WorkerLost)
    assert str(error) == f"the process that ran the task {how}"
    assert error.exitcode == code
    assert [task.result(LIMIT) for task in others] == list(range(20))
    assert [executor.submit(abs, -1).result(LIMIT) for _ in range(4)] == [1] * 4
    assert executor.stats().lost == before + 1


def test_program_goes_on_when_a_process_dies_on_the_way(executor: Executor, tmp_path: Path) -> None:
    steady = executor.with_options(retries=1)
    tasks = [steady.submit(die_once, number, tmp_path / "victim") for number in range(100)]
    assert [task.result(LIMIT) for task in tasks] == [number**2 for number in range(100)]
    assert (tmp_path / "victim").exists()


def test_retries_come_to_an_end(executor: Executor) -> None:
    before = executor.stats().lost
    task = executor.with_options(retries=2).submit(os._exit, 7)
    assert isinstance(task.exception(LIMIT), WorkerLost)
    assert executor.stats().lost == before + 3


def test_task_that_cannot_be_pickled_is_a_clear_error(executor: Executor) -> None:
    error = executor.submit(lambda: 1).exception(LIMIT)
    assert isinstance(error, (AttributeError, pickle.PicklingError))
    assert "cannot be sent to another process" in error.__notes__[0]
    error = executor.submit(abs, threading.Lock()).exception(LIMIT)  # type: ignore[arg-type]
    assert isinstance(error, TypeError)


def test_result_that_cannot_be_pickled_is_a_clear_error(executor: Executor) -> None:
    error = executor.submit(unpicklable).exception(LIMIT)
    assert isinstance(error, TypeError)
    assert error.__notes__ == [
        "the result of unpicklable cannot be sent back to the process that wants it"
    ]


def test_error_that_cannot_be_pickled_is_a_clear_error(executor: Executor) -> None:
    error = executor.submit(raise_unpicklable).exception(LIMIT)
    assert isinstance(error, pickle.PicklingError)
    assert "raised Unpicklable, which cannot be pickled" in str(error)
    assert "in raise_unpicklable" in str(error.__cause__)


def raise_unpicklable() -> None:
    raise Unpicklable


def raise_odd() -> None:
    raise Odd(1, 2)


def test_error_that_cannot_be_unpickled_is_a_clear_error(executor: Executor) -> None:
    error = executor.submit(raise_odd).exception(LIMIT)
    assert isinstance(error, pickle.UnpicklingError)
    assert "in raise_odd" in str(error.__cause__)
    assert executor.stats().lost == executor.stats().lost


def test_interrupt_ends_a_task_and_not_its_process(executor: Executor) -> None:
    before = executor.stats().lost
    assert isinstance(executor.submit(interrupt_self).exception(LIMIT), KeyboardInterrupt)
    for child in psutil.Process().children():
        if "forkserver" not in " ".join(child.cmdline()):
            child.send_signal(signal.SIGINT)
    assert executor.submit(abs, -1).result(LIMIT) == 1
    assert executor.stats().lost == before


def test_deadline_kills_a_task_that_runs(executor: Executor) -> None:
    before = executor.stats()
    executor.submit(int).result(LIMIT)
    error = executor.with_options(deadline=0.3).submit(hang).exception(LIMIT)
    assert isinstance(error, TaskExpired)
    assert str(error) == "the task did not end within 0.3 s"
    assert error.seconds == 0.3
    assert [executor.submit(abs, -1).result(LIMIT) for _ in range(4)] == [1] * 4
    now = executor.stats()
    assert (now.expired, now.lost) == (before.expired + 1, before.lost)
    assert executor.with_options(deadline=LIMIT).submit(abs, -2).result(LIMIT) == 2


def test_results_are_checked_here(executor: Executor) -> None:
    checked = executor.with_options(validate=lambda value: value > 2)
    assert checked.submit(abs, -3).result(LIMIT) == 3
    with pytest.raises(ValueError, match="not accepted"):
        checked.submit(abs, -2).result(LIMIT)


def test_initializer_that_fails_breaks_the_executor() -> None:
    with Executor(1, processes=True, initializer=begin_badly) as executor:
        error = executor.submit(int).exception(LIMIT)
        assert isinstance(error, BrokenExecutor)
        assert "no beginning" in str(error)
        with pytest.raises(BrokenExecutor):
            executor.submit(int)


def test_initializer_that_dies_is_no_endless_loop() -> None:
    with Executor(1, processes=True, initializer=os._exit, initargs=(5,)) as executor:
        error = executor.submit(int).exception(LIMIT)
        assert isinstance(error, WorkerLost)
        assert error.exitcode == 5
        assert "had not begun" in str(error)
        assert executor.stats().lost == 1


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_other_ways_to_start_processes(method: str) -> None:
    code = (
        "import os, warnings; warnings.simplefilter('ignore', DeprecationWarning)\n"
        "from penstock.flow import Executor, WorkerLost\n"
        "if __name__ == '__main__':\n"
        f"    with Executor(2, processes=True, mp_context={method!r}) as executor:\n"
        "        print(list(executor.map(abs, range(-3, 0))), end=' ')\n"
        "        print(executor.submit(os._exit, 3).exception(), end=' ')\n"
        "        print(executor.submit(abs, -1).result())\n"
    )
    child = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    lost = "the process that ran the task ended with exit code 3"
    assert (child.stdout, child.stderr) == (f"[3, 2, 1] {lost} 1\n", "")


def test_processes_and_descriptors_are_gone_after_the_end(executor: Executor) -> None:
    executor.submit(int).result(LIMIT)  # whatever stays for good is there now
    me = psutil.Process()
    gc.collect()  # what earlier tests have left
    before, files = set(me.children(recursive=True)), me.num_fds()
    with Executor(2, processes=True) as other:
        assert other.submit(os.getpid).result(LIMIT) in psutil.pids()
        other.submit(os._exit, 1).exception(LIMIT)
        other.submit(int).result(LIMIT)
    assert set(me.children(recursive=True)) <= before
    assert me.num_fds() <= files


def test_processes_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    started = tmp_path / "started"
    code = (
        "import pathlib\n"
        "from tests.unit.test_executor_processes import hang\n"
        "from penstock.flow import Executor\n"
        f"Executor(1, processes=True).submit(hang, pathlib.Path({str(started)!r})).result()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    ) as parent:
        end = time.monotonic() + LIMIT
        while not (started.exists() and started.read_text()):
            assert time.monotonic() < end
            time.sleep(0.01)
        worker = psutil.Process(int(started.read_text()))
        parent.kill()
    psutil.wait_procs([worker], timeout=LIMIT)
    assert not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE
