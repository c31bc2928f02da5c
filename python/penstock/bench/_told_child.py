"""
The child process of the rows of two caches: it keeps keys, and says when they are gone.

A line of JSON says what to build. Each line after that is a key, which is answered by an empty line
when it is kept, and when it is gone by itself and the nanoseconds of the monotonic clock: all
processes have the same.
"""

from __future__ import annotations

import asyncio
import json
import sys
from time import monotonic_ns


def _seen(key: str) -> None:
    at = monotonic_ns()
    print(key, at, flush=True)


async def main() -> None:
    """Build the contender, then keep keys until the input ends."""
    # In a thread, so that the event loop sleeps until there is something for it.
    read = asyncio.get_running_loop().run_in_executor
    asked = json.loads(sys.stdin.readline())
    namespace: dict[str, object] = {**asked["given"], "seen": _seen}
    if asked["penstock"]:
        import penstock  # only for its own contenders: peers are measured alone

        namespace["penstock"] = penstock
    exec(asked["make"], namespace)  # written by the parent process
    keep, _ = await namespace["start"]()  # type: ignore[operator]
    while key := (await read(None, sys.stdin.readline)).rstrip("\n"):
        await keep(key)
        print(flush=True)
    await namespace["end"]()  # type: ignore[operator]


if __name__ == "__main__":
    asyncio.run(main())
