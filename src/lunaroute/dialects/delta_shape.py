"""Deltas that differ from the one before in nothing but their text: nearly all events of a stream.

In: the data of events. Out: the text of those that have the shape of an event which was read in full before.
Invariant: whatever is recognised would have had the very same effect if it had been read in full; everything else,
and anything odd, is left to the full reading. This makes a delta several times cheaper than decoding all of its JSON.

Two paddings vary from event to event: OpenAI's last field `obfuscation`, and blanks before Anthropic's closing
braces.
"""

from __future__ import annotations

import msgspec

_OBFUSCATION = b',"obfuscation":"'
_CLOSING = b" }"

_text_decoder = msgspec.json.Decoder(str)


class DeltaShape:
    """learn(data, key) from one event, then text_in(data) of those that follow, until forget()."""

    def __init__(self) -> None:
        self._prefix = b""
        self._suffix = b""
        self._has_obfuscation = False

    def learn(self, data: bytes, key: bytes) -> None:
        """Take the shape of an event whose only text of interest is the string after `key` (`"content":`)."""
        self._prefix = b""
        start = data.find(key) + len(key)
        end = data.find(b'"', start + 1) + 1
        if data.count(key) != 1 or data[start : start + 1] != b'"' or end == 0 or b"\\" in data[start:end]:
            return
        padding = data.rfind(_OBFUSCATION)
        self._has_obfuscation = padding >= end
        self._suffix = data[end:padding] if self._has_obfuscation else data[end:]
        if not self._suffix.strip(_CLOSING):
            self._suffix = b""
        self._prefix = data[:start]

    def forget(self) -> None:
        self._prefix = b""

    def text_in(self, data: bytes) -> str | None:
        """The text of an event of this shape; None for any other event."""
        prefix = self._prefix
        if not prefix or not data.startswith(prefix):
            return None
        if self._has_obfuscation:
            padding = data.rfind(_OBFUSCATION)
            if padding < 0 or data.count(b'"', padding) != 4 or not data.endswith(b'"}'):
                return None
            data = data[:padding]
        suffix = self._suffix
        if not suffix:
            data = data.rstrip(_CLOSING)
        elif data.endswith(suffix):
            data = data[: -len(suffix)]
        else:
            return None
        try:
            return _text_decoder.decode(data[len(prefix) :])
        except ValueError:
            return None
