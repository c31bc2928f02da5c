"""`HttpPool`: what it is told is checked when it is made."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.web import serving

from penstock import HttpPool


@pytest.mark.parametrize(
    ("options", "error", "match"),
    [
        ({"limit": 0}, ValueError, "limit must be >= 1, got 0"),
        ({"per_host": "3"}, TypeError, "per_host must be an int"),
        ({"timeout": 0}, ValueError, "timeout"),
        ({"keepalive": -1}, ValueError, "keepalive"),
        ({"retry": 0}, ValueError, "retry must be >= 1"),
        ({"headers": ["a"]}, TypeError, "headers must be a mapping"),
        ({"base_url": 1}, TypeError, "base_url must be a str"),
        ({"name": 1}, TypeError, "name must be a str"),
    ],
)
def test_options_are_checked(options: dict[str, Any], error: type, match: str) -> None:
    with pytest.raises(error, match=match):
        HttpPool(**options)


@pytest.mark.parametrize(
    "url",
    [
        *("", " ", "not a url", "//x", "/api/", "localhost:8000", "ftp://x/", "http://", "http:/x"),
        *("http://h:99999/", "http://h:port/", "http://[::1", "http://:80/"),
    ],
)
def test_a_base_url_must_say_where_to(url: str) -> None:
    with pytest.raises(ValueError, match="base_url must be an absolute URL of http or https"):
        HttpPool(base_url=url)


def test_a_base_url_ends_with_a_slash() -> None:
    with pytest.raises(ValueError, match="path of base_url must end with '/', got '/api'"):
        HttpPool(base_url="http://h/api")
    for url in ("http://h", "HTTPS://h:1/", "http://[::1]", "http://h/api/", "http://me:x@h/"):
        assert not HttpPool(base_url=url).closed


def test_an_error_does_not_tell_the_password() -> None:
    with pytest.raises(ValueError, match="got 'h:port/'") as caught:
        HttpPool(base_url="http://me:secret@h:port/")
    assert "secret" not in str(caught.value)


def test_a_url_is_relative_to_the_base() -> None:
    async def main() -> None:
        async with serving() as site, HttpPool(base_url=site.url + "/api/") as pool:
            await pool.bytes("a")
            await pool.bytes("/b")
            await pool.bytes(site.url + "/c")
            assert [path for _, path, _ in site.asked] == ["/api/a", "/b", "/c"]

    asyncio.run(main())
