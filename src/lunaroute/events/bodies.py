"""Exact bytes of bodies ↔ event fields.

A body that is JSON, and safe to stand inside a line that any JSON reader reads, is spliced into the event byte for
byte. Everything else is kept beside it as a BodyCopy, with the best JSON there is for queries. `request_bytes` and
`response_bytes` give back the bytes of the wire, whatever they were; `body_sha256` is the hash of exactly those.

Safe for every reader means more than valid: one line, no more than 200 levels deep (jq 1.6 stops at 256), integers
within 64 bits (pandas stops there), not the text `null` (which stands for "no JSON here"), and no white space around
it (a reader of the line could not tell whose it is).
"""

from __future__ import annotations

import binascii
import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from lunaroute.dialects.portable import is_portable

from .embedded import EmbeddedBody
from .types import NO_JSON, BodyCopy, RequestRecorded, ResponseRecorded

_SPACE = b" \t\r\n"
_BOM = b"\xef\xbb\xbf"

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()
_no_value = object()


def embed_body(
    body: bytes, content_encoding: str | None = None, decoded: bytes | None = None, *, is_known_portable: bool = False
) -> EmbeddedBody:
    """The fields for a body that came in one piece.

    `decoded` is the body without its content coding; None where there is no coding, or where it could not be undone.
    `is_known_portable`: it (decoded) is JSON that every reader takes, so that it need not be parsed for that.
    """
    sha256 = hashlib.sha256(body).hexdigest()
    if not body:
        return EmbeddedBody(NO_JSON, None, sha256)
    plain = body if content_encoding is None else decoded
    if is_known_portable and plain is not None and _is_one_line(plain):
        copy = None if content_encoding is None else copy_body(body, content_encoding)
        return EmbeddedBody(msgspec.Raw(plain), copy, sha256)
    if content_encoding is None:
        value = _parse(body)
        if _fits_line(body, value):
            return EmbeddedBody(msgspec.Raw(body), None, sha256)
        return EmbeddedBody(_line_json(body, value), copy_body(body), sha256)
    json = NO_JSON if decoded is None else _line_json(decoded, _parse(decoded))
    return EmbeddedBody(json, copy_body(body, content_encoding), sha256)


def embed_stream(
    body: bytes,
    content_encoding: str | None,
    message: msgspec.Raw | dict[str, Any] | None,
    chunks: list[tuple[float, int]],
) -> EmbeddedBody:
    """The fields for a streamed body; `message` is what it amounts to, `chunks` are (ms since sent, bytes)."""
    return EmbeddedBody(
        message_json(message),
        copy_body(body, content_encoding, chunks),
        hashlib.sha256(body).hexdigest(),
    )


def message_json(message: msgspec.Raw | dict[str, Any] | None) -> msgspec.Raw:
    """A rebuilt message as JSON that fits a line; NO_JSON where there is none."""
    if message is None:
        return NO_JSON
    if isinstance(message, msgspec.Raw):
        text = bytes(message)
        return _line_json(text, _parse(text))
    return _encode(message)


def copy_body(
    body: bytes, content_encoding: str | None = None, chunks: list[tuple[float, int]] | None = None
) -> BodyCopy:
    """The exact bytes as text: as they are where they are UTF-8, else in base64."""
    try:
        return BodyCopy(encoding="utf-8", data=body.decode("utf-8"), content_encoding=content_encoding, chunks=chunks)
    except UnicodeDecodeError:
        data = binascii.b2a_base64(body, newline=False).decode("ascii")
        return BodyCopy(encoding="base64", data=data, content_encoding=content_encoding, chunks=chunks)


def request_bytes(event: RequestRecorded) -> bytes:
    """The request's body as the client sent it (after the transfer coding)."""
    return _restore(event.request_json, event.request_body)


def response_bytes(event: ResponseRecorded) -> bytes:
    """The response's body as the provider sent it (after the transfer coding)."""
    return _restore(event.response_json, event.response_body)


def body_text(copy: BodyCopy) -> bytes:
    """The bytes of a copy, still in their content coding."""
    if copy.encoding == "base64":
        return binascii.a2b_base64(copy.data)
    return copy.data.encode("utf-8")


def chunk_offsets(chunks: Sequence[tuple[int, bytes]], sent_ns: int) -> list[tuple[float, int]]:
    """(ms since the request was sent, bytes) of each read."""
    return [(max(0, t_ns - sent_ns) / 1e6, len(data)) for t_ns, data in chunks]


def _restore(json: msgspec.Raw, copy: BodyCopy | None) -> bytes:
    if copy is not None:
        return body_text(copy)
    text = bytes(json)
    return b"" if text == b"null" else text


def _parse(text: bytes) -> object:
    """The JSON value, if any reader of JSON lines can be trusted with it; else `_no_value`."""
    try:
        value = _decoder.decode(text)
    except (ValueError, RecursionError):
        return _no_value
    return value if is_portable(value) else _no_value


def _fits_line(body: bytes, value: object) -> bool:
    return value is not _no_value and value is not None and _is_one_line(body)


def _is_one_line(body: bytes) -> bool:
    # Bytes of the value as they are: a line end cannot be inside, and outer space would not come back.
    return b"\n" not in body and b"\r" not in body and body[0] not in _SPACE and body[-1] not in _SPACE


def _line_json(text: bytes, value: object) -> msgspec.Raw:
    """JSON for queries, where the exact bytes are kept elsewhere."""
    if value is _no_value and text.startswith(_BOM):
        text = text[len(_BOM) :]
        value = _parse(text)
    if value is _no_value or value is None:
        return NO_JSON
    return msgspec.Raw(text) if _fits_line(text, value) else _encode(value)


def _encode(value: object) -> msgspec.Raw:
    if not is_portable(value):
        return NO_JSON
    try:
        return msgspec.Raw(_encoder.encode(value))
    except (ValueError, TypeError, OverflowError, RecursionError):
        return NO_JSON
