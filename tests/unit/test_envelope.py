"""What is around a stored value: what goes in comes out, and nothing else is believed."""

from __future__ import annotations

import struct
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.stores._codecs import Coding
from penstock.stores._envelope import HEADER, Tombstone, Undecodable, bury, pack, stamp, unpack
from penstock.stores._store import Record

SECRET = b"sixteen bytes at least"
PLAIN = Coding()
SIGNED = Coding(secret=SECRET)
PICKLE = Coding(codec="pickle", secret=SECRET)

#: What JSON can say without change.
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text() | st.floats(-1e9, 1e9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
LIVES = st.none() | st.floats(0, 1e9)
CODINGS = [
    PLAIN,
    SIGNED,
    PICKLE,
    Coding(codec="msgpack"),
    Coding(compress="zlib", threshold=1),
    Coding(compress="zstd", threshold=1, secret=SECRET),
]


def simple(value: object = 1, **given: object) -> Record:
    return Record(value, 1e9, 60.0)._replace(**given)  # type: ignore[arg-type]


@pytest.mark.parametrize("coding", CODINGS, ids=repr)
@given(
    key=st.text(),
    value=VALUES | st.binary(),
    born=st.floats(-1e12, 1e12),
    ttl=LIVES,
    stale_for=st.floats(0, 1e9),
    tags=st.lists(st.text(), max_size=3),
    version=st.integers(0, 2**64 - 1),
)
def test_a_record_comes_back(
    coding: Coding, key: str, value: object, born: float, ttl: float | None, stale_for: float,
    tags: list[str], version: int,
) -> None:  # fmt: skip
    record = Record(value, born, ttl, stale_for, tuple(tags), version)
    found = unpack(key, pack(key, record, coding), coding)
    assert found == record
    assert type(found) is Record
    assert type(found.value) is type(value)


def test_the_bytes_are_those_of_format_1() -> None:
    record = Record({"n": 1}, 1.5, 60.0, 5.0, ("t",), 7)
    data = pack("k", record, PLAIN)
    assert data == (
        b"P\x01\x04\x02" + (7).to_bytes(8, "big") + struct.pack(">ddd", 1.5, 60.0, 5.0)
        + b'\x00\x05["t"]{"n":1}'
    )  # fmt: skip
    assert len(bury(7)) == HEADER == 36
    assert bury(7) == b"P\x01\x01\x00" + (7).to_bytes(8, "big") + b"\0" * 24


def test_another_version_can_be_stamped_on_what_is_signed() -> None:
    data = stamp(pack("k", simple(), SIGNED), 2**60)
    assert unpack("k", data, SIGNED) == simple(version=2**60)
    assert data[4:12] == (2**60).to_bytes(8, "big")


@pytest.mark.parametrize("coding", CODINGS, ids=repr)
def test_a_tombstone_is_one_in_any_coding(coding: Coding) -> None:
    assert unpack("k", bury(9), coding) == Tombstone(9)


@pytest.mark.parametrize("coding", CODINGS, ids=repr)
@given(data=st.binary(max_size=200))
def test_garbage_is_undecodable(coding: Coding, data: bytes) -> None:
    with pytest.raises(Undecodable):
        unpack("k", data, coding)


@pytest.mark.parametrize("coding", CODINGS, ids=repr)
@given(place=st.integers(0, 200), byte=st.integers(0, 255), end=st.integers(0, 200))
def test_what_is_damaged_is_undecodable_or_a_record(
    coding: Coding, place: int, byte: int, end: int
) -> None:
    whole = bytearray(pack("k", simple(["value"] * 9, tags=("a", "b")), coding))
    place %= len(whole)
    whole[place] = byte
    for data in (bytes(whole), bytes(whole[:end])):
        try:
            found = unpack("k", data, coding)
        except Undecodable:
            continue
        assert type(found) in (Record, Tombstone)


@pytest.mark.parametrize("coding", [SIGNED, PICKLE], ids=repr)
def test_of_what_is_signed_nothing_but_the_version_can_be_changed(coding: Coding) -> None:
    record = simple({"n": [1, 2]}, tags=("t",), stale_for=5.0)
    data = pack("k", record, coding)
    for place in [*range(4), *range(12, len(data))]:
        for flip in (1, 128):
            changed = bytearray(data)
            changed[place] ^= flip
            if place == 2 and flip == 1:  # to say that it was deleted is all that can be done
                assert type(unpack("k", bytes(changed), coding)) is Tombstone
                continue
            with pytest.raises(Undecodable):
                unpack("k", bytes(changed), coding)
    with pytest.raises(Undecodable):
        unpack("K", data, coding)
    with pytest.raises(Undecodable):
        unpack("k", data + b"\0", coding)


def test_the_end_of_a_key_does_not_pass_for_data() -> None:
    data = pack("kP", simple(b"x"), SIGNED)
    with pytest.raises(Undecodable):
        unpack("k", data, SIGNED)


@pytest.mark.parametrize("reader", [PLAIN, SIGNED, PICKLE, Coding(secret=b"another secret!!")])
@pytest.mark.parametrize("writer", [PLAIN, SIGNED])
def test_only_what_has_the_same_secret_or_none_is_read(writer: Coding, reader: Coding) -> None:
    data = pack("k", simple(), writer)
    if writer.secret == reader.secret:
        assert unpack("k", data, reader) == simple()
    else:
        with pytest.raises(Undecodable):
            unpack("k", data, reader)


@pytest.mark.parametrize(
    ("record", "error"),
    [
        (simple(ttl=-1.0), ValueError),
        (simple(ttl=inf), ValueError),
        (simple(ttl=nan), ValueError),
        (simple(stale_for=-1.0), ValueError),
        (simple(stale_for=nan), ValueError),
        (simple(born=inf), ValueError),
        (simple(version=-1), ValueError),
        (simple(version=2**64), ValueError),
        (simple(tags=("x" * 65_536,)), ValueError),
        (simple(tags=("\ud800",)), ValueError),
        (simple(tags=("a", 1)), TypeError),
    ],
)
def test_a_record_that_cannot_be_stored_is_refused(record: Record, error: type) -> None:
    with pytest.raises(error):
        pack("k", record, PLAIN)


@pytest.mark.parametrize("coding", [PLAIN, SIGNED])
def test_a_key_that_is_no_text_is_refused(coding: Coding) -> None:
    with pytest.raises(ValueError, match="must be text"):
        pack("\udfff", simple(), coding)
    with pytest.raises(TypeError, match="must be a str, got bytes"):
        pack(b"k", simple(), coding)  # type: ignore[arg-type]


@pytest.mark.parametrize("tags", [b"\xff\xff", b'\x00\x04{"a"', b"\x00\x02{}", b"\x00\x03[1]", b""])
def test_tags_that_are_none_are_undecodable(tags: bytes) -> None:
    head = pack("k", simple(b""), PLAIN)
    data = head[:2] + bytes([head[2] | 4]) + head[3:] + tags
    with pytest.raises(Undecodable):
        unpack("k", data, PLAIN)


@pytest.mark.parametrize("flags", [32, 64, 128])
def test_flags_of_the_future_are_undecodable(flags: int) -> None:
    data = pack("k", simple(), PLAIN)
    with pytest.raises(Undecodable):
        unpack("k", data[:2] + bytes([data[2] | flags]) + data[3:], PLAIN)
