"""Reading JSON: both backends return the same values and refuse the same documents."""

from __future__ import annotations

import json as stdlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.jsons import both, decoded, dumped, outcome

from penstock import json
from penstock.json import _decoder

GOOD = {
    " \t\n\r1 ": 1,
    "-0": 0,
    "-0.0": -0.0,
    "1E+2": 100.0,
    "1e-999": 0.0,
    "18446744073709551615": 2**64 - 1,
    "18446744073709551616": 2.0**64,
    "-9223372036854775808": -(2**63),
    "-9223372036854775809": -(2.0**63),
    "9" * 30: 1e30,
    "0." + "1" * 5000: 1 / 9,
    '"\\ud83d\\ude00\\u00e9\\\\ud800\\/"': "😀é\\ud800/",
    '"\\u0000\x7f"': "\x00\x7f",
    "[true,false,null,{}]": [True, False, None, {}],
    '{"a":1,"b":2,"a":3}': {"a": 3, "b": 2},
}

BAD = (
    "", "  ", "\ufeff1", "\x0b1", "\xa01", "1 2", "NaN", "Infinity", "-Infinity", "nan", "-", "00",
    "01", "-01", "1.", ".5", "1e", "1e999", "-1e999", "1" * 400, "1" * 5000, "[" + "1" * 5000 + "]",
    '"\\ud800"', '"\\ud83dx"', '"\\ude00\\ud83d"', '"\\uDBFF\\u0041"', '"\\\\\\ud800"', '"\\u00"',
    '"\\x"', '"\n"', '"\x00"', '"\t"', "[1,]", '{"a":1,}', "{a:1}", "{1:2}", "[", "]", '"', '{"a"}',
    '{"a":}', "[1 2]", "True", "nul", "1_0", "+1", "0x1", "\uff11", "[1]x", "// 1", "1/**/", "'a'",
    "[}", '["a"', '{"a":1', '"\ud800"', "[-]", '{"a",1}', "[,]", '{,}', '{"a":1 "b":2}',
    '{"a":1,2}',
)  # fmt: skip


@pytest.mark.parametrize("backend", both())
@pytest.mark.parametrize("text", GOOD)
def test_both_backends_read_the_same(text: str, backend: str) -> None:
    for data in (text, text.encode(), bytearray(text.encode()), memoryview(text.encode())):
        found = decoded(backend, data)
        assert repr(found) == repr(GOOD[text])


@pytest.mark.parametrize("backend", both())
@pytest.mark.parametrize("text", BAD)
def test_both_backends_refuse_the_same(text: str, backend: str) -> None:
    with pytest.raises(json.JSONDecodeError) as caught:
        decoded(backend, text)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(json.JSONDecodeError):
        decoded(backend, text.encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("backend", both())
@pytest.mark.parametrize(
    "data",
    [
        b"\xef\xbb\xbf1",
        b'"\xff"',
        b'"\xed\xa0\x80"',
        b'"\xc0\x80"',
        "1".encode("utf-16"),
        memoryview(b"1 2 3")[::2],
        None,
        1,
        [],
        type("Text", (str,), {})("1"),
        type("Data", (bytes,), {})(b"1"),
    ],
)
def test_what_is_no_text_is_refused(data: object, backend: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        decoded(backend, data)


def levels(found: Any) -> int:
    count = 0
    while isinstance(found, list | dict):
        count += 1
        found = next(iter(found.values() if isinstance(found, dict) else found), None)
    return count


@pytest.mark.parametrize("backend", both())
@pytest.mark.parametrize(("left", "right"), [("[", "]"), ('{"a":', "}"), ('{"]":[', "]}")])
def test_1024_levels_are_read_and_no_more(left: str, right: str, backend: str) -> None:
    times = 512 if "[" in left and "{" in left else 1024
    text = left * times + "1" + right * times
    assert levels(decoded(backend, text)) == 1024
    with pytest.raises(json.JSONDecodeError):
        decoded(backend, f"[{text}]")


@pytest.mark.parametrize("backend", both())
def test_brackets_side_by_side_or_in_strings_are_not_levels(backend: str) -> None:
    assert decoded(backend, "[" + "[]," * 2000 + '"[[["]') == [[]] * 2000 + ["[[["]
    assert decoded(backend, '"' + "[" * 3000 + '\\""') == "[" * 3000 + '"'
    with pytest.raises(json.JSONDecodeError):
        decoded(backend, "[" * 200_000)


# What the fallback does when there is no stack left.


@pytest.mark.parametrize("text", GOOD)
def test_the_parser_without_recursion_reads_the_same(text: str) -> None:
    assert repr(_decoder._Parser(text).parse()) == repr(GOOD[text])


# Surrogates are looked at before and after it.
@pytest.mark.parametrize(
    "text", [text for text in BAD if "\\u" not in text.lower() and "\ud800" not in text]
)
def test_the_parser_without_recursion_refuses_the_same(text: str) -> None:
    with pytest.raises(json.JSONDecodeError):
        _decoder._Parser(text).parse()


values = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**25), 10**25),
        st.floats(allow_nan=False, allow_infinity=False),
        st.text(),
    ),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=20,
)


@given(values, st.sampled_from([None, 1, "\t"]), st.booleans())
def test_any_document_is_read_alike(value: object, indent: int | str | None, escaped: bool) -> None:
    text = stdlib.dumps(value, indent=indent, ensure_ascii=escaped)
    found = [repr(decoded(backend, text)) for backend in both()]
    found.append(repr(_decoder._Parser(text).parse()))
    assert len(set(found)) == 1


@given(st.text('[]{},:"\\udDCc8a0 1-+.eEtrufalsn\n', max_size=12))
@example('["\\udcad\\ud8"]')
def test_any_text_is_read_or_refused_alike(text: str) -> None:
    assert len({outcome(lambda b=b: decoded(b, text)) for b in both()}) == 1


@given(st.binary(max_size=12), st.sampled_from([b"%s", b'"%s"', b'{"%s":1}']))
def test_any_bytes_are_read_or_refused_alike(data: bytes, around: bytes) -> None:
    data = around % data
    assert len({outcome(lambda b=b: decoded(b, data)) for b in both()}) == 1


@given(values)
def test_what_was_written_is_read(value: object) -> None:
    # Ints beyond 64 bits cannot be written.
    value = stdlib.loads(stdlib.dumps(value), parse_int=lambda digits: int(digits[:18]))
    for data in (dumped(value), bytearray(dumped(value)), json.dumps_str(value)):
        assert json.loads(data) == value


@pytest.mark.parametrize("tail", ["", "\\", "x"])
def test_string_without_an_end_is_looked_at_once(tail: str) -> None:
    # Else each quote of it would begin another one, and be looked at up to the end.
    text = '"' + '\\"' * 100 + tail
    assert _decoder._STRINGS_AND_BRACKETS.findall(text) == [text]
    with pytest.raises(json.JSONDecodeError):
        decoded("stdlib", "[]," * 1025 + text)
