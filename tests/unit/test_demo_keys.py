"""Which documents the demo asks for."""

from __future__ import annotations

import gzip
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from penstock.demo._keys import TraceError, trace_workload, zipf_workload

if TYPE_CHECKING:
    from pathlib import Path


def test_same_seed_gives_the_same_zipf_keys() -> None:
    assert zipf_workload(500, 1_000, 7) == zipf_workload(500, 1_000, 7)


def test_another_seed_gives_other_zipf_keys() -> None:
    assert zipf_workload(500, 1_000, 7) != zipf_workload(500, 1_000, 8)


def test_zipf_keys_are_ids_of_documents() -> None:
    work = zipf_workload(50, 2_000, 1)
    assert set(work.document_ids) <= set(range(1, 51))
    assert len(work.document_ids) == 2_000


def test_zipf_keys_have_the_skew_they_claim() -> None:
    counts = [n for _, n in Counter(zipf_workload(1_000, 50_000, 3).document_ids).most_common()]
    # The first of 1,000 ranks has 13.0 % of the weight at an exponent of 0.99.
    assert counts[0] / 50_000 == pytest.approx(0.130, abs=0.01)
    assert counts[0] / counts[9] == pytest.approx(10**0.99, rel=0.15)


def test_popular_documents_are_scattered_over_the_file() -> None:
    popular = [
        key for key, _ in Counter(zipf_workload(1_000, 5_000, 1).document_ids).most_common(5)
    ]
    assert sorted(popular) != list(range(1, 6))


def test_trace_keeps_its_order_and_repetitions(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text("a\nb\na\n\n  c \nb\n")
    ids = trace_workload(trace, 100, 10, 1).document_ids
    assert [ids.index(each) for each in ids] == [0, 1, 0, 3, 1]
    assert set(ids) <= set(range(1, 101))


def test_gzip_trace_is_recognised_by_its_content(tmp_path: Path) -> None:
    plain, zipped = tmp_path / "plain", tmp_path / "zipped"
    plain.write_bytes(b"x\ny\nx\n")
    zipped.write_bytes(gzip.compress(b"x\ny\nx\n"))
    expected = trace_workload(plain, 10, 10, 1).document_ids
    assert trace_workload(zipped, 10, 10, 1).document_ids == expected


def test_trace_is_read_no_further_than_needed(tmp_path: Path) -> None:
    trace = tmp_path / "trace.gz"
    packed = gzip.compress(b"".join(b"%d\n" % n for n in range(100_000)))
    trace.write_bytes(packed[: len(packed) // 2])
    assert len(trace_workload(trace, 10, 50, 1).document_ids) == 50


def test_trace_with_more_keys_than_documents_gets_more_documents(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_text("".join(f"key {n}\n" for n in range(30)))
    work = trace_workload(trace, 10, 100, 1)
    assert work.documents == 30
    assert sorted(work.document_ids) == list(range(1, 31))
    assert work.distinct == 30


def test_keys_need_not_be_text(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_bytes(b"\xff\xfe\n\x00\n\xff\xfe\n")
    assert trace_workload(trace, 10, 10, 1).distinct == 2


@pytest.mark.parametrize("content", [b"", b"\n \n\t\n", gzip.compress(b"")])
def test_trace_without_keys_is_refused(tmp_path: Path, content: bytes) -> None:
    trace = tmp_path / "trace"
    trace.write_bytes(content)
    with pytest.raises(TraceError, match="has no keys"):
        trace_workload(trace, 10, 10, 1)


def test_missing_trace_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"cannot read trace '.*nowhere': No such file"):
        trace_workload(tmp_path / "nowhere", 10, 10, 1)


def test_directory_is_not_a_trace(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="Is a directory"):
        trace_workload(tmp_path, 10, 10, 1)


@pytest.mark.parametrize("damage", ["truncated", "garbled"])
def test_damaged_gzip_trace_is_refused(tmp_path: Path, damage: str) -> None:
    packed = bytearray(gzip.compress(b"".join(b"%d\n" % n for n in range(1_000))))
    if damage == "truncated":
        del packed[200:]
    else:
        packed[50:60] = b"\xff" * 10
    trace = tmp_path / "trace.gz"
    trace.write_bytes(packed)
    with pytest.raises(TraceError, match="cannot read trace"):
        trace_workload(trace, 10, 10_000, 1)


def test_trace_without_line_ends_is_refused(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_bytes(b"ok\n" + b"x" * 1_025)
    with pytest.raises(TraceError, match="must be <= 1024 bytes, line 2 is longer"):
        trace_workload(trace, 10, 10, 1)


def test_longest_allowed_key_is_accepted(tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    trace.write_bytes(b"x" * 1_024 + b"\r\n" + b"y\r\n")
    assert trace_workload(trace, 10, 10, 1).distinct == 2


def test_popular_are_the_hundred_that_are_asked_for_most() -> None:
    workload = zipf_workload(1_000, 5_000, 1)
    popular = workload.popular(5_000)
    assert popular.distinct == 100
    counts = Counter(workload.document_ids)
    chosen = set(popular.document_ids)
    least = min(counts[each] for each in chosen)
    assert all(count <= least for each, count in counts.items() if each not in chosen)
    expected = [each for each in workload.document_ids if each in chosen]
    assert list(popular.document_ids) == expected
    assert workload.popular(7).document_ids == popular.document_ids[:7]
