"""Upgrades that do not come about: what the client is told, and what is on record."""

from __future__ import annotations

import json
import time

import pytest

from tests.integration.relay.upgrades import (
    LINES,
    ask,
    handshake,
)
from tests.support.relay import RelayProcess, ScriptedUpstream

BODY = b'{"error":{"message":"why","type":"t"}}'


def answer(status: int, extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 %d Why Not\r\n%sContent-Length: %d\r\n\r\n%s" % (status, extra, len(BODY), BODY)


@pytest.mark.parametrize("path", [b"v1/responses", b"responses?a=b", b"deep/v1/responses"])
@pytest.mark.parametrize("status", [200, 204, 400, 404, 405, 406, 501])
def test_provider_that_cannot_do_websocket_sends_the_client_to_http(
    relay: RelayProcess, upstream: ScriptedUpstream, status: int, path: bytes
) -> None:
    client, peer = ask(relay, upstream, path)
    peer.send(answer(status))
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 426 Upgrade Required\r\n")
    assert b"\r\nupgrade: HTTP/1.1\r\n" in head
    assert upstream.name in json.loads(client.read_to_end()[0])["error"]["message"]
    peer.read_to_end()
    exchange = relay.spool.exchange(upstream.name)
    assert exchange.response is not None
    assert exchange.response.status_code == status
    assert exchange.closed is not None
    assert exchange.closed.detail == (f"the provider answered {status}; the client was told 426, to go on over HTTP")


LATE = {
    "length": (b"Content-Length: %d\r\n" % len(BODY), [BODY[:5], BODY[5:]], BODY, "completed"),
    "chunked": (b"Transfer-Encoding: chunked\r\n", [b"4\r\n", BODY[:4] + b"\r\n0\r\n\r\n"], BODY[:4], "completed"),
    "until_close": (b"Connection: close\r\n", [BODY[:5], BODY[5:], b""], BODY, "completed"),
    "cut": (b"Content-Length: 99\r\n", [BODY[:5], b""], BODY[:5], "upstream_cut"),
    "broken": (b"Transfer-Encoding: chunked\r\n", [b"4\r\nabcd\r\nno size\r\n"], b"", "upstream_cut"),
}
"""framing → (its header, what is sent after the head piece by piece (nothing = close), the body, the outcome)"""


@pytest.mark.parametrize("framing", LATE)
def test_the_answer_of_a_provider_that_cannot_do_websocket_is_recorded_to_its_end(
    relay: RelayProcess, upstream: ScriptedUpstream, framing: str
) -> None:
    header, pieces, body, outcome = LATE[framing]
    client, peer = ask(relay, upstream)
    peer.send(b"HTTP/1.1 404 Not Found\r\n%s\r\n" % header)
    for piece in pieces:
        time.sleep(0.02)  # so that it comes by itself; whether it does changes nothing
        if piece:
            peer.send(piece)
        else:
            peer.close()
    assert client.read_head().startswith(b"HTTP/1.1 426 ")
    exchange = relay.spool.exchange(upstream.name)
    assert exchange.response is not None
    assert (exchange.response.status_code, exchange.response_body) == (404, body)
    assert exchange.closed is not None
    assert exchange.closed.outcome == outcome


@pytest.mark.parametrize("status", [301, 401, 403, 407, 426, 429, 500, 502, 503, 529])
def test_other_answers_are_the_providers_own(relay: RelayProcess, upstream: ScriptedUpstream, status: int) -> None:
    client, peer = ask(relay, upstream)
    told = answer(status, b"retry-after: 3\r\nX-Request-Id: 7\r\n")
    peer.send(told)
    assert client.read(len(told)) == told
    peer.read_to_end()  # never used again
    exchange = relay.spool.exchange(upstream.name)
    assert exchange.response is not None
    assert (exchange.response.status_code, exchange.response_body) == (status, BODY)
    client.send(b"GET /%s/next HTTP/1.1\r\nHost: r\r\n\r\n" % upstream.name.encode())
    again = upstream.accept()
    assert again.read_head().startswith(b"GET /next ")
    again.send(answer(200))
    assert client.read_head().startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("status", [200, 400, 404, 501])
def test_without_http_to_fall_back_to_every_answer_is_the_providers_own(
    relay: RelayProcess, upstream: ScriptedUpstream, status: int
) -> None:
    client, peer = ask(relay, upstream, b"v1/realtime?model=gpt-realtime")
    peer.send(answer(status))
    assert client.read(len(answer(status))) == answer(status)


@pytest.mark.parametrize(
    "told",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
    ],
)
def test_answer_that_is_none_is_no_websocket_either(
    relay: RelayProcess, upstream: ScriptedUpstream, told: bytes
) -> None:
    client, peer = ask(relay, upstream)
    peer.send(told)
    assert client.read_head().startswith(b"HTTP/1.1 426 ")
    peer.read_to_end()
    assert relay.spool.outcome(upstream.name) == "upstream_cut"
    client, peer = ask(relay, upstream, b"v1/realtime")
    peer.send(told)
    assert client.read_head().startswith(b"HTTP/1.1 502 ")


def test_provider_that_hangs_up_is_a_502(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client, peer = ask(relay, upstream)
    peer.close()
    assert client.read_head().startswith(b"HTTP/1.1 502 ")
    assert relay.spool.outcome(upstream.name) == "upstream_cut"


def test_client_that_leaves_in_the_handshake_is_noticed(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client, peer = ask(relay, upstream)
    client.close()
    peer.read_to_end()
    assert relay.spool.outcome(upstream.name) == "client_cancelled"


@pytest.mark.parametrize(
    "start",
    [b"POST /%s/v1/responses HTTP/1.1\r\nContent-Length: 0\r\n", b"GET /%s/v1/responses HTTP/1.0\r\n"],
)
def test_upgrade_that_is_no_handshake_is_an_ordinary_request(
    relay: RelayProcess, upstream: ScriptedUpstream, start: bytes
) -> None:
    client = relay.connect()
    client.send(start % upstream.name.encode() + LINES)
    peer = upstream.accept()
    head = peer.read_head()
    assert b"pgrade" not in head.partition(b"Sec-WebSocket")[0]
    peer.send(answer(404))
    assert client.read_head().startswith(b"HTTP/1.1 404 ")


def test_keys_in_subprotocols_do_not_reach_the_spool(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client = relay.connect()
    offered = b"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.sk-swordfish-1234\r\n\r\n"
    client.send(handshake(upstream, b"v1/realtime")[:-2] + offered)
    peer = upstream.accept()
    assert peer.read_head().endswith(offered)
    peer.send(answer(401))
    client.read_head()
    recorded = relay.spool.exchange(upstream.name).opened
    assert recorded.credential is not None
    assert b"realtime, openai-insecure-api-key." in recorded.header_lines
    assert b"swordfish" not in relay.spool_bytes()
