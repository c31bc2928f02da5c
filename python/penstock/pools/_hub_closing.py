"""The end of one client of a `WebSocketHub`: a goodbye, for which there is so much time."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from asyncio import Task

    from penstock.pools._hub_client import HubClient

__all__ = ["Closing"]

logger = logging.getLogger("penstock.pools")


class Closing:
    """
    Closes a client in a task that nobody's cancellation reaches.

    Args:
        client: Is stopped already: nothing more is put in its queue.
        code: Why.
        reason: The same in words.
        is_drained: Whether what waits is to be sent first.
        seconds: For all of it; after that the connection is dropped. None: as long as it takes.
    """

    __slots__ = ("_client", "_code", "_is_drained", "_is_over", "_reason", "_seconds", "task")

    task: Task[None]

    def __init__(
        self, client: HubClient, code: int, reason: str, is_drained: bool, seconds: float | None
    ) -> None:
        self._client = client
        self._code = code
        self._reason = reason
        self._is_drained = is_drained
        self._seconds = seconds
        self._is_over = False
        if not is_drained:
            client._outbox.end()

    async def run(self) -> None:
        """Say goodbye, and wait for the peer's."""
        client = self._client
        is_polite = False
        try:
            async with asyncio.timeout(self._seconds):
                if self._is_drained:
                    await client._outbox.drained()
                client._outbox.end()
                await client._socket.close(self._code, self._reason)
                is_polite = True
        except TimeoutError:
            pass
        except Exception as error:
            logger.debug("%r could not be closed: %r", client, error)
        finally:
            self.finish(is_polite)

    async def ended(self) -> None:
        """Wait for the end; who is cancelled does not end it."""
        await asyncio.wait([self.task])

    def finish(self, is_polite: bool = False) -> None:
        """Drop the connection, unless the peer has said goodbye."""
        if self._is_over:
            return
        self._is_over = True
        client = self._client
        client._outbox.end()
        try:
            if not is_polite:
                client._core.tally.aborted += 1
                client._socket.abort()
        except Exception as error:
            logger.debug("%r could not be aborted: %r", client, error)
        finally:
            client._core.finish(client)
