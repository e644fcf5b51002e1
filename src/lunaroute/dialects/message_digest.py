"""Digests of messages: what stays the same when a client sends a message again (WIRE A4), and what a cache compares.

Two kinds, because two questions are asked:

- `message_digest`: is it the same message of the same conversation? Clients move cache markers, write a lone text
  block as a plain string, drop reasoning, reminders, ids and nulls, and cut blanks at the end: all that is left out.
  A tool call or result that has the provider's id is that id: it is unique, and contents get shortened later.
- `block_digest`: does the provider's prompt cache see the same bytes? Everything counts but the markers.

In: pieces of one message. Out: 16 or 8 bytes. Invariant: the same input gives the same digest for ever, because
digests are stored.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import msgspec

from lunaroute.dialects.facts import ContentBlock, Role
from lunaroute.dialects.loose import encode, opening_of, read_any, read_as

_EXCERPT_CHARS = 120

_DROPPED_KEYS = frozenset({"cache_control", "status", "annotations", "logprobs", "id"})

# In a JSON text a quote inside a string is escaped, so this can only match a key.
_CACHE_MARKER = re.compile(
    rb',\s*"cache_control"\s*:\s*(?:\{[^{}]*\}|null)|"cache_control"\s*:\s*(?:\{[^{}]*\}|null)\s*,?\s*'
)

_raws_decoder = msgspec.json.Decoder(list[msgspec.Raw])
_INSERTED = ("<system-reminder>", "<session_context>", "Your response above was cut off mid-stream.")
"""What clients put beside the user's words, and leave out again or write anew: reminders; gemini-cli's list of the
files there are; Claude Code's line that has an answer resumed after a cut."""


def message_digest(role: Role, pieces: Sequence[str]) -> bytes | None:
    """The digest of a message that says these things; None when it says nothing.

    Pieces come from `text_piece`, `call_piece`, `result_piece` and `other_piece`; empty ones are left out."""
    said = [piece for piece in pieces if piece]
    if role == "system" or not said:
        return None
    return blake2b("\0".join([role, *said]).encode("utf-8", "surrogatepass"), digest_size=16).digest()


def text_piece(text: str) -> str:
    """A block of text; nothing where the client put it there."""
    text = text.rstrip()
    return "" if not text or text.startswith(_INSERTED) else "text\0" + text


def call_piece(call_id: object, name: object, arguments: object) -> str:
    """A call that the model made, by its id; by what it says where the provider gives no ids."""
    return f"call\0{call_id}" if isinstance(call_id, str) and call_id else f"call\0{name}\0{_plain(arguments)}"


def result_piece(call_id: object, name: object, output: object) -> str:
    """What came of a call, likewise."""
    return f"result\0{call_id}" if isinstance(call_id, str) and call_id else f"result\0{name}\0{_plain(output)}"


def other_piece(block: bytes | msgspec.Raw) -> str:
    """Any other block: its JSON in one form, without what comes and goes."""
    return encode_sorted(_without_dropped(read_any(block))).decode("utf-8", "replace")


def content_block(kind: str, raw: bytes | msgspec.Raw, text: str | None = None) -> ContentBlock:
    """A block as a cache sees it: by its text where it is nothing but text, else by its JSON without cache markers."""
    data = bytes(raw) if text is None else text.encode("utf-8", "surrogatepass")
    if text is None and b'"cache_control"' in data:
        data = _CACHE_MARKER.sub(b"", data)
    excerpt = text if text is not None else data[: 4 * _EXCERPT_CHARS].decode("utf-8", "replace")
    return ContentBlock(kind, block_digest(data), len(data), excerpt[:_EXCERPT_CHARS])


def tool_blocks(tools: msgspec.Raw) -> list[ContentBlock]:
    """The declared tools, one block each; none where it is no list."""
    raws = read_as(tools, _raws_decoder) if opening_of(tools) == b"[" else None
    return [content_block("tool", raw) for raw in raws or []]


def settings_digest(*values: Any) -> bytes:
    """Of fields that are JSON values; fields that are not there count as null."""
    if not any(value is not None for value in values):
        return b""
    return block_digest(encode_sorted(values))


def block_digest(data: bytes) -> bytes:
    """The digest of a block's bytes: 64 bits, compared within one conversation only."""
    return blake2b(data, digest_size=8).digest()


def encode_sorted(value: Any) -> bytes:
    try:
        return msgspec.json.encode(value, order="sorted")
    except (ValueError, RecursionError):
        return encode(value)


def _plain(value: object) -> str:
    return value if isinstance(value, str) else encode_sorted(_without_dropped(value)).decode("utf-8", "replace")


def _without_dropped(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _without_dropped(v) for k, v in value.items() if v is not None and k not in _DROPPED_KEYS}
    return [_without_dropped(item) for item in value] if isinstance(value, list) else value
