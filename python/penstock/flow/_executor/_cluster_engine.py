"""
A session with a cluster, in a thread and an event loop of its own.

dask hangs when a client is used from two loops (dask/distributed#4357), so nobody but this thread
ever calls it.
"""

from __future__ import annotations

import asyncio
from _thread import RLock
from collections import deque
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from threading import Thread, current_thread
from typing import TYPE_CHECKING

from penstock.errors import ClusterLost
from penstock.flow._executor._cluster_local import LocalCluster
from penstock.flow._executor._cluster_logs import quiet
from penstock.flow._executor._cluster_session import Session
from penstock.flow._executor._cluster_task import Outcome
from penstock.flow._executor._cluster_watch import Watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.flow._executor._cluster_task import ClusterTask, Deliver

__all__ = ["Engine"]


class Engine:
    """
    Sends tasks to a cluster, and tells what became of them; usable from any thread.

    Args:
        where: The address of a scheduler, or a cluster of our own, which ends with the engine.
        timeout: Seconds after which a scheduler that does not answer is given up.
        workers_timeout: Seconds that tasks wait while there is no worker at all.
        deliver: Is told what became of each task, once, by the thread of the engine.
        on_end: Is called when all is closed, after everything was delivered.
        options: More arguments of dask's ``Client``.
    """

    def __init__(
        self,
        where: str | LocalCluster,
        *,
        timeout: float,
        workers_timeout: float,
        deliver: Deliver,
        on_end: Callable[[], object],
        options: dict[str, object],
    ) -> None:
        self._where = where
        self._timeout = timeout
        self._workers_timeout = workers_timeout
        self._deliver = deliver
        self._on_end = on_end
        self._options = options
        # Reentrant: a finalizer that cancels a future may run while it is held.
        self._lock = RLock()
        self._lost: ClusterLost | None = None
        self._inbox: deque[ClusterTask] = deque()
        self._dropped: deque[ClusterTask] = deque()
        self._is_poked = False
        self._is_closing = False
        #: Whether there is somebody to say goodbye to.
        self._is_intact = False
        self._opened: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._session: Session | None = None
        self._watch: Watch | None = None
        self._thread = Thread(target=self._run, name="penstock-cluster", daemon=True)

    @property
    def address(self) -> str:
        """Where the scheduler is."""
        return "" if self._session is None else self._session.address

    @property
    def slots(self) -> int:
        """How many tasks can run at once, as of the last look at the cluster."""
        return 0 if self._watch is None else self._watch.slots

    def open(self) -> None:
        """
        Connect.

        Raises:
            ClusterLost: Nobody answered in time.
        """
        self._thread.start()
        try:
            self._opened.result()
        except BaseException:
            self.close()
            self.join()
            raise

    def send(self, task: ClusterTask) -> None:
        """Run a task on the cluster; without one it fails."""
        with self._lock:
            error = self._lost
            if error is None:
                self._inbox.append(task)
        if error is None:
            self._poke()
        else:
            self._deliver(task, Outcome(None, _copied(error)))

    def check(self) -> None:
        """
        Do nothing while there is a cluster.

        Raises:
            ClusterLost: There is none any more.
        """
        if self._lost is not None:
            raise _copied(self._lost)

    def drop(self, task: ClusterTask) -> None:
        """Forget a task, of which nothing has to be told any more."""
        self._dropped.append(task)
        self._poke()

    def close(self) -> None:
        """Begin to close; tasks that are still there fail."""
        self._is_closing = True
        self._call(self._enough)

    def join(self) -> None:
        """Wait until all is closed, which takes some seconds at most."""
        if self._thread.is_alive() and current_thread() is not self._thread:
            self._thread.join()

    def _poke(self) -> None:
        """Let the thread look into the queues: one wake-up for all that comes in a burst."""
        with self._lock:
            if self._is_poked:
                return
            self._is_poked = True
        self._call(self._look)

    def _call(self, function: Callable[[], object]) -> None:
        loop = self._loop
        if loop is not None:
            with suppress(RuntimeError):  # it is closed: all tasks were delivered
                loop.call_soon_threadsafe(function)

    # --- in the thread ----------------------------------------------------------------------------

    def _run(self) -> None:
        with ExitStack() as exits:
            exits.callback(self._on_end)
            exits.callback(self._stop_cluster)
            asyncio.run(self._main(exits))

    async def _main(self, exits: ExitStack) -> None:
        loop = asyncio.get_running_loop()
        # What dask leaves unawaited when a connection breaks is of no use to anybody.
        loop.set_exception_handler(lambda _loop, _context: None)
        session = Session(
            self._where,
            timeout=self._timeout,
            deliver=self._deliver,
            on_lost=self._note_loss,
            options=self._options,
        )
        watch = Watch(session, timeout=self._timeout, workers_timeout=self._workers_timeout)
        self._session, self._watch, self._task = session, watch, asyncio.current_task()
        self._loop = loop
        try:
            await session.connect()
            await watch.look()
        except BaseException as error:
            failure: BaseException | None = error
        else:
            failure = None
            self._is_intact = True
            self._opened.set_result(None)
            watching = asyncio.create_task(self._keep_watch(watch))
            await session.ended.wait()
            watching.cancel()
        exits.enter_context(quiet())
        await session.disconnect()
        if failure is not None:
            self._opened.set_exception(failure)

    async def _keep_watch(self, watch: Watch) -> None:
        try:
            await watch.run()
        except Exception as error:
            assert self._session is not None
            self._session.lose(f"the cluster at {self.address} cannot be watched: {error!r}")

    def _enough(self) -> None:
        if self._opened.done():
            assert self._session is not None
            self._session.lose("the executor was shut down")
        elif self._task is not None:
            self._task.cancel()

    def _look(self) -> None:
        """Take what is in the queues to the session."""
        session = self._session
        assert session is not None
        with self._lock:
            self._is_poked = False
        try:
            sent, dropped = _drain(self._inbox), _drain(self._dropped)
            gone = set(dropped)
            session.send([task for task in sent if task not in gone])
            session.drop(dropped)
        except Exception as error:
            session.lose(f"the cluster at {self.address} cannot be used: {error!r}")
            raise

    def _note_loss(self, error: ClusterLost) -> None:
        with self._lock:
            self._lost = error
            self._is_intact = self._is_closing
            unsent = _drain(self._inbox)
        for task in unsent:
            self._deliver(task, Outcome(None, _copied(error)))

    def _stop_cluster(self) -> None:
        if isinstance(self._where, LocalCluster):
            self._where.stop(kill=not self._is_intact)


def _copied(error: ClusterLost) -> ClusterLost:
    """Return one for each who waits: raising it adds a traceback to it."""
    return ClusterLost(*error.args, address=error.address)


def _drain(queue: deque[ClusterTask]) -> list[ClusterTask]:
    """Take all out of a queue that others may put more in."""
    return [queue.popleft() for _ in range(len(queue))]
