"""The same program on threads, on processes and on a cluster, with a worker killed on the way."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.clusters import hang_once, pid_in
from tests.threads import LIMIT

from penstock.flow import Executor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SQUARES = [number * number for number in range(100)]


def squares(executor: Any, victim: Path) -> list[int]:
    """The program: a hundred tasks, one of which hangs until its worker is killed."""
    tasks = executor.with_options(retries=3)
    futures = [tasks.submit(hang_once, number, victim) for number in range(100)]
    if not victim.exists() or victim.read_text() != "nobody\n":
        os.kill(pid_in(victim), signal.SIGKILL)
    results: list[int] = executor.gather(*futures).result(LIMIT)
    return results


def on_cluster() -> Any:
    pytest.importorskip("distributed", reason="the extra dask is not installed")
    return Executor.local_cluster(2)


@pytest.mark.parametrize(
    ("make", "is_killed"),
    [
        pytest.param(lambda: Executor(2), False, id="threads"),
        pytest.param(lambda: Executor(2, processes=True), True, id="processes"),
        pytest.param(on_cluster, True, id="cluster"),
    ],
)
def test_all_results_are_right(make: Callable[[], Any], is_killed: bool, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    if not is_killed:
        victim.write_text("nobody\n")
    with make() as executor:
        assert squares(executor, victim) == SQUARES
        stats = executor.stats()
    assert (stats.submitted, stats.completed, stats.failed) == (100, 100, 0)
    if is_killed:
        assert int(victim.read_text()) != os.getpid()
