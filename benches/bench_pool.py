"""
Pools: what a connection costs that is there, and what comes through those to a server.

Rows, engine, penstock and the standard library live in ``penstock.bench``, peers in ``peers.py``.
"""

from __future__ import annotations

import sys

from peers import PEERS
from penstock.bench import main

if __name__ == "__main__":
    sys.exit(main(["--only", "pool", *sys.argv[1:]], peers=PEERS, prog="bench_pool.py"))
