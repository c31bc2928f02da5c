"""
Requests through middleware that counts them, above the bare application.

Rows, engine, penstock and the standard library live in ``penstock.bench``, peers in ``peers.py``.
"""

from __future__ import annotations

import sys

from peers import PEERS
from penstock.bench import main

if __name__ == "__main__":
    sys.exit(main(["--only", "middleware", *sys.argv[1:]], peers=PEERS, prog="bench_middleware.py"))
