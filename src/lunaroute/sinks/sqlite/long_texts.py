"""Long texts in the index: compressed where that pays, so a file that a tool printed does not stand there in full.

In: a text. Out: what `texts.content` holds of it: the text, or a zstd frame as a BLOB. The full-text index is over the
text in both cases.
"""

from __future__ import annotations

from lunaroute.sinks.zstd import decompressor, zstd

_LONG_CHARS = 4096
_LEVEL = 3


def stored_text(text: str) -> str | bytes:
    """What to keep. Raises UnicodeEncodeError where SQLite could not hold the text either."""
    return text if len(text) < _LONG_CHARS else zstd.compress(text.encode("utf-8"), _LEVEL)


def plain_text(content: str | bytes) -> str:
    """The text again. Raises ZstdError where it is damaged."""
    return content if isinstance(content, str) else decompressor().decompress(content).decode("utf-8")
