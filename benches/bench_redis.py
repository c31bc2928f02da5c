"""
Caches over Redis: what one task takes for a value that is not in memory, and what many get.

Rows, engine, penstock and the server they start live in ``penstock.bench``, peers in ``peers.py``.
"""

from __future__ import annotations

import sys

from peers import PEERS
from penstock.bench import main

if __name__ == "__main__":
    sys.exit(main(["--only", "redis", *sys.argv[1:]], peers=PEERS, prog="bench_redis.py"))
