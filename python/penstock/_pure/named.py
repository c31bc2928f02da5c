"""Objects with a name make themselves known, so that metrics can show them."""

from collections.abc import Callable

__all__ = ["set_named", "tell"]


class _Hook:
    """Whom to tell."""

    __slots__ = ("call",)

    def __init__(self) -> None:
        self.call: Callable[[object], object] | None = None


_hook = _Hook()


def set_named(hook: Callable[[object], object], /) -> None:
    """
    Set what is called with each new object that has a name.

    Args:
        hook: ``hook(object)``, called once the object is complete. What it raises is raised by the
            constructor.
    """
    _hook.call = hook


def tell(named: object) -> None:
    """Call the hook, if there is one."""
    if _hook.call is not None:
        _hook.call(named)
