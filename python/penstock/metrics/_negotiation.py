"""What a scraper asks for in its headers and its query: a format, names, gzip."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import parse_qs

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, CONTENT_TYPE_PLAIN_1_0_0
from prometheus_client.openmetrics import exposition as openmetrics

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["OPENMETRICS", "PLAIN", "Format", "accepts_gzip", "choose_format", "wanted_names"]

_ESCAPINGS: Final = frozenset(
    {openmetrics.ALLOWUTF8, openmetrics.UNDERSCORES, openmetrics.DOTS, openmetrics.VALUES}
)


class Format(NamedTuple):
    """
    A format of a page.

    Args:
        openmetrics: OpenMetrics 1.0 rather than Prometheus' text.
        escaping: What becomes of names beyond ``[a-zA-Z0-9_:]``.
        content_type: What the answer says it is.
    """

    openmetrics: bool
    escaping: str
    content_type: str


PLAIN: Final = Format(False, openmetrics.UNDERSCORES, CONTENT_TYPE_PLAIN_0_0_4)
OPENMETRICS: Final = Format(True, openmetrics.UNDERSCORES, openmetrics.CONTENT_TYPE_LATEST)


def choose_format(accept: str) -> Format:
    """
    Return the format that an Accept header prefers; text 0.0.4 if it accepts none that there is.

    Ranges of equal quality go in their order, text 0.0.4 last: without any ``q`` this is what
    prometheus_client chooses.
    """
    best, best_rank = PLAIN, (0.0, False)
    for media_type, parameters in _elements(accept):
        offer = _offer(media_type, parameters)
        if offer is not None:
            rank = (_quality(parameters), offer is not PLAIN)
            if rank[0] > 0 and rank > best_rank:
                best, best_rank = offer, rank
    return best


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an Accept-Encoding header names gzip, and not as worse than no encoding."""
    quality = {coding: _quality(parameters) for coding, parameters in _elements(accept_encoding)}
    gzip = quality.get("gzip", 0.0)
    return gzip > 0 and gzip >= quality.get("identity", 0.0)


def wanted_names(query: bytes) -> frozenset[str] | None:
    """Return the values of ``name[]`` in a query string; None without any."""
    names = parse_qs(query.decode("utf-8", "replace")).get("name[]")
    return None if names is None else frozenset(names)


def _elements(header: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Return the elements of a list in a header, with their parameters."""
    for element in header.split(","):
        token, *rest = element.split(";")
        parameters = {}
        for parameter in rest:
            name, _, value = parameter.partition("=")
            parameters[name.strip().lower()] = value.strip().strip('"')
        yield token.strip().lower(), parameters


def _quality(parameters: dict[str, str]) -> float:
    try:
        quality = float(parameters.get("q", 1))
    except ValueError:
        return 1.0
    return 1.0 if isnan(quality) else min(max(quality, 0.0), 1.0)


def _offer(media_type: str, parameters: dict[str, str]) -> Format | None:
    """Return what there is of a media type, if anything."""
    version = parameters.get("version", "")
    if media_type == "application/openmetrics-text" and not version:
        return OPENMETRICS
    if media_type == "application/openmetrics-text" and _is_modern(version):
        return _escaped(True, openmetrics.CONTENT_TYPE_LATEST, parameters)
    if media_type == "text/plain" and _is_modern(version):
        return _escaped(False, CONTENT_TYPE_PLAIN_1_0_0, parameters)
    return PLAIN if media_type in {"text/plain", "text/*", "*/*"} else None


def _escaped(is_openmetrics: bool, content_type: str, parameters: dict[str, str]) -> Format:
    asked = parameters.get("escaping", "")
    escaping = asked if asked in _ESCAPINGS else openmetrics.UNDERSCORES
    return Format(is_openmetrics, escaping, f"{content_type}; escaping={escaping}")


def _is_modern(version: str) -> bool:
    """Whether a version is 1.0.0 or later; who asks for a later one is given that."""
    try:
        return int(version.partition(".")[0]) >= 1
    except ValueError:
        return False
