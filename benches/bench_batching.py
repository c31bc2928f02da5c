"""
Batches: what an item costs, how often a loop is woken, and what a database gains by them.

Rows, engine, penstock and the standard library live in ``penstock.bench``, peers in ``peers.py``.
"""

from __future__ import annotations

import sys

from peers import PEERS
from penstock.bench import main

if __name__ == "__main__":
    sys.exit(main(["--only", "batching", *sys.argv[1:]], peers=PEERS, prog="bench_batching.py"))
