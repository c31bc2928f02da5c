"""Which format a scraper is given, whether it is compressed, and which names it asked for."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.exposition import choose_encoder

from penstock.metrics._negotiation import (
    OPENMETRICS,
    PLAIN,
    accepts_gzip,
    choose_format,
    wanted_names,
)

PROMETHEUS_2_42 = (
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
    "text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_2_42_WITH_PROTOBUF = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    "application/openmetrics-text;version=1.0.0;q=0.8,"
    "application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
PROMETHEUS_3 = (
    "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,"
    "application/openmetrics-text;version=0.0.1;q=0.5,"
    "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"
)
PROMETHEUS_3_TEXT_FIRST = (
    "text/plain;version=1.0.0;escaping=underscores;q=0.6,text/plain;version=0.0.4;q=0.5,"
    "application/openmetrics-text;version=1.0.0;escaping=underscores;q=0.4,*/*;q=0.3"
)
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"

OPENMETRICS_1 = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT_1 = "text/plain; version=1.0.0; charset=utf-8"
TEXT_0 = "text/plain; version=0.0.4; charset=utf-8"


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        (PROMETHEUS_2_42, f"{OPENMETRICS_1}; escaping=underscores"),
        (PROMETHEUS_2_42_WITH_PROTOBUF, f"{OPENMETRICS_1}; escaping=underscores"),
        (PROMETHEUS_3, f"{OPENMETRICS_1}; escaping=allow-utf-8"),
        (PROMETHEUS_3_TEXT_FIRST, f"{TEXT_1}; escaping=underscores"),
        (FIREFOX, TEXT_0),
        ("*/*", TEXT_0),
        ("", TEXT_0),
        ("application/openmetrics-text", OPENMETRICS_1),
        ("application/openmetrics-text; version=0.0.1", TEXT_0),
        ("application/openmetrics-text; version=1.0.0", f"{OPENMETRICS_1}; escaping=underscores"),
        ("text/plain", TEXT_0),
        ("text/plain; version=0.0.4", TEXT_0),
        ("text/plain; version=1.0.0; escaping=values", f"{TEXT_1}; escaping=values"),
        ("text/plain; version=1.0.0; escaping=dots", f"{TEXT_1}; escaping=dots"),
        ("text/plain; version=1.0.0; escaping=nonsense", f"{TEXT_1}; escaping=underscores"),
        ("application/json", TEXT_0),
        ("text/plain; version=0.0.4, application/openmetrics-text", OPENMETRICS_1),
    ],
)
def test_what_scrapers_send_gets_the_answer_of_prometheus_client(
    accept: str, content_type: str
) -> None:
    assert choose_format(accept).content_type == content_type
    assert choose_encoder(accept)[1] == content_type


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("text/plain;version=0.0.4;q=0.9, application/openmetrics-text;q=0.8", TEXT_0),
        ("text/*;q=0.9, application/openmetrics-text;q=0.8", TEXT_0),
        ("text/plain;q=0.8, application/openmetrics-text;q=0.9", OPENMETRICS_1),
        ("application/openmetrics-text;q=0", TEXT_0),
        ("application/openmetrics-text;q=0, text/plain;version=1.0.0;q=0.1", TEXT_1),
        ("application/openmetrics-text;q=0.5, text/plain;version=1.0.0;q=0.6", TEXT_1),
    ],
)
def test_quality_counts_before_order(accept: str, content_type: str) -> None:
    chosen = choose_format(accept).content_type
    assert chosen.removesuffix("; escaping=underscores") == content_type


@pytest.mark.parametrize("version", ["2.0.0", "1.1.0", "2", '"1.0.0"', "10.0.0"])
def test_later_version_gets_the_latest_there_is(version: str) -> None:
    chosen = choose_format(f"application/openmetrics-text; version={version}")
    assert chosen.content_type == f"{OPENMETRICS_1}; escaping=underscores"
    assert chosen.openmetrics


@pytest.mark.parametrize("version", ["x", "x.0.0", "-1.0", "0.9.9", ".", "9" * 10_000 + ".x" * 9])
def test_version_that_there_is_not_is_no_offer(version: str) -> None:
    header = f"application/openmetrics-text; version={version}, text/plain; version={version}"
    assert choose_format(header) is PLAIN


@pytest.mark.parametrize("quality", ["x", "", "nan", "inf", "2", "1e999"])
def test_nonsense_for_a_quality_is_one(quality: str) -> None:
    header = f"text/plain;q=0.99, application/openmetrics-text;q={quality}"
    assert choose_format(header) is OPENMETRICS


def test_names_of_types_and_parameters_are_in_any_case() -> None:
    chosen = choose_format("Application/OpenMetrics-Text; VERSION=1.0.0; Escaping=dots; Q=0.1")
    assert chosen.content_type == f"{OPENMETRICS_1}; escaping=dots"


def test_format_says_how_names_are_escaped() -> None:
    assert choose_format(PROMETHEUS_3).escaping == "allow-utf-8"
    assert choose_format("application/openmetrics-text; escaping=dots").escaping == "underscores"


@given(st.text(alphabet='applictn/omers-x;v=10.,q*" \ud800', max_size=60) | st.text(max_size=60))
def test_no_header_is_an_error(header: str) -> None:
    assert choose_format(header).content_type
    assert accepts_gzip(header) in {True, False}


@pytest.mark.parametrize(
    "header",
    ["gzip", "GZIP", "deflate, gzip;q=0.5", "gzip, br", "br;q=1, gzip ; q=0.1", "gzip;q=x"],
)
def test_gzip_is_accepted(header: str) -> None:
    assert accepts_gzip(header)


@pytest.mark.parametrize(
    "header",
    ["", "identity", "deflate", "gzip;q=0", "gzip;q=0.0, *", "*", "identity, gzip;q=0.5", "gzipx"],
)
def test_gzip_is_not_accepted(header: str) -> None:
    assert not accepts_gzip(header)


@pytest.mark.parametrize(
    ("query", "names"),
    [
        (b"", None),
        (b"name=a", None),
        (b"name[]=", None),
        (b"name[]=a", {"a"}),
        (b"name[]=a&other=1&name[]=b&name[]=a", {"a", "b"}),
        (b"name%5B%5D=a%3Ab", {"a:b"}),
        (b"name[]=\xc3\xa9", {"é"}),
        (b"name[]=\xff", {"\ufffd"}),
        (b"name[]=%ff%fe", {"\ufffd\ufffd"}),
        (b"\xff=1&name[]=a", {"a"}),
    ],
)
def test_names_are_read_from_the_query(query: bytes, names: set[str] | None) -> None:
    assert wanted_names(query) == names


@given(st.binary(max_size=60))
def test_no_query_is_an_error(query: bytes) -> None:
    names = wanted_names(b"name[]=" + query)
    assert names is None or all(name.encode() for name in names)
