"""The routes of a Starlette or FastAPI application, by endpoint, each with its whole template."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["UNMATCHED", "Leaf", "RouteTree"]

UNMATCHED: Final = "__unmatched__"
_MOST_MOUNTS: Final = 32  # one within the other; more is a cycle


class Leaf:
    """
    Where a request may end up.

    Args:
        template: The label value.
        prefix: The template of its path, which for a mount is the beginning of longer ones.
        endpoint: What ``scope["endpoint"]`` is.
        context: FastAPI's view of the route in a place where its router is included.
        chain: The routes to match one after the other to get here.
    """

    __slots__ = ("chain", "context", "endpoint", "prefix", "template")

    def __init__(
        self,
        template: str,
        prefix: str,
        endpoint: object = None,
        context: object = None,
        chain: tuple[object, ...] = (),
    ) -> None:
        self.template = template
        self.prefix = prefix
        self.endpoint = endpoint
        self.context = context
        self.chain = chain

    def is_for(self, route: object, context: object) -> bool:
        """Whether the router has named just this one as what it has matched."""
        if self.context is not None:
            return self.context is context
        return self.chain[-1] is route

    def accepts(self, path: str) -> bool:
        """Whether the routes of the chain match *path*."""
        for route in self.chain:
            regex = getattr(route, "path_regex", None)
            if regex is not None:  # a `Host` has none
                match = regex.match(path)
                if match is None:
                    return False
                path = "/" + match.groupdict().get("path", "")
        return True


class RouteTree:
    """
    The leaves of a router and of all that is mounted in it, as far as it can be seen.

    Everything is found by the names of attributes, so that neither library needs to be installed
    and several versions of both are understood.

    Args:
        router: Has ``routes``.

    Cost: O(routes).
    """

    __slots__ = ("_leaves", "_seen", "opaque")

    def __init__(self, router: object) -> None:
        self._leaves: dict[int, list[Leaf]] = {}
        self._seen: set[int] = set()
        # Mounts of applications that do not tell their routes.
        self.opaque: list[Leaf] = []
        self._walk(_routes_of(router), "", ())

    def at(self, endpoint: object) -> list[Leaf]:
        """Return the leaves with this endpoint; for a mount that is its application."""
        return self._leaves.get(id(endpoint), [])

    def knows(self, route: object) -> bool:
        """Whether this is a route of the tree."""
        return id(route) in self._seen

    def _walk(self, routes: Iterable[object], prefix: str, chain: tuple[object, ...]) -> None:
        for route in routes:
            # FastAPI >= 0.137 includes a router as one route, and makes what it is there on demand.
            contexts = getattr(route, "effective_route_contexts", None)
            if contexts is None:
                self._add(route, None, prefix, chain)
                continue
            for context in contexts():
                effective = getattr(context, "starlette_route", None) or context
                self._add(effective, context, prefix, chain)

    def _add(self, route: object, context: object, prefix: str, chain: tuple[object, ...]) -> None:
        self._seen.add(id(route))
        endpoint = getattr(route, "endpoint", None)
        path = prefix + getattr(route, "path", "")  # a `Host` has none
        chain = (*chain, route)
        if endpoint is not None:
            self._add_leaf(Leaf(path or "/", path, endpoint, context, chain))
        elif getattr(route, "app", None) is not None and len(chain) <= _MOST_MOUNTS:
            self._add_mount(route, context, path, chain)

    def _add_mount(
        self, mount: object, context: object, path: str, chain: tuple[object, ...]
    ) -> None:
        app = getattr(mount, "app", None)
        # Files, or an application of another kind, are a destination like a route. Where there are
        # routes and none of them matched, there was none.
        unmatched = bool(getattr(mount, "routes", None))
        leaf = Leaf(UNMATCHED if unmatched else path or "/", path, app, context, chain)
        self._add_leaf(leaf)
        routes = _routes_of(mount)
        if routes:
            self._walk(routes, path, chain)
        else:
            self.opaque.append(leaf)

    def _add_leaf(self, leaf: Leaf) -> None:
        self._leaves.setdefault(id(leaf.endpoint), []).append(leaf)


def _routes_of(app: object) -> list[object]:
    """Return the routes of an application, also through middlewares that keep it as ``app``."""
    for _ in range(_MOST_MOUNTS):
        routes = getattr(app, "routes", None)
        if routes:
            return list(routes)
        app = getattr(app, "app", None)
    return []
