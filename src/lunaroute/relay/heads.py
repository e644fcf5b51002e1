"""[pure] Request and response heads: bytes → what the relay must know, framing included (RFC 9112).

httptools (llhttp, strict) judges the grammar; the lines themselves are kept raw. What two parsers could read
differently is refused: conflicting or repeated lengths, obs-fold, unknown transfer codings, missing or repeated
Host, absolute-form targets (the relay is no open proxy).
"""

from __future__ import annotations

import re

import httptools
import msgspec

from .headers import Kind, Line, LineReader, NameKinds, connection_tokens, forwarded_lines

_METHOD = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
UNTIL_CLOSE = -1
CHUNKED = -2


class BadHead(ValueError):
    """The head is refused; `status` is what the client is told."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class RequestHead(msgspec.Struct, frozen=True):
    method: str
    target: str
    version: bytes
    """`1.1` or `1.0`."""
    lines: list[Line]
    tokens: frozenset[bytes]
    body: int
    """Length in bytes, or CHUNKED."""
    keep_alive: bool
    """Whether the client wants to use its connection again."""
    wants_websocket: bool
    """As RFC 6455 §4.1 asks for it: GET, HTTP/1.1, no body. Other upgrades (h2c, which some HTTP clients offer each
    time) are an offer the relay need not take."""


class ResponseHead(msgspec.Struct, frozen=True):
    status_code: int
    body: int
    """Length in bytes, CHUNKED, or UNTIL_CLOSE."""
    keep_alive: bool
    """Whether the provider's connection may be used again."""
    is_http_1_0: bool
    forwarded: bytes
    """The head for the client, hop-by-hop lines left out."""
    recorded: bytes
    """Reason, CRLF, header lines joined by CRLF; credentials replaced."""


class _Grammar:
    """Receives nothing but the fact that the head is over."""

    is_complete = False

    def on_headers_complete(self) -> None:
        self.is_complete = True


def read_request_head(head: bytes, reader: LineReader) -> RequestHead:
    """`head` ends with the empty line. Raises BadHead."""
    grammar = _Grammar()
    parser = httptools.HttpRequestParser(grammar)
    try:
        parser.feed_data(head)
    except httptools.HttpParserUpgrade:
        pass
    except httptools.HttpParserError as error:
        raise BadHead(400, str(error) or "malformed request") from None
    if not grammar.is_complete:
        raise BadHead(400, "malformed request head")
    start, *raws = head[:-4].split(b"\r\n")
    method, target, version = _split_request_line(start)
    lines = [reader.read(raw) for raw in raws]
    tokens = _check_request(method, target, version, lines)
    body = _request_body(lines, version)
    keep_alive = b"close" not in tokens and (version == b"1.1" or b"keep-alive" in tokens)
    wants_websocket = (
        b"upgrade" in tokens
        and (method, version, body) == ("GET", b"1.1", 0)
        and any(line.kind is Kind.UPGRADE and b"websocket" in line.value.lower() for line in lines)
    )
    return RequestHead(method, target, version, lines, tokens, body, keep_alive, wants_websocket)


def _split_request_line(start: bytes) -> tuple[str, str, bytes]:
    parts = start.split(b" ")
    if _METHOD.fullmatch(parts[0]) is None:  # llhttp passes over an empty line before it; others may not
        raise BadHead(400, "malformed request line")
    if len(parts) != 3 or parts[2] not in (b"HTTP/1.1", b"HTTP/1.0"):
        raise BadHead(400 if len(parts) != 3 else 505, "malformed request line or unsupported HTTP version")
    try:
        return parts[0].decode("ascii"), parts[1].decode("ascii"), parts[2][5:]
    except UnicodeDecodeError:
        raise BadHead(400, "request line is not ASCII") from None


def _check_request(method: str, target: str, version: bytes, lines: list[Line]) -> frozenset[bytes]:
    if method == "CONNECT" or not target.startswith("/"):
        raise BadHead(400, "this is not an open proxy: the target must be a path")
    hosts = sum(line.kind is Kind.HOST for line in lines)
    if hosts > 1 or (hosts == 0 and version == b"1.1"):
        raise BadHead(400, "exactly one Host header is needed")
    _refuse_folds(lines, 400)
    return connection_tokens(lines) if any(line.kind is Kind.CONNECTION for line in lines) else frozenset()


