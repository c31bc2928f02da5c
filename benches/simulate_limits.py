"""
Adaptive limits in front of a simulated service: a table, what is claimed, and the picture.

No time passes and nothing is random between two runs. ``make plots`` writes ``docs/limits.svg``.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from penstock.bench._simulation_limits import explore, table, verdicts
from penstock.bench._simulation_plot import plot


def main() -> int:
    """Print the table; return 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(prog="simulate_limits.py", description=__doc__)
    parser.add_argument("--svg", type=Path, metavar="FILE", help="write the picture")
    arguments = parser.parse_args()
    found = explore()
    print(table(found))
    print()
    claims = verdicts(found)
    for claim in claims:
        print(
            f"{claim.claim}: {claim.measured} ({claim.goal}): {'met' if claim.met else 'NOT MET'}"
        )
    if arguments.svg is not None:
        arguments.svg.write_text(plot(found), encoding="utf-8")
    return 0 if all(claim.met for claim in claims) else 1


if __name__ == "__main__":
    sys.exit(main())
