"""Which JSON every reader takes: not too deep, no integer too large.

No more than 200 levels, because jq 1.6 stops at 256; integers within 64 bits, because pandas stops there.
"""

from __future__ import annotations

from typing import Any

import msgspec

MAX_DEPTH = 200
_MIN_INTEGER, _MAX_INTEGER = -(1 << 63), (1 << 64) - 1

_decoder = msgspec.json.Decoder()


def is_portable(value: object) -> bool:
    """Whether every JSON reader takes the value.

    Level by level, so that depth is no danger here.
    """
    level: list[Any] = [[value]]
    for _ in range(MAX_DEPTH + 1):
        below: list[Any] = []
        for node in level:
            for child in node.values() if type(node) is dict else node:
                kind = type(child)
                if kind is dict or kind is list:
                    below.append(child)
                elif kind is int and not _MIN_INTEGER <= child <= _MAX_INTEGER:
                    return False
        if not below:
            return True
        level = below
    return False


def is_portable_text(text: bytes) -> bool:
    """The same for a JSON text; False where it is none."""
    try:
        return is_portable(_decoder.decode(text))
    except (ValueError, RecursionError):
        return False
