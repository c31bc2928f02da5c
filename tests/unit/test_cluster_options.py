"""What executors on a cluster are refused for, before there is a cluster."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from penstock.flow import Executor

#: Arguments of both ways to make one, that are wrong.
WRONG: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"timeout": 0}, ValueError, "timeout must be > 0"),
    ({"timeout": "1"}, TypeError, "timeout must be a number"),
    ({"timeout": None}, TypeError, "timeout must be"),
    ({"timeout": float("inf")}, ValueError, "timeout must be"),
    ({"workers_timeout": -1}, ValueError, "workers_timeout must be > 0"),
    ({"max_task_bytes": 0}, ValueError, "max_task_bytes must be >= 1, got 0"),
    ({"max_task_bytes": 1.5}, TypeError, "max_task_bytes must be an int, got float"),
    ({"max_result_bytes": 0}, ValueError, "max_result_bytes must be >= 1, got 0"),
    ({"max_result_bytes": None}, TypeError, "max_result_bytes must be an int, got NoneType"),
    ({"max_pending": 0}, ValueError, "max_pending must be >= 1, got 0"),
    ({"max_pending": True}, TypeError, "max_pending must be an int, got bool"),
    ({"on_full": "block"}, ValueError, "on_full must be 'wait' or 'raise', got 'block'"),
    ({"name": 3}, TypeError, "name must be a str, got int"),
]


@pytest.mark.parametrize(("arguments", "error", "message"), WRONG)
def test_wrong_arguments_are_refused(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Executor.connect("tcp://127.0.0.1:1", **arguments)
    with pytest.raises(error, match=message):
        Executor.local_cluster(1, **arguments)


@pytest.mark.parametrize(
    ("address", "error", "message"),
    [
        (None, TypeError, "address must be a str, got NoneType"),
        (8786, TypeError, "address must be a str, got int"),
        ("", ValueError, "address must not be empty"),
    ],
)
def test_an_address_is_a_text(address: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Executor.connect(address)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"n_workers": 0}, ValueError, "n_workers must be >= 1, got 0"),
        ({"n_workers": -1}, ValueError, "n_workers must be >= 1, got -1"),
        ({"n_workers": 1.0}, TypeError, "n_workers must be an int, got float"),
        ({"n_workers": True}, TypeError, "n_workers must be an int, got bool"),
        ({"n_workers": 1, "threads_per_worker": 0}, ValueError, "threads_per_worker must be >= 1"),
        ({"n_workers": 1, "memory_limit": 0}, ValueError, "memory_limit must be >= 1, got 0"),
        ({"n_workers": 1, "memory_limit": "1GB"}, TypeError, "memory_limit must be an int, got"),
        ({"n_workers": 1, "allowed_failures": -1}, ValueError, "allowed_failures must be >= 0"),
    ],
)
def test_a_local_cluster_has_at_least_one_worker(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        Executor.local_cluster(**arguments)


def in_program(code: str) -> str:
    """Run code in a fresh interpreter; what it printed."""
    program = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
    )
    assert program.returncode == 0, program.stderr
    return program.stdout.strip()


@pytest.mark.parametrize("call", ["connect('tcp://127.0.0.1:1')", "local_cluster(1)"])
def test_a_missing_extra_is_named(call: str) -> None:
    code = f"""
import sys
sys.modules["distributed"] = None  # an import of it fails
from penstock.flow import Executor
try:
    Executor.{call}
except ImportError as error:
    print(error)
"""
    message = "an executor on a cluster needs dask.distributed: pip install penstock[dask]"
    assert in_program(code) == message


def test_dask_is_imported_when_it_is_used() -> None:
    code = """
import sys
from penstock.flow import Executor
Executor.connect
with Executor(1) as executor:
    executor.submit(abs, -1).result()
print(*sys.modules)
"""
    loaded = set(in_program(code).split())
    assert loaded & {"dask", "distributed", "cloudpickle", "tornado", "tblib"} == set()
    assert "penstock.flow._executor._cluster_core" not in loaded
