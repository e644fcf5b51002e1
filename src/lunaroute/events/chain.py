"""The chain over the lines of a session file: each event's `prev` is the link of the line before it.

A line's link is the SHA-256 of its bytes without the newline. Where `request_json` or `response_json` is the exact
body, that value is left out: `body_sha256`, which stays in, is the hash of it, so a body is not hashed twice (ADR 14).
"""

from __future__ import annotations

import hashlib

import msgspec

from .types import NO_JSON, Event, RequestRecorded, ResponseRecorded

_REQUEST, _RESPONSE = b'"request_json":', b'"response_json":'
"""In a line that the codec wrote, only texts and numbers come before: what is found first is the event's own field."""

_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def link_of(event: Event, line: bytes) -> str:
    """The link of a line that `encode_event` made of this event."""
    match event:
        case RequestRecorded(request_json=body, request_body=None):
            start = line.index(_REQUEST) + len(_REQUEST)
        case ResponseRecorded(response_json=body, response_body=None):
            start = line.index(_RESPONSE) + len(_RESPONSE)
        case _:
            return hashlib.sha256(line).hexdigest()
    return _without(line, start, memoryview(body).nbytes)


def link_of_line(line: bytes) -> str:
    """The same, of the line alone. Anything else than a line of ours has a link too, but none that a line names."""
    try:
        fields = _fields.decode(line)
    except (ValueError, RecursionError):
        return hashlib.sha256(line).hexdigest()
    for name, copy, mark in (("request_json", "request_body", _REQUEST), ("response_json", "response_body", _RESPONSE)):
        if name in fields and bytes(fields.get(copy, NO_JSON)) == b"null":
            body = bytes(fields[name])
            start = line.find(mark) + len(mark)
            if line.startswith(body, start):
                return _without(line, start, len(body))
    return hashlib.sha256(line).hexdigest()


def _without(line: bytes, start: int, size: int) -> str:
    """The hash of the line without `size` bytes from `start` on."""
    view = memoryview(line)
    digest = hashlib.sha256(view[:start])
    digest.update(view[start + size :])
    return digest.hexdigest()
