"""The connections for one purpose, and the line of who wants one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock._waiters import Waiters
from penstock.errors import AcquireTimeout
from penstock.flow._deadline import sooner

if TYPE_CHECKING:
    from collections.abc import Callable

    from penstock.pools._sqlite_connection import Link
    from penstock.pools._sqlite_store import Store

__all__ = ["Lane", "Line"]


class Line(Waiters):
    """
    Who may use a connection, and who waits for one.

    Args:
        limit: How many connections there are.
        what: They are called in messages.
    """

    __slots__ = ("_what",)

    def __init__(self, limit: int, what: str) -> None:
        super().__init__(limit)
        self._what = what

    _time_left = staticmethod(sooner)

    def _expired(self, seconds: float) -> Exception:
        message = (
            f"{self._what} did not become free within {seconds:g} s: "
            f"{self.in_use} of {self.limit} in use, {self.waiting} waiting"
        )
        return AcquireTimeout(message, seconds=seconds)


class Lane:
    """
    The connections for one purpose: the readers, or the one writer.

    Whoever has a permit of the line may take a link, or open one.
    """

    __slots__ = ("idle", "line", "store", "writes")

    def __init__(self, store: Store, writes: bool) -> None:
        self.store = store
        self.writes = writes
        what = "the SQLite writer" if writes else "a SQLite reader"
        self.line = Line(1 if writes else store.options.readers, what)
        #: The one that was used last is the first to be taken.
        self.idle: list[Link] = []

    def check_out(self, is_stopped: Callable[[], bool]) -> Link:
        """Return a link, opened if need be; in a thread."""
        now = self.store.timer()
        while True:
            try:
                link = self.idle.pop()
            except IndexError:
                return self.store.open(self.writes, is_stopped)
            if link.expires > now:
                return link
            self.store.close(link)

    def check_in(self, link: Link) -> None:
        """Take a link back; it has no transaction."""
        link.since = self.store.timer()
        self.idle.append(link)
        if self.store.is_dead:  # nobody else would close it any more
            self.close_idle()

    def close_idle(self, before: float | None = None, now: float = 0.0) -> None:
        """Close those that are idle since *before*, or have lived long enough; without it, all."""
        kept = []
        while self.idle:
            try:
                link = self.idle.pop()
            except IndexError:
                break
            if before is not None and link.since > before and link.expires > now:
                kept.append(link)
            else:
                self.store.close(link)
        self.idle[:0] = kept[::-1]
