"""What a connection of redis-py is owed, and what its users leave behind on the server."""

from __future__ import annotations

from math import inf
from typing import Any, Final, cast

from redis.exceptions import ExecAbortError, ResponseError
from redis.utils import str_if_bytes

__all__ = ["Session"]

_BEGINNING: Final = frozenset({b"MULTI", b"WATCH"})
_ENDING: Final = frozenset({b"DISCARD", b"EXEC", b"UNWATCH"})
#: These change a session for as long as it lasts, end it, or have more replies than one.
_LASTING: Final = frozenset(
    {
        *(b"ASKING", b"AUTH", b"HELLO", b"MONITOR", b"PSUBSCRIBE", b"PSYNC", b"PUNSUBSCRIBE"),
        *(b"QUIT", b"READONLY", b"READWRITE", b"REPLCONF", b"RESET", b"SELECT", b"SSUBSCRIBE"),
        *(b"SUBSCRIBE", b"SUNSUBSCRIBE", b"SYNC", b"UNSUBSCRIBE"),
    }
)
_NOTED: Final = _BEGINNING | _ENDING | _LASTING | {b"CLIENT", b"SCRIPT"}
#: Of CLIENT, what only asks, or is about others: new ones that change something are added to it.
#: Not KILL, which may be about itself.
_ASKING: Final = frozenset(
    {
        *(b"GETNAME", b"GETREDIR", b"HELP", b"ID", b"INFO", b"LIST", b"PAUSE"),
        *(b"TRACKINGINFO", b"UNBLOCK", b"UNPAUSE"),
    }
)
#: Bits of what is left behind: a transaction may end, and the other remains.
_OPEN: Final = 1
_FOR_GOOD: Final = 2


class Session:
    """
    Counts commands that were packed and replies that were read, and notes what outlasts them.

    A connection that is owed something, or was given something that nobody asked for, would give
    the next one a reply that is not his. redis-py drops its connections where it sees that a
    command broke off; this also notices where it does not. In an open transaction or another
    database, the next one's own commands would not do what he means.
    """

    sent = 0
    read = 0
    #: Not 0 if a transaction is open, or something has come, or was set, that nothing takes back.
    left_behind = 0
    #: The number of the command that ends the transaction, if none was begun behind it.
    _end = 0

    def begin_session(self) -> None:
        """Count from here: it is connected, and as its pool wants it to be."""
        self.sent = self.read = self.left_behind = self._end = 0

    # Called by pack_commands() of redis-py as well, for each of a pipeline.
    def pack_command(self, *args: Any) -> list[bytes]:
        packed = cast("list[bytes]", super().pack_command(*args))  # type: ignore[misc]
        self.sent += 1
        # As it is sent: number of words, length of the first one, the first one, the others.
        words = packed[0].split(b"\r\n", 3)
        if len(words) < 4:  # a memoryview, in a chunk of its own
            self.left_behind |= _FOR_GOOD
        elif (name := words[2].upper()) in _NOTED:
            self._note(name, words[3])
        return packed

    def _note(self, name: bytes, others: bytes) -> None:
        if name in _BEGINNING:
            self.left_behind |= _OPEN
            self._end = 0
        elif name in _ENDING:
            self._end = self.sent
        elif name in _LASTING or _is_lasting(name, others):
            self.left_behind |= _FOR_GOOD

    async def check_health(self) -> None:
        """Ask whether it is alive; what was packed already is sent, and answered, behind that."""
        sent, end, self._end = self.sent, self._end, 0
        await super().check_health()  # type: ignore[misc]
        self._end = end and end + self.sent - sent

    async def read_response(
        self,
        disable_decoding: bool = False,
        timeout: float | None = None,  # noqa: ASYNC109  # redis-py's
        **kwargs: Any,
    ) -> Any:
        try:
            response = await super().read_response(  # type: ignore[misc]
                disable_decoding, timeout, **kwargs
            )
        except ResponseError as error:
            self.note_reply(error)
            raise
        # With a timeout None may say that it is over, and the reply is still to come.
        if response is not None or timeout is None or timeout == inf:
            self.note_reply(response)
        return response

    def note_reply(self, reply: object) -> None:
        """Count what was read, be it an error."""
        self.read += 1
        if self.read > self.sent:
            self.left_behind |= _FOR_GOOD
        elif self.read == self._end and _is_end(reply):
            self.left_behind &= ~_OPEN


def _is_lasting(name: bytes, others: bytes) -> bool:
    """Whether CLIENT or SCRIPT changes the session; it may if its second word is not to be seen."""
    second = b"".join(others.split(b"\r\n", 2)[1:2]).upper()
    return second not in _ASKING if name == b"CLIENT" else second in {b"DEBUG", b""}


def _is_end(reply: object) -> bool:
    """Whether this reply to EXEC, DISCARD or UNWATCH says that there is no transaction any more."""
    if isinstance(reply, ResponseError):
        return isinstance(reply, ExecAbortError)
    # Not QUEUED, nor what an encoding has made of that.
    return not isinstance(reply, (bytes, str)) or str_if_bytes(reply) == "OK"
