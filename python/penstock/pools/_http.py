"""`HttpPool`: HTTP requests over connections that are kept."""

from __future__ import annotations

import builtins
from asyncio import Event, get_running_loop, timeout
from collections.abc import Mapping
from time import monotonic
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from penstock import _backend, _components, _forks
from penstock._waiters import seconds_of
from penstock.errors import ClosedError, WrongEventLoop
from penstock.flow._attempts import Attempts
from penstock.flow._checks import check_int, check_name
from penstock.pools._http_request import HttpRequest
from penstock.pools._http_stats import Counts, HttpPoolStats
from penstock.pools._pool_families import HTTP_POOL_FIELDS

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Awaitable, Callable
    from datetime import timedelta
    from types import EllipsisType, TracebackType
    from typing import Self

    from aiohttp import ClientResponse, ClientSession, ClientTimeout

__all__ = ["HttpPool"]

#: May be sent again without doing more than once, by RFC 9110.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
#: What is still there after it was sent: as a body, and as a field of a form.
_TEXT = (str, builtins.bytes, bytearray)
_FIELD = (*_TEXT, int, float)
_PAIR = 2


class HttpPool:
    """
    HTTP requests over connections that are kept: an aiohttp session made once, and used by all.

    Args:
        limit: How many connections there may be; requests beyond that wait for one.
        per_host: How many to one host and port.
        timeout: Seconds for each attempt at a request, to the end of the body; None: any time. The
            ambient ``deadline()`` counts where it is sooner.
        keepalive: Seconds that a connection is kept which nobody uses.
        retry: How many attempts are made at requests of idempotent methods that could not reach
            the server, or were answered by 502, 503 or 504; the delays are those of ``attempts()``,
            and what ``Retry-After`` asks for. Or what ``attempts(...)`` returns. None: one.
        headers: Sent with each request.
        base_url: What a URL without a host is relative to; its path ends with a slash.
        cookies: Whether cookies that servers set are kept, and sent with the requests of all.
        name: Shows the statistics among the metrics under this name.

    Raises:
        ImportError: aiohttp is not installed.
        TypeError: An argument has the wrong type.
        ValueError: One is out of its range.

    Cost: that of aiohttp, and some microseconds. Bound to the event loop that uses it first;
        begins anew when that is closed, and in a process that was forked.
    """

    __slots__ = (
        "__weakref__", "_base_host", "_counts", "_flying", "_inner", "_is_closed", "_loop", "_name",
        "_options", "_quiet", "_seconds", "_session", "_tries", "_usual",
    )  # fmt: skip

    def __init__(
        self,
        *,
        limit: int = 100,
        per_host: int = 30,
        timeout: float | timedelta | None = 30.0,  # of requests, not of the call
        keepalive: float | timedelta = 15.0,
        retry: int | Attempts | None = None,
        headers: Mapping[str, str] | None = None,
        base_url: str | None = None,
        cookies: bool = False,
        name: str | None = None,
    ) -> None:
        try:
            from penstock.pools import _http_session as inner
        except ImportError as error:
            message = "HttpPool needs the extra: pip install 'penstock[http]'"
            raise ImportError(message) from error
        check_name(name)
        if headers is not None and not isinstance(headers, Mapping):
            raise TypeError(f"headers must be a mapping, got {type(headers).__name__}")
        if base_url is not None and not isinstance(base_url, str):
            raise TypeError(f"base_url must be a str, got {type(base_url).__name__}")
        if not isinstance(cookies, bool):
            raise TypeError(f"cookies must be a bool, got {type(cookies).__name__}")
        self._inner = inner
        self._options: dict[str, Any] = {
            "limit": check_int("limit", limit, 1),
            "per_host": check_int("per_host", per_host, 1),
            "keepalive": _backend.duration("keepalive", keepalive),
            "headers": dict(headers or {}),
            "base_url": None if base_url is None else inner.base_of(base_url),
            "cookies": cookies,
        }
        self._base_host = "" if base_url is None else urlsplit(base_url).netloc.rpartition("@")[2]
        self._seconds = None if timeout is None else _backend.duration("timeout", timeout)
        self._usual = inner.limit_of(self._seconds)
        self._tries = self._check_retry(retry)
        self._name = name
        self._counts = Counts()
        self._session: ClientSession | None = None
        self._loop: AbstractEventLoop | None = None
        self._is_closed = False
        self._flying: set[HttpRequest] = set()
        #: Set while a pool that is being closed has nothing under way any more.
        self._quiet: Event | None = None
        _components.enter(self)
        _forks.enter(self)

    @property
    def name(self) -> str | None:
        """
        The name given to the pool.
        """
        return self._name

    @property
    def closed(self) -> bool:
        """
        Whether it makes no more requests.
        """
        return self._is_closed

    # --- requests ---------------------------------------------------------------------------------

    def request(
        self,
        method: str,
        url: str,
        *,
        timeout: float | timedelta | EllipsisType | None = ...,
        retry: int | Attempts | EllipsisType | None = ...,
        **options: Any,
    ) -> HttpRequest:
        """
        Return a request, for ``async with`` or to be awaited.

        ::

            async with pool.get(url) as response:
                data = await response.read()

        Args:
            method: ``"GET"``, ``"POST"`` ...
            url: Where to; with *base_url* a path.
            timeout: In place of that of the pool.
            retry: In place of that of the pool, whatever the method is. A body that can be sent
                only once is sent once.
            options: As aiohttp's ``ClientSession.request`` takes them: ``params``, ``json``,
                ``data``, ``headers`` ...

        Returns:
            What gives an ``aiohttp.ClientResponse``. One that was awaited has to be read, or
            released.

        Raises:
            aiohttp.ClientError: When awaited: there is no response.
            TimeoutError: When awaited: there was none in time.
            DeadlineExceeded: When awaited, or when its body is read: the ambient ``deadline()``
                was over first.
            ClosedError: When awaited: the pool is closed.
        """
        if retry is not ...:
            tries = self._check_retry(retry)
        else:
            tries = self._tries if method.upper() in _IDEMPOTENT else None
        if tries is not None and not _can_be_sent_again(options.get("data")):
            tries = None
        seconds = self._seconds
        if timeout is not ...:
            seconds = None if timeout is None else _backend.duration("timeout", timeout)
        return HttpRequest(self, method, url, seconds, tries, options)

    def get(self, url: str, **options: Any) -> HttpRequest:
        """
        Return a GET; see `request`.
        """
        return self.request("GET", url, **options)

    def head(self, url: str, **options: Any) -> HttpRequest:
        """
        Return a HEAD; see `request`.
        """
        return self.request("HEAD", url, **{"allow_redirects": False, **options})

    def post(self, url: str, **options: Any) -> HttpRequest:
        """
        Return a POST; see `request`.
        """
        return self.request("POST", url, **options)

    def put(self, url: str, **options: Any) -> HttpRequest:
        """
        Return a PUT; see `request`.
        """
        return self.request("PUT", url, **options)

    def patch(self, url: str, **options: Any) -> HttpRequest:
        """
        Return a PATCH; see `request`.
        """
        return self.request("PATCH", url, **options)

    def delete(self, url: str, **options: Any) -> HttpRequest:
        """
        Return a DELETE; see `request`.
        """
        return self.request("DELETE", url, **options)

    async def bytes(self, url: str, *, method: str = "GET", **options: Any) -> builtins.bytes:
        """
        Return the body of a response.

        Raises:
            aiohttp.ClientResponseError: Its status is 400 or above.
        """
        async with self.request(method, url, **options) as response:
            response.raise_for_status()
            return await response.read()

    async def json(self, url: str, *, method: str = "GET", **options: Any) -> Any:
        """
        Return the body of a response, which is JSON; see `bytes`.

        Raises:
            ValueError: It is not.
        """
        from penstock import json

        return json.loads(await self.bytes(url, method=method, **options))

    # --- the end ----------------------------------------------------------------------------------

    async def aclose(self, timeout: float | timedelta | None = 30) -> None:  # noqa: ASYNC109  # of closing, not of the wait
        """
        Take on nothing more, wait for what is under way, and close all connections.

        Args:
            timeout: Seconds after which what is under way is cut off; None: never. So it is when
                this is cancelled.
        """
        seconds = seconds_of(timeout)
        if self._loop is not get_running_loop():
            self._check_loop()
        self._is_closed = True
        session = self._session
        if session is None:
            return
        if self._quiet is None:
            self._quiet = Event()
        if not self._counts.in_flight:
            self._quiet.set()
        try:
            await _wait(self._quiet, seconds)
        finally:
            self._session = None
            for request in list(self._flying):
                request.cut()
            await session.close()

    async def __aenter__(self) -> Self:
        self._check()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.aclose()

    def stats(self) -> HttpPoolStats:
        """
        Return what the pool has done so far.
        """
        return self._counts.stats()

    def __repr__(self) -> str:
        name = "" if self._name is None else f", name={self._name!r}"
        state = "closed" if self.closed else f"in_flight={self._counts.in_flight}"
        return f"HttpPool(limit={self._options['limit']}, {state}{name})"

    # --- for requests -----------------------------------------------------------------------------

    _now = staticmethod(monotonic)

    def _begin(self, request: HttpRequest) -> ClientSession:
        """Note a request that is under way from now on; return what makes it."""
        self._check()
        session = self._session
        if session is None or self._loop is not get_running_loop():
            self._check_loop()
            self._loop = get_running_loop()
            self._session = session = self._inner.new_session(self._counts, **self._options)
        self._counts.requests += 1
        self._counts.in_flight += 1
        self._flying.add(request)
        return session

    def _check(self) -> None:
        if self._is_closed:
            raise ClosedError("the pool is closed")

    def _end(self, request: HttpRequest) -> None:
        """Note that one is not under way any more."""
        if request not in self._flying:
            return  # that of another loop, or of another process
        self._flying.discard(request)
        counts = self._counts
        counts.in_flight -= 1
        if not counts.in_flight and self._quiet is not None:
            self._quiet.set()

    def _at_end(self, response: ClientResponse, call: Callable[[], object]) -> None:
        assert isinstance(response, self._inner.Response)
        response.on_end = call

    def _limit(self, seconds: float | None) -> ClientTimeout:
        # Most requests have the time that all have.
        return self._usual if seconds == self._seconds else self._inner.limit_of(seconds)

    def _again(
        self, tries: Attempts, send: Callable[[], Awaitable[ClientResponse]]
    ) -> Awaitable[ClientResponse]:
        return self._inner.again(tries, send, self._counts)

    def _check_retry(self, retry: int | Attempts | EllipsisType | None) -> Attempts | None:
        if retry is None or isinstance(retry, Attempts):
            return retry
        most = check_int("retry", retry, 1)
        return None if most == 1 else self._inner.retrying(most)

    def _check_loop(self) -> None:
        """Do without the session of a loop that is closed."""
        loop, session = self._loop, self._session
        if loop is None or session is None:
            return
        if not loop.is_closed():
            raise WrongEventLoop("the pool is in use on another event loop, make another")
        self._session = None
        self._counts.in_flight = 0
        self._flying = set()
        self._inner.abandon(session)

    def _begin_anew(self) -> object:
        """Leave the connections to the parent of this process."""
        session, self._session, self._quiet = self._session, None, None
        flying, self._flying = self._flying, set()
        self._counts.in_flight = 0
        return session, flying


async def _wait(quiet: Event, seconds: float | None) -> None:
    try:
        async with timeout(seconds):
            await quiet.wait()
    except TimeoutError:
        return


def _can_be_sent_again(data: object) -> bool:
    """Whether a body is still there after it was sent; a file, or one in a form, is not."""
    if data is None or isinstance(data, _TEXT):
        return True
    if not isinstance(data, dict | list | tuple):
        return False
    return all(
        isinstance(pair, list | tuple) and len(pair) == _PAIR and isinstance(pair[1], _FIELD)
        for pair in (data.items() if isinstance(data, dict) else data)
    )


_components.describe("http_pool", HttpPoolStats, HTTP_POOL_FIELDS)
