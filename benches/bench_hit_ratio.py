"""
Hit ratios of a trace or a Zipf stream; ``--check DIR`` holds ``lru`` against known figures.

Rows, engine, penstock and the standard library live in ``penstock.bench``, peers in ``peers.py``;
the figures below are those of strict LRU on public traces, computed by an independent simulator.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from peers import PEERS
from penstock.bench import BUILTIN, BenchError, default_sizes, main, read_trace, replay

__all__ = ["LRU", "check"]

# Per cent for 1 %, 5 % and 20 % of the distinct keys.
LRU: Final = {
    "lirs_glimpse": ("0.90", "0.91", "0.95"),
    "lirs_multi3": ("5.17", "26.63", "44.10"),
    "cache2k_web12": ("39.79", "60.02", "75.67"),
    "lirs_sprite": ("16.49", "65.74", "92.21"),
    "corda_vaultservice": ("33.33", "33.33", "33.33"),
    "lirs_loop": ("0.00", "0.00", "0.00"),
    "arc_oltp": ("41.64", "60.08", "71.97"),
    "cache2k_orm_busy": ("77.03", "84.13", "92.12"),
}
_NATIVE: Final = "penstock Cache"


def check(folder: Path) -> bool:
    """Replay each known trace found in *folder*; print and return whether all figures agree."""
    contender = next(c for c in BUILTIN if c.name == _NATIVE and "hit-ratio" in c.kinds)
    agree = True
    seen = 0
    for name, known in LRU.items():
        path = folder / f"{name}.txt.gz"
        if not path.exists():
            print(f"{name}: NOT CHECKED, no such file")
            continue
        keys = read_trace(path)
        for size, expected in zip(default_sizes(len(set(keys))), known, strict=True):
            found = f"{replay(contender, keys, size):.2f}"
            seen += 1
            agree &= found == expected
            verdict = "ok" if found == expected else "DIFFERS"
            print(f"{name}, {size:,} entries: {found} %, known {expected} %: {verdict}")
    return agree and seen > 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--check"]:
        try:
            sys.exit(0 if check(Path(sys.argv[2])) else 1)
        except BenchError as error:
            sys.exit(str(error))
    sys.exit(main(["--only", "hit-ratio", *sys.argv[1:]], peers=PEERS, prog="bench_hit_ratio.py"))
