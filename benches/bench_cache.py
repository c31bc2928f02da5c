"""
Operations of ``Cache``: get hit, get miss, in, set existing, set new + evict.

Rows, engine, penstock and the standard library live in ``penstock.bench``, peers in ``peers.py``.
"""

from __future__ import annotations

import sys

from peers import PEERS
from penstock.bench import main

if __name__ == "__main__":
    sys.exit(main(["--only", "cache", *sys.argv[1:]], peers=PEERS, prog="bench_cache.py"))
