"""Group commit: what concurrent callers write goes in one hop, and in one transaction."""

from __future__ import annotations

from asyncio import get_running_loop
from typing import TYPE_CHECKING

from penstock.flow._deadline import ambient
from penstock.pools._sqlite_entry import Write
from penstock.pools._sqlite_queue import Queue
from penstock.pools._sqlite_writing import Writing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from penstock.pools._sqlite_statements import Kind
    from penstock.pools._sqlite_store import Store
    from penstock.pools._sqlite_work import Parameters

__all__ = ["Group"]


class Group(Queue[Write]):
    """
    Statements that wait to be written, and a thread that writes them when it is their turn.

    No statement is left lying. Whoever brings one looks at `_is_called` after it is in the queue,
    and calls for the writer if the flag is down. The thread takes the flag down before it looks
    into the queue for the last time.
    """

    __slots__ = ("_is_called", "_is_writing", "_writing")

    def __init__(self, store: Store) -> None:
        super().__init__(store.writer)
        #: A thread writes, or it is in line for the writer.
        self._is_called = False
        #: A thread writes, and will not go before it has written what is there.
        self._is_writing = False
        self._writing = Writing(store, self.pending)

    def put(
        self, sql: str, given: Parameters | Sequence[Parameters], many: bool, kind: Kind
    ) -> Write:
        """Have a statement written: its future is done when it is committed."""
        entry = Write(sql, given, get_running_loop(), many, kind)
        self.pending.append(entry)
        if not self._is_called:
            self._is_called = True
            self.call(self)
        # What is there when a thread writes will be written without any other wait.
        if not self._is_writing or ambient() is not None:
            entry.timer = self.limit(entry, self.store.options.acquire_timeout)
        return entry

    def kill(self) -> None:
        """Fail what waits; interrupt what runs."""
        self._writing.stop()
        self.end()

    def begin(self) -> None:
        """Have a thread write, with the permit that was taken."""
        self._is_writing = True
        error = self.submit(self._write)
        if error is not None:
            self._is_called = self._is_writing = False
            self.refuse(error)

    # --- in the thread ----------------------------------------------------------------------------

    def _write(self) -> None:
        store = self.store
        line = store.writer.line
        goes_on = True
        try:
            while True:
                self._do()
                gives_way = line.waiting and store.refusal is None
                # First this flag, then all that was there before: see `put`.
                self._is_writing = False
                if gives_way:
                    self._do()
                self._is_called = False
                if not self.pending:
                    goes_on = False
                    break
                self._is_called = True
                if gives_way:
                    break
                self._is_writing = True
        finally:
            self._is_writing = False
            try:
                self._writing.end()
            finally:
                self.give_back(self, goes_on)

    def _do(self) -> None:
        """Write what is there now, or tell why that cannot be."""
        count = len(self.pending)
        while count > 0 and self.pending:
            if self.store.is_dead:
                self.end()
                return
            done, error = self._writing.do(count)
            if error is not None:
                self.fail(error, count)
                return
            count -= done
