"""
``make bench``: every row with every peer in one run, and the goals held against it.

Rows, engine, penstock and the standard library live in ``penstock.bench``, peers in ``peers.py``.
"""

from __future__ import annotations

import sys

from goals import judge
from peers import PEERS
from penstock.bench import main

if __name__ == "__main__":
    sys.exit(main(peers=PEERS, judge=judge, prog="run.py"))
