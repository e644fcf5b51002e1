"""A WebSocket goes through as bytes: handshake, both directions, every kind of end; and all of it is on record."""

from __future__ import annotations

import json
import os
import signal
import ssl
import threading
import time
from pathlib import Path

import pytest

from lunaroute.capture.records import UpgradeChunk
from lunaroute.config import TimeoutConfig
from tests.integration.relay.test_tls import certificate, serve_tls
from tests.support.relay import RelayProcess, ScriptedUpstream, Wire, started, wait_until

__all__ = ["certificate"]

LINES = (
    b"Host: relay\r\nConnection: keep-alive, Upgrade\r\nupgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Odd:  spaced \r\nX-Odd: twice\r\n"
    b"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
)
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nsec-websocket-extensions: permessage-deflate\r\n\r\n"
)


def handshake(upstream: ScriptedUpstream, path: bytes = b"v1/responses") -> bytes:
    return b"GET /%s/%s HTTP/1.1\r\n" % (upstream.name.encode(), path) + LINES


def ask(relay: RelayProcess, upstream: ScriptedUpstream, path: bytes = b"v1/responses") -> tuple[Wire, Wire]:
    """(client, provider's side) when the provider has the handshake."""
    client = relay.connect()
    client.send(handshake(upstream, path))
    peer = upstream.accept()
    peer.read_head()
    return client, peer


def upgraded(relay: RelayProcess, upstream: ScriptedUpstream) -> tuple[Wire, Wire]:
    client, peer = ask(relay, upstream)
    peer.send(SWITCHING)
    assert client.read_head() == SWITCHING
    return client, peer


def chunks(relay: RelayProcess, number: int) -> list[UpgradeChunk]:
    relay.spool.poll()
    return [one for one in relay.spool.records if isinstance(one, UpgradeChunk) and one.exchange == number]


def said(found: list[UpgradeChunk], from_client: bool) -> bytes:
    return b"".join(one.data for one in found if one.from_client is from_client)


def ends(found: list[UpgradeChunk]) -> list[bool]:
    """Who finished sending, in order; True is the client."""
    return [one.from_client for one in found if not one.data]


