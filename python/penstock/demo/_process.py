"""The service's process: started, watched, and ended whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from typing import TYPE_CHECKING, Final, TypeVar

from penstock.demo._model import DemoError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine
    from pathlib import Path

__all__ = ["ServiceProcess", "running_service"]

T = TypeVar("T")

_START_SECONDS: Final = 15.0
_STOP_SECONDS: Final = 4.0
_NOTICE_SECONDS: Final = 1.0
_TAIL_BYTES: Final = 4_096
_TAIL_LINES: Final = 15


class ServiceProcess:
    """
    A running service: where it listens, and whether it still does.
    """

    __slots__ = ("_ended", "_log", "_process", "url")

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self._process = process
        self._log = log
        self._ended = asyncio.create_task(process.wait())
        self.url = ""

    @property
    def pid(self) -> int:
        """
        The process id.
        """
        return self._process.pid

    async def guard(self, work: Coroutine[None, None, T]) -> T:
        """
        Return the result of *work*, or stop it when the service ends first.

        Raises:
            DemoError: The service ended; the message has the last lines it wrote.
        """
        task = asyncio.ensure_future(work)
        try:
            await asyncio.wait({task, self._ended}, return_when=asyncio.FIRST_COMPLETED)
            if self._ended.done():
                raise self._failure(f"the service {self._how_it_ended()}")
            return task.result()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def check(self) -> None:
        """
        Give a service that failed requests a moment to show that it has ended.

        Raises:
            DemoError: It has.
        """
        await asyncio.wait({self._ended}, timeout=_NOTICE_SECONDS)
        if self._ended.done():
            raise self._failure(f"the service {self._how_it_ended()}")

    async def wait_until_ready(self) -> None:
        """
        Wait for the port, which the service prints when it can answer.

        Raises:
            DemoError: It ended instead, or took too long.
        """
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), _START_SECONDS)
        except TimeoutError:
            problem = f"the service did not start within {_START_SECONDS:g} s"
            raise self._failure(problem) from None
        if not line.strip().isdigit():
            await self.check()
            raise self._failure(f"the service printed {line!r} instead of its port")
        self.url = f"http://127.0.0.1:{int(line)}"

    async def stop(self) -> None:
        """
        End the process: politely first, by force after a few seconds.
        """
        assert self._process.stdin is not None
        try:
            self._process.stdin.close()
            await asyncio.wait({self._ended}, timeout=_STOP_SECONDS)
        finally:
            if not self._ended.done():
                with contextlib.suppress(ProcessLookupError):
                    self._process.kill()
            await self._ended

    def _how_it_ended(self) -> str:
        code = self._ended.result()
        return f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"

    def _failure(self, problem: str) -> DemoError:
        tail = _tail(self._log)
        return DemoError(f"{problem}; its last lines:\n{tail}" if tail else problem)


@contextlib.asynccontextmanager
async def running_service(
    database: Path, service_args: tuple[str, ...], log: Path
) -> AsyncIterator[ServiceProcess]:
    """
    Run the service for the length of the block.

    Args:
        database: The file that it serves.
        service_args: The rest of its command line.
        log: Where its standard error goes.

    Raises:
        DemoError: It did not start.
    """
    # Its own session: Ctrl-C in the terminal reaches the demo, which then ends the service.
    with log.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "penstock.demo._service", str(database), *service_args),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=stderr,
            env=_environment(),
            start_new_session=True,
        )
    service = ServiceProcess(process, log)
    try:
        await service.wait_until_ready()
        yield service
    finally:
        await service.stop()


def _environment() -> dict[str, str]:
    # The service imports what this process imports, also when nothing is installed.
    path = [entry or os.getcwd() for entry in sys.path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path)}


def _tail(log: Path) -> str:
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = file.read().decode(errors="replace").splitlines()
    except OSError:
        return ""
    return "\n".join(f"  {line}" for line in lines[-_TAIL_LINES:])
