"""Opening and closing the connections to a SQLite database."""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from random import random
from time import monotonic, perf_counter, sleep, thread_time
from typing import TYPE_CHECKING, Final, TypeVar

from penstock.pools._sqlite_raw import Raw

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.pools._sqlite_options import Options

__all__ = ["Link", "code_of", "open_link", "persist", "tidy_up"]

T = TypeVar("T")

#: Seconds between attempts at a locked database, the last for all that follow. The busy handler of
#: SQLite would do the same, but could not be interrupted.
_DELAYS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05)
#: The part of the lifetime by which connections differ, so that they do not all end at once.
_JITTER: Final = 0.1
_STATEMENTS: Final = 256
#: Steps of SQLite's virtual machine, some ten microseconds, between looks at the clock.
_STEPS: Final = 1000
#: How many times the limit a statement may take that does not get the CPU.
_PATIENCE: Final = 9
#: Errors after which a connection is not used again.
_FATAL: Final = frozenset({
    sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PROTOCOL,
})  # fmt: skip


def code_of(error: BaseException) -> int:
    """Return the primary result code of an error of SQLite, 0 if it has none."""
    code: int = getattr(error, "sqlite_errorcode", None) or 0
    return code & 0xFF


class Link:
    """
    A connection, and what the pool knows of it.

    Args:
        raw: The connection.
        expires: When it has lived long enough, on the clock of the pool.
    """

    __slots__ = ("_was_lent", "expires", "is_broken", "raw", "since", "until")

    def __init__(self, raw: Raw, expires: float) -> None:
        self.raw = raw
        self.expires = expires
        self.is_broken = False
        self._was_lent = False
        #: When it became idle.
        self.since = 0.0
        #: Of `bound`: by when a statement has to be done, and what time of the CPU it was at the
        #: first look, or 0.0. In a list, since the connection refers to it.
        self.until = [0.0, 0.0]

    def bound(self, limit: float) -> None:
        """
        Interrupt statements from now on that run longer than ``until``.

        One that had to wait for a CPU, or for the GIL, is not slow: it may have *limit* seconds of
        the CPU, as long as it is done in some multiple of that.
        """
        until, patience = self.until, _PATIENCE * limit

        def is_late() -> bool:
            if not until[1]:  # the first look, some microseconds after the beginning
                until[1] = thread_time()
            late = perf_counter() - until[0]
            return late > 0 and (late > patience or thread_time() - until[1] > limit)

        self.raw.set_progress_handler(is_late, _STEPS)

    def note(self, error: BaseException) -> None:
        """See by an error whether the connection is of any use."""
        if code_of(error) in _FATAL:
            self.is_broken = True

    def interrupt(self) -> None:
        """End the statement that runs; from any thread."""
        with suppress(sqlite3.Error):  # closed
            self.raw.interrupt()

    def lend(self) -> sqlite3.Connection:
        """Return the connection for the use of others, until `reclaim`."""
        self._was_lent = True
        return self.raw.lend()

    def reclaim(self) -> None:
        """Close what others have left open."""
        if self._was_lent:
            self.raw.reclaim()

    def settle(self) -> None:
        """See whether a connection that was lent, and has no transaction any more, is of use."""
        if not self._was_lent:
            return
        self._was_lent = False
        # It interrupts what is open still, by means that nobody could note, and what follows then.
        self.raw.interrupt()
        try:
            self.raw.execute("SELECT 1").close()
        except sqlite3.Error:
            self.is_broken = True

    def rollback(self) -> bool:
        """End a transaction without effect; whether there was one."""
        self.reclaim()
        if not self.raw.in_transaction:
            return False
        try:
            self.raw.execute("ROLLBACK")
        except sqlite3.Error:
            # It ends with the connection, if it is there still.
            self.is_broken = self.is_broken or self.raw.in_transaction
        return True

    def close(self) -> None:
        """Let go of the database."""
        self.reclaim()  # it would be held by what is open
        with suppress(sqlite3.Error):
            self.raw.close()


def persist(
    call: Callable[[], T], seconds: float, is_stopped: Callable[[], bool] = lambda: False
) -> T:
    """
    Return what *call* does, called again while the database is locked; in a thread that may wait.

    Args:
        call: Executes a statement that can be repeated.
        seconds: For how long.
        is_stopped: Tells that nobody wants it any more.
    """
    until: float | None = None
    attempt = 0
    while True:
        try:
            return call()
        except sqlite3.OperationalError as error:
            if code_of(error) != sqlite3.SQLITE_BUSY or is_stopped():
                raise
            now = monotonic()
            until = now + seconds if until is None else until
            if now >= until:
                raise
            delay = min(_DELAYS[min(attempt, len(_DELAYS) - 1)], until - now)
        attempt += 1
        sleep(delay)


def open_link(
    options: Options, writes: bool, timer: Callable[[], float], is_stopped: Callable[[], bool]
) -> Link:
    """
    Open a connection; in a thread.

    Raises:
        sqlite3.Error: It cannot be opened, or there is no database; the path is in a note. So it is
            where ``on_connect`` raised, whatever that was.
    """
    uri = f"{Path(options.path).as_uri()}?mode={'rwc' if writes else 'ro'}"
    raw: Raw | None = None
    try:
        raw = Raw(
            uri,
            timeout=0,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=_STATEMENTS,
            uri=True,
        )
        _prepare(raw, options, writes, is_stopped)
    except BaseException as error:
        if raw is not None:
            raw.reclaim()
            raw.close()
        error.add_note(f"while opening the SQLite database {options.path!r}")
        raise
    lifetime = options.max_lifetime
    expires = float("inf")
    if lifetime is not None:
        expires = timer() + lifetime * (1 - _JITTER * random())
    return Link(raw, expires)


def tidy_up(path: str) -> None:
    """Write what is in the log to the database, if nobody uses it any more; in a thread."""
    if not os.path.exists(f"{path}-wal"):
        return
    with suppress(sqlite3.Error):  # it can be done the next time as well
        raw = sqlite3.connect(path, timeout=0)
        try:
            raw.execute("SELECT 1 FROM sqlite_master").fetchone()
        finally:
            raw.close()


def _prepare(raw: Raw, options: Options, writes: bool, is_stopped: Callable[[], bool]) -> None:
    def patiently(sql: str) -> None:
        persist(lambda: raw.execute(sql).fetchone(), options.busy_timeout, is_stopped)

    if writes:
        try:
            patiently("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            # What cannot be written can be read all the same.
            if code_of(error) != sqlite3.SQLITE_READONLY:
                raise
    # Another connection may be changing to WAL.
    for pragma in (f"PRAGMA synchronous={options.synchronous}", *options.pragmas):
        patiently(pragma)
    if options.on_connect is not None:
        options.on_connect(raw.lend())
        raw.reclaim()
        raw.commit()
    if not writes:
        raw.execute("PRAGMA query_only=1")
    # The schema is read here, and not when somebody waits on an event loop.
    patiently("SELECT 1 FROM sqlite_master LIMIT 1")
