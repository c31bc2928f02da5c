"""What a Redis server refuses, told as errors of a store that say what to do."""

from __future__ import annotations

from typing import Final

from penstock.errors import StoreError, StoreUnavailable

__all__ = ["Refusal", "error_of", "is_passing"]


class Refusal(Exception):
    """An error that the server has replied; its text begins with a code."""

    @property
    def code(self) -> str:
        """The first word."""
        return str(self).split(" ", 1)[0]


_CLUSTER: Final = "Redis Cluster is not supported: give the URL of a server that is no cluster"
_PASSWORD: Final = "give the right user and password in the URL: redis://user:password@host"
_ADVICE: Final = {
    "ASK": _CLUSTER,
    "CLUSTERDOWN": _CLUSTER,
    "CROSSSLOT": _CLUSTER,
    "MOVED": _CLUSTER,
    "NOAUTH": _PASSWORD,
    "WRONGPASS": _PASSWORD,
    "MISCONF": "it cannot save its data to disk, and takes no writes until it can",
    "NOPERM": "the user must be allowed the commands and keys of the store, and its channels",
    "OOM": "its memory is full: raise maxmemory, or set maxmemory-policy to volatile-ttl",
    "READONLY": "it is a replica: give the URL of the primary",
    "WRONGTYPE": "something else uses keys of this namespace: give the store another one",
}
#: What passes by itself: the server is there, and will be of use soon.
_PASSING: Final = frozenset({"BUSY", "LOADING", "MASTERDOWN", "TRYAGAIN", "UNKILLABLE"})


def is_passing(refusal: Refusal) -> bool:
    """Whether the server only asks for patience."""
    return refusal.code in _PASSING


def error_of(refusal: Refusal, where: str) -> StoreError:
    """
    Return what to raise for a refusal.

    Args:
        refusal: What the server has replied.
        where: The server, without its password.
    """
    text = str(refusal)
    code = refusal.code
    if code not in _ADVICE:
        # An error in a script is told as one, with what went wrong somewhere in its text.
        code = next((each for each in _ADVICE if f"{each} " in text), code)
    advice = _ADVICE.get(code)
    if "DB index is out of range" in text or "invalid DB index" in text:
        advice = "give the number of a database that is there: redis://host/0"
    message = f"Redis at {where} refuses: {text}"
    if advice is not None:
        message = f"{message}; {advice}"
    return (StoreUnavailable if code in _PASSING else StoreError)(message)
