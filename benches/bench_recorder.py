"""
Rows into SQLite: what a task waits until its row is durable, and how many go when none waits.

Rows, engine, penstock and the standard library live in ``penstock.bench``, peers in ``peers.py``.
"""

from __future__ import annotations

import sys

from peers import PEERS
from penstock.bench import main

if __name__ == "__main__":
    sys.exit(main(["--only", "recorder", *sys.argv[1:]], peers=PEERS, prog="bench_recorder.py"))
