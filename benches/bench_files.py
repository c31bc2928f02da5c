"""
Files: many writes of one file, and a file that did not change, read again and again.

Rows, engine, penstock and the standard library live in ``penstock.bench``, peers in ``peers.py``.
"""

from __future__ import annotations

import sys

from peers import PEERS
from penstock.bench import main

if __name__ == "__main__":
    sys.exit(main(["--only", "files", *sys.argv[1:]], peers=PEERS, prog="bench_files.py"))
