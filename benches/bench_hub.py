"""
WebSockets: what it takes to tell many clients something, and to answer each of them.

Rows, engine, penstock and the standard library live in ``penstock.bench``, peers in ``peers.py``.
"""

from __future__ import annotations

import sys

from peers import PEERS
from penstock.bench import main

if __name__ == "__main__":
    sys.exit(main(["--only", "hub", *sys.argv[1:]], peers=PEERS, prog="bench_hub.py"))