def _refuse_folds(lines: list[Line], status: int) -> None:
    for line in lines:
        if line.raw[:1] in (b" ", b"\t", b":", b"") or b"\n" in line.raw or b"\r" in line.raw:
            raise BadHead(status, "folded or malformed header line")


def _request_body(lines: list[Line], version: bytes) -> int:
    lengths = [line.value for line in lines if line.kind is Kind.CONTENT_LENGTH]
    codings = [line.value.lower() for line in lines if line.kind is Kind.TRANSFER_ENCODING]
    if codings:
        if lengths or codings != [b"chunked"] or version != b"1.1":
            raise BadHead(400, "conflicting or unsupported Transfer-Encoding")
        return CHUNKED
    if not lengths:
        return 0
    return _length(lengths, 400)


def _length(values: list[bytes], status: int) -> int:
    if len(values) != 1 or not values[0].isdigit() or len(values[0]) > 18:
        raise BadHead(status, "conflicting or malformed Content-Length")
    return int(values[0])


_VERSIONS = (b"HTTP/1.1 ", b"HTTP/1.0 ")
_AFTER_CODE = (b" ", b"")
_CONTENT_LENGTH = Kind.CONTENT_LENGTH
_TRANSFER_ENCODING = Kind.TRANSFER_ENCODING


def read_response_head(head: bytes, kinds: NameKinds, lines: LineReader, method: str) -> ResponseHead:
    """`head` ends with the empty line; `method` is the request's. Raises BadHead (502).

    Values differ in every response (ids, dates, rate limits), so only the names are looked at, and the values of
    those few lines whose meaning matters here. A head without any that must not pass goes on as it is."""
    raws = head[:-4].split(b"\r\n")
    start = raws[0]
    version, code = start[:9], start[9:12]
    is_code = len(code) == 3 and code.isdigit() and code >= b"100"
    if version not in _VERSIONS or not is_code or start[12:13] not in _AFTER_CODE:
        raise BadHead(502, "the provider's answer is not HTTP/1.x")
    special: list[Line] = []
    is_plain = True
    try:
        for number in range(1, len(raws)):
            raw = raws[number]
            kind = kinds[raw[: raw.find(b":")]]
            if kind:
                special.append(lines.read(raw))
                is_plain = is_plain and (kind is _CONTENT_LENGTH or kind is _TRANSFER_ENCODING)
    except KeyError:
        raise BadHead(502, "the provider's answer has a malformed header line") from None
    status_code = int(code)
    body = _response_body(special, method, status_code)
    if not is_plain:
        return _without_hop_by_hop(start, raws[1:], special, lines, body)
    is_http_1_0 = version == b"HTTP/1.0 "
    keep_alive = body != UNTIL_CLOSE and not is_http_1_0
    return ResponseHead(status_code, body, keep_alive, is_http_1_0, head, head[min(13, len(start)) : -4])


def _without_hop_by_hop(
    start: bytes, raws: list[bytes], special: list[Line], reader: LineReader, body: int
) -> ResponseHead:
    """The head less what was meant for this relay only; credentials kept from the record."""
    tokens = connection_tokens(special)
    is_http_1_0 = start[7:8] == b"0"
    keep_alive = b"close" not in tokens and (not is_http_1_0 or b"keep-alive" in tokens) and body != UNTIL_CLOSE
    lines = [reader.read(raw) for raw in raws]
    forwarded = b"\r\n".join([start, *forwarded_lines(lines, tokens), b"", b""])
    recorded = b"\r\n".join([start[13:], *(line.recorded for line in lines)])
    return ResponseHead(int(start[9:12]), body, keep_alive, is_http_1_0, forwarded, recorded)


def _response_body(special: list[Line], method: str, status_code: int) -> int:
    """RFC 9112 §6.3, in its order."""
    if status_code < 200 or status_code in (204, 304) or method == "HEAD":
        return 0
    length = UNTIL_CLOSE
    coding: bytes | None = None
    for line in special:
        if line.kind is _CONTENT_LENGTH:
            value = _length([line.value], 502)
            if length not in (UNTIL_CLOSE, value):
                raise BadHead(502, "the provider's answer has two lengths")
            length = value
        elif line.kind is _TRANSFER_ENCODING:
            coding = line.value.lower()
    if coding is None:
        return length
    if length != UNTIL_CLOSE:
        raise BadHead(502, "the provider's answer has both a length and a transfer coding")
    return CHUNKED if coding.rpartition(b",")[2].strip() == b"chunked" else UNTIL_CLOSE
