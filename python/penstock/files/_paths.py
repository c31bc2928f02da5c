"""The names of files: what callers hand in, as one text for each file."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["AnyPath", "absolute"]

AnyPath = str | bytes | os.PathLike[str] | os.PathLike[bytes]

_PLAIN = os.sep == "/"


def absolute(path: AnyPath) -> str:
    """
    Return *path* as an absolute one, without ``.`` and empty parts.

    ``..`` stays: what comes before it may be a symlink.

    Raises:
        TypeError: It is no path.
        ValueError: It is empty, or has a null character in it.
    """
    text = os.fsdecode(path)
    if not text or "\0" in text:
        raise ValueError(f"path must not {'have null characters' if text else 'be empty'}")
    if _PLAIN and text[0] == "/" and "//" not in text and "/." not in text and text[-1] != "/":
        return text
    return str(Path.cwd() / text)
