"""The route template of a request, from what the routers have left in its scope."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, TypeAlias

from penstock.metrics._route_tree import UNMATCHED, Leaf, RouteTree

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from penstock.metrics._asgi import Receive, Scope, Send

    # What routers leave in a scope: the outermost router, the endpoint, the route, and FastAPI's
    # context of an included router.
    Marks: TypeAlias = tuple[object, object, object, object]

__all__ = ["Recorder", "Templates", "path_below"]

_logger = logging.getLogger("penstock.metrics")

_MOST_KNOWN: Final = 10_000
_FREE_WALKS: Final = 256
_WALK_EVERY: Final = 1024


class Templates:
    """
    Finds route templates without matching any route a second time.

    A router leaves its endpoint in the scope, and newer ones the route; which template belongs to
    that is looked up in a `RouteTree` once and then remembered. What a client has sent takes no
    part, so that it can never become a label: not the path, and neither ``root_path``, into which a
    mount with parameters puts their values.

    Cost: one look-up in a dict. Regexes are matched only where routers leave the same for several
    templates (an application mounted twice; one endpoint with several paths in Starlette < 1.0),
    or for what is inside of mounted applications that do not tell their routes.

    Source: the attributes of starlette.routing 0.40 to 1.10 and fastapi.routing 0.115 to 0.165.
    """

    __slots__ = ("_has_warned", "_known", "_trees", "_walks")

    def __init__(self) -> None:
        # Objects are looked up by id, since many have no hash; the last item keeps them alive.
        self._known: dict[tuple[int, ...], tuple[str | None, list[Leaf], Marks]] = {}
        self._trees: dict[int, tuple[RouteTree, object]] = {}
        self._walks = 0
        self._has_warned = False

    def find(self, scope: Scope) -> tuple[str, Marks | None]:
        """
        Return the template of the route that was taken, or ``__unmatched__``.

        Returns:
            The template, and the marks of the routers, if they alone have decided it.
        """
        context = None
        fastapi = scope.get("fastapi")
        try:
            if isinstance(fastapi, dict):
                context = fastapi.get("effective_route_context")
                if "frontend_path" in fastapi:
                    return self._find_frontend(scope), None
            marks = scope.get("router"), scope.get("endpoint"), scope.get("route"), context
            template, leaves, marks = self._known.get(_key(marks)) or self._learn(marks)
            return (self._choose(leaves, scope), None) if template is None else (template, marks)
        except Exception as error:  # what is in a scope may be of the application's own making
            return self._give_up(scope.get("endpoint"), error), None

    def _learn(self, marks: Marks) -> tuple[str | None, list[Leaf], Marks]:
        """Find out what belongs to this, and remember it."""
        endpoint = marks[1]
        template: str | None
        leaves: list[Leaf] = []
        try:
            leaves = [] if endpoint is None else self._find_leaves(*marks)
        except Exception as error:
            template = self._give_up(endpoint, error)
        else:
            template = leaves[0].template if leaves else UNMATCHED
            if any(leaf.template != template for leaf in leaves):
                template = None
        # Only an application that makes routes for each request gets there.
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
            self._trees.clear()
        known = template, leaves, marks
        self._known[_key(marks)] = known
        return known

    def _give_up(self, endpoint: object, error: Exception) -> str:
        """Say once that something is odd; the request is not to suffer from it."""
        if not self._has_warned:
            self._has_warned = True
            _logger.warning("cannot tell the route template of %r", endpoint, exc_info=error)
        return UNMATCHED

    def _find_leaves(
        self, router: object, endpoint: object, route: object, context: object
    ) -> list[Leaf]:
        leaves = _narrow(self._tree(router), endpoint, route, context)
        if leaves is None:
            # Routes may have been added meanwhile.
            tree = self._tree(router, again=True)
            leaves = _narrow(tree, endpoint, route, context)
            if leaves is None:
                return _beyond(tree, endpoint, route, context)
        return leaves

    def _tree(self, router: object, again: bool = False) -> RouteTree:
        tree, _ = self._trees.get(id(router), (None, None))
        if tree is None or (again and self._may_walk()):
            tree = RouteTree(router)
            self._trees[id(router)] = tree, router
        return tree

    def _may_walk(self) -> bool:
        """Whether to look at all routes again: seldom, once that has been in vain too often."""
        self._walks += 1
        return self._walks <= _FREE_WALKS or self._walks % _WALK_EVERY == 0

    def _choose(self, leaves: list[Leaf], scope: Scope) -> str:
        path = path_below(scope, scope.get("app_root_path", scope.get("root_path", "")))
        return next((leaf.template for leaf in leaves if leaf.accepts(path)), UNMATCHED)

    def _find_frontend(self, scope: Scope) -> str:
        """Return the template of files that FastAPI >= 0.150 serves where no route matches."""
        mounts = self._tree(scope.get("router")).at(scope.get("endpoint"))
        path = path_below(scope, scope.get("app_root_path", ""))
        prefix = next((mount.prefix for mount in mounts if mount.accepts(path)), "")
        path = path_below(scope, scope.get("root_path", ""))
        # What comes before the name of the file is as the application has configured it.
        return prefix + path.removesuffix(scope["fastapi"]["frontend_path"]).rstrip("/") + "/{path}"


class Recorder:
    """
    The innermost middleware: shows the outermost one the scope in which the routers will write.

    Args:
        app: The application.
        key: Where in the scope the outermost one is.
    """

    __slots__ = ("_key", "app")

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]], key: str) -> None:
        self.app = app
        self._key = key

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        exchange = scope.get(self._key)
        if exchange is not None and exchange.scope is not None:
            exchange.scope = scope
        return self.app(scope, receive, send)


def _key(marks: Marks) -> tuple[int, ...]:
    return tuple(map(id, marks))


def _narrow(tree: RouteTree, endpoint: object, route: object, context: object) -> list[Leaf] | None:
    """Return the leaves of *tree* that these may stand for; None if it has not got this route."""
    leaves = tree.at(endpoint)
    exact = [leaf for leaf in leaves if leaf.is_for(route, context)]
    if exact:
        return exact
    # Without a name, or with that of a mount further out, the endpoint alone has to do.
    if leaves and (route is None or tree.knows(route)):
        return leaves
    return None


def _beyond(tree: RouteTree, endpoint: object, route: object, context: object) -> list[Leaf]:
    """Return leaves for a route behind a mount that does not tell its routes."""
    effective = getattr(context, "starlette_route", None) or context
    own = effective if getattr(effective, "endpoint", None) is endpoint else route
    path = getattr(own, "path", None)
    if path is None or getattr(own, "endpoint", None) is not endpoint:
        return tree.opaque
    beyond = [Leaf(mount.prefix + path, "", chain=mount.chain) for mount in tree.opaque]
    return [*beyond, Leaf(path, "")]


def path_below(scope: Scope, root: str) -> str:
    """Return the path without *root*, by starlette's rule."""
    path: str = scope["path"]
    if path.startswith(root) and path[len(root) : len(root) + 1] in {"", "/"}:
        return path[len(root) :]
    return path
