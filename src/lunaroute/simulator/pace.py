"""How text is cut into stream pieces and how long the model takes for each (at natural speed)."""

from __future__ import annotations

import re
import zlib

from lunaroute.simulator.turn import Turn

FIRST_TOKEN_MS = 280.0
_PIECE = re.compile(r"\s*\S{1,11}|\s+")


def pieces(text: str) -> list[str]:
    """`text` in token-like pieces; joined they are the text again."""
    return _PIECE.findall(text)


def gap_ms(piece: str) -> float:
    """The pause before a piece: 6 to 22 ms, the same for the same text."""
    return 6.0 + zlib.crc32(piece.encode()) % 17


def first_gap_ms(seed: str) -> float:
    """The pause before the first event of a response: 280 to 580 ms."""
    return FIRST_TOKEN_MS + zlib.crc32(seed.encode()) % 300


def speaking_ms(seed: str, turn: Turn) -> float:
    """The time a turn takes from the first pause to its last piece."""
    said = [turn.thinking, turn.text, *(call.arguments for call in turn.calls)]
    return first_gap_ms(seed) + sum(gap_ms(piece) for text in said for piece in pieces(text))
