"""Conversion of what callers hand in: amounts, label values, exemplars."""

import re
import time
from math import ldexp
from typing import Final, SupportsFloat, SupportsIndex, TypeAlias

from penstock._pure.metrics.hooks import HOOKS

__all__ = [
    "MAX_WHOLE",
    "Exemplar",
    "Number",
    "copy_exemplar",
    "make_exemplar",
    "to_float",
    "to_text",
    "to_whole",
]

Number: TypeAlias = SupportsFloat | SupportsIndex
#: Labels, value, Unix seconds.
Exemplar: TypeAlias = tuple[dict[str, str], float, float]

#: The largest whole number that is counted as one.
MAX_WHOLE: Final = 2**64 - 1
#: Floats below it that are whole numbers are exact.
_EXACT: Final = 2.0**53

_SURROGATES: Final = re.compile("[\ud800-\udfff]")


def to_float(amount: Number) -> float:
    """Convert a number as the C level does; unlike ``float()`` it takes no text."""
    return ldexp(amount, 0)


def to_whole(amount: Number, number: float) -> float:
    """Return an int for an amount that 64 bits can hold as one, else *number*, its float."""
    if type(amount) is int and amount <= MAX_WHOLE:
        return amount
    return int(number) if abs(number) < _EXACT and number.is_integer() else number


def to_text(value: object) -> str:
    """
    Convert a label value to an exact ``str`` that can be encoded.

    A subclass could compare or hash as it likes; a lone surrogate could not be encoded at a scrape.
    """
    return _SURROGATES.sub("\ufffd", str.__str__(str(value)))


def copy_exemplar(exemplar: Exemplar | None) -> Exemplar | None:
    """Return what a caller may change."""
    if exemplar is None:
        return None
    labels, value, timestamp = exemplar
    return labels.copy(), value, timestamp


def make_exemplar(labels: dict[str, str], value: float) -> Exemplar:
    """Check the labels of an exemplar and put the present time to it."""
    pairs = HOOKS.exemplar(labels)
    return {to_text(name): to_text(text) for name, text in pairs}, value, time.time()
