"""
The child process of the memory rows: reads what to build from stdin, prints the bytes it took.

Keys and values exist before the first reading; what is counted is the container alone. Label values
that are nobody else's are the exception: they are made as they are handed over.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from penstock.bench._engine import compile_loop

if TYPE_CHECKING:
    from collections.abc import Iterable

_STATUSES = 5


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    kilobytes = subprocess.check_output(["ps", "-o", "rss=", "-p", str(os.getpid())], text=True)
    return int(kilobytes) * 1024


def columns(entries: int, labels: str | None) -> tuple[Iterable[object], Iterable[object]]:
    """
    Return the keys and the values to store, or the two label values of each series.

    Args:
        entries: How many.
        labels: None for ints; ``"shared"`` for strings that exist, and go on existing, whatever
            the container does; ``"own"`` for strings that nobody else has.
    """
    if labels is None:
        return list(range(entries)), list(range(entries, 2 * entries))
    if labels == "own":
        made = range(entries)
        return (f"/items/{i // _STATUSES}" for i in made), (f"{200 + i % _STATUSES}" for i in made)
    paths = [f"/items/{i}" for i in range(entries // _STATUSES + 1)]
    statuses = [f"{200 + i}" for i in range(_STATUSES)]
    numbers = range(entries)
    return [paths[i // _STATUSES] for i in numbers], [statuses[i % _STATUSES] for i in numbers]


def main() -> None:
    """Build the container once small, for its imports, and once full, for the figure."""
    asked = json.load(sys.stdin)
    entries = int(asked["entries"])
    labels = asked.get("labels")
    namespace: dict[str, object] = {"n": 1}
    if asked["penstock"]:
        import penstock  # only for its own contenders: peers are measured alone

        if labels is not None:
            import penstock.metrics
        namespace["penstock"] = penstock
    fill = compile_loop(asked["store"], namespace, target="k, v", bind=asked["bind"])
    keys, values = columns(entries, labels)
    exec(asked["make"], namespace)  # written by the parent process
    fill(namespace["c"], [("1", "1") if labels else (1, 1)], [], None, 1, int)
    gc.collect()
    before = resident()
    namespace["n"] = entries
    exec(asked["make"], namespace)
    fill(namespace["c"], zip(keys, values, strict=True), [], None, 1, int)
    gc.collect()
    answer = {"bytes": resident() - before}
    if "count" in asked:
        answer["count"] = eval(asked["count"], namespace)
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
