"""
One cache under two threads; 1,000 concurrent misses: how many loads they make.

Rows, engine, penstock and the standard library live in ``penstock.bench``, peers in ``peers.py``.
"""

from __future__ import annotations

import sys

from peers import PEERS
from penstock.bench import main

if __name__ == "__main__":
    sys.exit(
        main(["--only", "threads", "stampede", *sys.argv[1:]], peers=PEERS, prog="bench_threads.py")
    )
