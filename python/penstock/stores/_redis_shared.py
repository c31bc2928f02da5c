"""What processes have of each other through a Redis store: leases, messages, what was missed."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from penstock.stores._redis_binding import Binding
    from penstock.stores._store import Change, Grant, Message

__all__ = ["Shared"]


class Shared:
    """
    Part of `RedisStore`.

    Args:
        binding: Its connections.
    """

    __slots__ = ("_binding", "_join")

    def __init__(self, binding: Binding) -> None:
        self._binding = binding
        self._join = binding.join

    async def replay(self, changes: Sequence[Change]) -> None:
        """
        Make up for writes that were missed, each unless something newer is there.

        Raises:
            StoreError: Redis refused one, or did not answer in time.
        """
        await self._join().writes.replay(changes)

    async def ping(self) -> None:
        """
        Return when Redis answers.

        Raises:
            StoreError: It does not.
        """
        await self._join().session.ping()

    # --- leases -----------------------------------------------------------------------------------

    async def acquire(self, key: str, seconds: float) -> Grant:
        """
        Ask for the lease of *key*.

        Args:
            key: Of which at most one process is to load the value.
            seconds: After which it ends by itself.

        Returns:
            A token, which is also the base of what is loaded; or 0, and for how long somebody
            else holds it.

        Raises:
            StoreError: Redis cannot be asked.
        """
        return await self._join().leases.acquire(key, seconds)

    async def released(self, key: str, timeout: float) -> None:  # noqa: ASYNC109  # one timer
        """
        Return when the lease of *key* is released, or after *timeout* seconds.

        Args:
            key: That `acquire` did not give.
            timeout: Seconds.
        """
        await self._join().leases.released(key, timeout)

    async def release(self, key: str, token: int) -> None:
        """
        Give the lease of *key* back, if *token* still holds it, and wake who waits for it.

        Raises:
            StoreError: Redis cannot be asked.
        """
        await self._join().leases.release(key, token)

    # --- messages ---------------------------------------------------------------------------------

    async def listen(self, receive: Callable[[Message], None], lost: Callable[[], None]) -> None:
        """
        Begin to call *receive* with what other processes change.

        Args:
            receive: Is called in the event loop.
            lost: Is called when messages may be missing: when the connection is lost, and when it
                is there again.

        Cost: a connection that is pinged every 10 s. Without a backplane, nothing.
        """
        await self._binding.listen(receive, lost)

    async def unlisten(self) -> None:
        """
        Stop it; for all, once it was called as often as `listen`.
        """
        await self._binding.unlisten()
