"""Bodies of any size pass through little memory: whoever is slow slows the other side down."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from lunaroute.config import RecordingConfig
from tests.support.relay import RelayProcess, ScriptedUpstream, Wire, started, wait_until

BODY_BYTES = 100 << 20
PIECE = bytes(range(256)) * 4096
MOST_GROWTH_BYTES = 40 << 20


@pytest.fixture
def bulk(tmp_path: Path) -> tuple[Path, ScriptedUpstream]:
    return tmp_path, ScriptedUpstream("u", receive_buffer_bytes=65536)


def _send_body(wire: Wire, sent: list[int]) -> None:
    for _ in range(BODY_BYTES // len(PIECE)):
        wire.send(PIECE)
        sent.append(len(PIECE))


def _take(relay: RelayProcess, source: Wire, drain: Wire) -> int:
    """Send a body from `source`, stop reading it at `drain` until nothing moves, then read all. Most memory seen."""
    before_bytes = relay.resident_bytes()
    sent: list[int] = []
    sender = threading.Thread(target=_send_body, args=(source, sent))
    sender.start()
    assert drain.read(1000) == PIECE[:1000]
    _until_still(lambda: len(sent))
    assert len(sent) < BODY_BYTES // len(PIECE) // 2, "nothing held the sender back"
    growth_bytes = relay.resident_bytes() - before_bytes
    left = BODY_BYTES - 1000
    reads = 0
    while left:
        data = drain.receive()
        assert data
        left -= len(data)
        reads += 1
        if reads % 50 == 0:
            growth_bytes = max(growth_bytes, relay.resident_bytes() - before_bytes)
    sender.join()
    return growth_bytes


def _until_still(progress: Callable[[], int]) -> None:
    """Until `progress` has been the same 20 times in a row, some milliseconds apart."""
    seen: list[int] = []

    def is_still() -> bool:
        seen.append(progress())
        return len(seen) >= 20 and len(set(seen[-20:])) == 1

    wait_until(is_still)


def test_100_mb_request_to_a_slow_provider_stays_out_of_memory(bulk: tuple[Path, ScriptedUpstream]) -> None:
    home, upstream = bulk
    with started(home, {"u": upstream.url}, recording=RecordingConfig()) as relay:
        client = relay.connect()
        client.send(b"POST /u/x HTTP/1.1\r\nHost: r\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES)
        peer = upstream.accept()
        peer.read_head()
        assert _take(relay, client, peer) < MOST_GROWTH_BYTES
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        client.read_head()
        assert relay.spool.exchange("u").request_body == PIECE * (BODY_BYTES // len(PIECE))
    upstream.close()


def test_100_mb_response_to_a_slow_client_stays_out_of_memory(bulk: tuple[Path, ScriptedUpstream]) -> None:
    home, upstream = bulk
    with started(home, {"u": upstream.url}, recording=RecordingConfig()) as relay:
        client = relay.connect(receive_buffer_bytes=65536)
        client.send(b"POST /u/x HTTP/1.1\r\nHost: r\r\n\r\n")
        peer = upstream.accept()
        peer.read_head()
        peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY_BYTES)
        client.read_head()
        assert _take(relay, peer, client) < MOST_GROWTH_BYTES
        assert relay.spool.exchange("u").response_body == PIECE * (BODY_BYTES // len(PIECE))
    upstream.close()


def test_pipelined_answers_to_a_slow_client_stay_out_of_memory(tmp_path: Path) -> None:
    upstream = ScriptedUpstream("u")
    size = 24 << 20
    with started(tmp_path, {"u": upstream.url}) as relay:
        client = relay.connect(receive_buffer_bytes=65536)
        request = b"POST /u/x HTTP/1.1\r\nHost: r\r\n\r\n"
        client.send(request * 2)
        peer = upstream.accept()
        peer.read_head()
        before_bytes = relay.resident_bytes()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
        first = 3 << 20
        sent: list[int] = []

        def send() -> None:
            peer.send(head % first + b"x" * first)
            peer.read_head()
            peer.send(head % size)
            for _ in range(size >> 20):
                peer.send(b"y" * (1 << 20))
                sent.append(1)

        sender = threading.Thread(target=send)
        sender.start()
        _until_still(lambda: len(sent))
        assert relay.resident_bytes() - before_bytes < 16 << 20
        client.read_head()
        assert client.read(first) == b"x" * first
        client.read_head()
        assert client.read(size) == b"y" * size
        sender.join()
    upstream.close()
