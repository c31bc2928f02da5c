"""
Stores in a file: what a value takes one task, and how many values many tasks get or set.

Rows, engine, penstock and the standard library live in ``penstock.bench``, peers in ``peers.py``.
"""

from __future__ import annotations

import sys

from peers import PEERS
from penstock.bench import main

if __name__ == "__main__":
    sys.exit(main(["--only", "stores", *sys.argv[1:]], peers=PEERS, prog="bench_stores.py"))
