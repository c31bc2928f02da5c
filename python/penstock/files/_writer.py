"""`FileWriter`: the last of many writes of a file, in one step, off the event loop."""

from __future__ import annotations

import asyncio
import codecs
import threading
from collections import deque
from concurrent import futures
from contextlib import suppress
from contextvars import Context
from typing import TYPE_CHECKING

from penstock import _backend, _components, json
from penstock.errors import ClosedError, WrongEventLoop
from penstock.files._disk import Disk
from penstock.files._families import WRITER_FIELDS
from penstock.files._paths import absolute
from penstock.files._settling import of_living_loops, settle
from penstock.files._slot import Slot
from penstock.files._stats import FileWriterStats
from penstock.files._waiting import in_time
from penstock.flow._checks import check_int, check_name

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop, Future, Task
    from datetime import timedelta
    from types import TracebackType
    from typing import Self

    from penstock.files._paths import AnyPath
    from penstock.files._settling import Waiter

__all__ = ["FileWriter"]


class FileWriter:
    """
    Writes files: the last write of each within a window wins, and replaces the file in one step.

    A window begins with the first write of a path and ends *window* seconds later; what is written
    to the same path meanwhile takes its place. Then a thread makes a temporary file beside the old
    one, synchronises it, and gives it the old one's name and permissions. Whoever reads the file
    sees the old content or the new one, and after a crash finds one of both.

    Args:
        window: Seconds (or a timedelta) for which newer content of a path is waited for; 0 for the
            writes of one tick.
        fsync: Whether what was written has to survive a loss of power, not only the process.
        encoding: Of text.
        max_workers: How many files are written at once.
        name: Shows the statistics among the metrics under this name.

    Raises:
        TypeError, ValueError, LookupError: An argument is not what it has to be.

    Cost: a write is a future and a few dictionary operations; each file that is replaced costs a
        hop to a thread and what the disk takes. One event loop, which is bound at the first use;
        ``write_threadsafe`` elsewhere.
    """

    __slots__ = (
        "__weakref__", "_asked", "_binding", "_closed", "_closing", "_disk", "_encoding", "_inbox",
        "_loop", "_merged", "_name", "_slots", "_window",
    )  # fmt: skip

    def __init__(
        self,
        *,
        window: float | timedelta = 0.1,
        fsync: bool = True,
        encoding: str = "utf-8",
        max_workers: int = 4,
        name: str | None = None,
    ) -> None:
        is_zero = isinstance(window, int | float) and not isinstance(window, bool) and window == 0
        self._window = 0.0 if is_zero else _backend.duration("window", window)
        if not isinstance(encoding, str):
            raise TypeError(f"encoding must be a str, got {type(encoding).__name__}")
        codecs.lookup(encoding)
        check_name(name)
        self._encoding = encoding
        self._name = name
        workers = check_int("max_workers", max_workers, 1)
        self._disk = Disk(workers, name or "penstock-files", fsync=bool(fsync))
        self._loop: AbstractEventLoop | None = None
        self._binding = threading.Lock()
        self._slots: dict[str, Slot] = {}
        #: What threads have asked for, until the loop takes it.
        self._inbox: deque[tuple[str, bytes, futures.Future[None]]] = deque()
        self._closed = False
        self._closing: Task[None] | None = None
        self._asked = self._merged = 0
        _components.enter(self)

    @property
    def name(self) -> str | None:
        """
        The name given to the writer.
        """
        return self._name

    @property
    def window(self) -> float:
        """
        Seconds for which newer content of a path is waited for.
        """
        return self._window

    @property
    def closed(self) -> bool:
        """
        Whether it accepts nothing any more.
        """
        return self._closed

    def write(self, path: AnyPath, data: object) -> Future[None]:
        """
        Write a file, unless newer content for it comes within the window.

        Args:
            path: A relative one is looked up from the directory that is the current one now. A
                symlink stays, what it points to is replaced.
            data: The whole content: bytes as they are, text in the writer's encoding, anything else
                as JSON. It is encoded now; later changes of it do not count.

        Returns:
            A future that is done when this content, or a newer one of the same path, is on the
            disk; it raises an OSError if that fails. It need not be awaited. Cancelling it cancels
            nothing.

        Raises:
            ClosedError: The writer is closed, or closing.
            WrongEventLoop: It is bound to another event loop.
            RuntimeError: No event loop runs here.
            TypeError, ValueError: The path is none, or the data cannot be encoded.
        """
        if self._closed:
            raise self._refusal()
        loop = self._bind()
        path, content = absolute(path), self._encode(data)
        future: Future[None] = loop.create_future()
        self._accept(path, content, future)
        return future

    def write_threadsafe(self, path: AnyPath, data: object) -> futures.Future[None]:
        """
        Do what ``write`` does, from any thread.

        Returns:
            A future of ``concurrent.futures``; it cannot be cancelled.

        Raises:
            ClosedError: The writer is closed, or closing. The future raises it if that comes in
                between.
            RuntimeError: No event loop has used the writer yet, or it was closed: there is nobody
                who would write.
            TypeError, ValueError: The path is none, or the data cannot be encoded.
        """
        if self._closed:
            raise self._refusal()
        path, content = absolute(path), self._encode(data)
        future: futures.Future[None] = futures.Future()
        future.set_running_or_notify_cancel()
        entry = (path, content, future)
        loop = self._loop
        if loop is None:
            raise RuntimeError(f"{self!r} is bound to no event loop yet: use it in one first")
        self._inbox.append(entry)
        try:
            loop.call_soon_threadsafe(self._take_inbox)
        except RuntimeError:
            with suppress(ValueError):  # unless another loop has taken it
                self._inbox.remove(entry)
                raise RuntimeError(f"the event loop of {self!r} is closed") from None
        return future

    async def flush(self, path: AnyPath | None = None) -> None:
        """
        Write now what was asked for before, and wait until it is on the disk.

        Args:
            path: Only what was asked for this file.

        Raises:
            OSError: A file could not be written; with several of them it is the error of the first,
                and notes tell of the others.
            DeadlineExceeded: The ambient ``deadline()`` was over first. Everything is written all
                the same; so it is when the caller is cancelled.
            WrongEventLoop: The writer is bound to another event loop.
        """
        self._bind()
        self._take_inbox()
        if path is None:
            slots = list(self._slots.values())
        else:
            slot = self._slots.get(absolute(path))
            slots = [] if slot is None else [slot]
        waiters = [waiter for slot in slots for waiter in self._hurry(slot)]
        if waiters:
            await in_time(asyncio.wait(waiters))
            _raise_first([error for waiter in waiters if (error := waiter.exception())])

    async def aclose(self) -> None:
        """
        Accept nothing any more, and write what was accepted.

        Cancelling it leaves that to the background. It may be called again, for the same outcome.

        Raises:
            OSError: As from ``flush``.
        """
        loop = self._bind()
        self._take_inbox()
        self._closed = True
        if self._closing is None or self._closing.get_loop() is not loop:
            # Without the deadline of who closes: it would be that of the writes.
            self._closing = loop.create_task(self._close(), context=Context())
        await in_time(asyncio.shield(self._closing))

    async def __aenter__(self) -> Self:
        self._bind()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def stats(self) -> FileWriterStats:
        """
        Return what the writer has done so far.
        """
        disk = self._disk
        return FileWriterStats(
            asked=self._asked,
            written=disk.written,
            merged=self._merged,
            failed=disk.failed,
            pending=sum(slot.pending for slot in list(self._slots.values())),
            bytes=disk.size,
            write_seconds=disk.seconds,
        )

    def __repr__(self) -> str:
        name = "" if self._name is None else f", name={self._name!r}"
        return f"FileWriter(window={self._window:g}{name})"

    # --- accepting --------------------------------------------------------------------------------

    def _refusal(self) -> ClosedError:
        return ClosedError(f"{self!r} is closed")

    def _encode(self, data: object) -> bytes:
        if isinstance(data, str):
            return data.encode(self._encoding)
        if isinstance(data, bytes):
            return data
        if isinstance(data, bytearray | memoryview):
            return bytes(data)
        return json.dumps(data)

    def _bind(self) -> AbstractEventLoop:
        """Return the loop that runs here, which is the writer's from now on."""
        loop = asyncio._get_running_loop()
        if loop is None:
            raise RuntimeError("no running event loop: use write_threadsafe")
        if loop is not self._loop:
            with self._binding:
                if self._loop is not None and not self._loop.is_closed():
                    message = f"{self!r} is bound to another event loop: use write_threadsafe"
                    raise WrongEventLoop(message)
                self._loop = loop
            self._adopt(loop)
        return loop

    def _adopt(self, loop: AbstractEventLoop) -> None:
        """Go on where a loop was closed: its timers are gone, and so is who waited in it."""
        for slot in list(self._slots.values()):
            slot.waiters = of_living_loops(slot.waiters)
            slot.witnesses = of_living_loops(slot.witnesses)
            if slot.content is not None and not slot.due:
                self._open_window(loop, slot)
            if slot.job is not None:
                self._watch(loop, slot, slot.job)
        self._take_inbox()

    def _take_inbox(self) -> None:
        while self._inbox:
            path, content, future = self._inbox.popleft()
            if self._closed:
                future.set_exception(self._refusal())
            else:
                self._accept(path, content, future)

    def _accept(self, path: str, content: bytes, waiter: Waiter) -> None:
        slot = self._slots.get(path)
        if slot is None:
            slot = self._slots[path] = Slot(path)
        if slot.content is None:
            assert self._loop is not None
            self._open_window(self._loop, slot)
        else:
            self._merged += 1
        self._asked += 1
        slot.content = content
        slot.waiters.append(waiter)

    def _open_window(self, loop: AbstractEventLoop, slot: Slot) -> None:
        slot.timer = loop.call_later(self._window, self._end_window, slot)

    # --- writing ----------------------------------------------------------------------------------

    def _end_window(self, slot: Slot) -> None:
        slot.stop_timer()
        slot.due = True
        self._start(slot)

    def _start(self, slot: Slot) -> None:
        """Write what is due, unless a thread is at this very file."""
        content = slot.content
        if content is None or slot.job is not None or not slot.due:
            return
        slot.content, slot.due = None, False
        slot.witnesses, slot.waiters = slot.waiters, []
        slot.size = len(content)
        assert self._loop is not None
        slot.job = job = self._disk.replace(slot.path, content)
        self._watch(self._loop, slot, job)

    def _watch(self, loop: AbstractEventLoop, slot: Slot, job: futures.Future[float]) -> None:
        def report(_: futures.Future[float]) -> None:
            with suppress(RuntimeError):  # closed: whoever uses the writer next asks again
                loop.call_soon_threadsafe(self._finish, slot, job)

        job.add_done_callback(report)

    def _finish(self, slot: Slot, job: futures.Future[float]) -> None:
        """Tell how it ended, and go on with what has become due meanwhile."""
        if slot.job is not job:
            return
        error = self._disk.count(job, slot.size)
        witnesses, slot.witnesses, slot.job = slot.witnesses, [], None
        if slot.content is None:
            del self._slots[slot.path]
        else:
            self._start(slot)
        settle(witnesses, error)

    def _hurry(self, slot: Slot) -> list[Future[None]]:
        """End the window of a file; return what is done when all its content is on the disk."""
        assert self._loop is not None
        waiters: list[Future[None]] = []
        if slot.job is not None:
            waiters.append(self._loop.create_future())
            slot.witnesses.append(waiters[-1])
        if slot.content is not None:
            waiters.append(self._loop.create_future())
            slot.waiters.append(waiters[-1])
            self._end_window(slot)
        return waiters

    async def _close(self) -> None:
        try:
            await self.flush()
        finally:
            if not self._slots:  # else it was cut off: the next loop goes on with them
                self._disk.close()


def _raise_first(errors: list[BaseException]) -> None:
    if errors:
        first, *others = errors
        for other in others:
            first.add_note(f"and another one: {type(other).__name__}: {other}")
        raise first


_components.describe("file_writer", FileWriterStats, WRITER_FIELDS)
