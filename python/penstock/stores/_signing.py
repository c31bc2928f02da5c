"""Signatures of stored values: without the secret nobody makes one, or moves it to another key."""

from __future__ import annotations

from hmac import compare_digest, digest
from typing import Final

__all__ = ["MIN_SECRET", "SIGNATURE", "check_secret", "is_signed_by", "sign"]

#: Bytes of a signature, and how many a secret has at least.
SIGNATURE: Final = 32
MIN_SECRET: Final = 16


def check_secret(secret: bytes | None) -> None:
    """
    Refuse a secret that is none.

    Raises:
        TypeError: It is not bytes.
        ValueError: It is too short.
    """
    if secret is None:
        return
    if not isinstance(secret, bytes):
        raise TypeError(f"secret must be bytes, got {type(secret).__name__}")
    if len(secret) < MIN_SECRET:
        raise ValueError(f"secret must have at least {MIN_SECRET} bytes, got {len(secret)}")


def sign(secret: bytes, key: str, *parts: bytes) -> bytes:
    """Return the HMAC-SHA256 of *parts* under *key*."""
    name = key.encode()
    # With its length: the end of a key is not to pass for the beginning of what is stored.
    return digest(secret, b"".join((len(name).to_bytes(8, "big"), name, *parts)), "sha256")


def is_signed_by(secret: bytes, signature: bytes, key: str, *parts: bytes) -> bool:
    """Whether *signature* is that of *parts* under *key*; takes as long if it is not."""
    return compare_digest(signature, sign(secret, key, *parts))
