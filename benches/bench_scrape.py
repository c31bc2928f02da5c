"""
A page of metrics: what it costs, and for how long it holds the event loop.

Rows, engine, penstock and the standard library live in ``penstock.bench``, peers in ``peers.py``.
"""

from __future__ import annotations

import sys

from peers import PEERS
from penstock.bench import main

if __name__ == "__main__":
    sys.exit(main(["--only", "scrape", *sys.argv[1:]], peers=PEERS, prog="bench_scrape.py"))
