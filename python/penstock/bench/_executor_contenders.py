"""Contenders of the executor rows: penstock's own and the standard library's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.bench._flow_contenders import flow

if TYPE_CHECKING:
    from penstock.bench._model import Backend, Contender

__all__ = ["EXECUTORS", "WORKERS"]

#: Threads of each executor.
WORKERS: Final = 8
#: ``g`` does nothing; the loop knows how many tasks are a burst and how long one sleeps.
_SUBMITS: Final = {
    "submit": "submit(g).result()",
    "burst": "tasks = [submit(g) for _ in range(COUNT)]\nfor task in tasks:\n    task.result()",
    "sleep": "tasks = [submit(sleep, WORK) for _ in range(COUNT)]\n"
    "for task in tasks:\n    task.result()",
}
_BIND: Final = """\
from asyncio import gather, get_running_loop
from time import sleep
def g():
    pass
submit = c.submit
"""
_OURS: Final = {
    **_SUBMITS,
    "run": "await run(g)",
    "gather": "await gather(*[run(g) for _ in range(COUNT)])",
}
_THEIRS: Final = {
    **_SUBMITS,
    "run": "await run(c, g)",
    "gather": "await gather(*[run(c, g) for _ in range(COUNT)])",
}
# What they are asked to do has to be known in the other process too.
_PROCESS: Final = {"submit": "submit(getpid).result()"}
_PROCESS_BIND: Final = "from os import getpid\nsubmit = c.submit"
_SPAWN: Final = "import multiprocessing\nspawn = multiprocessing.get_context('spawn')\n"


def _ours(backend: Backend) -> list[Contender]:
    suffix = "" if backend == "native" else " (pure)"
    return [
        flow(
            f"penstock Executor{suffix}",
            "executor",
            f"c = penstock.Executor({WORKERS})",
            _OURS,
            bind=_BIND + "run = c.run",
            backend=backend,
        ),
    ]


EXECUTORS: Final[tuple[Contender, ...]] = (
    *_ours("native"),
    *_ours("pure"),
    flow(
        # Its processes import what is imported here: of the copies of the package the usual one.
        "penstock Executor, processes",
        "processes",
        f"{_SPAWN}from penstock import Executor\nc = Executor(2, processes=True, mp_context=spawn)",
        _PROCESS,
        bind=_PROCESS_BIND,
    ),
    flow(
        "ThreadPoolExecutor",
        "executor",
        f"from concurrent.futures import ThreadPoolExecutor\nc = ThreadPoolExecutor({WORKERS})",
        _THEIRS,
        # Only coroutines have a running loop.
        bind=_BIND + "try:\n    run = get_running_loop().run_in_executor\n"
        "except RuntimeError:\n    run = None",
    ),
    flow(
        "ProcessPoolExecutor",
        "processes",
        f"{_SPAWN}from concurrent.futures import ProcessPoolExecutor\n"
        "c = ProcessPoolExecutor(2, mp_context=spawn)",
        _PROCESS,
        bind=_PROCESS_BIND,
    ),
)
