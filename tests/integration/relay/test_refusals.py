"""What two parsers could read differently never reaches a provider, and nobody gets anywhere else through the relay."""

from __future__ import annotations

import pytest

from tests.support.relay import RelayProcess, ScriptedUpstream

H = b"Host: r\r\n"

SMUGGLED = {
    "length and chunked": (
        400,
        b"POST /%s/x HTTP/1.1\r\n" + H + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "chunked and length": (
        400,
        b"POST /%s/x HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    "two lengths": (400, b"POST /%s/x HTTP/1.1\r\n" + H + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"),
    "same length twice": (400, b"POST /%s/x HTTP/1.1\r\n" + H + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    "length list": (400, b"POST /%s/x HTTP/1.1\r\n" + H + b"Content-Length: 5, 5\r\n\r\nhello"),
    "length with sign": (400, b"POST /%s/x HTTP/1.1\r\n" + H + b"Content-Length: +5\r\n\r\nhello"),
    "negative length": (400, b"POST /%s/x HTTP/1.1\r\n" + H + b"Content-Length: -5\r\n\r\nhello"),
    "length in hex": (400, b"POST /%s/x HTTP/1.1\r\n" + H + b"Content-Length: 0x5\r\n\r\nhello"),
    "space before colon": (400, b"POST /%s/x HTTP/1.1\r\n" + H + b"Content-Length : 5\r\n\r\nhello"),
    "unknown coding": (400, b"POST /%s/x HTTP/1.1\r\n" + H + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    "two codings": (400, b"POST /%s/x HTTP/1.1\r\n" + H + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    "chunked twice": (
        400,
        b"POST /%s/x HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    "chunked in 1.0": (400, b"POST /%s/x HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    "folded": (400, b"GET /%s/x HTTP/1.1\r\n" + H + b"A: b\r\n c\r\n\r\n"),
    "bare line feeds": (400, b"GET /%s/x HTTP/1.1\nHost: r\n\n"),
    "one bare line feed": (400, b"GET /%s/x HTTP/1.1\r\nHost: r\r\nA: b\nContent-Length: 5\r\n\r\nhello"),
    "bare carriage return": (400, b"GET /%s/x HTTP/1.1\r\nHost: r\r\nA: b\rC: d\r\n\r\n"),
    "zero byte": (400, b"GET /%s/x HTTP/1.1\r\n" + H + b"A: b\0c\r\n\r\n"),
    "no host": (400, b"GET /%s/x HTTP/1.1\r\n\r\n"),
    "two hosts": (400, b"GET /%s/x HTTP/1.1\r\n" + H + H + b"\r\n"),
    "tab in request line": (400, b"GET\t/%s/x HTTP/1.1\r\n" + H + b"\r\n"),
    "no version": (400, b"GET /%s/x\r\n\r\n"),
    "later version": (400, b"GET /%s/x HTTP/1.2\r\n" + H + b"\r\n"),
    "http/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n%.0s"),
    "tls": (400, b"\x16\x03\x01\x02\x00\x01\x00%.0s"),
    "large head": (431, b"GET /%s/x HTTP/1.1\r\n" + H + b"A: " + b"a" * 70_000 + b"\r\n\r\n"),
    "endless head": (431, b"GET /%s/x HTTP/1.1\r\n" + H + b"A: " + b"a" * 70_000),
    "chunk size with sign": (
        400,
        b"POST /%s/x HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
    ),
    "chunk size in C": (
        400,
        b"POST /%s/x HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    ),
    "chunk line feed": (
        400,
        b"POST /%s/x HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
    ),
    "chunk too long": (
        400,
        b"POST /%s/x HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello!\r\n0\r\n\r\n",
    ),
    "chunk size overflow": (
        400,
        b"POST /%s/x HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
    ),
    "trailer": (400, b"POST /%s/x HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\nno trailer\r\n\r\n"),
}

ELSEWHERE = {
    "absolute": b"GET http://169.254.169.254/latest HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n",
    "absolute, https": b"GET https://example.com/ HTTP/1.1\r\nHost: example.com\r\n\r\n",
    "connect": b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: r\r\n\r\n",
    "authority": b"GET example.com HTTP/1.1\r\nHost: r\r\n\r\n",
}


@pytest.mark.parametrize("case", SMUGGLED)
def test_ambiguous_request_is_refused_unseen_by_the_provider(
    relay: RelayProcess, upstream: ScriptedUpstream, case: str
) -> None:
    status, raw = SMUGGLED[case]
    client = relay.connect()
    request = raw % upstream.name.encode()
    client.send(
        request + (b"GET /%s/second HTTP/1.1\r\nHost: r\r\n\r\n" % upstream.name.encode() if status == 400 else b"")
    )
    assert client.read_head().startswith(b"HTTP/1.1 %d " % status)
    rest, _ = client.read_to_end()
    assert rest.count(b"HTTP/1.1") == 0  # nothing after it was taken for a request
    relay.health()
    assert upstream.was_never_called()


@pytest.mark.parametrize("case", ELSEWHERE)
def test_relay_is_no_open_proxy(relay: RelayProcess, case: str) -> None:
    client = relay.connect()
    client.send(ELSEWHERE[case])
    assert client.read_head().startswith(b"HTTP/1.1 400 ")
    client.read_to_end()


def test_chunking_that_breaks_later_cuts_the_provider_off(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client = relay.connect()
    client.send(
        b"POST /%s/x HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n" % upstream.name.encode()
    )
    peer = upstream.accept()
    peer.read_head()
    assert peer.read(7) == b"2\r\nok\r\n"
    client.send(b"-1\r\n")
    assert client.read_head().startswith(b"HTTP/1.1 400 ")
    client.read_to_end()
    assert peer.read_to_end()[0] == b""
    assert relay.spool.outcome(upstream.name) == "client_cancelled"
    assert relay.spool.exchange(upstream.name).request_body == b"ok"


def test_path_of_no_configured_provider_is_a_404(relay: RelayProcess) -> None:
    client = relay.connect()
    client.send(b"POST /v1/messages HTTP/1.1\r\nHost: r\r\n\r\n")
    assert client.read_head().startswith(b"HTTP/1.1 404 ")
    client.read_to_end()


def test_refusal_does_not_spoil_the_answer_before_it(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client = relay.connect()
    client.send(
        b"GET /%s/x HTTP/1.1\r\nHost: r\r\n\r\nGET http://evil/ HTTP/1.1\r\nHost: r\r\n\r\n" % upstream.name.encode()
    )
    peer = upstream.accept()
    peer.read_head()
    ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    peer.send(ok)
    assert client.read(len(ok)) == ok
    assert client.read_head().startswith(b"HTTP/1.1 400 ")


def test_health_is_told_without_a_provider(relay: RelayProcess) -> None:
    status = relay.health()
    assert (status["status"], status["run_id"], status["unrecorded_exchanges"]) == ("ok", "run", 0)
