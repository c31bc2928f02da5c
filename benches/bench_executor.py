"""
Executors: what a task costs besides its work, and how well tasks that sleep overlap.

Rows, engine, penstock and the standard library live in ``penstock.bench``, peers in ``peers.py``.
"""

from __future__ import annotations

import sys

from peers import PEERS
from penstock.bench import main

if __name__ == "__main__":
    sys.exit(main(["--only", "executor", *sys.argv[1:]], peers=PEERS, prog="bench_executor.py"))
