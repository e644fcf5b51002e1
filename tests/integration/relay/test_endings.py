"""However an exchange ends, both sides learn it at once, and the spool says how it was."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest

from lunaroute.config import ServerConfig, TimeoutConfig
from tests.support.relay import RelayProcess, ScriptedUpstream, Wire, started

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
LENGTH = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nX: y\r\n\r\n"


def open_exchange(relay: RelayProcess, upstream: ScriptedUpstream, method: bytes = b"POST") -> tuple[Wire, Wire]:
    """(client, provider's side) after the provider has read the request."""
    client = relay.connect()
    client.send(b"%s /%s/x HTTP/1.1\r\nHost: r\r\n\r\n" % (method, upstream.name.encode()))
    peer = upstream.accept()
    peer.read_head()
    return client, peer


def assert_closed_within(peer: Wire, limit_s: float) -> None:
    start_s = time.monotonic()
    peer.read_to_end()
    assert time.monotonic() - start_s < limit_s


@pytest.mark.parametrize("leave", ["close", "reset"])
@pytest.mark.parametrize("answered", [b"", b"HTTP/1.1 200", CHUNKED + b"3\r\nabc\r\n"])
def test_client_that_leaves_stops_the_provider_within_two_seconds(
    relay: RelayProcess, upstream: ScriptedUpstream, leave: str, answered: bytes
) -> None:
    client, peer = open_exchange(relay, upstream)
    peer.send(answered)
    if answered.startswith(CHUNKED):
        client.read(len(answered))
    getattr(client, leave)()
    assert_closed_within(peer, 2.0)
    assert relay.spool.outcome(upstream.name) == "client_cancelled"
    assert relay.spool.exchange(upstream.name).response_body == (b"abc" if answered.startswith(CHUNKED) else b"")


def test_client_that_leaves_while_sending_stops_the_provider(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client = relay.connect()
    client.send(b"POST /%s/x HTTP/1.1\r\nHost: r\r\nContent-Length: 10\r\n\r\n123" % upstream.name.encode())
    peer = upstream.accept()
    peer.read_head()
    client.close()
    assert_closed_within(peer, 2.0)
    assert relay.spool.outcome(upstream.name) == "client_cancelled"


@pytest.mark.parametrize("cut", ["close", "reset"])
@pytest.mark.parametrize(
    ("sent", "body"),
    [(CHUNKED + b"5\r\nhel", b"hel"), (CHUNKED + b"2\r\nhe\r\n", b"he"), (LENGTH + b"hello", b"hello")],
)
def test_cut_of_the_provider_reaches_the_client_as_a_cut(
    relay: RelayProcess, upstream: ScriptedUpstream, cut: str, sent: bytes, body: bytes
) -> None:
    client, peer = open_exchange(relay, upstream)
    peer.send(sent)
    assert client.read(len(sent)) == sent
    getattr(peer, cut)()
    assert client.read_to_end()[0] == b""
    assert relay.spool.outcome(upstream.name) == "upstream_cut"
    assert relay.spool.exchange(upstream.name).response_body == body


def test_reset_of_a_response_without_length_is_not_passed_off_as_its_end(
    relay: RelayProcess, upstream: ScriptedUpstream
) -> None:
    client, peer = open_exchange(relay, upstream)
    peer.send(UNTIL_CLOSE + b"half")
    client.read_head()
    assert client.read(4) == b"half"
    peer.reset()
    assert client.read_to_end() == (b"", True)
    assert relay.spool.outcome(upstream.name) == "upstream_cut"


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 O"])
@pytest.mark.parametrize("method", [b"POST", b"HEAD"])
def test_provider_that_hangs_up_without_an_answer_is_a_502_and_the_client_may_ask_again(
    relay: RelayProcess, upstream: ScriptedUpstream, sent: bytes, method: bytes
) -> None:
    client, peer = open_exchange(relay, upstream, method)
    peer.send(sent)
    peer.close()
    head = client.read_head()
    assert head.startswith(b"HTTP/1.1 502 Bad Gateway\r\n")
    if method == b"POST":
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        assert upstream.name in json.loads(client.read(length))["error"]["message"]
    assert relay.spool.outcome(upstream.name) == "upstream_cut"
    client.send(b"POST /%s/x HTTP/1.1\r\nHost: r\r\n\r\n" % upstream.name.encode())
    second = upstream.accept()
    second.read_head()
    second.send(OK)
    assert client.read(len(OK)) == OK


MALFORMED = {
    "not http": b"SSH-2.0-OpenSSH\r\n\r\n",
    "http/2": b"HTTP/2 200\r\n\r\n",
    "both framings": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
    "lengths differ": b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "folded": b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
    "switching": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
    "endless head": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000,
}


@pytest.mark.parametrize("case", MALFORMED)
def test_answer_that_cannot_be_read_one_way_only_is_a_502(
    relay: RelayProcess, upstream: ScriptedUpstream, case: str
) -> None:
    client, peer = open_exchange(relay, upstream)
    peer.send(MALFORMED[case])
    assert client.read_head().startswith(b"HTTP/1.1 502 ")
    peer.read_to_end()
    assert relay.spool.outcome(upstream.name) == "upstream_cut"


def test_broken_chunking_ends_the_client_s_connection(relay: RelayProcess, upstream: ScriptedUpstream) -> None:
    client, peer = open_exchange(relay, upstream)
    peer.send(CHUNKED + b"2\r\nok\r\n")
    client.read(len(CHUNKED) + 7)
    peer.send(b"zz\r\n")
    client.read_to_end()
    assert_closed_within(peer, 2.0)
    assert relay.spool.outcome(upstream.name) == "upstream_cut"
    assert relay.spool.exchange(upstream.name).response_body == b"ok"


def test_provider_nobody_can_reach_is_a_502_in_the_shape_of_its_api(tmp_path: Path) -> None:
    nobody = ScriptedUpstream("nobody")
    nobody.close()
    names = ("anthropic", "openai", "google", "other")
    with started(tmp_path, dict.fromkeys(names, nobody.url) | {"bad-name": "http://" + "a" * 80}) as relay:
        answers = {}
        for name in (*names, "bad-name"):
            client = relay.connect()
            path = {"anthropic": "v1/messages", "openai": "v1/responses", "google": "v1beta/models/m:x"}.get(
                name, f"{name}/x"
            )
            client.send(f"POST /{path} HTTP/1.1\r\nHost: r\r\nConnection: close\r\n\r\n".encode())
            head = client.read_head()
            assert head.startswith(b"HTTP/1.1 502 ")
            assert b"content-type: application/json\r\n" in head
            answers[name] = json.loads(client.read_to_end()[0])
            assert relay.spool.outcome(name) == "upstream_unreachable"
            closed = relay.spool.exchange(name).closed
            assert closed is not None
            assert closed.sent_ns is None
    assert (answers["anthropic"]["type"], answers["anthropic"]["error"]["type"]) == ("error", "api_error")
    assert answers["openai"]["error"]["type"] == answers["other"]["error"]["type"] == "server_error"
    assert (answers["google"]["error"]["code"], answers["google"]["error"]["status"]) == (502, "UNAVAILABLE")
    assert all("lunaroute: " in answer["error"]["message"] for answer in answers.values())


def test_large_body_for_a_provider_nobody_can_reach_still_gets_its_answer(tmp_path: Path) -> None:
    """A provider whose backlog is full does not answer the connection attempt: the client must hear of it."""
    timeouts = TimeoutConfig(connect_s=0.3)
    with started(tmp_path, {"far": "http://192.0.2.1:9"}, timeouts=timeouts) as relay:
        client = relay.connect()
        client.send(b"POST /far/x HTTP/1.1\r\nHost: r\r\nContent-Length: 900000\r\n\r\n" + b"x" * 800_000)
        assert client.read_head()[:12] in (b"HTTP/1.1 504", b"HTTP/1.1 502")  # 502: a machine without a network
        assert relay.spool.outcome("far") == "upstream_unreachable"


def test_silence_is_a_504_before_the_answer_and_a_cut_within_it(tmp_path: Path) -> None:
    upstreams = {name: ScriptedUpstream(name) for name in ("silent", "stuck", "unread")}
    timeouts = TimeoutConfig(first_byte_s=0.3, idle_s=0.3, keep_alive_s=0.5, pool_idle_s=0.3)
    with started(tmp_path, {name: upstream.url for name, upstream in upstreams.items()}, timeouts=timeouts) as relay:
        silent, silent_peer = open_exchange(relay, upstreams["silent"])
        stuck, stuck_peer = open_exchange(relay, upstreams["stuck"])
        stuck_peer.send(LENGTH + b"some")
        slow = relay.connect()
        slow.send(b"POST /unread/x HTTP/1.1\r\nHost: r\r\nContent-Length: 10\r\n\r\n12345")
        assert silent.read_head().startswith(b"HTTP/1.1 504 Gateway Timeout\r\n")
        assert stuck.read_to_end()[0] == LENGTH + b"some"
        assert slow.read_to_end()[0] == b""
        silent_peer.read_to_end()
        stuck_peer.read_to_end()
        outcomes = {name: relay.spool.outcome(name) for name in upstreams}
        assert outcomes == {"silent": "upstream_cut", "stuck": "upstream_cut", "unread": "client_cancelled"}
        idle = relay.connect()
        assert idle.read_to_end() == (b"", False)  # kept for keep_alive_s
    for upstream in upstreams.values():
        upstream.close()


def test_orderly_stop_lets_open_exchanges_end_and_cuts_the_rest_after_the_grace_period(tmp_path: Path) -> None:
    upstreams = {name: ScriptedUpstream(name) for name in ("quick", "late", "close")}
    server = ServerConfig(shutdown_grace_s=0.5)
    with started(tmp_path, {name: upstream.url for name, upstream in upstreams.items()}, server) as relay:
        quick, quick_peer = open_exchange(relay, upstreams["quick"])
        late, late_peer = open_exchange(relay, upstreams["late"])
        open_ended, open_peer = open_exchange(relay, upstreams["close"])
        late_peer.send(LENGTH + b"part")
        late.read(len(LENGTH) + 4)
        open_peer.send(UNTIL_CLOSE + b"part")
        open_ended.read_head()
        open_ended.read(4)
        idle = relay.connect()
        relay.health()
        relay.send_signal(signal.SIGTERM)
        assert idle.read_to_end() == (b"", False)  # at once: nothing is open on it
        quick_peer.send(OK)
        assert quick.read_to_end() == (OK, False)
        assert late.read_to_end()[0] == b""
        assert open_ended.read_to_end() == (b"", True)  # or it would look like the response's proper end
        late_peer.read_to_end()
        relay.wait()
        assert relay.process.returncode == 0
        assert [relay.spool.outcome(name) for name in upstreams] == ["completed", "interrupted", "interrupted"]
        assert relay.spool.exchange("late").response_body == b"part"
    for upstream in upstreams.values():
        upstream.close()


def test_everything_that_passed_before_a_kill_is_in_the_spool(tmp_path: Path) -> None:
    upstream = ScriptedUpstream("u")
    with started(tmp_path, {"u": upstream.url}) as relay:
        client, peer = open_exchange(relay, upstream)
        sent = CHUNKED + b"3\r\nabc\r\n"
        peer.send(sent)
        assert client.read(len(sent)) == sent
        relay.send_signal(signal.SIGKILL)
        relay.wait()
        relay.restart()
        assert relay.spool.outcome("u") == "interrupted"
        assert relay.spool.exchange("u").response_body == b"abc"
        again, second = open_exchange(relay, upstream)
        second.send(OK)
        assert again.read(len(OK)) == OK
        assert relay.spool.outcome("u", 1) == "completed"
    upstream.close()


def test_worker_stops_when_its_supervisor_is_gone(tmp_path: Path) -> None:
    with started(tmp_path, {}) as relay:
        relay.health()
        relay.orphan()
        relay.wait()
        assert relay.process.returncode == 0
