"""The peers of batching, as contenders; part of ``peers.py``."""

from __future__ import annotations

from typing import Final

from penstock.bench import GATHER, LOAD, SEND, Contender, flow

__all__ = ["BATCHING_PEERS"]

_DATALOADER: Final = "from aiodataloader import DataLoader\n"

BATCHING_PEERS: Final[tuple[Contender, ...]] = (
    flow(
        "aiodataloader",
        "batcher",
        f"{_DATALOADER}c = DataLoader(handle, cache=False)",
        GATHER,
        bind="submit = c.load",
        needs="aiodataloader",
    ),
    flow(
        "aiodataloader",
        "loader",
        f"{_DATALOADER}def c():\n    return DataLoader(handle)",
        LOAD,
        bind="make = c",
        needs="aiodataloader",
    ),
    flow(
        "aiodataloader",
        "sink",
        # Its batches run at once, which one connection does not take part in.
        f"{_DATALOADER}c = DataLoader(write, max_batch_size=100, cache=False)",
        SEND,
        bind="send = c.load",
        needs="aiodataloader",
    ),
    flow(
        "async-batcher",
        "batcher",
        """\
from async_batcher.batcher import AsyncBatcher
class Same(AsyncBatcher):
    async def process_batch(self, batch):
        return await handle(batch)
# It has no linger of one tick; the shortest is none.
c = Same(max_batch_size=max(2, len(items)), max_queue_time=0)
""",
        GATHER,
        bind="submit = c.process",
        needs="async-batcher",
    ),
    flow(
        "async-batcher",
        "sink",
        """\
from async_batcher.batcher import AsyncBatcher
class Writer(AsyncBatcher):
    async def process_batch(self, batch):
        return await write(batch)
c = Writer(max_batch_size=100, max_queue_time=0)
""",
        SEND,
        bind="send = c.process",
        needs="async-batcher",
    ),
)
