"""Request and response heads: what is refused, and where each body ends."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lunaroute.relay.headers import LineReader, NameKinds, is_credential_name
from lunaroute.relay.heads import CHUNKED, UNTIL_CLOSE, BadHead, RequestHead, ResponseHead
from lunaroute.relay.heads import read_request_head as read_request
from lunaroute.relay.heads import read_response_head as read_response

HOST = b"Host: r\r\n"


def reader() -> LineReader:
    return LineReader(lambda value: "fp_x", bytes)


def request(start: bytes, lines: bytes = HOST) -> RequestHead:
    return read_request(start + b"\r\n" + lines + b"\r\n", reader())


def response(start: bytes, lines: bytes = b"", method: str = "POST") -> ResponseHead:
    return read_response(start + b"\r\n" + lines + b"\r\n", NameKinds(), reader(), method)


REFUSED = {
    "length and chunked": (b"POST / HTTP/1.1", HOST + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n"),
    "chunked and length": (b"POST / HTTP/1.1", HOST + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"),
    "lengths differ": (b"POST / HTTP/1.1", HOST + b"Content-Length: 5\r\nContent-Length: 6\r\n"),
    "length twice": (b"POST / HTTP/1.1", HOST + b"Content-Length: 5\r\nContent-Length: 5\r\n"),
    "length list": (b"POST / HTTP/1.1", HOST + b"Content-Length: 5,5\r\n"),
    "empty line first": (b"\nPOST / HTTP/1.1", HOST),
    "empty length": (b"POST / HTTP/1.1", HOST + b"Content-Length:\r\n"),
    "sign": (b"POST / HTTP/1.1", HOST + b"Content-Length: +5\r\n"),
    "minus": (b"POST / HTTP/1.1", HOST + b"Content-Length: -0\r\n"),
    "hex": (b"POST / HTTP/1.1", HOST + b"Content-Length: 0x1\r\n"),
    "underscore": (b"POST / HTTP/1.1", HOST + b"Content-Length: 1_0\r\n"),
    "huge": (b"POST / HTTP/1.1", HOST + b"Content-Length: 1234567890123456789\r\n"),
    "coding": (b"POST / HTTP/1.1", HOST + b"Transfer-Encoding: gzip\r\n"),
    "chunked not alone": (b"POST / HTTP/1.1", HOST + b"Transfer-Encoding: gzip, chunked\r\n"),
    "chunked, chunked": (b"POST / HTTP/1.1", HOST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
    "identity": (b"POST / HTTP/1.1", HOST + b"Transfer-Encoding: identity\r\n"),
    "vertical tab": (b"POST / HTTP/1.1", HOST + b"Transfer-Encoding: \x0bchunked\r\n"),
    "chunked in 1.0": (b"POST / HTTP/1.0", HOST + b"Transfer-Encoding: chunked\r\n"),
    "no host": (b"GET / HTTP/1.1", b"A: b\r\n"),
    "two hosts": (b"GET / HTTP/1.1", HOST + b"hOST: r\r\n"),
    "fold": (b"GET / HTTP/1.1", HOST + b"A: b\r\n c\r\n"),
    "fold at once": (b"GET / HTTP/1.1", b" Host: r\r\n" + HOST),
    "tab fold": (b"GET / HTTP/1.1", HOST + b"A: b\r\n\tc\r\n"),
    "bare lf": (b"GET / HTTP/1.1", HOST + b"A: b\nC: d\r\n"),
    "bare lf after start": (b"GET / HTTP/1.1\nA: b", HOST),
    "bare cr": (b"GET / HTTP/1.1", HOST + b"A: b\rC: d\r\n"),
    "nul": (b"GET / HTTP/1.1", HOST + b"A: b\0\r\n"),
    "nul in target": (b"GET /\0 HTTP/1.1", HOST),
    "no colon": (b"GET / HTTP/1.1", HOST + b"A b\r\n"),
    "empty name": (b"GET / HTTP/1.1", HOST + b": b\r\n"),
    "space in name": (b"GET / HTTP/1.1", HOST + b"A b: c\r\n"),
    "space before colon": (b"GET / HTTP/1.1", HOST + b"Content-Length : 5\r\n"),
    "non-ASCII name": (b"GET / HTTP/1.1", HOST + b"\xc3\xa9: c\r\n"),
    "bracket in name": (b"GET / HTTP/1.1", HOST + b"A[]: c\r\n"),
    "absolute": (b"GET http://evil/ HTTP/1.1", HOST),
    "authority": (b"GET evil:80 HTTP/1.1", HOST),
    "asterisk": (b"OPTIONS * HTTP/1.1", HOST),
    "connect": (b"CONNECT evil:443 HTTP/1.1", HOST),
    "connect to a path": (b"CONNECT / HTTP/1.1", HOST),
    "empty target": (b"GET  HTTP/1.1", HOST),
    "two spaces": (b"GET  / HTTP/1.1", HOST),
    "trailing space": (b"GET / HTTP/1.1 ", HOST),
    "space in target": (b"GET /a b HTTP/1.1", HOST),
    "non-ASCII target": (b"GET /\xc3\xa9 HTTP/1.1", HOST),
    "http/2": (b"GET / HTTP/2.0", HOST),
    "http/0.9": (b"GET /", HOST),
    "http/1.2": (b"GET / HTTP/1.2", HOST),
    "lower case version": (b"GET / http/1.1", HOST),
    "not http": (b"GET / RTSP/1.0", HOST),
    "bad method": (b"G\x01T / HTTP/1.1", HOST),
    "empty": (b"", b""),
}


@pytest.mark.parametrize("case", REFUSED)
def test_head_that_could_be_read_in_two_ways_is_refused(case: str) -> None:
    with pytest.raises(BadHead) as refusal:
        request(*REFUSED[case])
    assert refusal.value.status in (400, 505)
    assert str(refusal.value)


@given(st.binary(max_size=200))
@example(b"GET / HTTP/1.1\r\nHost: r\r\nContent-Length: \xb2\r\n\r\n")
def test_no_bytes_raise_anything_but_bad_head(data: bytes) -> None:
    for head in (data + b"\r\n\r\n", b"GET / HTTP/1.1\r\nHost: r\r\n" + data + b"\r\n\r\n"):
        with suppress(BadHead):
            read_request(head, reader())
    for head in (data + b"\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + data + b"\r\n\r\n"):
        with suppress(BadHead):
            read_response(head, NameKinds(), reader(), "GET")


@pytest.mark.parametrize(
    ("lines", "body"),
    [
        (b"", 0),
        (b"Content-Length: 0\r\n", 0),
        (b"content-length:0012 \t\r\n", 12),
        (b"Content-Length: 999999999999999999\r\n", 999999999999999999),
        (b"Transfer-Encoding: Chunked\r\n", CHUNKED),
    ],
)
def test_request_body_ends_where_its_head_says(lines: bytes, body: int) -> None:
    assert request(b"POST /a?b HTTP/1.1", HOST + lines).body == body


@pytest.mark.parametrize(
    ("version", "lines", "expected"),
    [
        (b"1.1", b"", True),
        (b"1.1", b"Connection: close\r\n", False),
        (b"1.1", b"Connection: x, CLOSE\r\n", False),
        (b"1.1", b"Connection: keep-alive\r\nConnection: close\r\n", False),
        (b"1.0", b"", False),
        (b"1.0", b"Connection: Keep-Alive\r\n", True),
    ],
)
def test_client_s_wish_to_keep_its_connection_is_understood(version: bytes, lines: bytes, expected: bool) -> None:
    assert request(b"GET / HTTP/" + version, HOST + lines).keep_alive is expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"Connection: Upgrade\r\nUpgrade: websocket\r\n", True),
        (b"Connection: keep-alive, upgrade\r\nupgrade: WebSocket\r\n", True),
        (b"Upgrade: websocket\r\n", False),
        (b"Connection: Upgrade\r\n", False),
        (b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n", False),
    ],
)
def test_only_a_websocket_is_taken_for_one(lines: bytes, expected: bool) -> None:
    assert request(b"GET / HTTP/1.1", HOST + lines).wants_websocket is expected


@pytest.mark.parametrize(
    ("start", "lines"),
    [
        (b"POST / HTTP/1.1", b""),
        (b"GET / HTTP/1.0", b""),
        (b"GET / HTTP/1.1", b"Content-Length: 5\r\n"),
        (b"GET / HTTP/1.1", b"Transfer-Encoding: chunked\r\n"),
    ],
)
def test_a_handshake_is_a_get_of_http_1_1_without_a_body(start: bytes, lines: bytes) -> None:
    asked = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
    assert request(start, HOST + lines + asked).wants_websocket is False


def test_host_may_be_missing_in_http_1_0_only() -> None:
    assert request(b"GET / HTTP/1.0", b"A: b\r\n").version == b"1.0"


CL = b"Content-Length: 5\r\n"
TE = b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("extra", [b"", b"Set-Cookie: a=b\r\n"])
@pytest.mark.parametrize(
    ("status", "lines", "method", "body"),
    [
        (200, CL, "GET", 5),
        (200, CL + CL, "GET", 5),
        (200, TE, "GET", CHUNKED),
        (200, b"transfer-encoding: gzip, Chunked\r\n", "GET", CHUNKED),
        (200, b"transfer-encoding: gzip\r\n", "GET", UNTIL_CLOSE),
        (200, b"", "GET", UNTIL_CLOSE),
        (200, CL, "HEAD", 0),
        (200, TE, "HEAD", 0),
        (200, b"", "HEAD", 0),
        (204, CL, "GET", 0),
        (204, b"", "GET", 0),
        (304, CL, "GET", 0),
        (304, TE, "GET", 0),
        (100, CL, "GET", 0),
        (103, b"Link: x\r\n", "GET", 0),
        (500, CL, "POST", 5),
    ],
)
def test_response_body_ends_where_rfc_9112_says(
    status: int, lines: bytes, method: str, body: int, extra: bytes
) -> None:
    head = response(b"HTTP/1.1 %d X" % status, lines + extra, method)
    assert (head.status_code, head.body) == (status, body)
    assert head.keep_alive is (body != UNTIL_CLOSE)


@pytest.mark.parametrize(
    ("start", "lines", "keep_alive"),
    [
        (b"HTTP/1.1 200 OK", CL + b"Connection: close\r\n", False),
        (b"HTTP/1.1 200 OK", CL + b"Connection: keep-alive\r\n", True),
        (b"HTTP/1.0 200 OK", CL, False),
        (b"HTTP/1.0 200 OK", CL + b"Connection: keep-alive\r\n", True),
        (b"HTTP/1.0 200 OK", b"Connection: keep-alive\r\n", False),
    ],
)
def test_provider_s_connection_is_used_again_only_if_it_says_so(start: bytes, lines: bytes, keep_alive: bool) -> None:
    head = response(start, lines)
    assert head.keep_alive is keep_alive
    assert head.is_http_1_0 is (b"1.0" in start)


@pytest.mark.parametrize(
    ("start", "lines"),
    [
        (b"HTTP/2 200 OK", b""),
        (b"HTTP/1.1 20 OK", b""),
        (b"HTTP/1.1 2", b""),
        (b"HTTP/1.1 20", b""),
        (b"HTTP/1.1 2000 OK", b""),
        (b"HTTP/1.1 099 OK", b""),
        (b"HTTP/1.1  200 OK", b""),
        (b"ICY 200 OK", b""),
        (b"", b""),
        (b"HTTP/1.1 200 OK", b"Content-Length: 5\r\nContent-Length: 6\r\n"),
        (b"HTTP/1.1 200 OK", b"Content-Length: +5\r\n"),
        (b"HTTP/1.1 200 OK", CL + TE),
        (b"HTTP/1.1 200 OK", b"A: b\r\n c: d\r\n"),
        (b"HTTP/1.1 200 OK", b"Connection: close\r\nno colon\r\n"),
    ],
)
def test_response_that_could_be_read_in_two_ways_is_refused(start: bytes, lines: bytes) -> None:
    with pytest.raises(BadHead) as refusal:
        response(start, lines)
    assert refusal.value.status == 502


@pytest.mark.parametrize("extra", [b"", TE, b"Connection: x\r\n", b"Set-Cookie: a\r\n"])
@pytest.mark.parametrize("start", [b"HTTP/1.1 200 All is well", b"HTTP/1.1 200 ", b"HTTP/1.1 200"])
def test_reason_and_headers_are_recorded_apart(start: bytes, extra: bytes) -> None:
    recorded = response(start, b"A: b\r\n" + extra).recorded
    reason, _, lines = recorded.partition(b"\r\n")
    assert reason == start[13:]
    assert lines.startswith(b"A: b")
    assert not recorded.endswith(b"\r\n")


_WORDS = st.sampled_from(
    [
        *("api", "key", "keys", "token", "auth", "cookie", "set", "x", "secret", "jwt", "access", "id", "apikey"),
        *("password", "signature", "credential", "credentials", "authorization", "tokens", "cookie2", "next", "passwd"),
    ]
)


@given(st.lists(_WORDS, min_size=1, max_size=4), st.sampled_from(["-", "_"]), st.booleans())
def test_credential_of_a_response_is_never_recorded(words: list[str], separator: str, is_upper: bool) -> None:
    name = separator.join(words)
    line = (name.upper() if is_upper else name).encode() + b": s3same"
    head = response(b"HTTP/1.1 200 OK", b"A: b\r\n" + line + b"\r\n" + CL)
    assert (b"s3same" in head.recorded) is not is_credential_name(name.encode())
    assert line in head.forwarded
