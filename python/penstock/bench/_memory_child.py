"""
The child process of the memory row: reads what to build from stdin, prints the bytes it took.

Keys and values exist before the first reading; what is counted is the container alone.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
from pathlib import Path

from penstock.bench._engine import compile_loop


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    kilobytes = subprocess.check_output(["ps", "-o", "rss=", "-p", str(os.getpid())], text=True)
    return int(kilobytes) * 1024


def main() -> None:
    """Build the container once small, for its imports, and once full, for the figure."""
    asked = json.load(sys.stdin)
    entries = int(asked["entries"])
    namespace: dict[str, object] = {"n": 1}
    if asked["penstock"]:
        import penstock  # only for its own contenders: peers are measured alone

        namespace["penstock"] = penstock
    fill = compile_loop(asked["store"], namespace, target="k, v", bind=asked["bind"])
    keys = list(range(entries))
    values = list(range(entries, 2 * entries))
    exec(asked["make"], namespace)  # written by the parent process
    fill(namespace["c"], [(1, 1)], [], None, 1, int)
    gc.collect()
    before = resident()
    namespace["n"] = entries
    exec(asked["make"], namespace)
    fill(namespace["c"], zip(keys, values, strict=True), [], None, 1, int)
    gc.collect()
    print(json.dumps({"bytes": resident() - before}))


if __name__ == "__main__":
    main()
