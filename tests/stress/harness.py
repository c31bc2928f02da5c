"""
Tests that run in a child process: what hangs, crashes or leaks there fails one test here.

A module of such tests imports neither pytest nor hypothesis, so that a child starts at once.
"""

from __future__ import annotations

import faulthandler
import functools
import gc
import importlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import TypeVar

    T = TypeVar("T")

__all__ = ["LIMIT", "cases", "collect", "in_child", "resident_bytes", "rounds", "run_in_child"]

P = ParamSpec("P")

#: Seconds that it then has to say where, before it is killed.
_GRACE = 10.0

#: Set in a child: the test's own code runs here.
_CHILD = "PENSTOCK_STRESS_CHILD"
_ROOT = Path(__file__).parents[2]


def rounds(count: int) -> int:
    """As many rounds of a test as PENSTOCK_STRESS asks for."""
    return count * int(os.environ.get("PENSTOCK_STRESS", "1"))


#: Seconds after which a child counts as hanging; less than what pytest gives each test.
LIMIT = 20.0 if rounds(1) == 1 else 45.0


def in_child(
    test: Callable[P, None] | None = None, *, limit: float = LIMIT, native_only: str = ""
) -> Callable[..., None]:
    """
    Run a test in a process of its own, which has to end well and without a word on stderr.

    Args:
        test: Its arguments must be JSON.
        limit: Seconds after which it counts as hanging.
        native_only: Why it makes no sense on the pure backend, if it does not.
    """
    if test is None:
        return functools.partial(in_child, limit=limit, native_only=native_only)
    if _CHILD in os.environ:
        return test

    @functools.wraps(test)
    def parent(**arguments: object) -> None:
        __tracebackhide__ = True
        import pytest

        import penstock

        if native_only and penstock.BACKEND == "pure":
            pytest.skip(native_only)
        problem = run_in_child(test.__module__, test.__name__, arguments, limit)
        if problem:
            pytest.fail(problem, pytrace=False)

    return parent


def cases(name: str, values: Iterable[object]) -> Callable[[T], T]:
    """Parametrize a test, in the parent."""
    if _CHILD in os.environ:
        return lambda test: test
    import pytest

    return pytest.mark.parametrize(name, list(values))


def run_in_child(module: str, name: str, arguments: dict[str, object], limit: float) -> str:
    """Run one function in a child and say what went wrong, if anything did."""
    path = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    with subprocess.Popen(
        [
            sys.executable,
            "-u",
            "-X",
            "faulthandler",
            "-W",
            "error",
            "-m",
            __name__,
            module,
            name,
            json.dumps(arguments),
            str(limit),
        ],
        env={**os.environ, _CHILD: "1", "PYTHONPATH": os.pathsep.join(path)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as child:
        try:
            out, err = child.communicate(timeout=limit + _GRACE)
        except subprocess.TimeoutExpired:
            # A child that hangs ends itself; what it forked does not, and holds the pipes.
            os.killpg(child.pid, signal.SIGKILL)
            out, err = child.communicate()
            return _describe("hangs, and had to be killed", out, err)
    if child.returncode == 0 and not err:
        return ""
    return _describe(_how_it_ended(child.returncode, err), out, err)


def _how_it_ended(code: int, err: str) -> str:
    if code < 0:
        return f"was killed by signal {-code}"
    if err.startswith("Timeout ("):
        return "hangs"
    return "failed" if code else "passed, but had something to say"


def _describe(what: str, out: str, err: str) -> str:
    return f"the child {what}\n--- output\n{out}--- errors\n{err}"


def collect() -> None:
    """Collect all garbage there is; finalizers may have made more."""
    for _ in range(3):
        gc.collect()


def resident_bytes() -> int:
    """The memory of this process, or its peak where the present figure is not to be had."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        import resource

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1024
    return pages * os.sysconf("SC_PAGE_SIZE")


def main(module: str, name: str, arguments: str, limit: str) -> None:
    """Run one test; this is the child."""
    # By a thread of C that needs no GIL: it gets through whatever the others are stuck in.
    faulthandler.dump_traceback_later(float(limit), exit=True)
    test = getattr(importlib.import_module(module), name)
    test(**json.loads(arguments))
    faulthandler.cancel_dump_traceback_later()


if __name__ == "__main__":
    main(*sys.argv[1:])
