"""The provider gets exactly the client's bytes, the client exactly the provider's; both are in the spool."""

from __future__ import annotations

import gzip

import pytest

from tests.support.relay import RelayProcess, ScriptedUpstream, Wire, started

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def get(upstream: ScriptedUpstream, method: bytes = b"GET", extra: bytes = b"") -> bytes:
    return b"%s /%s/v1/x HTTP/1.1\r\nHost: relay\r\n%s\r\n" % (method, upstream.name.encode(), extra)


def ask(relay: RelayProcess, upstream: ScriptedUpstream, request: bytes) -> tuple[Wire, Wire]:
    """(client, provider's side) with the request on its way."""
    client = relay.connect()
    client.send(request)
    return client, upstream.accept()


def test_request_arrives_byte_for_byte_but_for_host_and_hop_by_hop_lines(
    relay: RelayProcess, upstream: ScriptedUpstream
) -> None:
    name = upstream.name.encode()
    body = bytes(range(256)) * 3
    client, peer = ask(
        relay,
        upstream,
        b"POST /%s/v1/a%%20b/../c?beta=true&x=%%2F&&empty= HTTP/1.1\r\n" % name
        + b"X-First:no space\r\n"
        + b"hOsT:   relay:8081  \r\n"
        + b"X-dup: 1\r\n"
        + b"Connection: X-Mine, keep-alive, authorization\r\n"
        + b"x-DUP:\t 2 \t\r\n"
        + b"X-Mine: goes no further\r\n"
        + b"Keep-Alive: timeout=5\r\n"
        + b"Authorization: Bearer sk-test-not-dropped\r\n"
        + b"TE: trailers\r\n"
        + b"Proxy-Authorization: Basic eDp5\r\n"
        + b"X-Latin: caf\xe9\r\n"
        + b"X-Empty:\r\n"
        + b"Content-Length: %d\r\n\r\n" % len(body)
        + body,
    )
    expected = (
        b"POST /v1/a%20b/../c?beta=true&x=%2F&&empty= HTTP/1.1\r\n"
        + b"X-First:no space\r\n"
        + b"hOsT: %s\r\n" % upstream.host
        + b"X-dup: 1\r\n"
        + b"x-DUP:\t 2 \t\r\n"
        + b"Authorization: Bearer sk-test-not-dropped\r\n"
        + b"TE: trailers\r\n"
        + b"X-Latin: caf\xe9\r\n"
        + b"X-Empty:\r\n"
        + b"Content-Length: %d\r\n\r\n" % len(body)
        + body
    )
    assert peer.read(len(expected)) == expected
    peer.send(OK)
    assert client.read(len(OK)) == OK
    assert peer.has_nothing()
    exchange = relay.spool.exchange(upstream.name)
    assert exchange.request_body == body
    assert exchange.opened.path == "/v1/a%20b/../c"
    assert (b"x-DUP", b"2") in exchange.opened.headers


@pytest.mark.parametrize("length", [1, 9, 10, 1000, 123456])
def test_a_head_seen_before_arrives_with_its_own_length(
    relay: RelayProcess, upstream: ScriptedUpstream, length: int
) -> None:
    client = relay.connect()
    peer = None
    for size in (7, length, 0, 7):
        client.send(
            b"POST /%s/v1/x HTTP/1.1\r\nHost: r\r\ncontent-length:%d\r\nA: b\r\n\r\n" % (upstream.name.encode(), size)
        )
        client.send(b"x" * size)
        peer = peer or upstream.accept()
        head = b"POST /v1/x HTTP/1.1\r\nHost: %s\r\ncontent-length:%d\r\nA: b\r\n\r\n" % (upstream.host, size)
        assert peer.read(len(head) + size) == head + b"x" * size
        peer.send(OK)
        assert client.read(len(OK)) == OK
    recorded = [relay.spool.exchange(upstream.name, nth) for nth in range(4)]
    assert [len(exchange.request_body) for exchange in recorded] == [7, length, 0, 7]
    assert [dict(exchange.opened.headers)[b"content-length"] for exchange in recorded] == [
        b"%d" % size for size in (7, length, 0, 7)
    ]


def test_chunked_request_keeps_its_framing_extensions_and_trailers(
    relay: RelayProcess, upstream: ScriptedUpstream
) -> None:
    framed = b'5;a="b"\r\nhello\r\n00A\r\n, chunked!\r\n0\r\nX-Sum: 1\r\nX-More:\r\n\r\n'
    head = b"Transfer-Encoding: chunked\r\nTrailer: X-Sum\r\n"
    client, peer = ask(relay, upstream, get(upstream, b"PUT", head) + framed)
    assert peer.read_head().endswith(b"\r\n" + head + b"\r\n")
    assert peer.read(len(framed)) == framed
    peer.send(OK)
    client.read(len(OK))
    assert relay.spool.exchange(upstream.name).request_body == b"hello, chunked!"


