"""A real Prometheus, started for a test: Debian's package ``prometheus``, or whatever is there."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import psutil
import pytest

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

__all__ = ["Prometheus", "find_program", "running_prometheus"]

#: Seconds after which something that should have happened has not.
_LIMIT = 40.0
_CONFIG = """\
global:
  scrape_interval: 500ms
  scrape_timeout: 500ms
scrape_configs:
  - job_name: demo
    static_configs:
      - targets: ["{target}"]
"""


def find_program(name: str) -> str:
    """Return the path of a program of Prometheus; without it skip, or fail where all must run."""
    path = shutil.which(name)
    if path is not None:
        return path
    problem = (
        f"NOT TESTED AGAINST A REAL PROMETHEUS: there is no {name} (Debian: apt install prometheus)"
    )
    if any(os.environ.get(each, "") not in {"", "0"} for each in ("CI", "PENSTOCK_REQUIRE_NATIVE")):
        pytest.fail(problem)
    pytest.skip(problem)


@dataclass
class Prometheus:
    """A running server."""

    session: aiohttp.ClientSession
    process: subprocess.Popen[bytes]
    log: Path

    async def ask(self, path: str, **parameters: str) -> Any:
        """Return the data of an answer of the HTTP API; None if there is no answer yet."""
        with contextlib.suppress(aiohttp.ClientConnectionError):
            async with self.session.get(f"/api/v1/{path}", params=parameters) as response:
                if response.status != 503:  # not ready
                    answer = await response.json()
                    assert answer["status"] == "success", answer
                    return answer["data"]
        return None

    async def query(self, expression: str) -> dict[str, float]:
        """Return the values of an expression by their labels, as JSON, without job and instance."""
        data = await self.ask("query", query=expression) or {"result": []}
        return {
            json.dumps(
                {k: v for k, v in each["metric"].items() if k not in {"job", "instance"}},
                sort_keys=True,
            ): float(each["value"][1])
            for each in data["result"]
        }

    async def wait_for(self, expression: str, accept: Callable[[dict[str, float]], bool]) -> None:
        """Query until the values are acceptable; fail with the last ones and the log if not."""
        values: dict[str, float] = {}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LIMIT):
                while self.process.poll() is None:
                    values = await self.query(expression)
                    if accept(values):
                        return
                    await asyncio.sleep(0.05)
        pytest.fail(f"{expression} is {values}\n{self.log.read_text()}")


@contextlib.asynccontextmanager
async def running_prometheus(target: str, home: Path) -> AsyncIterator[Prometheus]:
    """
    Run a server that scrapes *target* twice a second, for the length of the block.

    Args:
        target: Host and port.
        home: An empty directory for all its files.
    """
    log = home / "prometheus.log"
    with _started(target, home, log) as process:
        url = f"http://127.0.0.1:{await _port_of(process, log)}"
        timeout = aiohttp.ClientTimeout(total=_LIMIT)
        async with aiohttp.ClientSession(url, timeout=timeout) as session:
            yield Prometheus(session, process, log)


@contextlib.contextmanager
def _started(target: str, home: Path, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    config = home / "prometheus.yml"
    config.write_text(_CONFIG.format(target=target))
    command = [
        find_program("prometheus"),
        f"--config.file={config}",
        f"--storage.tsdb.path={home / 'data'}",
        "--web.listen-address=127.0.0.1:0",
        "--log.level=warn",
    ]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, cwd=home
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


async def _port_of(process: subprocess.Popen[bytes], log: Path) -> int:
    """Wait until a process listens and return its port, which the kernel has chosen."""
    with contextlib.suppress(TimeoutError, psutil.NoSuchProcess):
        async with asyncio.timeout(_LIMIT):
            while process.poll() is None:
                for connection in psutil.Process(process.pid).net_connections(kind="tcp"):
                    if connection.status == psutil.CONN_LISTEN:
                        return int(connection.laddr.port)
                await asyncio.sleep(0.05)
    problem = await asyncio.to_thread(log.read_text)
    pytest.fail(f"prometheus does not listen\n{problem}")
