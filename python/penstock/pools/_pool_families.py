"""What metrics show of pools of connections, and of HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from penstock._components import FieldType

__all__ = ["HTTP_POOL_FIELDS", "POOL_FIELDS"]

Fields = tuple[tuple[str, "FieldType", str], ...]

POOL_FIELDS: Final[Fields] = (
    ("size", "gauge", "Connections that there are, those that are being made included."),
    ("idle", "gauge", "Connections that nobody uses."),
    ("leased", "gauge", "Connections that are in use."),
    ("connecting", "gauge", "Connections that are being made."),
    ("resetting", "gauge", "Connections that are made ready for the next user."),
    ("waiting", "gauge", "How many wait in line for a connection."),
    ("min_size", "gauge", "How many connections are kept."),
    ("max_size", "gauge", "How many connections there may be."),
    ("acquired", "counter", "How often a connection was handed out."),
    ("waited", "counter", "How often somebody had to get in line for one."),
    ("rejected", "counter", "How many were turned away because the line was full."),
    ("timeouts", "counter", "How many left the line because their time was over."),
    ("cancelled", "counter", "How many left the line because they were cancelled."),
    ("wait_seconds", "counter", "Time that those waited who then got a connection."),
    ("use_seconds", "counter", "Time that connections were in use."),
    ("connects", "counter", "Connections that were made."),
    ("connect_errors", "counter", "Attempts to make one that failed."),
    ("connect_seconds", "counter", "Time that connections took to be made."),
    ("checks", "counter", "How often a connection was asked whether it is alive."),
    ("resets", "counter", "How often a connection was reset."),
    ("closed_idle", "counter", "Connections closed because nobody used them."),
    ("closed_lifetime", "counter", "Connections closed because they were old."),
    ("closed_dirty", "counter", "Connections terminated because a use of them broke off."),
    ("closed_check", "counter", "Connections terminated because they did not pass a check."),
    ("closed_reset", "counter", "Connections terminated because they could not be reset."),
    ("closed_other", "counter", "Connections closed because the pool shrank, or was closed."),
    ("leaks", "counter", "Connections that were in use for longer than leak_after."),
)

HTTP_POOL_FIELDS: Final[Fields] = (
    ("in_flight", "gauge", "Requests that are under way, their bodies included."),
    ("requests", "counter", "Requests that were asked for."),
    ("responses", "counter", "Responses that were handed over, of any status."),
    ("failures", "counter", "Requests that ended without a response."),
    ("timeouts", "counter", "Failures because the time was over."),
    ("cancelled", "counter", "Requests that were cancelled."),
    ("retries", "counter", "Attempts beyond the first of a request."),
    ("created", "counter", "Connections that were made."),
    ("reused", "counter", "Requests that went over a connection that was there."),
    ("seconds", "counter", "Time from requests to the heads of their responses."),
)
