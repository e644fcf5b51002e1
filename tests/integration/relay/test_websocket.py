"""A WebSocket goes through as bytes: handshake, both directions, every kind of end; and all of it is on record."""

from __future__ import annotations

import os
import signal
import ssl
import threading
from pathlib import Path

import pytest

from lunaroute.config import TimeoutConfig
from tests.integration.relay.test_tls import certificate, serve_tls
from tests.integration.relay.upgrades import (
    LINES,
    SWITCHING,
    chunks,
    ends,
    handshake,
    said,
    upgrade_chunks,
    upgraded,
)
from tests.support.relay import RelayProcess, ScriptedUpstream, Wire, started, wait_until

__all__ = ["certificate"]


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
        number_of = max(one.exchange for one in upgrade_chunks(relay))
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
    wait_until(lambda: len(upgrade_chunks(relay)) > 20)
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
        found = upgrade_chunks(relay)
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
