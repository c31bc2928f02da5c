"""The threads that replace files, and what they have done."""

from __future__ import annotations

from concurrent import futures
from contextvars import Context
from time import perf_counter

from penstock.files._atomic import replace_file
from penstock.flow._executor import Executor

__all__ = ["Disk"]


class Disk:
    """
    Replaces files in threads, a bounded number at once.

    Args:
        workers: How many.
        prefix: Of their names.
        fsync: Whether what is written has to survive a loss of power.
    """

    __slots__ = (
        "_executor",
        "_fsync",
        "_prefix",
        "_workers",
        "failed",
        "seconds",
        "size",
        "written",
    )

    def __init__(self, workers: int, prefix: str, *, fsync: bool) -> None:
        self._workers = workers
        self._prefix = prefix
        self._fsync = fsync
        self._executor: Executor | None = None
        self.written = self.failed = self.size = 0
        self.seconds = 0.0

    def replace(self, path: str, content: bytes) -> futures.Future[float]:
        """Let a thread replace a file; return a future of how many seconds that takes."""
        try:
            if self._executor is None:
                self._executor = Executor(self._workers, self._prefix, context=False)
            # Without the deadline of whoever asks: what was accepted is written.
            submit = self._executor.submit
            return Context().run(submit, _replace, path, content, self._fsync)
        except BaseException as error:  # no more threads
            failed: futures.Future[float] = futures.Future()
            failed.set_exception(error)
            return failed

    def count(self, job: futures.Future[float], size: int) -> BaseException | None:
        """Count a replacement that has ended; return its error, or None."""
        error = job.exception()
        if error is None:
            self.written += 1
            self.size += size
            self.seconds += job.result()
        else:
            self.failed += 1
        return error

    def close(self) -> None:
        """Let the threads end."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)


def _replace(path: str, content: bytes, fsync: bool) -> float:
    start = perf_counter()
    replace_file(path, content, fsync=fsync)
    return perf_counter() - start
