"""Texts that a body carries in base64: files given to a model, events within events."""

from __future__ import annotations

import binascii
from collections.abc import Iterator

import re2  # type: ignore[import-untyped]

_RUN = re2.compile(rb"[A-Za-z0-9+/_-]{40,}={0,2}")
_PROBE_CHARS = 64
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_NOT_TEXT = bytes(set(range(32)) - set(b"\t\n\r\f")) + b"\x7f"


def texts_in(body: bytes) -> Iterator[tuple[int, int, bytes]]:
    """(start, end, decoded) of each run of base64 that is UTF-8 text when decoded."""
    for match in _RUN.finditer(body):
        start, end = match.span()
        probe = decode(body[start : min(end, start + _PROBE_CHARS)])
        if probe is None or not _is_text(probe[:-4]):
            continue
        decoded = decode(body[start:end])
        if decoded is not None and _is_text(decoded):
            yield start, end, decoded


def encode_like(run: bytes, text: bytes) -> bytes:
    """`text` in the same alphabet and padding as `run`."""
    out = binascii.b2a_base64(text, newline=False)
    if b"-" in run or b"_" in run:
        out = out.translate(bytes.maketrans(b"+/", b"-_"))
    return out if len(run) % 4 == 0 else out.rstrip(b"=")


def decode(run: bytes) -> bytes | None:
    """None where it is no base64, of either alphabet, padded or not."""
    plain = run.rstrip(b"=").translate(_URL_SAFE)
    if len(plain) % 4 == 1:
        return None
    try:
        return binascii.a2b_base64(plain + b"=" * (-len(plain) % 4))
    except binascii.Error:
        return None


def _is_text(data: bytes) -> bool:
    if data.translate(None, _NOT_TEXT) != data:
        return False
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.end == len(data) and error.reason == "unexpected end of data"
    return True
