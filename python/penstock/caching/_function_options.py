"""What ``TieredCache.cached`` is told, checked."""

from __future__ import annotations

import inspect
from functools import partial
from string import Formatter
from typing import TYPE_CHECKING, Any, Final, TypedDict

from penstock.caching._tiered_options import check_key
from penstock.flow._callables import check_function, is_coroutine_function, name_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from types import EllipsisType

    from penstock.caching._tiered_options import Errors, Options, Seconds

__all__ = [
    "FunctionOptions",
    "check_options",
    "check_target",
    "is_method",
    "make_tags",
    "signature_of",
]


class FunctionOptions(TypedDict, total=False):
    """Options of ``cached``: its own, and those of ``get_or_load`` that hold for every call."""

    key: Callable[..., object] | None
    tags: Sequence[str] | Callable[..., Iterable[str]] | None
    prefix: str | None
    enabled: bool
    ttl: Seconds | EllipsisType | None
    l1_ttl: Seconds | EllipsisType | None
    jitter: float | EllipsisType
    stale_for: Seconds | EllipsisType
    refresh_after: Seconds | EllipsisType | None
    early_refresh: float | EllipsisType
    throttle: Seconds | EllipsisType
    soft_timeout: Seconds | EllipsisType | None
    hard_timeout: Seconds | EllipsisType | None
    negative_ttl: Seconds | EllipsisType | None
    negative_errors: Errors | EllipsisType
    cache_if: Callable[[Any], object] | EllipsisType | None
    lease: Seconds | EllipsisType | None


_OWN: Final = frozenset({"key", "tags", "prefix", "enabled"})


def check_options(options: FunctionOptions, usual: Options) -> dict[str, Any]:
    """
    Check what can be checked without the function.

    Args:
        options: What was given.
        usual: The options of the cache.

    Returns:
        Those of ``get_or_load``.

    Raises:
        TypeError: An option is unknown, or of a wrong type.
        ValueError: An option is out of its range; the prefix is empty.
    """
    key, prefix, enabled = options.get("key"), options.get("prefix"), options.get("enabled", True)
    if key is not None and not callable(key):
        raise TypeError(f"key must be callable, got {type(key).__name__}")
    if prefix is not None and not isinstance(prefix, str):
        raise TypeError(f"prefix must be a str, got {type(prefix).__name__}")
    if prefix is not None and not check_key(prefix, "prefix"):
        raise ValueError("prefix must not be empty")
    if not isinstance(enabled, bool):
        raise TypeError(f"enabled must be a bool, got {type(enabled).__name__}")
    loading = {name: value for name, value in options.items() if name not in _OWN}
    usual.changed(loading)
    return {name: value for name, value in loading.items() if value is not ...}


def check_target(function: Callable[..., object]) -> None:
    """
    Refuse what is no coroutine function.

    Raises:
        TypeError: It is none.
    """
    check_function("cached", function)
    if not is_coroutine_function(function):
        what = f"{name_of(function)} is no coroutine function, which a cache in tiers needs"
        raise TypeError(f"{what}; penstock.cached takes it")


def is_method(function: Callable[..., object]) -> bool:
    """Whether its first argument is ``self`` or ``cls``, and it was defined in a class."""
    outer = name_of(function).rpartition(".")[0]
    if isinstance(function, partial) or not outer or outer.endswith("<locals>"):
        return False
    first = next(iter(signature_of(function).parameters), None)
    return first in {"self", "cls"}


def signature_of(function: Callable[..., object], *, skip: int = 0) -> inspect.Signature:
    """
    Return the signature of *function*, without its first *skip* parameters.

    A ``*args`` takes any number, and stays.
    """
    signature = inspect.signature(function)
    parameters = list(signature.parameters.values())
    if skip and parameters and parameters[0].kind is not inspect.Parameter.VAR_POSITIONAL:
        del parameters[:skip]
    return signature.replace(parameters=parameters)


def make_tags(
    tags: Sequence[str] | Callable[..., Iterable[str]] | None, function: Callable[..., object]
) -> Callable[[tuple[Any, ...], dict[str, Any]], Iterable[str]] | None:
    """
    Return what gives the tags of a call, when somebody iterates over them; None without any.

    Raises:
        TypeError: *tags* is no sequence of str, and not callable.
        ValueError: One of them is no template over the arguments.
    """
    if tags is None:
        return None
    if callable(tags):
        return _from_callable(tags)
    if isinstance(tags, str):
        raise TypeError(f"tags must be a sequence of str or callable, got the str {tags!r}")
    templates = tuple(tags)
    signature = signature_of(function)
    for template in templates:
        _check_template(template, signature, function)
    if not templates:
        return None
    if not any(name is not None for t in templates for _, name, _, _ in Formatter().parse(t)):
        plain = tuple(template.format() for template in templates)
        return lambda args, kwargs: plain

    def of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[str]:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        for template in templates:
            yield template.format_map(bound.arguments)

    return of


def _from_callable(
    tags: Callable[..., Iterable[str]],
) -> Callable[[tuple[Any, ...], dict[str, Any]], Iterable[str]]:
    # A generator, so that nothing is called where nobody needs them: for a hit.
    def of(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Iterator[str]:
        made = tags(*args, **kwargs)
        if isinstance(made, str):
            raise TypeError(f"tags(...) must return an iterable of str, got the str {made!r}")
        yield from made

    return of


def _check_template(
    template: object, signature: inspect.Signature, function: Callable[..., object]
) -> None:
    if not isinstance(template, str):
        raise TypeError(f"tags must be a sequence of str, got one of {type(template).__name__}")
    try:
        fields = [name for _, name, _, _ in Formatter().parse(template) if name is not None]
    except ValueError as error:
        raise ValueError(f"tag {template!r} is no template: {error}") from None
    for field in fields:
        name = field.partition(".")[0].partition("[")[0]
        if name not in signature.parameters:
            there = ", ".join(signature.parameters) or "none"
            what = f"tag {template!r} names {name!r}, which is no argument of {name_of(function)}"
            raise ValueError(f"{what}: these are {there}")
