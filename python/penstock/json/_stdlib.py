"""The backend that needs nothing but the standard library."""

from __future__ import annotations

from penstock.json._decoder import decode
from penstock.json._encoder import encode

__all__ = ["decode", "encode"]
