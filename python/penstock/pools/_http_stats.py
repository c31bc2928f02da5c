"""What an `HttpPool` tells of itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Counts", "HostStats", "HttpPoolStats"]

#: Hosts that are counted one by one; those that come later are summed under "".
_MOST_HOSTS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class HostStats:
    """
    What has become of the requests to one host.

    Args:
        requests: How many were asked for.
        failures: How many ended without a response.
    """

    requests: int = 0
    failures: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPoolStats:
    """
    What an `HttpPool` has done so far.

    Args:
        in_flight: Requests that are under way, their bodies included.
        requests: Requests that were asked for.
        responses: Responses that were handed over, of any status.
        failures: Requests that ended without a response.
        timeouts: How many of these because the time was over.
        cancelled: Requests that were cancelled.
        retries: Attempts beyond the first of a request.
        created: Connections that were made.
        reused: Requests that went over a connection that was there.
        seconds: Time from requests to the heads of their responses.
        hosts: By ``host:port``; hosts beyond the first thousand are summed under ``""``.
    """

    in_flight: int = 0
    requests: int = 0
    responses: int = 0
    failures: int = 0
    timeouts: int = 0
    cancelled: int = 0
    retries: int = 0
    created: int = 0
    reused: int = 0
    seconds: float = 0.0
    hosts: Mapping[str, HostStats] = field(default_factory=dict[str, HostStats])


class Counts:
    """What a pool has counted."""

    __slots__ = (
        "_hosts", "cancelled", "connected", "created", "failures", "in_flight", "requests",
        "responses", "retries", "seconds", "timeouts",
    )  # fmt: skip

    def __init__(self) -> None:
        self.in_flight = self.requests = self.responses = self.failures = self.timeouts = 0
        self.cancelled = self.retries = self.created = self.connected = 0
        self.seconds = 0.0
        #: By host: requests and failures.
        self._hosts: dict[str, list[int]] = {}

    def host(self, name: str) -> list[int]:
        """Return the requests and failures of a host, to be added to."""
        hosts = self._hosts
        found = hosts.get(name)
        if found is None:
            key = name if len(hosts) < _MOST_HOSTS else ""
            found = hosts.setdefault(key, [0, 0])
        return found

    def stats(self) -> HttpPoolStats:
        """Return the figures of now."""
        counted = [each for each in self.__slots__ if each not in {"_hosts", "connected"}]
        return HttpPoolStats(
            **{each: getattr(self, each) for each in counted},
            # What was made for somebody who then left was not connected to anything.
            reused=max(self.connected - self.created, 0),
            hosts={
                name: HostStats(requests=requests, failures=failures)
                for name, (requests, failures) in list(self._hosts.items())
            },
        )
