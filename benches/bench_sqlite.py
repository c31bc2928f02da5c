"""
SQLite: what a point read takes, and how many rows are read, or inserted and committed.

Rows, engine, penstock and the standard library live in ``penstock.bench``, peers in ``peers.py``.
"""

from __future__ import annotations

import sys

from peers import PEERS
from penstock.bench import main

if __name__ == "__main__":
    sys.exit(main(["--only", "sqlite", *sys.argv[1:]], peers=PEERS, prog="bench_sqlite.py"))
