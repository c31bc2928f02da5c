"""What the layer above does for the metrics: checks of exemplars, wrapping of functions."""

from collections.abc import Callable
from typing import Any, Final

__all__ = ["HOOKS", "DecorateHook", "ExemplarHook", "set_metric_hooks"]

ExemplarHook = Callable[[dict[str, str]], list[tuple[str, str]]]
DecorateHook = Callable[[Any, Any], Any]


def _unset(*_: object) -> Any:
    raise RuntimeError("penstock.metrics is not imported")


class Hooks:
    """The hooks there are now."""

    __slots__ = ("decorate", "exemplar")

    def __init__(self) -> None:
        self.exemplar: ExemplarHook = _unset
        self.decorate: DecorateHook = _unset


HOOKS: Final = Hooks()


def set_metric_hooks(exemplar: ExemplarHook, decorate: DecorateHook) -> None:
    """
    Set what checks the labels of an exemplar, and what decorates a function with a timer.

    Args:
        exemplar: Returns the labels as sorted pairs, or raises.
        decorate: Called with the timer and the function; returns the wrapped function.
    """
    HOOKS.exemplar = exemplar
    HOOKS.decorate = decorate
