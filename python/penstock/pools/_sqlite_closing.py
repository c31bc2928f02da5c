"""The end of a pool: waiting for those who use it, or not."""

from __future__ import annotations

from asyncio import get_running_loop
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from penstock.pools._sqlite_group import Group
    from penstock.pools._sqlite_reads import Reads
    from penstock.pools._sqlite_store import Store

__all__ = ["finish", "kill"]


async def finish(store: Store, group: Group, reads: Reads, until: float | None) -> None:
    """
    Wait for all who use a pool that takes on nothing more, then close everything.

    Args:
        store: Its connections and threads.
        group: What is to be written.
        reads: What is to be read.
        until: When to give up, on the clock of the loop; None: never.

    Raises:
        TimeoutError: Somebody uses it still.
    """
    readers, writer = store.reader.line, store.writer.line
    everyone = store.options.readers
    loop = get_running_loop()

    def left() -> float | None:
        return None if until is None else max(until - loop.time(), 0.0)

    await readers.acquire(everyone, deadline=left())
    while reads.pending:  # they are in line, and before us the next time
        readers.release(everyone)
        await readers.acquire(everyone, deadline=left())
    try:
        await writer.acquire(deadline=left())
        while group.pending:  # it was in line, and is before us the next time
            writer.release()
            await writer.acquire(deadline=left())
        try:
            if not store.is_closed:
                await store.run(store.close_idle)
                store.shut_down()
        finally:
            writer.release()
    finally:
        readers.release(everyone)


async def kill(store: Store, group: Group, reads: Reads) -> None:
    """Interrupt what runs, and take the connections from those who have them."""

    def work() -> None:
        store.kill()
        group.kill()
        reads.kill()
        store.close_idle()

    await store.run(work)
    store.shut_down()
