"""Which documents are asked for, in which order: Zipf keys from a seed, or a recorded trace."""

from __future__ import annotations

import gzip
import itertools
import random
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["TraceError", "Workload", "trace_workload", "zipf_workload"]

# The default skew of YCSB (Cooper et al., SoCC 2010), also near that of real traces.
_ZIPF_EXPONENT: Final = 0.99
_POPULAR: Final = 100
_MAX_KEY_BYTES: Final = 1_024
_GZIP_MAGIC: Final = b"\x1f\x8b"


class _Lines(Protocol):
    def readline(self, size: int, /) -> bytes: ...


class TraceError(ValueError):
    """
    The trace file cannot be used; the message says why.
    """


@dataclass(frozen=True, slots=True)
class Workload:
    """
    The requests of a round.

    Args:
        document_ids: One id per request, in order.
        documents: How many documents there must be: every id is in 1..documents.
        source: Where the keys come from, in a few words.
    """

    document_ids: tuple[int, ...]
    documents: int
    source: str

    def first(self, requests: int) -> Workload:
        """
        Return the same workload without the requests after the first *requests*.
        """
        return replace(self, document_ids=self.document_ids[:requests])

    def popular(self, requests: int) -> Workload:
        """
        Return the first *requests* of those for one of the hundred most popular documents.
        """
        most = {each for each, _ in Counter(self.document_ids).most_common(_POPULAR)}
        chosen = tuple(each for each in self.document_ids if each in most)
        return replace(self, document_ids=chosen[:requests])

    @property
    def distinct(self) -> int:
        """
        How many documents are asked for at least once.
        """
        return len(set(self.document_ids))


def zipf_workload(documents: int, requests: int, seed: int) -> Workload:
    """
    Draw *requests* keys of which the r-th most popular has a weight of r ** -0.99.
    """
    cumulative = list(
        itertools.accumulate(rank**-_ZIPF_EXPONENT for rank in range(1, documents + 1))
    )
    by_rank = _shuffled_ids(documents, seed)
    chosen = random.Random(f"penstock demo keys {seed}").choices(
        by_rank, cum_weights=cumulative, k=requests
    )
    return Workload(tuple(chosen), documents, f"Zipf {_ZIPF_EXPONENT} keys")


def trace_workload(path: Path, documents: int, requests: int, seed: int) -> Workload:
    """
    Return the first *requests* keys of a trace, each distinct key standing for one document.

    Args:
        path: One key per line, of any form; blank lines are skipped; gzip is recognised.
        documents: How many documents there are; more if the trace has more distinct keys.
        requests: How many keys to read at most.
        seed: Decides which document a key stands for.

    Raises:
        TraceError: The file cannot be read, has no key or has one of more than 1,024 bytes.
    """
    keys = _read_keys(path, requests)
    if not keys:
        raise TraceError(f"trace {str(path)!r} has no keys")
    numbers: dict[bytes, int] = {}
    order = [numbers.setdefault(key, len(numbers)) for key in keys]
    documents = max(documents, len(numbers))
    ids = _shuffled_ids(documents, seed)
    return Workload(tuple(ids[number] for number in order), documents, f"keys of {path.name}")


def _shuffled_ids(documents: int, seed: int) -> list[int]:
    # Neighbours in popularity or in time are not neighbours in the file.
    ids = list(range(1, documents + 1))
    random.Random(f"penstock demo ids {seed}").shuffle(ids)
    return ids


def _read_keys(path: Path, limit: int) -> list[bytes]:
    try:
        with path.open("rb") as raw:
            zipped = raw.peek(2)[:2] == _GZIP_MAGIC
            if not zipped:
                return _split_keys(raw, path, limit)
            with gzip.open(raw) as unzipped:
                return _split_keys(unzipped, path, limit)
    except (OSError, EOFError, zlib.error) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise TraceError(f"cannot read trace {str(path)!r}: {reason}") from error


def _split_keys(lines: _Lines, path: Path, limit: int) -> list[bytes]:
    keys: list[bytes] = []
    # Bounded reads: a file without line ends must not fill the memory.
    for number, line in enumerate(iter(lambda: lines.readline(_MAX_KEY_BYTES + 2), b""), start=1):
        key = line.strip()
        if len(key) > _MAX_KEY_BYTES:
            raise TraceError(
                f"a key of trace {str(path)!r} must be <= {_MAX_KEY_BYTES} bytes, "
                f"line {number} is longer"
            )
        if key:
            keys.append(key)
        if len(keys) == limit:
            break
    return keys
