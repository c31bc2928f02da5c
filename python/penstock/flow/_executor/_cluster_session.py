"""
What a client of dask does for us, on the one event loop that it is used on.

Nothing that waits for dask is cancelled: its coroutines share what they wait for, so that one would
take the others along (dask/distributed#3908).
"""

from __future__ import annotations

import asyncio
import logging
import pickle
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from penstock.errors import ClusterLost, WorkerLost
from penstock.flow._executor._cluster_local import LocalCluster
from penstock.flow._executor._cluster_task import Outcome

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from penstock.flow._executor._cluster_task import ClusterTask, Deliver

__all__ = ["Session"]

#: What goes in one message: more would keep the scheduler from its other work.
_MAX_BATCH = 500
_MAX_BATCH_BYTES = 1_000_000

#: Seconds until we ask again for a result that could not be fetched.
_FETCH_PAUSE = 0.1

#: Seconds that dask may take to silence workers, to say goodbye, and when nobody listens.
_LAST_WORDS = 1.0
_GOODBYE = 3.0
_SHORT_GOODBYE = 0.2

#: What dask gives as the reason of a cancellation that is a broken connection.
_CONNECTION_LOST = "scheduler-connection-lost"


class Session:
    """
    A connection to a cluster, with the tasks that were sent.

    Args:
        where: The address of a scheduler, or a cluster of our own.
        timeout: Seconds after which a scheduler that does not answer is given up.
        deliver: Is told what became of each task.
        on_lost: Is called once, before the tasks that are lost with the cluster are delivered.
        options: More arguments of dask's ``Client``.
    """

    def __init__(
        self,
        where: str | LocalCluster,
        *,
        timeout: float,
        deliver: Deliver,
        on_lost: Callable[[ClusterLost], object],
        options: dict[str, object],
    ) -> None:
        self._where = where
        self._timeout = timeout
        self._deliver = deliver
        self._on_lost = on_lost
        self._options = options
        self._distributed = import_module("distributed")
        self._client: Any = None
        self._background: set[asyncio.Future[Any]] = set()
        self.address = where if isinstance(where, str) else ""
        #: Those that are not delivered, oldest first.
        self.tasks: dict[ClusterTask, None] = {}
        self.ended = asyncio.Event()

    @property
    def client(self) -> Any:
        """dask's client."""
        return self._client

    @property
    def is_connected(self) -> bool:
        """Whether dask has not noticed anything to the contrary."""
        return self._client is not None and self._client.status == "running"

    async def connect(self) -> None:
        """
        Find the scheduler.

        Raises:
            ClusterLost: It did not answer in time.
        """
        try:
            async with asyncio.timeout(self._timeout):
                if isinstance(self._where, LocalCluster):
                    self.address = await self._where.address()
                self._client = self._distributed.Client(
                    self.address,
                    asynchronous=True,
                    set_as_default=False,
                    timeout=self._timeout,
                    name="penstock",
                    **self._options,
                )
                await self._client
        except ClusterLost:
            raise
        except OSError as error:  # TimeoutError is one
            where = f" at {self.address}" if self.address else ""
            message = f"no scheduler{where} answered within {self._timeout:g} s"
            raise ClusterLost(message, address=self.address) from error

    async def disconnect(self) -> None:
        """Say goodbye, if somebody listens."""
        if self._client is None:
            return
        if self.is_connected and isinstance(self._where, LocalCluster):
            # Workers that are ended in the middle of something would complain.
            await _try(self._client.run(logging.disable, logging.CRITICAL), _LAST_WORDS)
        await _try(self._client.close(), _GOODBYE if self.is_connected else _SHORT_GOODBYE)

    def send(self, tasks: Sequence[ClusterTask]) -> None:
        """Run tasks on the cluster."""
        for task in tasks:
            self.tasks[task] = None
            left = task.left()
            if left is not None and task.expiry is None:
                task.expiry = asyncio.get_running_loop().call_later(left, self._expire, task)
        for batch in _batches(tasks):
            self._send_batch(batch)

    def drop(self, tasks: Sequence[ClusterTask]) -> None:
        """Forget tasks: those that wait never run, and what the others give is not fetched."""
        remotes = []
        for task in tasks:
            if task in self.tasks:
                remotes.append(task.remote)
                self._forget(task)
        self._release(remotes)

    def lose(self, message: str) -> None:
        """Give up the cluster, and all tasks with it."""
        if self.ended.is_set():
            return
        self.ended.set()
        error = ClusterLost(message, address=self.address)
        self._on_lost(error)
        for task in list(self.tasks):
            self.fail(task, ClusterLost(message, address=self.address))

    def fail(self, task: ClusterTask, error: BaseException) -> None:
        """Deliver that there is no result, unless the task has been delivered."""
        if task in self.tasks:
            remote = task.remote
            self._forget(task)
            self._deliver(task, Outcome(None, error))
            self._release([remote])

    def _send_batch(self, tasks: list[ClusterTask]) -> None:
        try:
            remotes = self._client.map(
                pickle.loads,
                [task.blob for task in tasks],
                key=[task.key for task in tasks],
                priority=-tasks[0].options.priority,
                pure=False,
            )
        except Exception as error:
            # One for each: what waits for them raises it, and adds its traceback.
            for task in tasks:
                self.fail(task, ClusterLost(f"{task.name} could not be sent: {error!r}"))
            return
        now = asyncio.get_running_loop().time()
        for task, remote in zip(tasks, remotes, strict=True):
            task.remote, task.sent_at, task.doubts = remote, now, 0
            self._keep(asyncio.ensure_future(self._follow(task, remote)))

    async def _follow(self, task: ClusterTask, remote: Any) -> None:
        """Wait for what becomes of a task."""
        while True:
            try:
                data = await remote
            except asyncio.CancelledError:
                raise
            except BaseException as error:
                if task.remote is not remote:  # delivered already, or sent again
                    return
                if remote.status in {"error", "cancelled"}:
                    self._fail(task, error)
                    return
                # It is there, but its worker or the scheduler could not be reached. dask computes
                # it again when the worker is gone; the watch knows when the scheduler is.
                await asyncio.sleep(_FETCH_PAUSE)
            else:
                if task.remote is remote:
                    self._forget(task)
                    self._deliver(task, Outcome(data, None))
                return

    def _fail(self, task: ClusterTask, error: BaseException) -> None:
        """Translate what dask says of a task; the task itself never raises."""
        if getattr(error, "reason", None) == _CONNECTION_LOST:
            self.lose(f"the connection to the scheduler at {self.address} broke")
        elif task.remote.status == "cancelled":
            message = f"the cluster at {self.address} has forgotten {task.name}: {error}"
            self.fail(task, ClusterLost(message, address=self.address))
        elif not isinstance(error, self._distributed.KilledWorker):
            self.fail(task, error)
        else:
            task.losses += 1
            if task.losses <= task.options.retries:
                # Under another key: dask remembers how this one has ended.
                task.key = f"{task.key.partition('~')[0]}~{task.losses}"
                self._send_batch([task])
                return
            died = getattr(error, "allowed_failures", 0) + 1
            lost = WorkerLost(f"{died} workers in a row died while they had {task.name} to run")
            lost.__cause__ = error
            self.fail(task, lost)

    def _expire(self, task: ClusterTask) -> None:
        self.fail(task, task.expired())

    def _forget(self, task: ClusterTask) -> None:
        self.tasks.pop(task, None)
        task.remote = None
        task.blob = b""
        if task.expiry is not None:
            task.expiry.cancel()
            task.expiry = None

    def _release(self, remotes: Sequence[Any]) -> None:
        """Let the cluster stop working for what nobody waits for."""
        wanted = [remote for remote in remotes if remote is not None]
        if wanted and self.is_connected:
            self._keep(asyncio.ensure_future(self._client.cancel(wanted)))

    def _keep(self, future: asyncio.Future[Any]) -> None:
        """Refer to what asyncio does not, until it is done."""
        self._background.add(future)
        future.add_done_callback(self._background.discard)


async def _try(work: Awaitable[object], seconds: float) -> None:
    """Wait for some time; whatever it is that goes wrong, the loop ends after it anyway."""
    with suppress(Exception, asyncio.CancelledError):
        async with asyncio.timeout(seconds):
            await work


def _batches(tasks: Sequence[ClusterTask]) -> Iterator[list[ClusterTask]]:
    """Divide tasks into what goes in one message: of one priority, and not too large."""
    batch: list[ClusterTask] = []
    size = 0
    for task in sorted(tasks, key=lambda task: task.options.priority):
        is_full = len(batch) >= _MAX_BATCH or size + len(task.blob) > _MAX_BATCH_BYTES
        if batch and (is_full or batch[0].options.priority != task.options.priority):
            yield batch
            batch, size = [], 0
        batch.append(task)
        size += len(task.blob)
    if batch:
        yield batch