def test_handshake_passes_as_it_is_but_for_the_host(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client = relay.connect()
    client.send(handshake(upstream))
    peer = upstream.accept()
    sent = b"GET /v1/responses HTTP/1.1\r\n" + LINES.replace(b"Host: relay", b"Host: " + upstream.host)
    assert peer.read_head() == sent
    peer.send(SWITCHING + b"early")
    assert client.read_head() == SWITCHING
    assert client.read(5) == b"early"
    client.close()
    assert peer.read_to_end() == (b"", False)
    peer.close()
    exchange = relay.spool.exchange(upstream.name)
    assert exchange.response is not None
    assert exchange.response.status_code == 101
    assert (b"Sec-WebSocket-Accept", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=") in exchange.response.headers


def test_bytes_pass_at_once_both_ways_and_are_on_record_first(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client, peer = upgraded(relay, upstream)
    from_client, from_provider = b"", b""
    for number in range(20):
        data = os.urandom(1 + 977 * number)
        client.send(data)
        assert peer.read(len(data)) == data
        from_client += data
        # The provider has it, so the spool does.
        number_of = max(one.exchange for one in _upgrade_chunks(relay))
        assert said(chunks(relay, number_of), True) == from_client
        answer = os.urandom(1 + 577 * number)
        peer.send(answer)
        assert client.read(len(answer)) == answer
        from_provider += answer
        assert said(chunks(relay, number_of), False) == from_provider
    client.close()
    peer.read_to_end()
    peer.close()
    closed = relay.spool.exchange(upstream.name).closed
    assert closed is not None
    assert closed.outcome == "completed"
    found = chunks(relay, closed.exchange)
    assert [one.t_ns for one in found] == sorted(one.t_ns for one in found)
    for name in ("pre_processing_ns", "post_processing_ns"):
        spent = [getattr(one, name) for one in found]
        assert 0 < spent[-1] <= getattr(closed, name)
        assert spent == sorted(spent)


def _upgrade_chunks(relay: RelayProcess) -> list[UpgradeChunk]:
    relay.spool.poll()
    return [one for one in relay.spool.records if isinstance(one, UpgradeChunk)]


def test_what_the_client_sends_before_the_answer_waits_for_it(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client = relay.connect()
    client.send(handshake(upstream) + b"frames too early")
    peer = upstream.accept()
    peer.read_head()
    assert peer.has_nothing()
    peer.send(SWITCHING)
    assert peer.read(16) == b"frames too early"
    client.read_head()
    client.close()
    peer.close()
    assert relay.spool.outcome(upstream.name) == "completed"


def test_large_messages_pass_against_slow_readers(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    """More than all buffers hold, in both directions at the same time; the relay does not swell."""
    client, peer = upgraded(relay, upstream)
    before = relay.resident_bytes()
    block = os.urandom(1 << 20)
    writers = [threading.Thread(target=lambda to=to: [to.send(block) for _ in range(48)]) for to in (client, peer)]
    readers = [threading.Thread(target=lambda of=of: of.read(48 << 20)) for of in (client, peer)]
    for writer in writers:
        writer.start()
    wait_until(lambda: len(_upgrade_chunks(relay)) > 20)
    assert relay.resident_bytes() < before + (40 << 20)
    for reader in readers:
        reader.start()
    for thread in (*writers, *readers):
        thread.join(60)
        assert not thread.is_alive()
    client.close()
    peer.close()
    assert relay.spool.outcome(upstream.name) == "completed"
    assert relay.resident_bytes() < before + (60 << 20)


@pytest.mark.parametrize("first", ["client", "provider"])
def test_half_close_is_passed_on_and_the_other_half_goes_on(
    relay: RelayProcess, upstream: ScriptedUpstream, first: str
) -> None:
    client, peer = upgraded(relay, upstream)
    one, other = (client, peer) if first == "client" else (peer, client)
    one.send(b"last words")
    one.half_close()
    assert other.read_to_end() == (b"last words", False)
    other.send(b"still here" * 1000)
    assert one.read(10_000) == b"still here" * 1000
    other.half_close()
    assert one.read_to_end() == (b"", False)
    closed = relay.spool.exchange(upstream.name).closed
    assert closed is not None
    assert (closed.outcome, closed.detail) == ("completed", None)
    assert ends(chunks(relay, closed.exchange)) == [first == "client", first != "client"]


def test_last_words_of_a_client_that_closes_at_once_arrive(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client, peer = upgraded(relay, upstream)
    words = os.urandom(300_000)
    client.send(words)
    client.close()
    assert peer.read_to_end() == (words, False)
    closed = relay.spool.exchange(upstream.name).closed
    assert closed is not None
    assert closed.outcome == "completed"
    assert ends(chunks(relay, closed.exchange))[:1] == [True]


def test_last_words_of_a_provider_that_closes_at_once_arrive(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client, peer = upgraded(relay, upstream)
    words = os.urandom(300_000)
    peer.send(words)
    peer.close()
    assert client.read_to_end() == (words, False)
    client.close()
    assert relay.spool.outcome(upstream.name) == "completed"


@pytest.mark.parametrize(("who", "outcome"), [("client", "client_cancelled"), ("provider", "upstream_cut")])
def test_reset_is_passed_on_as_one(relay: RelayProcess, upstream: ScriptedUpstream, who: str, outcome: str) -> None:
    client, peer = upgraded(relay, upstream)
    one, other = (client, peer) if who == "client" else (peer, client)
    one.send(b"x")
    other.read(1)
    one.reset()
    assert other.read_to_end() == (b"", True)
    assert relay.spool.outcome(upstream.name) == outcome


def test_silence_of_any_length_is_no_reason_to_end(tmp_path: Path) -> None:
    upstream = ScriptedUpstream("u")
    timeouts = TimeoutConfig(first_byte_s=0.2, idle_s=0.2, keep_alive_s=0.2, pool_idle_s=0.2)
    with started(tmp_path, {"u": upstream.url}, timeouts=timeouts) as relay:
        client, peer = upgraded(relay, upstream)
        other = relay.connect()
        other.send(b"POST /u/x HTTP/1.1\r\nHost: r\r\nContent-Length: 9\r\n\r\nhalf")
        assert other.read_to_end()[0] == b""  # cut for its silence: the sweeps did happen
        client.send(b"ping")
        assert peer.read(4) == b"ping"
        peer.send(b"pong")
        assert client.read(4) == b"pong"
        client.close()
        peer.close()
    upstream.close()


# ---- refusals ---------------------------------------------------------------------------------------------------

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


# ---- the relay's own accidents ----------------------------------------------------------------------------------


def test_killed_relay_leaves_the_bytes_that_passed(tmp_path: Path) -> None:
    upstream = ScriptedUpstream("u")
    with started(tmp_path, {"u": upstream.url}) as relay:
        client, peer = upgraded(relay, upstream)
        client.send(b"question")
        peer.read(8)
        peer.send(b"ans")
        client.read(3)
        relay.send_signal(signal.SIGKILL)
        relay.wait()
        client.read_to_end()
        peer.read_to_end()
        found = _upgrade_chunks(relay)
        assert (said(found, True), said(found, False)) == (b"question", b"ans")
        relay.restart()
        relay.health()
        assert relay.spool.outcome("u") == "interrupted"
    upstream.close()


def test_stop_gives_an_open_socket_the_grace_period_and_then_cuts_it(tmp_path: Path) -> None:
    upstream = ScriptedUpstream("u")
    with started(tmp_path, {"u": upstream.url}) as relay:
        client, peer = upgraded(relay, upstream)
        relay.send_signal(signal.SIGTERM)
        client.read_to_end()
        peer.read_to_end()
        assert relay.spool.outcome("u") == "interrupted"
    upstream.close()


def test_websocket_over_tls(tmp_path: Path, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    upstream = ScriptedUpstream("u")
    with started(tmp_path, {"u": upstream.url.replace("http:", "https:")}) as relay:
        for leaver in ("client", "provider"):
            wires: list[Wire] = []
            server = threading.Thread(target=serve_tls, args=(upstream, certificate, wires))
            server.start()
            client = relay.connect()
            client.send(handshake(upstream))
            server.join()
            (peer,) = wires
            assert isinstance(peer.sock, ssl.SSLSocket)
            peer.read_head()
            peer.send(SWITCHING)
            assert client.read_head() == SWITCHING
            words = os.urandom(200_000)
            client.send(words)
            assert peer.read(len(words)) == words
            peer.send(words)
            assert client.read(len(words)) == words
            one, other = (client, peer) if leaver == "client" else (peer, client)
            one.send(b"last")
            one.close()
            assert other.read(4) == b"last"
            assert other.read_to_end()[0] == b""
            other.close()
        assert relay.spool.outcome("u", 0) == relay.spool.outcome("u", 1) == "completed"
    upstream.close()
