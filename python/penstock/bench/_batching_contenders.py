"""Contenders of the batching rows: penstock's own and what one writes by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from penstock.bench._flow_contenders import flow

if TYPE_CHECKING:
    from penstock.bench._model import Backend, Contender

__all__ = ["BATCHING", "GATHER", "LOAD", "SEND"]

#: Hands in all ``items`` at once; ``found`` is to be the same ones.
GATHER: Final = {"gather": "found = await gather(*[submit(item) for item in items])"}
#: Makes a loader, as for one request, and loads all ``items``.
LOAD: Final = {"load": "load = make().load\nfound = await gather(*[load(item) for item in items])"}
#: Sends all ``items`` to the database.
SEND: Final = {"send": "found = await gather(*[send(item) for item in items])"}

_BY_HAND: Final = """\
class c:
    waiting, tasks = [], set()
    def submit(item):
        future = loop.create_future()
        if not c.waiting:
            loop.call_soon(c.start)
        c.waiting.append((item, future))
        return future
    def start():
        batch, c.waiting = c.waiting, []
        task = loop.create_task(c.run(batch))
        c.tasks.add(task)
        task.add_done_callback(c.tasks.discard)
    async def run(batch):
        results = await handle([item for item, _ in batch])
        for (_, future), result in zip(batch, results, strict=True):
            if not future.done():
                future.set_result(result)
loop = asyncio.get_running_loop()
"""
_EACH_BY_ITSELF: Final = """\
loop, queue = asyncio.get_running_loop(), []
def put(item):
    loop.call_soon_threadsafe(queue.append, item)
async def end():
    await asyncio.sleep(0)
    await handle(queue.copy())
    queue.clear()
"""


def _ours(backend: Backend) -> list[Contender]:
    suffix = "" if backend == "native" else " (pure)"
    batcher, loader = f"penstock Batcher{suffix}", f"penstock Loader{suffix}"
    make = "c = penstock.Batcher(handle, max_items=max(2, len(items)), linger=0)\n"
    send = "c = penstock.Batcher(write, max_items=100, linger=0)"
    return [
        flow(batcher, "batcher", make, GATHER, bind="submit = c.submit", backend=backend),
        flow(
            batcher,
            "queue",
            make,
            {"put": "put(item)", "clear": "await c.flush()"},
            bind="put = c.put_nowait",
            backend=backend,
        ),
        flow(batcher, "burst", make + "put, end = c.put_nowait, c.flush", {}, backend=backend),
        flow(batcher, "sink", send, SEND, bind="send = c.submit", backend=backend),
        flow(
            loader,
            "loader",
            "def c():\n    return penstock.Loader(handle)",
            LOAD,
            bind="make = c",
            backend=backend,
        ),
    ]


BATCHING: Final[tuple[Contender, ...]] = (
    *_ours("native"),
    *_ours("pure"),
    flow("by hand", "batcher", _BY_HAND, GATHER, bind="submit = c.submit"),
    flow(
        "no batches, a task for each",
        "batcher",
        "async def c(item):\n    return (await handle([item]))[0]",
        GATHER,
        bind="submit = c",
    ),
    flow(
        "deque.append",
        "queue",
        "from collections import deque\nc = deque()",
        {"put": "put(item)", "clear": "c.clear()"},
        bind="put = c.append",
    ),
    flow(
        "asyncio.Queue.put_nowait",
        "queue",
        "c = asyncio.Queue()",
        {"put": "put(item)", "clear": "while not c.empty():\n    c.get_nowait()"},
        bind="put = c.put_nowait",
    ),
    flow(
        "queue.SimpleQueue.put",
        "queue",
        "import queue\nc = queue.SimpleQueue()",
        {"put": "put(item)", "clear": "while not c.empty():\n    c.get()"},
        bind="put = c.put",
    ),
    flow("call_soon_threadsafe for each", "burst", _EACH_BY_ITSELF, {}),
    flow(
        "one commit for each",
        "sink",
        "async def c(item):\n    return (await write([item]))[0]",
        SEND,
        bind="send = c",
    ),
)
