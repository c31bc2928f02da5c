"""The event loop that a recorder belongs to: that of its batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from penstock.errors import WrongEventLoop

if TYPE_CHECKING:
    from penstock.batching import Batcher
    from penstock.recording._rows import Row

__all__ = ["bind", "elsewhere"]


async def bind(recorder: object, batches: Batcher[Row, None]) -> None:
    """
    Let a recorder belong to the running loop; nothing is waited for.

    Raises:
        WrongEventLoop: It belongs to another one, which is not closed.
    """
    try:
        await batches.__aenter__()
    except WrongEventLoop:
        raise elsewhere(recorder) from None


def elsewhere(recorder: object) -> WrongEventLoop:
    """Return the error of who uses a recorder in a loop that is not its own."""
    message = f"{recorder!r} is bound to another event loop: only put_nowait() is for others"
    return WrongEventLoop(message)
