"""Identifiers in the shapes the providers use, drawn from one seed: the same seed gives the same ids."""

from __future__ import annotations

import hashlib

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


class IdMint:
    """Makes ids; unique within and, with different seeds, between simulators."""

    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._count = 0

    def _bits(self) -> bytes:
        self._count += 1
        return hashlib.sha512(f"{self._seed}:{self._count}".encode()).digest()

    def text(self, prefix: str, length: int) -> str:
        """`prefix` and `length` letters and digits, as in `msg_01…`, `toolu_01…`, `call_…`."""
        return prefix + "".join(_BASE58[byte % len(_BASE58)] for byte in self._bits()[:length])

    def hex(self, prefix: str, length: int) -> str:
        """`prefix` and `length` hexadecimal digits, as in `resp_…`, `rs_…`."""
        return prefix + self._bits().hex()[:length]
