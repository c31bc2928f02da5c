"""Whether a cluster is still there, and still knows of what we wait for."""

from __future__ import annotations

import asyncio
from itertools import islice
from typing import TYPE_CHECKING

from penstock.errors import ClusterLost

if TYPE_CHECKING:
    from penstock.flow._executor._cluster_session import Session
    from penstock.flow._executor._cluster_task import ClusterTask

__all__ = ["Watch"]

#: Seconds between two looks, at most.
_LONGEST_INTERVAL = 1.0

#: How many tasks the scheduler is asked about in one look.
_AUDITED = 256

#: How often in a row the scheduler must not know of a task before we believe it.
_MAX_DOUBTS = 3

#: What a scheduler calls a task that it is still going to tell us about.
_ALIVE = {"waiting", "no-worker", "queued", "processing", "released"}


class Watch:
    """
    Asks the scheduler from time to time.

    Args:
        session: Whose cluster, and whose tasks.
        timeout: Seconds after which a scheduler that does not answer is lost.
        workers_timeout: Seconds that tasks wait while there is no worker at all.
    """

    def __init__(self, session: Session, *, timeout: float, workers_timeout: float) -> None:
        self._session = session
        self._interval = min(_LONGEST_INTERVAL, timeout / 4)
        # A pause, and two questions: this process may have been stopped during the first one.
        self._patience = (timeout - self._interval) / 2
        self._timeout = timeout
        self._workers_timeout = workers_timeout
        self._deserted_at: float | None = None
        self._cursor = 0
        #: Threads of all workers, as of the last look.
        self.slots = 0

    async def run(self) -> None:
        """Look until the cluster is lost."""
        session = self._session
        unanswered = 0.0
        while unanswered < 2 * self._patience:
            if not session.is_connected:
                session.lose(f"the connection to the scheduler at {session.address} broke")
                return
            asked = _now()
            try:
                async with asyncio.timeout(self._patience):
                    await self.look()
            except OSError:  # TimeoutError is one
                await asyncio.sleep(max(0.0, asked + self._patience - _now()))
                unanswered += self._patience
            else:
                unanswered = 0.0
                await asyncio.sleep(self._interval)
        message = f"the scheduler at {session.address} has not answered for {self._timeout:g} s"
        session.lose(message)

    async def look(self) -> None:
        """Ask once."""
        client = self._session.client
        self.slots = sum((await client.nthreads()).values())
        self._mind_desertion()
        tasks = self._sample()
        if tasks:
            keys = {task.key: task for task in tasks}
            states = await client.scheduler.get_task_status(keys=list(keys))
            for key, task in keys.items():
                self._judge(task, states.get(key))

    def _mind_desertion(self) -> None:
        """Let tasks fail when there has been nobody to run them for too long."""
        if self.slots:
            self._deserted_at = None
            return
        if self._deserted_at is None:
            self._deserted_at = _now()
        latest = _now() - self._workers_timeout
        if self._deserted_at <= latest:
            address, seconds = self._session.address, self._workers_timeout
            message = f"the cluster at {address} has had no workers for {seconds:g} s"
            for task in list(self._session.tasks):
                if task.sent_at <= latest:
                    self._session.fail(task, ClusterLost(message, address=address))

    def _sample(self) -> list[ClusterTask]:
        """Return some tasks that were sent long enough ago to be known, others each time."""
        tasks = list(islice(self._session.tasks, self._cursor, self._cursor + _AUDITED))
        self._cursor = self._cursor + _AUDITED if len(tasks) == _AUDITED else 0
        latest = _now() - self._timeout
        return [task for task in tasks if task.remote is not None and task.sent_at <= latest]

    def _judge(self, task: ClusterTask, state: str | None) -> None:
        """Give a task up whose end dask forgot to tell us (dask/distributed#3196, #6074)."""
        remote = task.remote
        if remote is None or state in _ALIVE or remote.status == "finished":  # being fetched
            task.doubts = 0
            return
        task.doubts += 1
        if task.doubts >= _MAX_DOUBTS:
            address = self._session.address
            message = f"the cluster at {address} never told what became of {task.name}"
            self._session.fail(task, ClusterLost(f"{message} ({state})", address=address))


def _now() -> float:
    return asyncio.get_running_loop().time()
