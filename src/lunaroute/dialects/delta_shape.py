"""Deltas that differ from the one before in nothing but their text: nearly all events of a stream.

In: the data of events, or blocks of a stream of server-sent events. Out: the texts of those that have the shape of
an event which was read in full before, put where that event's text went. Invariant: whatever is recognised would have
had the very same effect if it had been read in full; everything else, and anything odd, is left to the full reading.
This makes a delta several times cheaper than decoding all of its JSON, and many that follow each other cheaper still:
their texts are decoded together.

Two paddings vary from event to event: OpenAI's last field `obfuscation`, and blanks before Anthropic's closing
braces.
"""

from __future__ import annotations

from itertools import islice

import msgspec

from lunaroute.assemble.sse_event import ServerSentEvent

_OBFUSCATION = b',"obfuscation":"'
_CLOSING = b" }"
_MOST_BYTES = 1 << 20
"""Of an event; whether one that is larger is too large is for its parser to say."""
_MOST_AT_ONCE = 256
"""So that one odd text among very many costs no more than these."""

_text_decoder = msgspec.json.Decoder(str)
_texts_decoder = msgspec.json.Decoder(list[str])


class DeltaShape:
    """learn(event, key, texts) from one event, then take(event) or take_blocks(blocks, start) of those that follow,
    until forget()."""

    def __init__(self) -> None:
        self._prefix = b""
        self._block_prefix = b""
        """The same with what stands before the data in a block."""
        self._suffix = b""
        """Empty where it is nothing but blanks and closing braces."""
        self._closing_braces = 0
        self._has_obfuscation = False
        self._texts: list[str] = []

    def learn(self, event: ServerSentEvent, key: bytes, texts: list[str]) -> None:
        """Take the shape of an event whose only text of interest is the string after `key` (`"content":`). What comes
        after it is added to `texts`."""
        data = event.data
        self._prefix = b""
        start = data.find(key) + len(key)
        end = data.find(b'"', start + 1) + 1
        if data.count(key) != 1 or data[start : start + 1] != b'"' or end == 0 or b"\\" in data[start:end]:
            return
        padding = data.rfind(_OBFUSCATION)
        self._has_obfuscation = padding >= end
        self._suffix = data[end:padding] if self._has_obfuscation else data[end:]
        self._closing_braces = self._suffix.count(b"}")
        if not self._suffix.strip(_CLOSING):
            self._suffix = b""
        self._prefix = data[:start]
        head = f"event: {event.event}\ndata: " if event.event else "data: "
        self._block_prefix = head.encode("utf-8", "replace") + self._prefix
        self._texts = texts

    def forget(self) -> None:
        self._prefix = b""

    def take(self, event: ServerSentEvent) -> bool:
        """Take the text of an event of this shape; False for any other event."""
        text_json = self._text_json(event.data, self._prefix) if self._prefix else None
        return text_json is not None and self._take_each([text_json]) == 1

    def take_blocks(self, blocks: list[bytes], start: int) -> int:
        """The same for the events in these blocks from `start` on: how many in a row were taken."""
        if not self._prefix:
            return 0
        found: list[bytes] = []
        for block in islice(blocks, start, start + _MOST_AT_ONCE):
            text_json = self._text_json(block, self._block_prefix)
            if text_json is None:
                break
            found.append(text_json)
        try:
            # No string of JSON goes on over a line end, so each of them is within one of these.
            texts = _texts_decoder.decode(b"[%b]" % b",\n".join(found))
        except ValueError:
            return self._take_each(found)
        if len(texts) != len(found):
            return self._take_each(found)
        self._texts += texts
        return len(found)

    def _take_each(self, found: list[bytes]) -> int:
        """Take these texts up to the first that is none."""
        for count, text_json in enumerate(found):
            try:
                self._texts.append(_text_decoder.decode(text_json))
            except ValueError:
                return count
        return len(found)

    def _text_json(self, data: bytes, prefix: bytes) -> bytes | None:
        """What stands where the text does; None for another shape. It is a string of JSON, or not JSON."""
        if not data.startswith(prefix) or len(data) > _MOST_BYTES:
            return None
        end = len(data)
        if self._has_obfuscation:
            end = data.rfind(_OBFUSCATION)
            if end < 0 or data.count(b'"', end) != 4 or not data.endswith(b'"}'):
                return None
        suffix = self._suffix
        if suffix:
            if not data.endswith(suffix, 0, end):
                return None
            found = data[len(prefix) : end - len(suffix)]
        else:
            found = data[len(prefix) : end].rstrip(_CLOSING)
            if data.count(b"}", len(prefix) + len(found), end) != self._closing_braces:
                return None
        return None if b"\n" in found else found  # another line of the block
