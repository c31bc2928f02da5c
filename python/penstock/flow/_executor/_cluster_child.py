"""
The process of a local cluster: the scheduler, and the nannies that watch over its workers.

It is a process of its own so that the scheduler does not share the interpreter lock of a service,
and that workers import no ``__main__`` of it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import sys
import time
from functools import partial
from importlib import import_module
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["ADDRESS_FILE", "COMMAND", "GRACE", "ClusterSettings", "serve"]


class ClusterSettings(TypedDict):
    """What the process that wants a cluster says of it, as one line of JSON."""

    path: list[str]
    directory: str
    n_workers: int
    threads_per_worker: int
    processes: bool
    memory_limit: int | str
    allowed_failures: int


#: What the child runs; everything else is sent to it.
COMMAND = """
import json, sys
settings = json.loads(sys.stdin.readline())
sys.path[:] = settings["path"]
from penstock.flow._executor._cluster_child import serve
serve(settings)
"""

#: Where in its directory the child writes the address of its scheduler.
ADDRESS_FILE = "address"

#: Seconds for which workers may be in the middle of something that nobody waits for any more.
GRACE = 2.0

#: Seconds between two looks whether all workers are there.
_LOOK_INTERVAL = 1.0


def serve(settings: ClusterSettings) -> None:
    """Run a cluster until the parent says that it is enough, or is gone."""
    try:
        asyncio.run(_serve(settings))
    finally:
        shutil.rmtree(settings["directory"], ignore_errors=True)  # the parent may be gone
    # A worker that dask has closed may still be in the middle of a task, and write files.
    _kill_group()


async def _serve(settings: ClusterSettings) -> None:
    distributed = import_module("distributed")
    enough = asyncio.Event()
    loop = asyncio.get_running_loop()
    tell = partial(_tell, loop, enough.set)
    Thread(target=_await_end, args=(settings["directory"], tell), daemon=True).start()
    cluster = await distributed.LocalCluster(
        n_workers=settings["n_workers"],
        threads_per_worker=settings["threads_per_worker"],
        processes=settings["processes"],
        memory_limit=settings["memory_limit"],
        protocol="tcp://",
        host="127.0.0.1",
        asynchronous=True,
        silence_logs=logging.WARNING,
        dashboard_address=None,
        # Its HTTP server cannot be had without a port, and by default two of them want the same.
        scheduler_kwargs={
            "dashboard": False,
            "dashboard_address": "127.0.0.1:0",
            "allowed_failures": settings["allowed_failures"],
        },
    )
    _publish(Path(settings["directory"]), cluster.scheduler_address)
    tending = asyncio.create_task(_tend(cluster, settings["n_workers"]))
    await enough.wait()
    tending.cancel()
    logging.disable(logging.CRITICAL)  # workers that were killed are not worth a word any more
    await cluster.close()


async def _tend(cluster: Any, n_workers: int) -> None:
    """Replace nannies: they give up, for ever, when their worker dies before it has started."""
    while True:
        await asyncio.sleep(_LOOK_INTERVAL)
        for name, nanny in list(cluster.workers.items()):
            if nanny.status.name in {"closed", "failed"}:
                cluster.workers.pop(name, None)
        cluster.scale(n_workers)


def _publish(directory: Path, address: str) -> None:
    """Write the address in one step: who finds the file finds all of it."""
    draft = directory / f"{ADDRESS_FILE}.new"
    draft.write_text(address)
    draft.rename(directory / ADDRESS_FILE)


def _await_end(directory: str, tell: Callable[[], object]) -> None:
    """Wait for a line or the end of the input; what is still there some time later is killed."""
    sys.stdin.readline()
    tell()
    time.sleep(GRACE)
    shutil.rmtree(directory, ignore_errors=True)
    _kill_group()
    os._exit(1)


def _kill_group() -> None:
    """End this process and all that it has started."""
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGKILL)


def _tell(loop: asyncio.AbstractEventLoop, callback: Callable[[], object]) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(callback)
