"""One request of an `HttpPool`: to be awaited, or for ``async with``."""

from __future__ import annotations

from asyncio import CancelledError, get_running_loop, timeout
from typing import TYPE_CHECKING, Any

from penstock.flow._deadline import sooner

if TYPE_CHECKING:
    from asyncio import Timeout, TimerHandle
    from collections.abc import Generator
    from types import TracebackType

    from aiohttp import ClientResponse

    from penstock.flow._attempts import Attempts
    from penstock.pools._http import HttpPool

__all__ = ["HttpRequest"]

#: Seconds by which a response that nobody reads is closed after its time: aiohttp rounds it up.
_LATER = 1.0


class HttpRequest:
    """
    A request that is made when it is awaited, or entered; see `HttpPool.request`.
    """

    __slots__ = (
        "_closer", "_is_cut", "_is_flying", "_limit", "_method", "_options", "_pool", "_response",
        "_seconds", "_tries", "_until", "_url",
    )  # fmt: skip

    def __init__(
        self,
        pool: HttpPool,
        method: str,
        url: str,
        seconds: float | None,
        tries: Attempts | None,
        options: dict[str, Any],
    ) -> None:
        self._pool = pool
        self._method = method
        self._url = url
        self._seconds = seconds
        self._tries = tries
        self._options = options
        self._response: ClientResponse | None = None
        #: When the time for the attempt is over, on the clock of the loop.
        self._until: float | None = None
        self._closer: TimerHandle | None = None
        self._is_flying = False
        self._limit: Timeout | None = None
        self._is_cut = False

    def __await__(self) -> Generator[Any, None, ClientResponse]:
        return self._until_read().__await__()

    async def __aenter__(self) -> ClientResponse:
        if self._response is not None:
            raise RuntimeError("a request is made once: ask the pool for another")
        self._response = response = await self._send()
        return response

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        response = self._response
        assert response is not None
        try:
            if kind is None:
                response.release()
                await response.wait_for_close()
            else:
                response.close()
        finally:
            self._land()

    async def _until_read(self) -> ClientResponse:
        """Send it; it is under way until its body was read, or nobody wants it any more."""
        self._response = response = await self._send()
        if response.closed:
            self._land()
            return response
        self._pool._at_end(response, self._land)
        if self._until is not None:
            # Nobody can read it then. If nobody has it, its connection would be lost: aiohttp keeps
            # what was not read to its end.
            self._closer = get_running_loop().call_at(self._until + _LATER, response.close)
        return response

    async def _send(self) -> ClientResponse:
        pool = self._pool
        counts = pool._counts
        session = pool._begin(self)
        self._is_flying = True
        host = counts.host(self._host())
        host[0] += 1
        began = pool._now()
        try:
            async with timeout(None) as self._limit:
                if self._tries is None:
                    response = await self._attempt(session)
                else:
                    response = await pool._again(self._tries, lambda: self._attempt(session))
        except BaseException as error:
            self._land()
            if isinstance(error, CancelledError):
                counts.cancelled += 1
            else:
                host[1] += 1
                counts.failures += 1
                counts.timeouts += isinstance(error, TimeoutError)
            if self._is_cut and isinstance(error, TimeoutError):
                pool._check()
            raise
        counts.responses += 1
        counts.seconds += pool._now() - began
        return response

    async def _attempt(self, session: Any) -> ClientResponse:
        """Make one attempt, within the time that there is."""
        left, due = sooner(self._seconds)
        self._until = None if left is None else get_running_loop().time() + left
        if due is not None and left is not None and left <= 0:
            raise due.error()
        try:
            response: ClientResponse = await session.request(
                self._method, self._url, timeout=self._pool._limit(left), **self._options
            )
        except TimeoutError as error:
            if due is not None:
                raise due.error() from error
            raise
        if due is not None:
            self._pool._inner.limit_body(response, due)
        return response

    def cut(self) -> None:
        """End it, wherever it is: the pool is closed."""
        response = self._response
        if response is not None:
            # Or whoever reads the body would wait for it until his time is over.
            response.close()
        elif self._limit is not None:
            self._is_cut = True
            self._limit.reschedule(get_running_loop().time())

    def _land(self) -> None:
        """Be under way no more."""
        if self._closer is not None:
            self._closer.cancel()
            self._closer = None
        if self._is_flying:
            self._is_flying = False
            self._pool._end(self)

    def _host(self) -> str:
        """Return whom it goes to, for the statistics."""
        scheme, slashes, rest = str(self._url).partition("://")
        if not slashes or "/" in scheme:
            return self._pool._base_host
        where = rest.partition("/")[0].partition("?")[0].partition("#")[0]
        return where.rpartition("@")[2]