def test_compressed_request_body_passes_and_is_recorded_as_sent(
    relay: RelayProcess, upstream: ScriptedUpstream
) -> None:
    body = gzip.compress(b'{"model": "m"}' * 50)
    head = b"Content-Encoding: gzip\r\nContent-Length: %d\r\n" % len(body)
    client, peer = ask(relay, upstream, get(upstream, b"POST", head) + body)
    assert peer.read_head().endswith(b"\r\n" + head + b"\r\n")
    assert peer.read(len(body)) == body
    peer.send(OK)
    client.read(len(OK))
    assert relay.spool.exchange(upstream.name).request_body == body


RESPONSES = {
    "length": (b"HTTP/1.1 200 OK\r\ncontent-LENGTH:5\r\nX:  y \r\n\r\nhello", b"hello"),
    "no body": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b""),
    "chunked": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", b"abc"),
    "chunked, odd": (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\nTrailer: T\r\n\r\n"
        b"0003;x=y\r\nabc\r\nA\r\n0123456789\r\n000\r\nT: v\r\n\r\n",
        b"abc0123456789",
    ),
    "gzip": (
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: %d\r\n\r\n" % len(gzip.compress(b"x", mtime=1))
        + gzip.compress(b"x", mtime=1),
        gzip.compress(b"x", mtime=1),
    ),
    "odd reason": (b"HTTP/1.1 299 Caf\xe9  is: fine \r\nContent-Length: 1\r\n\r\nx", b"x"),
    "empty reason": (b"HTTP/1.1 200 \r\nContent-Length: 1\r\n\r\nx", b"x"),
    "no reason": (b"HTTP/1.1 200\r\nContent-Length: 1\r\n\r\nx", b"x"),
    "no reason, cookie": (b"HTTP/1.1 200\r\nX-Rate: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", b"x"),
    "duplicates": (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nset-cookie: b=2\r\nVary: A\r\nVary: B\r\nContent-Length: 1\r\n\r\nx",
        b"x",
    ),
    "same length twice": (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx", b"x"),
    "204": (b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n", b""),
    "304": (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 500\r\nETag: e\r\n\r\n", b""),
    "error": (b'HTTP/1.1 529 Overloaded\r\nretry-after: 3\r\nContent-Length: 12\r\n\r\n{"error": 1}', b'{"error": 1}'),
    "latin": (b"HTTP/1.1 200 OK\r\nX-L: \xe9\xff\r\nContent-Length: 1\r\n\r\nx", b"x"),
}


@pytest.mark.parametrize("case", RESPONSES)
def test_response_arrives_byte_for_byte(relay: RelayProcess, upstream: ScriptedUpstream, case: str) -> None:
    raw, body = RESPONSES[case]
    client, peer = ask(relay, upstream, get(upstream))
    peer.read_head()
    peer.send(raw)
    assert client.read(len(raw)) == raw
    exchange = relay.spool.exchange(upstream.name)
    assert exchange.response is not None
    assert (exchange.response.status_code, exchange.response_body) == (int(raw[9:12]), body)
    assert len(exchange.response.headers) == raw.partition(b"\r\n\r\n")[0].count(b"\r\n")
    client.send(get(upstream))  # both connections are still in step
    peer.read_head()
    peer.send(OK)
    assert client.read(len(OK)) == OK
    assert upstream.accept_count == 1


def test_head_response_has_headers_of_a_body_and_none(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client, peer = ask(relay, upstream, get(upstream, b"HEAD"))
    for extra in (b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n", b""):
        raw = b"HTTP/1.1 200 OK\r\n%s\r\n" % extra
        peer.read_head()
        peer.send(raw)
        assert client.read(len(raw)) == raw
        client.send(get(upstream, b"HEAD"))
    assert upstream.accept_count == 1
    assert relay.spool.exchange(upstream.name, 2).response_body == b""


def test_response_that_ends_with_the_connection_ends_the_client_s_too(
    relay: RelayProcess, upstream: ScriptedUpstream
) -> None:
    client, peer = ask(relay, upstream, get(upstream))
    peer.read_head()
    peer.send(b"HTTP/1.1 200 OK\r\nX: y\r\n\r\nall")
    assert client.read_head() == b"HTTP/1.1 200 OK\r\nX: y\r\nConnection: close\r\n\r\n"
    peer.send(b" of it")
    assert client.read(9) == b"all of it"
    peer.close()
    assert client.read_to_end() == (b"", False)
    assert relay.spool.exchange(upstream.name).response_body == b"all of it"
    assert relay.spool.outcome(upstream.name) == "completed"


def test_hop_by_hop_lines_of_the_response_stop_at_the_relay(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client, peer = ask(relay, upstream, get(upstream))
    peer.read_head()
    peer.send(
        b"HTTP/1.1 200 OK\r\nA: 1\r\nConnection: close, X-Hop\r\nKeep-Alive: 1\r\nX-Hop: 1\r\nUpgrade: h2\r\n"
        b"Content-Length: 2\r\nB: 2\r\n\r\nok"
    )
    expected = b"HTTP/1.1 200 OK\r\nA: 1\r\nContent-Length: 2\r\nB: 2\r\n\r\nok"
    assert client.read(len(expected)) == expected
    assert peer.read_to_end()[0] == b""  # it said close, so its connection is not used again
    client.send(get(upstream))
    upstream.accept().read_head()


def test_interim_responses_come_through_as_they_are(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client, peer = ask(relay, upstream, get(upstream))
    peer.read_head()
    for raw in (b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n", OK):
        peer.send(raw)
        assert client.read(len(raw)) == raw
    exchange = relay.spool.exchange(upstream.name)
    assert exchange.response is not None
    assert exchange.response.status_code == 200


def test_expect_100_continue_is_answered_by_the_provider(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    head = b"Expect: 100-continue\r\nContent-Length: 4\r\n"
    client, peer = ask(relay, upstream, get(upstream, b"POST", head))
    assert peer.read_head().endswith(b"\r\n" + head + b"\r\n")
    assert client.has_nothing()
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    peer.send(interim)
    assert client.read(len(interim)) == interim
    client.send(b"body")
    assert peer.read(4) == b"body"
    peer.send(OK)
    assert client.read(len(OK)) == OK
    assert relay.spool.exchange(upstream.name).request_body == b"body"


def test_http_1_0_client_is_served_and_its_connection_closed(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client, peer = ask(relay, upstream, b"GET /%s/v1/x HTTP/1.0\r\n\r\n" % upstream.name.encode())
    assert peer.read_head() == b"GET /v1/x HTTP/1.0\r\nHost: %s\r\n\r\n" % upstream.host
    peer.send(OK)
    expected = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
    assert client.read_to_end() == (expected, False)


def test_http_2_offer_is_not_taken_and_does_no_harm(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    extra = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    client, peer = ask(relay, upstream, get(upstream, extra=extra))
    assert peer.read_head() == b"GET /v1/x HTTP/1.1\r\nHost: %s\r\n\r\n" % upstream.host
    peer.send(OK)
    assert client.read(len(OK)) == OK


def test_session_tag_path_and_base_path_are_joined(
    relay: RelayProcess, upstream: ScriptedUpstream, tmp_path: object
) -> None:
    client = relay.connect()
    client.send(b"GET /s/my%%20run/%s/v1/x?y HTTP/1.1\r\nHost: r\r\n\r\n" % upstream.name.encode())
    peer = upstream.accept()
    assert peer.read_head().startswith(b"GET /v1/x?y HTTP/1.1\r\n")
    peer.send(OK)
    client.read(len(OK))
    assert relay.spool.exchange(upstream.name).opened.session_tags == ["my run"]


def test_claude_code_s_way_of_asking_reaches_anthropic_under_a_base_path(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    upstream = ScriptedUpstream("anthropic")
    with started(tmp_path_factory.mktemp("home"), {"anthropic": upstream.url + "/base"}) as relay:
        client = relay.connect()
        client.send(b"POST /v1/messages?beta=true HTTP/1.1\r\nHost: r\r\nContent-Length: 2\r\n\r\n{}")
        expected = (
            b"POST /base/v1/messages?beta=true HTTP/1.1\r\nHost: %s\r\nContent-Length: 2\r\n\r\n{}" % upstream.host
        )
        peer = upstream.accept()
        assert peer.read(len(expected)) == expected
        peer.send(OK)
        client.read(len(OK))
        opened = relay.spool.exchange("anthropic").opened
        assert (opened.listener, opened.target, opened.path) == (
            "anthropic",
            "/v1/messages?beta=true",
            "/v1/messages",
        )
    upstream.close()
