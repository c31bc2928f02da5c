"""A cluster on this machine, as a child process and its directory."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from multiprocessing import spawn
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.errors import ClusterLost
from penstock.flow._executor._cluster_child import ADDRESS_FILE, COMMAND, GRACE

if TYPE_CHECKING:
    from penstock.flow._executor._cluster_child import ClusterSettings

__all__ = ["LocalCluster"]

#: Seconds between two looks for the address of the scheduler, which takes about one to start.
_LOOK_INTERVAL = 0.01

#: How often to try to remove a directory that others write to.
_REMOVALS = 50

#: Seconds that closing takes beyond those after which the child kills itself.
_SLACK = 1.0


class LocalCluster:
    """
    The process of a scheduler, whose workers are its children.

    They all are in a process group of their own: a Ctrl-C is not theirs, and none is missed when
    they have to be killed.
    """

    __slots__ = ("_directory", "_process")

    _process: subprocess.Popen[str]

    def __init__(
        self,
        n_workers: int,
        *,
        threads_per_worker: int,
        processes: bool,
        memory_limit: int | str,
        allowed_failures: int,
    ) -> None:
        self._directory = Path(tempfile.mkdtemp(prefix="penstock-cluster-"))
        settings: ClusterSettings = {
            # What can be imported here can be imported there.
            "path": [str(Path(entry).absolute()) for entry in sys.path],
            "directory": str(self._directory),
            "n_workers": n_workers,
            "threads_per_worker": threads_per_worker,
            "processes": processes,
            "memory_limit": memory_limit,
            "allowed_failures": allowed_failures,
        }
        try:
            self._process = subprocess.Popen(
                [os.fsdecode(spawn.get_executable()), "-c", COMMAND],
                stdin=subprocess.PIPE,
                text=True,
                start_new_session=True,
                # All that dask leaves on the disk, in a directory that can be removed.
                env=os.environ | {"DASK_TEMPORARY_DIRECTORY": str(self._directory)},
            )
        except BaseException:
            self._remove_directory()
            raise
        self._say(json.dumps(settings))

    @property
    def pid(self) -> int:
        """The process of the scheduler."""
        return self._process.pid

    async def address(self) -> str:
        """
        Wait until the scheduler and its workers have been started.

        Raises:
            ClusterLost: The process has ended.
        """
        path = self._directory / ADDRESS_FILE
        while not path.exists():
            status = self._process.poll()
            if status is not None:
                message = f"the local cluster ended with status {status} while it was starting"
                raise ClusterLost(message)
            await asyncio.sleep(_LOOK_INTERVAL)
        return path.read_text()

    def stop(self, *, kill: bool = False) -> None:
        """
        End all processes and remove their files; it takes some seconds at most.

        Args:
            kill: Do not ask before.
        """
        try:
            if kill:
                self._kill()
            else:
                self._say("enough")
            assert self._process.stdin is not None
            with suppress(OSError):
                self._process.stdin.close()
            try:
                self._process.wait(GRACE + _SLACK)
            except subprocess.TimeoutExpired:
                self._kill()
                self._process.wait()
        finally:
            self._remove_directory()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        with suppress(OSError):  # it has ended
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()

    def _kill(self) -> None:
        """Kill the whole group: workers outlive a scheduler that was killed by somebody else."""
        if self._process.returncode is not None:
            return  # the number may be that of others by now
        with suppress(ProcessLookupError):
            if hasattr(os, "killpg"):
                os.killpg(self._process.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def _remove_directory(self) -> None:
        """Remove it, again if a worker that is just being killed wrote one more file."""
        for _ in range(_REMOVALS):
            shutil.rmtree(self._directory, ignore_errors=True)
            if not self._directory.exists():
                return
            time.sleep(_LOOK_INTERVAL)
