"""How values become bytes: what each codec can write, what is refused, and what is not believed."""

from __future__ import annotations

import datetime as dt
import os
import pickle
import sys
import tracemalloc
import zlib
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import zstandard

from penstock.stores._codecs import Coding, Undecodable, key_bytes, shorten
from penstock.stores._compression import compress, decompress
from penstock.stores._envelope import pack, unpack
from penstock.stores._store import Record

SECRET = b"sixteen bytes at least"
JSON, MSGPACK, PICKLE = (
    Coding(), Coding(codec="msgpack"), Coding(codec="pickle", secret=SECRET)
)  # fmt: skip
ALL = [JSON, MSGPACK, PICKLE]


class Word(StrEnum):
    """A str that is more than one."""

    A = "a"


class Evil:
    """Says in the file that it was unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


class Stubborn:
    """Cannot be pickled."""

    def __reduce__(self) -> str:
        raise ZeroDivisionError("not me")


def there_and_back(value: object, coding: Coding) -> Any:
    found = unpack("k", pack("k", Record(value, 0.0, None), coding), coding)
    assert isinstance(found, Record)
    return found.value


@pytest.mark.parametrize("coding", ALL, ids=repr)
@pytest.mark.parametrize(
    "value", ["", "a\0ü😀", b"", b"\0\xff", 1, 2.5, None, True, [1], {"a": {}}]
)
def test_what_all_can_write(coding: Coding, value: object) -> None:
    found = there_and_back(value, coding)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("value", "coding", "expected"),
    [
        ((1, 2), JSON, [1, 2]),
        ((1, 2), MSGPACK, [1, 2]),
        ((1, 2), PICKLE, (1, 2)),
        ({1: "a"}, JSON, {"1": "a"}),
        ({1: "a"}, MSGPACK, {1: "a"}),
        ([b"\xff"], MSGPACK, [b"\xff"]),
        ({1, 2}, PICKLE, {1, 2}),
        (Word.A, JSON, "a"),
        (Word.A, PICKLE, Word.A),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), JSON, "2026-01-02T00:00:00+00:00"),
        (dt.datetime(2026, 1, 2, tzinfo=dt.UTC), MSGPACK, dt.datetime(2026, 1, 2, tzinfo=dt.UTC)),
        (2**100, PICKLE, 2**100),
    ],
)
def test_what_becomes_of_values(value: object, coding: Coding, expected: object) -> None:
    found = there_and_back(value, coding)
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "coding"),
    [
        ({1, 2}, JSON), (object(), JSON), ([b"x"], JSON), (2**64, JSON), (print, JSON),
        ({1, 2}, MSGPACK), (object(), MSGPACK), (dt.date(2026, 1, 2), MSGPACK),
        (lambda: 1, PICKLE), (sys, PICKLE), (Stubborn(), PICKLE),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_written_is_refused_by_name(value: object, coding: Coding) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        coding.encode("the key", value)
    message = str(caught.value)
    assert type(value).__name__ in message
    assert "'the key'" in message
    assert f"codec {coding.codec!r}" in message
    assert caught.value.__cause__ is not None
    assert "store bytes or str" in message


@pytest.mark.parametrize("coding", ALL, ids=repr)
def test_what_is_nested_without_end_is_refused(coding: Coding) -> None:
    value: list[Any] = []
    value.append(value)
    if coding is PICKLE:
        found = there_and_back(value, coding)
        assert found[0] is found
        value = deepest = []
        for _ in range(100_000):
            deepest.append([])
            deepest = deepest[0]
    with pytest.raises((TypeError, ValueError)):
        coding.encode("k", value)
    while value and value[0] is not value:  # one by one: the end of all would be as deep
        value = value.pop()


def test_text_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="no text"):
        JSON.encode("k", "\ud800")


@pytest.mark.parametrize("value", ["x" * 101, b"x" * 101, ["x" * 100]])
def test_what_is_too_large_is_refused(value: object) -> None:
    coding = Coding(max_value=100)
    with pytest.raises(ValueError, match=r"value of 'k' is too large: it has 10\d bytes"):
        coding.encode("k", value)
    coding.encode("k", "x" * 100)


def test_keys_are_text() -> None:
    assert key_bytes("ü\0") == "ü\0".encode()
    with pytest.raises(TypeError, match="must be a str, got int"):
        key_bytes(1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="surrogates"):
        key_bytes("\ud800")
    assert len(shorten("k" * 10_000)) < 80


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"codec": "xml"}, ValueError, "codec must be"),
        ({"codec": "pickle"}, ValueError, "needs a secret"),
        ({"secret": "text of enough length"}, TypeError, "secret must be bytes"),
        ({"secret": b"short"}, ValueError, "at least 16 bytes, got 5"),
        ({"compress": "gzip"}, ValueError, "compress must be"),
        ({"threshold": 0}, ValueError, "threshold must be >= 1"),
        ({"max_value": True}, TypeError, "max_value must be an int"),
    ],
)
def test_options_are_checked(options: dict[str, Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        Coding(**options)


@pytest.mark.parametrize(
    ("module", "options"),
    [("msgpack", {"codec": "msgpack"}), ("zstandard", {"compress": "zstd"})],
)
def test_what_is_not_installed_is_said(
    module: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Coding(threshold=1, **options)
    data = pack("k", Record(["x"] * 1000, 0.0, None), writer)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"pip install {module}"):
        Coding(**options)
    with pytest.raises(Undecodable, match=f"pip install {module}"):
        unpack("k", data, JSON)


# --- pickle ---------------------------------------------------------------------------------------


def test_nothing_is_unpickled_that_is_not_signed_rightly(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    evil = Record(Evil(mark), 0.0, None)
    good = pack("k", evil, PICKLE)
    stranger = Coding(codec="pickle", secret=b"the secret of somebody else")
    unsigned = bytearray(good[:36] + good[68:])
    unsigned[2] &= ~8
    plain = Coding()
    for data, coding in (
        (bytes(unsigned), PICKLE), (bytes(unsigned), plain),
        (bytes(unsigned), Coding(secret=SECRET)),
        (pack("k", evil, stranger), PICKLE), (good, stranger), (good, plain),
        (good[:-1], PICKLE), (pack("other", evil, PICKLE), PICKLE),
        (good, Coding(secret=SECRET)),  # rightly signed, but nobody here asked for pickle
    ):  # fmt: skip
        with pytest.raises(Undecodable):
            unpack("k", data, coding)
        assert not mark.exists()
    unpack("k", good, PICKLE)
    assert mark.exists()  # so it would have done


def test_what_unpickling_raises_is_undecodable() -> None:
    with pytest.raises(Undecodable):
        PICKLE.decode(4, b"\x80\x05garbage")
    gone = pickle.dumps(Coding).replace(b"_codecs", b"_nowhere")
    with pytest.raises(Undecodable):
        PICKLE.decode(4, gone)


@pytest.mark.parametrize("number", [5, 9, 255])
def test_a_codec_of_the_future_is_undecodable(number: int) -> None:
    with pytest.raises(Undecodable):
        JSON.decode(number, b"1")


@pytest.mark.parametrize(
    "data", [b"\x81\x90\x01", b"\xdd\xff\xff\xff\xff", b"\x91" * 5000, b"\x01\x01"]
)
def test_msgpack_that_is_damaged_is_undecodable(data: bytes) -> None:
    with pytest.raises(Undecodable):
        JSON.decode(3, data)


# --- compression ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["zlib", "zstd"])
def test_only_what_gets_smaller_is_compressed(how: Any) -> None:
    coding = Coding(compress=how, threshold=100)
    assert coding.compress(b"x" * 99) is None
    assert coding.compress(os.urandom(1000)) is None
    packed = coding.compress(b"x" * 1000)
    assert packed is not None
    assert len(packed) < 100
    assert JSON.decompress(packed) == b"x" * 1000


@pytest.mark.parametrize("how", ["zlib", "zstd"])
def test_a_bomb_does_not_go_off(how: Any) -> None:
    size = 64 * 2**20
    data = compress(b"\0" * size, how)
    assert len(data) < size // 200
    tracemalloc.start()
    with pytest.raises(ValueError, match="larger than 1000000"):
        decompress(data, 1_000_000)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4_000_000
    assert len(decompress(data, size)) == size
    with pytest.raises(ValueError, match="larger"):
        decompress(data, size - 1)


def test_a_bomb_that_lies_about_its_size_does_not_go_off() -> None:
    writer = zstandard.ZstdCompressor(write_content_size=False)
    silent = b"\x02" + writer.compress(b"\0" * 10_000_000)
    with pytest.raises(ValueError, match="does not say"):
        decompress(silent, 1_000_000)
    small = bytearray(b"\x02" + zstandard.compress(b"\0" * 250))
    assert small[6] == 250
    small[6] = 10
    with pytest.raises(ValueError, match="cannot be decompressed"):
        decompress(bytes(small), 1000)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x03x",
        b"\x01",
        b"\x01garbage",
        b"\x01" + zlib.compress(b"x" * 99)[:-1],
        b"\x01" + zlib.compress(b"x") + b"more",
        b"\x02",
        b"\x02garbage",
        b"\x02" + zstandard.compress(b"x" * 99)[:-1],
        b"\x02" + zstandard.compress(b"x" * 99) * 2,
    ],
)
def test_what_is_damaged_is_not_decompressed(data: bytes) -> None:
    with pytest.raises(ValueError):
        decompress(data, 1000)
    with pytest.raises(Undecodable):
        JSON.decompress(data)
