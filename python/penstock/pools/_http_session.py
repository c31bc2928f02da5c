"""The aiohttp side of an `HttpPool`: sessions, responses that say when they end, and retries."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import aiohttp
from yarl import URL

from penstock.flow import attempts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from penstock.flow._attempts import Attempts
    from penstock.flow._deadline import Due
    from penstock.pools._http_stats import Counts

__all__ = [
    "Response", "abandon", "again", "base_of", "limit_body", "limit_of", "new_session", "retrying",
]  # fmt: skip

#: More than a close has that waits for nothing.
_STEPS = 10
#: What a gateway answers when it has not reached the server, or a server that is overloaded.
_UNAVAILABLE = frozenset({502, 503, 504})


class Response(aiohttp.ClientResponse):
    """A response that tells when its body was read, or is not wanted any more."""

    #: Called once, with nothing.
    on_end: Callable[[], object] | None = None

    def _end(self) -> None:
        on_end, self.on_end = self.on_end, None
        if on_end is not None:
            on_end()

    # An inner method of aiohttp, of all versions so far; without it the other two remain.
    def _response_eof(self) -> None:
        super()._response_eof()
        if self.closed:
            self._end()

    def close(self) -> None:
        super().close()
        self._end()

    def release(self) -> Any:
        result = super().release()
        self._end()
        return result


class _Timer:
    """The time of a body, which is that of a ``deadline()``: it says so when it is over."""

    __slots__ = ("_due", "_timer")

    def __init__(self, timer: Any, due: Due) -> None:
        self._timer = timer
        self._due = due

    def __enter__(self) -> Any:
        return self._call(self._timer.__enter__)

    def __exit__(self, *error: object) -> Any:
        return self._call(self._timer.__exit__, *error)

    def assert_timeout(self) -> None:
        self._call(self._timer.assert_timeout)

    def _call(self, method: Callable[..., object], *args: object) -> object:
        try:
            return method(*args)
        except TimeoutError as error:
            raise self._due.error() from error


def limit_body(response: aiohttp.ClientResponse, due: Due) -> None:
    """Have whoever reads a body, in whatever way, be told that it was a deadline that is over."""
    # An inner attribute of aiohttp, of all versions so far; without it he gets a TimeoutError. What
    # has no body has none either: all of those share one.
    timer = getattr(response.content, "_timer", None)
    if timer is not None:
        response.content._timer = _Timer(timer, due)  # type: ignore[assignment]


class _Connector(aiohttp.TCPConnector):
    """
    A connector that counts.

    A trace of aiohttp's could do that too, at a tenth of what a request costs.
    """

    counts: Counts

    async def connect(self, *args: Any, **kwargs: Any) -> Any:
        connection = await super().connect(*args, **kwargs)
        self.counts.connected += 1
        return connection

    # An inner method of aiohttp, of all versions so far; without it all count as reused.
    async def _create_connection(self, *args: Any, **kwargs: Any) -> Any:
        protocol = await super()._create_connection(*args, **kwargs)
        self.counts.created += 1
        return protocol


class _Unavailable(aiohttp.ClientResponseError):
    """A response that another attempt may better; it is never seen by a caller."""


def new_session(
    counts: Counts,
    *,
    limit: int,
    per_host: int,
    keepalive: float,
    headers: Mapping[str, str],
    base_url: URL | None,
    cookies: bool,
) -> aiohttp.ClientSession:
    """Return a session of the running loop that counts its connections."""
    connector = _Connector(limit=limit, limit_per_host=per_host, keepalive_timeout=keepalive)
    connector.counts = counts
    return aiohttp.ClientSession(
        base_url,
        connector=connector,
        headers=headers,
        # One jar would send the session of one caller with the requests of all others.
        cookie_jar=aiohttp.CookieJar() if cookies else aiohttp.DummyCookieJar(),
        response_class=Response,
        timeout=limit_of(None),
    )


def abandon(session: aiohttp.ClientSession) -> None:
    """Do without a session whose event loop is closed."""
    connector = session.connector
    session.detach()
    if connector is None:
        return
    # Nothing is waited for where there is no loop, and no loop is there to await it: by hand.
    steps = connector.close().__await__()
    with suppress(Exception):
        for _ in range(_STEPS):
            next(steps)


def base_of(url: str) -> URL:
    """
    Return what a URL without a host is relative to.

    Raises:
        ValueError: Nothing can be relative to it.
    """
    base = None
    with suppress(ValueError):
        base = URL(url)
    if base is None or base.scheme not in {"http", "https"} or not base.host:
        shown = url.rpartition("@")[2]  # without a password
        raise ValueError(f"base_url must be an absolute URL of http or https, got {shown!r}")
    if not base.path.endswith("/"):
        raise ValueError(f"the path of base_url must end with '/', got {base.path!r}")
    return base


def limit_of(seconds: float | None) -> aiohttp.ClientTimeout:
    """Return what aiohttp takes for a time limit of all of it, to the end of the body."""
    return aiohttp.ClientTimeout(total=seconds)


def retrying(most: int) -> Attempts:
    """Return attempts at what failed to be reached, or was answered by 502, 503 or 504."""
    return attempts(most, on=_is_passing)


def _is_passing(error: Exception) -> bool:
    """Whether another attempt may help."""
    if isinstance(error, aiohttp.ClientResponseError):
        return error.status in _UNAVAILABLE
    if isinstance(error, aiohttp.ClientSSLError | aiohttp.ServerFingerprintMismatch):
        return False
    return isinstance(error, aiohttp.ClientConnectionError)


async def again(
    tries: Attempts, send: Callable[[], Awaitable[aiohttp.ClientResponse]], counts: Counts
) -> aiohttp.ClientResponse:
    """
    Return the first response that is none of those to be retried, or the last one.

    The body of a response that is retried is read: a connection is not kept for the time of a
    delay, and the response is whole if it turns out to be the last one.

    Raises:
        aiohttp.ClientError: The last attempt failed; or the body of the last response broke off.
    """
    rejected: aiohttp.ClientResponse | None = None
    broken: aiohttp.ClientError | None = None
    try:
        async for attempt in tries:
            with attempt:
                counts.retries += attempt.number > 1
                rejected = broken = None
                response = await send()
                if response.status not in _UNAVAILABLE:
                    return response
                if not attempt.is_last:
                    broken = await _read(response)
                rejected = response
                _reject(response)
    except _Unavailable:
        if broken is not None:
            raise broken from None
        if rejected is not None:
            return rejected
        raise
    raise AssertionError("a loop that neither returned nor raised")


def _reject(response: aiohttp.ClientResponse) -> None:
    raise _Unavailable(
        response.request_info,
        response.history,
        status=response.status,
        message=response.reason or "",
        headers=response.headers,
    )


async def _read(response: aiohttp.ClientResponse) -> aiohttp.ClientError | None:
    """Read a body that nobody may want; return why it is not whole."""
    try:
        await response.read()
    except BaseException as error:
        response.close()
        if isinstance(error, aiohttp.ClientError) and not isinstance(error, TimeoutError):
            return error
        raise
    return None
