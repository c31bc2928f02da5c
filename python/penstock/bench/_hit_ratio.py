"""Hit ratio: replays a trace, or a Zipf stream made from a seed, against each cache."""

from __future__ import annotations

import gzip
import random
from itertools import accumulate
from typing import TYPE_CHECKING, Final, cast

from penstock.bench._engine import compile_loop
from penstock.bench._model import BenchError, Contender, Outcome, Plan, Result, Row
from penstock.bench._subjects import build, each

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["HIT_RATIO_ROWS", "default_sizes", "read_trace", "replay", "zipf"]

_UNIVERSE: Final = 50_000
_ALPHA: Final = 0.9
_SEED: Final = 20_261_120
_SHARES: Final = (0.01, 0.05, 0.20)


def zipf(
    requests: int, *, universe: int = _UNIVERSE, alpha: float = _ALPHA, seed: int = _SEED
) -> list[str]:
    """Return *requests* keys; the one of rank r is drawn with weight 1 / r ** alpha."""
    weights = list(accumulate(1 / rank**alpha for rank in range(1, universe + 1)))
    dice = random.Random(seed)  # a stream that everyone can repeat
    return [f"key:{i}" for i in dice.choices(range(universe), cum_weights=weights, k=requests)]


def read_trace(path: Path) -> list[str]:
    """
    Return the keys of a trace: one per line in request order, gzip if the name ends in .gz.

    Raises:
        BenchError: The file cannot be read or has no request.
    """
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        msg = f"cannot read the trace {path}: {error}"
        raise BenchError(msg) from error
    known: dict[str, str] = {}
    keys = [known.setdefault(line, line) for line in text.split("\n") if line]
    if not keys:
        msg = f"the trace {path} has no request"
        raise BenchError(msg)
    return keys


def default_sizes(distinct: int) -> tuple[int, ...]:
    """Return 1 %, 5 % and 20 % of the distinct keys, at least 1 each."""
    return tuple(max(1, round(distinct * share)) for share in _SHARES)


def replay(contender: Contender, keys: Sequence[str], size: int) -> float:
    """
    Look up each key, store it if it is not there, and return the hits in per cent.

    Raises:
        MissingError: The contender is not installed.
    """
    namespace = build(contender, n=size)
    hits: list[object] = []
    body = f"if {contender.ops['hit']}:\n    hit(k)\nelse:\n    {contender.ops['new']}"
    bind = f"{contender.bind}\nhit = others.append"
    run = compile_loop(body, namespace, bind=bind)
    run(namespace["c"], cast("Sequence[object]", keys), hits, True, 1, int)
    return 100 * len(hits) / len(keys)


def _measure(row: Row, contenders: Sequence[Contender], plan: Plan, outcome: Outcome) -> None:
    keys = zipf(plan.requests) if plan.trace is None else read_trace(plan.trace)
    source = f"Zipf {_ALPHA}" if plan.trace is None else plan.trace.name
    distinct = len(set(keys))
    table = f"hit ratio: {source}, {len(keys):,} requests, {distinct:,} keys"
    for size in plan.sizes or default_sizes(distinct):
        samples: dict[str, list[float]] = {}

        def run(
            contender: Contender, size: int = size, into: dict[str, list[float]] = samples
        ) -> None:
            into[contender.name] = [replay(contender, keys, size)]

        each(contenders, row, outcome, run)
        outcome.results.append(
            Result(f"{row.name}.{size}", table, f"{size:,} entries", "%", samples, digits=2)
        )


HIT_RATIO_ROWS: Final[tuple[Row, ...]] = (
    Row("hit-ratio", "hit-ratio", "hits in per cent of a trace or a Zipf stream", _measure),
)
