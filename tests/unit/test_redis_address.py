"""What the URL of a Redis server says, to a store and to a pool."""

from __future__ import annotations

import pytest

from penstock import RedisStore, redis_pool

pytest.importorskip("redis")
pytest.importorskip("hiredis")

both = pytest.mark.parametrize("kind", [RedisStore, redis_pool])


@both
@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("redis://host/abc", "abc"),
        ("redis://host/1x", "1x"),
        ("rediss://host/1/2", "1/2"),
        ("redis://host/-1", "-1"),
        ("redis://host/1_0", "1_0"),
        ("redis://host/%C2%B2", "²"),
        ("redis://host/x?db=1", "x"),
        ("redis://host?db=-1", "-1"),
        ("unix:///tmp/redis.sock?db=-1", "-1"),
    ],
)
def test_a_database_that_is_no_number_is_refused(kind: object, url: str, named: str) -> None:
    assert callable(kind)
    with pytest.raises(ValueError, match=f"a database must be >= 0, got '{named}'"):
        kind(url)


@pytest.mark.parametrize(
    ("url", "database"),
    [
        ("redis://host", 0),
        ("redis://host/", 0),
        ("redis://host/12", 12),
        ("redis://host/12/", 12),
        ("redis://host/%31", 1),
        ("redis:///5", 5),
        ("redis://host?db=3", 3),
        ("redis://host/2?db=3", 3),
        ("unix:///run/7/redis.sock?db=3", 3),
    ],
)
def test_the_database_is_that_of_the_url(url: str, database: int) -> None:
    from penstock.stores._redis_address import Address

    assert Address(url).db == database
    assert redis_pool(url).client.get_connection_kwargs().get("db", 0) == database


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://localhost:1/0?password=secret", "'localhost:1/0'"),
        ("redis://ada:secret@host/3", "'host:6379/3'"),
        ("rediss://host?ssl_password=secret&db=2", "'host:6379/2'"),
        ("unix://ada:secret@/run/redis.sock?password=secret", "'/run/redis.sock'"),
        ("redis://", "'localhost:6379/0'"),
    ],
)
def test_a_pool_shows_where_it_leads_but_no_password(url: str, shown: str) -> None:
    pool = redis_pool(url)
    assert repr(pool).startswith(f"RedisPool({shown}, ")
    for each in (repr(pool), repr(pool.client), repr(pool.client.connection_pool)):
        assert "secret" not in each
