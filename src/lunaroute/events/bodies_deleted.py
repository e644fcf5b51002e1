"""A recorded line without what was said in it: no bodies, no texts, no arguments and results of tools.

In: a line of a session file. Out: the same line with these values empty and all others, those that this program does
not know included, byte for byte as they were. What is left says who asked whom when, how large it was, how long it
took, what it cost and how it ended; `body_sha256` still proves what the bodies were.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

_Fields = dict[str, msgspec.Raw]

_fields = msgspec.json.Decoder(_Fields)
_calls = msgspec.json.Decoder(list[_Fields])
_kind = msgspec.json.Decoder(str)
_encode = msgspec.json.Encoder().encode

_EMPTY, _NULL, _TRUE = msgspec.Raw(b'""'), msgspec.Raw(b"null"), msgspec.Raw(b"true")
_TAKEN_OUT: Mapping[str, _Fields] = {
    "request_recorded": {"request_text": _EMPTY, "request_json": _NULL, "request_body": _NULL, "bodies_deleted": _TRUE},
    "response_recorded": {
        **{"response_text": _EMPTY, "thinking_text": _EMPTY, "response_json": _NULL, "response_body": _NULL},
    },
    "tool_call_recorded": {"arguments": _EMPTY, "output_text": _EMPTY, "error": _NULL},
}


def without_bodies(line: bytes) -> bytes:
    """Raises MsgspecError at a line that is no event; doing it twice changes nothing more."""
    fields = _fields.decode(line)
    kind = _kind.decode(fields["type"])
    for name, value in _TAKEN_OUT.get(kind, {}).items():
        if name in fields or value is _TRUE:
            fields[name] = value
    if kind == "response_recorded":
        fields["stats"] = _without_texts(fields["stats"])
    return _encode(fields)


def _without_texts(raw: msgspec.Raw) -> msgspec.Raw:
    """`stats` of a response: arguments of calls, and what a missed cache hit shows of a message."""
    stats = _fields.decode(raw)
    for name in ("tool_calls", "server_tool_calls"):
        if name in stats:
            stats[name] = msgspec.Raw(_encode([call | {"arguments": _EMPTY} for call in _calls.decode(stats[name])]))
    if b'"block_excerpt"' in bytes(stats.get("context", _NULL)):
        context = _fields.decode(stats["context"])
        context["cache_miss"] = msgspec.Raw(_encode(_fields.decode(context["cache_miss"]) | {"block_excerpt": _NULL}))
        stats["context"] = msgspec.Raw(_encode(context))
    return msgspec.Raw(_encode(stats))
