"""
The child process of a contender that needs one of its own: runs its loop whenever it is told to.

A line of JSON says what to build; each line after that is a number of passes, and is answered with
the nanoseconds they took.
"""

from __future__ import annotations

import gc
import json
import sys
from time import perf_counter_ns

from penstock.bench._engine import compile_loop


def main() -> None:
    """Build the contender, then answer until the input ends."""
    asked = json.loads(sys.stdin.readline())
    namespace: dict[str, object] = dict(asked["given"])
    exec(asked["make"], namespace)  # written by the parent process
    loop = compile_loop(asked["body"], {}, bind=asked["bind"])
    gc.collect()
    gc.disable()
    print("ready", flush=True)
    for line in sys.stdin:
        spent = loop(namespace["c"], asked["keys"], [], None, int(line), perf_counter_ns)
        print(spent, flush=True)


if __name__ == "__main__":
    main()
